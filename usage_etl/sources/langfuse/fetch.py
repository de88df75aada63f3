"""Windows of Langfuse's blob storage export: one delivery per window, once it is committed.

A window's files are ``<project>/<table>/<end>.<format>``; newer versions of Langfuse write ``<project>/manifests/<end>.json``
last. Where a project has manifests, a window that ends with or after the first one is landed only with its own.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from usage_etl.errors import SourceError
from usage_etl.keys import sha256_hex
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.folder import list_objects
from usage_etl.sources.langfuse.keys import MANIFESTS, OBSERVATIONS, OBSERVATIONS_V2, TRACES, parts_of, read_manifest, table_of
from usage_etl.sources.langfuse.settings import LangfuseSettings
from usage_etl.sources.reading.bundles import Content, write_bundle
from usage_etl.sources.source import FetchContext

_log = logging.getLogger(__name__)

WINDOWS = "windows"
"""Dataset: the observations of one window, with the traces and the manifest that belong to them."""


@dataclass
class _Window:
    """Objects of one project that end with one moment, by table."""

    base: str
    end: str
    objects: dict[str, list[FetchedObject]] = field(default_factory=dict)

    def observations(self, chosen: str) -> list[FetchedObject]:
        """The files of usage: of the chosen table, or of the richer one that the window has."""
        if chosen != "auto":
            return self.objects.get(chosen, [])
        return self.objects.get(OBSERVATIONS_V2) or self.objects.get(OBSERVATIONS, [])


def fetch(settings: LangfuseSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Every committed window that is not landed yet, in order of its end; a window that changed comes again.

    Raises LakeError, and SourceError where a manifest cannot be read.
    """
    store = context.open_store(settings.location)
    known = set(context.known)
    listed = list_objects(store, dataset=WINDOWS, pattern=settings.pattern, known=())
    for windows in _projects(listed).values():
        first_manifest = min((window.end for window in windows if MANIFESTS in window.objects), default=None)
        for at, window in enumerate(windows):
            earlier = windows[max(0, at - settings.earlier_trace_windows) : at]
            members = _members(window, earlier, settings.table)
            delivery = _delivery(window, members)
            if not window.observations(settings.table) or (delivery.origin_key, delivery.origin_version) in known:
                continue
            is_awaited = first_manifest is not None and window.end >= first_manifest
            if reason := _reason_to_wait(window, settings, is_awaited=is_awaited):
                _log.info("source=%s window=%s%s waits=%s", settings.name, window.base, window.end, reason)
                continue
            yield delivery


def _projects(listed: Iterator[FetchedObject]) -> Mapping[str, list[_Window]]:
    """Windows in order of their end, by the folder that the tables' folders lie in."""
    found: dict[tuple[str, str], _Window] = {}
    for one in listed:
        key = parts_of(one.origin_key)
        if key:
            window = found.setdefault((key["base"], key["end"]), _Window(key["base"], key["end"]))
            window.objects.setdefault(key["table"], []).append(one)
    projects: dict[str, list[_Window]] = {}
    for (base, _), window in sorted(found.items()):
        projects.setdefault(base, []).append(window)
    return projects


def _members(window: _Window, earlier: Sequence[_Window], chosen: str) -> list[FetchedObject]:
    """The manifest, the traces, the oldest first, then the observations: in this order they are read in one pass."""
    usage = window.observations(chosen)
    needs_traces = bool(usage) and table_of(usage[0].origin_key) == OBSERVATIONS
    traces = [one for each in (*earlier, window) for one in each.objects.get(TRACES, [])] if needs_traces else []
    return [*window.objects.get(MANIFESTS, []), *traces, *usage]


def _delivery(window: _Window, members: Sequence[FetchedObject]) -> FetchedObject:
    versions = "\n".join(f"{one.origin_key} {one.origin_version}" for one in members)
    contents: list[tuple[str, Content]] = [(one.origin_key, one.content) for one in members]
    return FetchedObject(
        dataset=WINDOWS,
        origin_key=f"{window.base}{window.end}",
        origin_version=f"{len(members)}-{sha256_hex(versions.encode())[:32]}",
        content=_bundled(contents),
    )


def _bundled(contents: list[tuple[str, Content]]) -> Callable[[Path], None]:
    return lambda target: write_bundle(target, contents)


def _reason_to_wait(window: _Window, settings: LangfuseSettings, *, is_awaited: bool) -> str | None:
    """Why a window is not landed yet; null where it is whole."""
    manifests = window.objects.get(MANIFESTS)
    if not manifests:
        return "its manifest is missing" if is_awaited else None
    missing = [table for table, count in _listed_files(manifests[0], settings.name) if len(window.objects.get(table, [])) < count]
    return f"the manifest names files of {', '.join(missing)} that are not there" if missing else None


def _listed_files(manifest: FetchedObject, source: str) -> Iterator[tuple[str, int]]:
    """Tables that the manifest names files of, with their number."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest"
        manifest.save(path)
        try:
            tables = [str(file["table"]) for file in read_manifest(path)["files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(source, f"the manifest {manifest.origin_key} cannot be read: {error!r}") from error
    for table in sorted(set(tables) & {TRACES, OBSERVATIONS, OBSERVATIONS_V2}):
        yield table, tables.count(table)
