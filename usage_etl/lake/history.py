"""Replaced versions of partitions: a copy of the object and a note beside it, kept for a number of days."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Iterator

from usage_etl.errors import DamagedManifestError, IntegrityError, MissingObjectError
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

        The note is written first, so that no copy stays behind that ``prune`` does not know.
        """
        copy_key = _copy_key(commit)
        is_standing = self._holds(commit.key, commit)
        if not is_standing and not self._holds(copy_key, commit):
            _log.warning("replaced version is lost key=%s sha256=%s", commit.key, commit.sha256)
            return
        note = manifest_bytes(dataclasses.replace(commit, key=copy_key), replaced_at=replaced_at.isoformat())
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
        """Removes the copy of ``commit``, then its note."""
        self._store.delete(_copy_key(commit))
        self._store.delete(_note_key(commit))

    def prune(self, *, replaced_before: dt.datetime) -> list[str]:
        """Removes versions that were replaced before an instant; their keys."""
        due = [
            commit
            for commit, content in self._notes("")
            if dt.datetime.fromisoformat(str(content["replaced_at"])) < replaced_before
        ]
        for commit in due:
            self.drop(commit)
        return [commit.key for commit in due]

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

    def _note_faults(self, key: str) -> Iterator[str]:
        try:
            read_manifest(key, self._store.read(key))
        except DamagedManifestError as error:
            yield str(error)

    def _notes(self, prefix: str) -> Iterator[tuple[Commit, dict[str, object]]]:
        for info in self._store.list(f"{_PREFIX}/{prefix}"):
            if not info.key.endswith(".json"):
                continue
            try:
                yield read_manifest(info.key, self._store.read(info.key))
            except DamagedManifestError as error:
                # One damaged note must not keep the others from being read; the audit names it.
                _log.warning("note skipped: %s", error)


def _copy_key(commit: Commit) -> str:
    return f"{_PREFIX}/{commit.table}/{commit.partition}/{commit.sha256}.parquet"


def _note_key(commit: Commit) -> str:
    return f"{_PREFIX}/{commit.table}/{commit.partition}/{commit.sha256}.json"
