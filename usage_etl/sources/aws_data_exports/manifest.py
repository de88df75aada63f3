"""The manifest of an AWS data export. AWS documents what it says and where it lies, but not the names of its fields.

So the period is taken from the folder ``BILLING_PERIOD=2026-10``, the export from the manifest's own name, and the files from
whichever list names data files; lists of additional output files (for Athena and the like) are left out.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from usage_etl.periods import Month
from usage_etl.sources.reading.run_manifests import ExportRun, NoManifestError, RunFile

DATA_EXPORT = "data_export"

_PERIOD = re.compile(r"billing_period=(\d{4}-(?:0[1-9]|1[0-2]))(?:/|$)", re.IGNORECASE)
_NAME = re.compile(r"(.+?)[-_]?manifest\.json", re.IGNORECASE)
_DATA = re.compile(r"\.(?:parquet|csv|csv\.gz|csv\.zip)$", re.IGNORECASE)
_RUN_FOLDER = re.compile(r"(\d{8}T\d{6}(?:\.\d+)?Z?)(?:[-_].+)?")
_TIMES = (
    "executioncompletiontime",
    "executiontime",
    "executionstarttime",
    "completedat",
    "createdat",
    "generatedat",
    "lastupdatedat",
)
_IDS = ("executionid", "exportexecutionid", "assemblyid")
_EXTRA = "additionaloutputfiles"


def read_manifest(content: bytes, key: str) -> ExportRun | None:
    """The run that a manifest describes; None for files that only look like one. Raises NoManifestError."""
    name, period = _NAME.fullmatch(key.rpartition("/")[2]), _PERIOD.search(key)
    if name is None or period is None:
        return None
    try:
        manifest = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NoManifestError(f"not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise NoManifestError("not a JSON object")
    files = tuple(dict.fromkeys(_files(manifest)))
    if not files:
        raise NoManifestError("it names no data files (.parquet, .csv, .csv.gz, .csv.zip)")
    said = {str(field).lower(): value for field, value in manifest.items()}
    folder = _RUN_FOLDER.fullmatch(key.split("/")[-2])
    return ExportRun(
        export=name[1],
        dataset=DATA_EXPORT,
        period=period[1],
        last_day=Month.parse(period[1]).last_day,
        files=files,
        ran_at=_first_time([*(said.get(field) for field in _TIMES), folder[1] if folder else None]),
        run_id=next((str(said[field]) for field in _IDS if said.get(field)), folder[0] if folder else None),
    )


def _files(part: Mapping[str, Any]) -> Iterator[RunFile]:
    for name, value in part.items():
        if str(name).lower() == _EXTRA:
            continue
        if isinstance(value, dict):
            yield from _files(value)
        elif isinstance(value, list):
            yield from (file for entry in value if (file := _file(entry)))


def _file(entry: object) -> RunFile | None:
    if isinstance(entry, str):
        return RunFile(entry) if _DATA.search(entry) else None
    if not isinstance(entry, dict):
        return None
    name = next((value for value in entry.values() if isinstance(value, str) and _DATA.search(value)), None)
    sizes = (value for field, value in entry.items() if re.search("size|bytes", str(field), re.IGNORECASE))
    size = next((value for value in sizes if isinstance(value, int) and not isinstance(value, bool)), None)
    return RunFile(name, size) if name else None


def _first_time(values: list[object]) -> dt.datetime | None:
    for value in values:
        try:
            found = dt.datetime.fromisoformat(str(value)) if value else None
        except ValueError:
            continue
        if found is not None:
            return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    return None
