"""Replaced versions of partitions: a copy of the object and a note beside it, kept for a number of days."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from usage_etl.errors import DamagedManifestError, ForgottenVersionError, IntegrityError, MissingObjectError
from usage_etl.lake.lifespans import (
    LOST,
    PRUNED,
    Lifespan,
    burial_bytes,
    burial_key,
    burial_prefix,
    buried,
    earlier_spans,
    read_burials,
    spans_of,
    standing,
)
from usage_etl.lake.manifests import Commit, manifest_bytes, read_manifest
from usage_etl.lake.objects import ObjectStore

_log = logging.getLogger(__name__)
_PREFIX = "_history"


class History:
    """Copies at ``_history/<table>/<partition>/<sha256>.parquet``, each with the manifest it had as ``.json``."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def keep(self, commit: Commit, *, replaced_at: dt.datetime) -> None:
        """Copies the object of ``commit``, the version about to be replaced.

        The note is written first, so that no copy stays behind that ``prune`` does not know. It also says when the same
        version stood before, where it came back.
        """
        copy_key = _copy_key(commit)
        is_standing = self._holds(commit.key, commit)
        if not is_standing and not self._holds(copy_key, commit):
            _log.warning("replaced version is lost key=%s sha256=%s", commit.key, commit.sha256)
            begun_at = dt.datetime.fromisoformat(commit.committed_at)
            self._bury(commit.table, commit.partition, [Lifespan(begun_at, replaced_at, commit.sha256, LOST)])
            return
        known = self._note(_note_key(commit))
        earlier = earlier_spans(known, commit.committed_at) if known else []
        kept = dataclasses.replace(commit, key=copy_key)
        note = manifest_bytes(kept, replaced_at=replaced_at.isoformat(), earlier=earlier)
        self._store.write(_note_key(commit), note, content_type="application/json")
        if is_standing:
            self._store.copy(commit.key, copy_key)

    def _holds(self, key: str, commit: Commit) -> bool:
        """Whether the object under ``key`` is that of ``commit``: by its version mark, else by its bytes."""
        found = self._store.head(key)
        return found is not None and (found.version == commit.object_version or self._store.digest(key) == commit.sha256)

    def find(self, table: str, partition: str, sha256: str) -> str | None:
        """Key of the copy with these bytes; None when there is none. Raises IntegrityError when the copy has others."""
        key = f"{_PREFIX}/{table}/{partition}/{sha256}.parquet"
        try:
            found = self._store.digest(key)
        except MissingObjectError:
            return None
        if found != sha256:
            raise IntegrityError(key, "sha256", sha256, found)
        return key

    def versions(self, table: str, partition: str) -> list[Commit]:
        """Kept versions of a partition, the last replaced first."""
        notes = [(str(content["replaced_at"]), commit) for commit, content in self._notes(f"{table}/{partition}/")]
        newest_first = sorted(notes, key=lambda note: note[0], reverse=True)
        return [commit for _, commit in newest_first if self._store.head(commit.key)]

    def drop(self, commit: Commit) -> None:
        """Removes the copy of ``commit``, then its note; when it stood stays known. The partition's lock must be held."""
        if note := self._note(_note_key(commit)):
            self._bury(commit.table, commit.partition, buried(spans_of(note), PRUNED))
        self._store.delete(_copy_key(commit))
        self._store.delete(_note_key(commit))

    def prune(self, *, replaced_before: dt.datetime) -> list[str]:
        """Removes versions that were replaced before an instant; their keys."""
        due: dict[tuple[str, str], list[Commit]] = {}
        for commit, content in self._notes(""):
            if _is_due(content, replaced_before):
                due.setdefault((commit.table, commit.partition), []).append(commit)
        removed: list[str] = []
        for (table, partition), commits in due.items():
            with self._store.lock(f"{table}/{partition}"):
                for commit in commits:
                    note = self._note(_note_key(commit))
                    if note and _is_due(note, replaced_before):  # it may have been kept anew since
                        self.drop(commit)
                        removed.append(commit.key)
        return removed

    def listed(self, table: str, partitions: Sequence[str] | None = None) -> dict[str, list[str]]:
        """By partition, the keys of all notes on versions that were replaced, of a few partitions or of the table.

        One listing answers for the table.
        """
        prefixes = [f"{table}/"] if partitions is None else [f"{table}/{partition}/" for partition in partitions]
        keys: dict[str, list[str]] = {}
        for info in (info for prefix in prefixes for info in self._store.list(f"{_PREFIX}/{prefix}")):
            if info.key.endswith(".json"):
                keys.setdefault(info.key.split("/")[2], []).append(info.key)
        gone = (info.key for info in self._store.list(burial_prefix(table)))
        for key in gone if partitions is None else [burial_key(table, partition) for partition in partitions]:
            keys.setdefault(key.rpartition("/")[2].removesuffix(".json"), []).append(key)
        return keys

    def standing(
        self, table: str, heads: Mapping[str, Commit | None], listed: Mapping[str, Sequence[str]], *, instant: dt.datetime
    ) -> dict[str, Commit | ForgottenVersionError | None]:
        """By partition of ``heads``, its newest versions: the one that stood at an instant, None before the first.

        ``listed`` is the history of these partitions; a version that is not kept any more is the error that says so.
        """
        keys = [key for partition in heads for key in listed.get(partition, ())]
        kept: dict[str, list[tuple[Commit, dict[str, Any]]]] = {}
        gone: dict[str, list[Lifespan]] = {}
        for key, data in self._store.read_many(keys):
            if data is not None and key.startswith(f"{_PREFIX}/"):
                for commit, note in _readable(key, data):
                    kept.setdefault(commit.partition, []).append((commit, note))
            elif data is not None:
                gone[key.rpartition("/")[2].removesuffix(".json")] = read_burials(key, data)
        found: dict[str, Commit | ForgottenVersionError | None] = {}
        for partition, head in heads.items():
            versions, where = kept.get(partition, ()), f"{table}/{partition}"
            try:
                found[partition] = standing(where, head, versions, gone.get(partition, ()), instant=instant)
            except ForgottenVersionError as error:
                found[partition] = error
        return found

    def faults(self, table: str) -> Iterator[str]:
        """One line per copy whose bytes are not those its name says, and per note that cannot be read."""
        keys = {info.key for info in self._store.list(f"{_PREFIX}/{table}/")}
        for key in sorted(keys):
            stem, _, suffix = key.rpartition(".")
            sha256 = stem.rpartition("/")[2]
            if suffix == "json":
                yield from self._note_faults(key)
            elif (found := self._store.digest(key)) != sha256:
                yield f"{key}: sha256 is {found}, its name says {sha256}"
            elif f"{stem}.json" not in keys:
                yield f"{key}: a kept version without its note"
        for info in self._store.list(burial_prefix(table)):
            try:
                read_burials(info.key, self._store.read(info.key))
            except DamagedManifestError as error:
                yield str(error)

    def _note_faults(self, key: str) -> Iterator[str]:
        try:
            read_manifest(key, self._store.read(key))
        except DamagedManifestError as error:
            yield str(error)

    def _notes(self, prefix: str) -> Iterator[tuple[Commit, dict[str, Any]]]:
        keys = [info.key for info in self._store.list(f"{_PREFIX}/{prefix}") if info.key.endswith(".json")]
        for key, data in self._store.read_many(keys):
            if data is not None:
                yield from _readable(key, data)

    def _note(self, key: str) -> dict[str, Any] | None:
        """A note's content; None where there is none that can be read."""
        try:
            data = self._store.read(key)
        except MissingObjectError:
            return None
        return next((content for _, content in _readable(key, data)), None)

    def _bury(self, table: str, partition: str, spans: Iterable[Lifespan]) -> None:
        """Notes when versions stood that are not kept from now on."""
        key = burial_key(table, partition)
        try:
            known = read_burials(key, self._store.read(key))
        except MissingObjectError:
            known = []
        self._store.write(key, burial_bytes([*known, *spans]), content_type="application/json")


def _readable(key: str, data: bytes) -> Iterator[tuple[Commit, dict[str, Any]]]:
    """The note, or nothing: one damaged note must not keep the others from being read; the audit names it."""
    try:
        yield read_manifest(key, data)
    except DamagedManifestError as error:
        _log.warning("note skipped: %s", error)


def _copy_key(commit: Commit) -> str:
    return f"{_PREFIX}/{commit.table}/{commit.partition}/{commit.sha256}.parquet"


def _note_key(commit: Commit) -> str:
    return f"{_PREFIX}/{commit.table}/{commit.partition}/{commit.sha256}.json"


def _is_due(note: Mapping[str, object], replaced_before: dt.datetime) -> bool:
    return dt.datetime.fromisoformat(str(note["replaced_at"])) < replaced_before
