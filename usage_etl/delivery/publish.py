"""Publishes a report's files so that no reader sees a manifest whose files are not all there.

For report ``chargeback`` and period ``2026-10`` the out location holds::

    chargeback/2026-10/v-<first 12 of the manifest's sha256>/chargeback.csv, ..., manifest.json   every version, for ever
    chargeback/2026-10/latest.json                                                              names the version in force
    chargeback/2026-10/chargeback.csv, ..., manifest.json                                       the same files, stable paths

Promised, at every instant and after a crash at any step:

- a version's ``manifest.json`` is written after all its files, and none of them is ever written again;
- ``latest.json`` names a complete version; writing it is the act of publishing;
- an edition of a closed month is never replaced by other files, unless the new edition says that the month was reopened
  since and names it (``Edition.reopened_from``); the same files are published already, whatever the status;
- a stable ``manifest.json`` stands only beside exactly the files that it names: it is deleted before the first stable
  file is replaced and written after the last. While it is absent, a publication is on its way: wait for it.

Not promised: two downloads from the stable paths can fall on both sides of a publication, because no store replaces
two objects at once. A reader who takes several files compares their sha256 with the manifest, or starts at
``latest.json``. One publisher of a period works at a time; ``publish`` asks for the lock that sees to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from usage_etl.delivery.manifest import (
    CLOSED,
    MANIFEST_NAME,
    Document,
    Edition,
    ReportFile,
    canonical_json,
    manifest_bytes,
    says_the_same,
)
from usage_etl.delivery.store import OutStore
from usage_etl.errors import ClosedPeriodError, IntegrityError
from usage_etl.keys import sha256_hex

LATEST_NAME = "latest.json"
_JSON = "application/json"


@dataclass(frozen=True)
class Publication:
    """What stands in the out location after ``publish``. ``is_new`` is False when nothing had to be published."""

    manifest_sha256: str
    """Identity of the content: mail about this publication is sent once per recipient and identity."""
    version_prefix: str
    stable_keys: Mapping[str, str]
    """File name to stable key, the manifest included."""
    restates: str | None
    """sha256 of the manifest that this publication replaced, null for the first of its period."""
    is_new: bool


def publish(
    store: OutStore, edition: Edition, files: Sequence[ReportFile], *, lock: AbstractContextManager[object]
) -> Publication:
    """Publish ``files`` as the edition in force, or nothing when the version in force holds the same files and status.

    ``lock`` keeps other publishers of the same report and period out (``SendLedger.exclusive``). A publication that
    was cut short is completed by calling again, with the same files or with others.
    Raises DeliveryError for names that cannot be published, ClosedPeriodError when the version in force is of a closed month,
    which this edition does not reopen, IntegrityError when stored objects were changed by others.
    """
    manifest_bytes(edition, files, restates=None)  # refuses bad names before anything is written
    with lock:
        current = _published(store, edition.prefix)
        if current is not None and says_the_same(current.content, edition, files):
            manifest, is_new = current, False
        else:
            manifest, is_new = _next_manifest(store, edition, files, current), True
            _write_version(store, edition, manifest, files)
            _write_latest(store, edition, manifest)
        _complete_stable_copies(store, edition.prefix, manifest, files)
    return _publication(edition.prefix, manifest, is_new=is_new)


def publish_again(store: OutStore, edition_prefix: str, *, lock: AbstractContextManager[object]) -> Publication:
    """The version in force below ``<report>/<period>`` as it was published; a publication that was cut short is completed.

    Raises IntegrityError when there is none, or its objects were changed by others.
    """
    with lock:
        manifest = _published(store, edition_prefix)
        if manifest is None:
            raise IntegrityError(f"{edition_prefix}/{LATEST_NAME}", "content", "a pointer", "absent")
        files = _files_of(store, edition_prefix, manifest)
        _complete_stable_copies(store, edition_prefix, manifest, files)
    return _publication(edition_prefix, manifest, is_new=False)


def published_files_of(store: OutStore, edition_prefix: str) -> list[Document]:
    """The files of the version in force below ``<report>/<period>``, none before the first publication.

    They are read where they are never written again: stable paths can still hold the version before, after a publication
    that was cut short. Raises IntegrityError when one was changed by others.
    """
    manifest = _published(store, edition_prefix)
    return [] if manifest is None else _files_of(store, edition_prefix, manifest)


def _files_of(store: OutStore, edition_prefix: str, manifest: _Manifest) -> list[Document]:
    prefix = _version_prefix(edition_prefix, manifest.sha256)
    return [_stored(store, prefix, entry) for entry in manifest.content["files"]]


def _stored(store: OutStore, version_prefix: str, entry: Mapping[str, Any]) -> Document:
    key = f"{version_prefix}/{entry['name']}"
    content = store.read(key)
    if sha256_hex(content) != entry["sha256"]:
        raise IntegrityError(key, "sha256", entry["sha256"], sha256_hex(content))
    return Document(entry["name"], content, entry["media_type"])


def _publication(edition_prefix: str, manifest: _Manifest, *, is_new: bool) -> Publication:
    names = sorted([*_names_of(manifest.data), MANIFEST_NAME])
    return Publication(
        manifest_sha256=manifest.sha256,
        version_prefix=_version_prefix(edition_prefix, manifest.sha256),
        stable_keys={name: f"{edition_prefix}/{name}" for name in names},
        restates=manifest.content["restates"],
        is_new=is_new,
    )


def published_manifest(store: OutStore, edition_prefix: str) -> tuple[str, Mapping[str, Any]] | None:
    """sha256 and content of the manifest in force below ``<report>/<period>``; None before the first publication."""
    found = _published(store, edition_prefix)
    return None if found is None else (found.sha256, found.content)


@dataclass(frozen=True)
class _Manifest:
    data: bytes
    sha256: str
    content: Mapping[str, Any]

    @classmethod
    def of(cls, data: bytes) -> _Manifest:
        return cls(data, sha256_hex(data), json.loads(data))


def _next_manifest(store: OutStore, edition: Edition, files: Sequence[ReportFile], current: _Manifest | None) -> _Manifest:
    if current is None:
        return _Manifest.of(manifest_bytes(edition, files, restates=None))
    if current.content["period_status"] == CLOSED and edition.reopened_from != current.sha256:
        changed = ", ".join(_differing(current.content, files)) or "the status"
        raise ClosedPeriodError(edition.period, f"{edition.report} was published and would change in {changed}")
    version = _version_of(store, edition.prefix, current.content) + 1
    return _Manifest.of(manifest_bytes(edition, files, restates=current.sha256, version=version))


def _differing(manifest: Mapping[str, Any], files: Sequence[ReportFile]) -> list[str]:
    """Names of files that are not in both with the same bytes."""
    published = {(entry["name"], entry["sha256"]) for entry in manifest["files"]}
    return sorted({name for name, _ in published ^ {(file.name, sha256_hex(file.content)) for file in files}})


def _version_of(store: OutStore, edition_prefix: str, manifest: Mapping[str, Any]) -> int:
    """How many editions there were with this one; manifests of earlier programs do not say, so they are counted."""
    earlier = 0
    while "version" not in manifest:
        if manifest["restates"] is None:
            return earlier + 1
        earlier += 1
        manifest = json.loads(store.read(f"{_version_prefix(edition_prefix, manifest['restates'])}/{MANIFEST_NAME}"))
    return int(manifest["version"]) + earlier


def _version_prefix(edition_prefix: str, manifest_sha256: str) -> str:
    return f"{edition_prefix}/v-{manifest_sha256[:12]}"


def _published(store: OutStore, edition_prefix: str) -> _Manifest | None:
    latest_key = f"{edition_prefix}/{LATEST_NAME}"
    data = _read_or_none(store, latest_key)
    if data is None:
        return None
    try:
        sha256 = str(json.loads(data)["manifest_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(latest_key, "content", "a pointer", "not a pointer") from error
    key = f"{_version_prefix(edition_prefix, sha256)}/{MANIFEST_NAME}"
    manifest = store.read(key)
    if sha256_hex(manifest) != sha256:
        raise IntegrityError(key, "sha256", sha256, sha256_hex(manifest))
    return _Manifest.of(manifest)


def _write_version(store: OutStore, edition: Edition, manifest: _Manifest, files: Sequence[ReportFile]) -> None:
    prefix = _version_prefix(edition.prefix, manifest.sha256)
    objects = [(f"{prefix}/{file.name}", file.content, file.media_type) for file in files]
    for key, data, media_type in [*objects, (f"{prefix}/{MANIFEST_NAME}", manifest.data, _JSON)]:
        if not store.write(key, data, only_if_absent=True, content_type=media_type):
            raise IntegrityError(key, "sha256", sha256_hex(data), "another")


def _write_latest(store: OutStore, edition: Edition, manifest: _Manifest) -> None:
    prefix = _version_prefix(edition.prefix, manifest.sha256)
    pointer = {
        "report": edition.report,
        "period": edition.period,
        "manifest_key": f"{prefix}/{MANIFEST_NAME}",
        "manifest_sha256": manifest.sha256,
        "files": {entry["name"]: f"{prefix}/{entry['name']}" for entry in manifest.content["files"]},
    }
    store.write(f"{edition.prefix}/{LATEST_NAME}", canonical_json(pointer), content_type=_JSON)


def _complete_stable_copies(store: OutStore, edition_prefix: str, manifest: _Manifest, files: Sequence[ReportFile]) -> None:
    manifest_key = f"{edition_prefix}/{MANIFEST_NAME}"
    standing = _read_or_none(store, manifest_key)
    copies = {f"{edition_prefix}/{file.name}": file for file in files}
    if standing == manifest.data and all(_read_or_none(store, key) == file.content for key, file in copies.items()):
        return
    if standing is not None:
        store.delete(manifest_key)
    is_regular = standing is not None and sha256_hex(standing) == manifest.content["restates"]
    earlier = _names_of(standing) if standing and is_regular else _names_since_first(store, edition_prefix, manifest)
    for name in sorted(earlier - {file.name for file in files}):
        store.delete(f"{edition_prefix}/{name}")
    for key, file in copies.items():
        store.write(key, file.content, content_type=file.media_type)
    store.write(manifest_key, manifest.data, content_type=_JSON)


def _names_since_first(store: OutStore, edition_prefix: str, manifest: _Manifest) -> set[str]:
    """Names of all files published for the period before: after a publication that was cut short any may still stand."""
    names: set[str] = set()
    replaced = manifest.content["restates"]
    while replaced is not None:
        data = store.read(f"{_version_prefix(edition_prefix, replaced)}/{MANIFEST_NAME}")
        names |= _names_of(data)
        replaced = json.loads(data)["restates"]
    return names


def _names_of(manifest: bytes) -> set[str]:
    return {entry["name"] for entry in json.loads(manifest)["files"]}


def _read_or_none(store: OutStore, key: str) -> bytes | None:
    return None if store.head(key) is None else store.read(key)
