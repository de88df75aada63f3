"""What is known of a stored version of a partition: its commit, written as a sealed JSON manifest."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from usage_etl.errors import DamagedManifestError, MissingObjectError
from usage_etl.keys import fingerprint
from usage_etl.lake.objects import ObjectInfo, ObjectStore

FEW = 3
"""Up to so many partitions are looked up one by one; above, one listing answers for all."""

_log = logging.getLogger(__name__)
_PREFIX = "_manifests"
_FORMAT = 1
_READERS = 16


@dataclass(frozen=True)
class Commit:
    """One stored version of one partition of a table."""

    table: str
    partition: str
    key: str
    """Where the object lies; a replaced version's commit names its copy under ``_history``."""
    sha256: str
    rows_count: int
    control_totals: dict[str, str]
    """Column name to exact sum as plain decimal text, for the table's control_totals."""
    inputs_fingerprint: str
    code_version: str
    inputs: dict[str, str]
    """Name to version of everything that the partition was made from."""
    changed: bool
    """Whether the commit that returned this replaced other bytes. In a manifest that is read back: always True."""
    committed_at: str
    """UTC instant, ISO 8601, at which these bytes became the partition."""
    bytes_count: int
    object_version: str
    """The store's own version mark of the object, by which a read knows it without hashing it."""
    columns_fingerprint: str = ""
    """Of the columns' names and types; empty in manifests from before it was kept. Other columns make a partition stale."""


def manifest_bytes(commit: Commit, **more: object) -> bytes:
    """Canonical JSON of ``commit`` and ``more``, with a seal over all of it."""
    content: dict[str, Any] = {"format": _FORMAT, **dataclasses.asdict(commit), **more}
    del content["changed"]
    return sealed_bytes(content)


def sealed_bytes(content: Mapping[str, Any]) -> bytes:
    """Canonical JSON of ``content`` with a seal over all of it."""
    return (json.dumps({**content, "seal": fingerprint(content)}, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def read_sealed(key: str, data: bytes) -> dict[str, Any]:
    """What ``sealed_bytes`` wrote. Raises DamagedManifestError when it cannot be read or its seal is broken."""
    try:
        content: dict[str, Any] = json.loads(data)
        seal = content.pop("seal")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedManifestError(key, f"cannot be read ({error!r})") from error
    if seal != fingerprint(content):
        raise DamagedManifestError(key, "was changed after it was written")
    return content


def read_manifest(key: str, data: bytes) -> tuple[Commit, dict[str, Any]]:
    """The commit of a manifest, and the manifest's whole content.

    Raises DamagedManifestError when it cannot be read or its seal is broken.
    """
    content = read_sealed(key, data)
    wanted = {field.name for field in dataclasses.fields(Commit)} - {"changed"}
    optional = {"columns_fingerprint"} - content.keys()
    try:
        return Commit(changed=True, **{name: content[name] for name in wanted - optional}), content
    except KeyError as error:
        raise DamagedManifestError(key, f"cannot be read ({error!r})") from error


class Manifests:
    """The newest manifest of each partition, at ``_manifests/<table>/<partition>.json``."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._read: dict[str, tuple[str, Commit]] = {}

    def head(self, table: str, partition: str) -> Commit | None:
        """The newest version; None before the first commit. Raises DamagedManifestError."""
        key = _key(table, partition)
        try:
            return read_manifest(key, self._store.read(key))[0]
        except MissingObjectError:
            return None

    def readable_head(self, table: str, partition: str) -> Commit | None:
        """The head; None also when its manifest is damaged, so that a rebuild mends it."""
        try:
            return self.head(table, partition)
        except DamagedManifestError as error:
            _log.warning("partition counts as new: %s", error)
            return None

    def heads(self, table: str, partitions: Sequence[str] | None) -> list[Commit]:
        """The newest versions of the given partitions, or of all, in order of partition; those without are left out."""
        if partitions is not None and len(partitions) <= FEW:
            found = (self.head(table, partition) for partition in sorted(set(partitions)))
            return [head for head in found if head]
        wanted = None if partitions is None else {_key(table, partition) for partition in partitions}
        infos = [info for info in self.listed(table) if wanted is None or info.key in wanted]
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self._head_at, infos))

    def listed(self, table: str) -> list[ObjectInfo]:
        """The table's manifests, unread."""
        return list(self._store.list(f"{_PREFIX}/{table}/"))

    def partitions(self, table: str) -> list[str]:
        """Partitions that have a manifest, in order."""
        return [info.key.rpartition("/")[2].removesuffix(".json") for info in self.listed(table)]

    def write(self, commit: Commit) -> None:
        """Makes ``commit`` the newest version of its partition."""
        self._store.write(_key(commit.table, commit.partition), manifest_bytes(commit), content_type="application/json")

    def delete(self, table: str, partition: str) -> None:
        """Forgets the partition's newest version."""
        self._store.delete(_key(table, partition))

    def _head_at(self, info: ObjectInfo) -> Commit:
        known = self._read.get(info.key)
        if known and known[0] == info.version:
            return known[1]
        commit, _ = read_manifest(info.key, self._store.read(info.key))
        self._read[info.key] = (info.version, commit)
        return commit


def _key(table: str, partition: str) -> str:
    return f"{_PREFIX}/{table}/{partition}.json"
