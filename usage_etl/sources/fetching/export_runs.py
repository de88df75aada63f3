"""Exports that arrive as runs: a manifest names the data files, and only files that a complete manifest names are read.

Each complete run is one delivery, a bundle of the manifest and then its files, byte for byte. Its key is the export and the
billing period, which stay; its version is the run. A run whose files are missing or of another size waits, as does a
manifest that cannot be read; each listing says so in the log, as an error once the wait has become long.
"""

from __future__ import annotations

import datetime as dt
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from usage_etl.config import FolderSourceSettings
from usage_etl.errors import SourceError, TransientSourceError
from usage_etl.keys import sha256_hex
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.folder import ListedObject, ReadableStore, compile_pattern
from usage_etl.sources.reading.bundles import write_bundle
from usage_etl.sources.reading.run_manifests import ExportRun, NoManifestError, ReadManifest
from usage_etl.sources.source import FetchContext

_log = logging.getLogger(__name__)

MAX_MANIFEST_BYTES = 8 << 20
"""A larger file is no manifest."""

_REMEMBERED = 50_000


class ExportSettings(FolderSourceSettings):
    """A folder or bucket into which a cloud writes runs of billing exports."""

    exports: tuple[str, ...] = ()
    """Names of the exports that are read. May stay empty where the location holds one export only."""
    late_after_hours: Annotated[int, Field(ge=1, le=2160)] = 24
    """Hours after which a run whose files are not complete is logged as an error."""


def fetch_runs(settings: ExportSettings, context: FetchContext, *, read_manifest: ReadManifest) -> Iterator[FetchedObject]:
    """Complete runs of the lake's time that are not landed yet, each as one bundle, the oldest first.

    Raises SourceError where the location holds several exports and the settings do not say which are read, LakeError.
    """
    store = context.open_store(settings.location)
    listing = _Listing(settings, context, {found.key: found for found in store.list("") if not _is_hidden(found.key)})
    runs = [found for manifest in listing.new_manifests() if (found := _found(store, manifest, listing, read_manifest))]
    listing.refuse_unnamed({found.run.identity: found.run.export for found in runs})
    for found in sorted(runs, key=_order):
        if not listing.is_wanted(found.run) or (files := listing.complete(found)) is None:
            continue
        version = found.version(files)
        if (found.run.key, version.rpartition("@")[0]) not in listing.landed_runs:
            content = partial(_write, store, found, files, settings.name)
            yield FetchedObject(dataset=found.run.dataset, origin_key=found.run.key, origin_version=version, content=content)


def is_named(settings: ExportSettings, identity: str) -> bool:
    """Whether the settings read the export, named in full or by its own name."""
    return not settings.exports or not {identity, identity.rpartition("/")[2]}.isdisjoint(settings.exports)


def landed_datasets(settings: ExportSettings, context: FetchContext) -> set[str]:
    """What is landed of exports that the settings read now."""
    parts = (key.rsplit("/", 2) for key, _ in context.known)
    return {part[1] for part in parts if len(part) == 3 and is_named(settings, part[0])}


@dataclass(frozen=True)
class _Found:
    """A manifest that was read."""

    manifest: ListedObject
    sha256: str
    run: ExportRun

    def version(self, files: Sequence[ListedObject]) -> str:
        """The run's own version and a mark of its manifest. A run that names itself by nothing is told by its files."""
        if self.run.version is not None:
            return f"{self.run.version}@{_mark(self.manifest)}"
        return sha256_hex("\n".join([self.sha256, *(f"{file.key} {file.version}" for file in files)]).encode())[:32] + "@"


