"""manifest.json: what one publication of a report holds, and the proof. Equal content has equal bytes."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from usage_etl.errors import DeliveryError
from usage_etl.keys import is_slug, sha256_hex

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = "1"
"""Version of the manifest's own fields; fields are only ever added."""

CLOSED = "closed"
"""Period status of an edition whose files are never replaced."""

_PERIOD = re.compile(r"[0-9]{4}(-[0-9A-Z]{2,3}){0,2}")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}(\.[a-z0-9]{1,10}){1,2}")
_RESERVED_NAMES = frozenset({MANIFEST_NAME, "latest.json"})


class ReportFile(Protocol):
    """A file to publish, whoever made it."""

    @property
    def name(self) -> str:
        """File name, without a folder."""
        ...

    @property
    def content(self) -> bytes:
        """The bytes."""
        ...

    @property
    def media_type(self) -> str:
        """MIME type."""
        ...

    @property
    def schema_version(self) -> str | None:
        """Version of its columns; null for a file without rows."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """Columns in order; none for a file without rows."""
        ...

    @property
    def rows_count(self) -> int | None:
        """Rows without header; null for a file without rows."""
        ...

    @property
    def control_totals(self) -> Mapping[str, Mapping[str, str]]:
        """Currency to column to exact sum."""
        ...

    @property
    def guarded_cells(self) -> Mapping[str, int]:
        """Text column to cells that the formula guard changed."""
        ...


@dataclass(frozen=True)
class Document:
    """A file without rows, such as a PDF."""

    name: str
    content: bytes = field(repr=False)
    media_type: str
    schema_version: str | None = None
    columns: tuple[str, ...] = ()
    rows_count: int | None = None
    control_totals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    guarded_cells: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Edition:
    """What is published: which report of which period, from which inputs, by which versions.

    ``as_of`` is the instant up to which the data reaches, never the time of publishing. ``inputs`` maps lake commits to
    their sha256; ``versions`` names code, price book, allocation rule and whatever else decides the numbers.
    Raises DeliveryError for a report or period that cannot stand in a key, or an instant without a zone.
    """

    report: str
    period: str
    period_status: str
    as_of: dt.datetime
    control_totals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Currency to measure to exact sum, of the report as a whole."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    periods: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)
    """Provider to the status and closing_number of its month, where it was ever closed; ``*`` is the month as a whole."""
    reopened_from: str | None = None
    """sha256 of the manifest of the closed edition that this one may replace, because its month was reopened since."""

    def __post_init__(self) -> None:
        if not is_slug(self.report):
            raise DeliveryError(f"report {self.report!r} cannot stand in a key: use 1-40 of a-z 0-9 _ -")
        if _PERIOD.fullmatch(self.period) is None:
            raise DeliveryError(f"period {self.period!r} cannot stand in a key: use 2026, 2026-10, 2026-W41 or 2026-10-31")
        if self.as_of.tzinfo is None:
            raise DeliveryError(f"{self.report} {self.period}: as_of {self.as_of} names no time zone")

    @property
    def prefix(self) -> str:
        """Where the period's files stand in the out location."""
        return f"{self.report}/{self.period}"


def manifest_bytes(edition: Edition, files: Sequence[ReportFile], *, restates: str | None, version: int = 1) -> bytes:
    """Canonical JSON of the manifest. ``restates`` is the sha256 of the manifest that this one replaces.

    ``version`` counts the editions of the period; ``reopened_from`` is named only where it is the one that is replaced.

    Raises DeliveryError for no file, a file name twice, or one that cannot stand in a key.
    """
    _check_names([file.name for file in files])
    content: dict[str, Any] = {
        "manifest_version": MANIFEST_VERSION,
        "report": edition.report,
        "period": edition.period,
        "period_status": edition.period_status,
        "periods": edition.periods,
        "version": version,
        "as_of": edition.as_of.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
        "files": [_entry(file) for file in sorted(files, key=lambda file: file.name)],
        "control_totals": edition.control_totals,
        "inputs": edition.inputs,
        "versions": edition.versions,
        "restates": restates,
        "reopened_from": edition.reopened_from if edition.reopened_from == restates else None,
    }
    return canonical_json(content)


def canonical_json(content: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON with sorted keys, two spaces of indent and a final newline: one text for one content."""
    return (json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False, default=dict) + "\n").encode()


def says_the_same(manifest: Mapping[str, Any], edition: Edition, files: Sequence[ReportFile]) -> bool:
    """Whether a published manifest already says what ``files`` say: same names and bytes, same period status.

    Inputs, versions and as-of may differ: a run of newer code that finds the same figures restates nothing. Nor does any
    status where the month is closed.
    """
    published = {entry["name"]: entry["sha256"] for entry in manifest["files"]}
    offered = {file.name: sha256_hex(file.content) for file in files}
    return published == offered and manifest["period_status"] in {edition.period_status, CLOSED}


def _entry(file: ReportFile) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": file.name,
        "media_type": file.media_type,
        "sha256": sha256_hex(file.content),
        "bytes_count": len(file.content),
        "rows_count": file.rows_count,
        "control_totals": file.control_totals,
        "guarded_cells_count": file.guarded_cells,
    }
    if file.schema_version is not None:
        entry |= {"schema_version": file.schema_version, "columns": list(file.columns)}
    return entry


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise DeliveryError("nothing to publish: no file was given")
    for name in names:
        if _FILE_NAME.fullmatch(name) is None or name in _RESERVED_NAMES:
            raise DeliveryError(f"file name {name!r} cannot be published: use a-z 0-9 _ - and an extension, not a reserved name")
        if names.count(name) > 1:
            raise DeliveryError(f"file name {name!r} was given twice")
