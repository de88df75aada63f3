"""The manifest that Cost Management writes beside the files of a run. Folder layouts differ by version; it alone is trusted."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from usage_etl.periods import Month
from usage_etl.sources.reading.run_manifests import ExportRun, NoManifestError, RunFile, period_of

FOCUS_COST = "focus_cost"
ACTUAL_COST = "actual_cost"
AMORTIZED_COST = "amortized_cost"

_DATASETS = {"focuscost": FOCUS_COST, "actualcost": ACTUAL_COST, "usage": ACTUAL_COST, "amortizedcost": AMORTIZED_COST}
"""Type of the export, in small letters, to dataset. Price sheets, reservation details and the like are no bills."""

_OWN_PART = "/providers/microsoft.costmanagement/exports/"


def read_manifest(content: bytes, key: str) -> ExportRun | None:  # noqa: ARG001 - the manifest says everything itself
    """The run that a manifest describes; None for another program's manifest and for exports that are no bills.

    Raises NoManifestError.
    """
    try:
        manifest = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NoManifestError(f"not JSON: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("exportConfig"), dict):
        return None
    config = manifest["exportConfig"]
    dataset = _DATASETS.get(str(config.get("type", "")).lower())
    if dataset is None:
        return None
    info = _part(manifest, "runInfo")
    first, last = _days(info)
    scope, name = _names(config)
    return ExportRun(
        export=name,
        dataset=dataset,
        period=period_of(first, last),
        last_day=last,
        files=_files(manifest),
        scope=scope,
        ran_at=_instant(info.get("submittedTime"), "runInfo.submittedTime"),
        run_id=str(info["runId"]) if info.get("runId") else None,
        rows_count=_count(manifest.get("dataRowCount")),
    )


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = manifest.get(name)
    if not isinstance(found, dict):
        raise NoManifestError(f"it has no {name}")
    return found


def _names(config: Mapping[str, Any]) -> tuple[str, str]:
    """(scope, name) of the export."""
    resource = str(config.get("resourceId") or "")
    at = resource.lower().rfind(_OWN_PART)
    scope, own = (resource[:at], resource[at + len(_OWN_PART) :]) if at >= 0 else ("", "")
    name = str(config.get("exportName") or own).strip("/")
    if not name:
        raise NoManifestError("exportConfig names no export")
    return scope.strip("/").lower(), name


def _days(info: Mapping[str, Any]) -> tuple[dt.date, dt.date]:
    """First and last day of the run's period. An end at the first of the next month is exclusive, others are the last day."""
    start, end = (_instant(info.get(name), f"runInfo.{name}") for name in ("startDate", "endDate"))
    if start is None or end is None:
        raise NoManifestError("runInfo has no startDate and endDate")
    first, last = start.date(), end.date()
    if last == Month.of(first).end:
        last -= dt.timedelta(days=1)
    if last < first:
        raise NoManifestError(f"runInfo ends ({last}) before it starts ({first})")
    return first, last


def _instant(text: object, name: str) -> dt.datetime | None:
    if text is None:
        return None
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError as error:
        raise NoManifestError(f"{name} is no time: {text!r}") from error
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def _files(manifest: Mapping[str, Any]) -> tuple[RunFile, ...]:
    blobs = manifest.get("blobs")
    if not isinstance(blobs, list) or not all(isinstance(blob, dict) and blob.get("blobName") for blob in blobs):
        raise NoManifestError("blobs do not name their files")
    stated = _count(manifest.get("blobCount"))
    if stated is not None and stated != len(blobs):
        raise NoManifestError(f"it names {len(blobs)} files, blobCount says {stated}")
    return tuple(RunFile(str(blob["blobName"]), _count(blob.get("byteCount"))) for blob in blobs)


def _count(number: object) -> int | None:
    text = str(number).strip() if number is not None else ""
    return int(text) if text.isascii() and text.isdigit() else None