@dataclass(frozen=True)
class _Listing:
    """What lies at a source's location now, beside what of it is landed."""

    settings: ExportSettings
    context: FetchContext
    objects: Mapping[str, ListedObject]

    @cached_property
    def landed_runs(self) -> set[tuple[str, str]]:
        """(key, version without the manifest's mark) of each landed run."""
        return {(key, version.rpartition("@")[0]) for key, version in self.context.known}

    def new_manifests(self) -> Iterator[ListedObject]:
        """Manifests that were not landed: by their marks, without reading them."""
        matches = compile_pattern(self.settings.pattern)
        landed = {version.rpartition("@")[2] for _, version in self.context.known} - {""}
        return (found for key, found in self.objects.items() if matches.fullmatch(key) and _mark(found) not in landed)

    def is_wanted(self, run: ExportRun) -> bool:
        """Whether the run is of a named export and of the lake's time."""
        return run.last_day >= self.context.start_date and is_named(self.settings, run.identity)

    def refuse_unnamed(self, exports: Mapping[str, str]) -> None:
        """Two exports of the same money would count it twice, and no manifest says whether they are. Raises SourceError."""
        names = self.settings.exports
        landed = {key.rsplit("/", 2)[0] for key, _ in self.landed_runs}
        found = set(exports) if names else landed | set(exports)
        shared = {name for name in names if sum(name == export for export in exports.values()) > 1}
        if (not names and len(found) > 1) or shared:
            shown = ", ".join(sorted(found))
            raise SourceError(
                self.settings.name, f"the location holds several exports ({shown}): name those to read in `exports`"
            )

    def complete(self, found: _Found) -> list[ListedObject] | None:
        """The run's files; None, with a word in the log, when one is missing or has another size."""
        files, faults = [], []
        for file in found.run.files:
            there = self._resolved(file.name, found.manifest.key)
            if there is None:
                faults.append(f"{file.name} is missing")
            elif file.bytes_count is not None and there.bytes_count != file.bytes_count:
                faults.append(f"{file.name} has {there.bytes_count} bytes instead of {file.bytes_count}")
            else:
                files.append(there)
        if not faults:
            return files
        shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
        self.say_waiting(found.manifest, shown, found.run.ran_at)
        return None

    def _resolved(self, name: str, manifest_key: str) -> ListedObject | None:
        """The object that a manifest names by its path in the container, whatever part of that path the location is."""
        path = name.removeprefix("s3://").partition("/")[2] if name.startswith("s3://") else name.lstrip("/")
        parts = path.split("/")
        longest_first = ["/".join(parts[start:]) for start in range(max(1, len(parts) - 1))]
        beside = f"{manifest_key.rpartition('/')[0]}/{parts[-1]}".lstrip("/")
        return next((self.objects[key] for key in [*longest_first, beside] if key in self.objects), None)

    def say_waiting(self, manifest: ListedObject, why: str, ran_at: dt.datetime | None) -> None:
        """A word in the log on what waits and for how long; an error once that is too long."""
        since = ran_at or manifest.modified_at
        age_hours = max(0, int((self.context.pulled_at - since).total_seconds() // 3600)) if since else None
        is_late = age_hours is not None and age_hours >= self.settings.late_after_hours
        words = (self.settings.name, manifest.key, age_hours, why)
        _log.log(logging.ERROR if is_late else logging.WARNING, "source=%s manifest=%s waits age_hours=%s: %s", *words)


def _order(found: _Found) -> tuple[dt.datetime, str]:
    return found.run.ran_at or found.manifest.modified_at or dt.datetime.min.replace(tzinfo=dt.UTC), found.manifest.key


def _mark(manifest: ListedObject) -> str:
    """Changes when the manifest is written anew: a listing tells manifests that were landed without reading them."""
    return sha256_hex(f"{manifest.key}\n{manifest.version}".encode())[:16]


def _is_hidden(key: str) -> bool:
    return key.endswith("/") or any(name.startswith(".") for name in key.split("/"))


_read_before: dict[tuple[str, str], _Found | None] = {}
"""Manifests by (location, mark) that this process has read: a sensor lists often, and manifests stay for years."""


def _found(store: ReadableStore, manifest: ListedObject, listing: _Listing, read_manifest: ReadManifest) -> _Found | None:
    mark = (f"{listing.settings.kind} {listing.settings.location}", _mark(manifest))
    if mark in _read_before:
        return _read_before[mark]
    try:
        content = _content(store, manifest)
        run = read_manifest(content, manifest.key)
    except NoManifestError as error:
        listing.say_waiting(manifest, f"it cannot be read as a manifest: {error}", None)
        return None
    if run is None:
        _log.info("source=%s manifest=%s is of another kind of export and is not read", listing.settings.name, manifest.key)
    if len(_read_before) >= _REMEMBERED:
        _read_before.clear()
    found = None if run is None else _Found(manifest, sha256_hex(content), run)
    _read_before[mark] = found
    return found


def _content(store: ReadableStore, manifest: ListedObject) -> bytes:
    if manifest.bytes_count > MAX_MANIFEST_BYTES:
        raise NoManifestError(f"it has {manifest.bytes_count} bytes; {MAX_MANIFEST_BYTES} are read at most")
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "manifest"
        store.download(manifest.key, local)
        return local.read_bytes()


def _write(store: ReadableStore, found: _Found, files: Sequence[ListedObject], source: str, target: Path) -> None:
    content = _content(store, found.manifest)
    if sha256_hex(content) != found.sha256:
        raise TransientSourceError(source, f"{found.manifest.key} changed while it was fetched; it is read again")

    def save(file: ListedObject, local: Path) -> None:
        store.download(file.key, local)
        if local.stat().st_size != file.bytes_count:
            raise TransientSourceError(source, f"{file.key} changed while it was fetched; its run is fetched again")

    write_bundle(target, [(found.manifest.key, content), *((file.key, partial(save, file)) for file in files)])
