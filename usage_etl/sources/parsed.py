"""What every parser takes and yields: a delivery's context in, batches of staged or quarantined rows out.

A parser is ``parse(path, context) -> Iterator[ParsedBatch]``: it reads one landed local file and nothing else, yields
its records in order, each exactly once (staged or quarantined), and raises ``UnreadableDeliveryError`` when the file as
a whole is not what its source says. Batches bound memory: a parser never holds a large file whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

import polars as pl

from usage_etl.config import SourceSettings, TagMapping
from usage_etl.schemas.contract import Table
from usage_etl.schemas.staged import USAGE_EVENTS_QUARANTINE

OwnSettings = TypeVar("OwnSettings", bound=SourceSettings)

RAW_TEXT_LIMIT = 4096
"""Characters of a quarantined record that are kept."""


@dataclass(frozen=True)
class ParseContext:
    """Which delivery is parsed, and how its source is configured."""

    source: str
    source_account: str
    role: str
    """``usage`` or ``reconciliation``."""
    delivery_id: str
    delivery_sequence: int
    object_key: str
    received_at: dt.datetime
    settings: SourceSettings | None = None
    """The source's own settings, of its own model; None where a parser is used without any."""
    origin_key: str = ""
    """Key of the object as the source names it: its folders may say whose it is."""

    @property
    def tags(self) -> TagMapping:
        """How request tags fill columns; the defaults for a source without such a setting."""
        return getattr(self.settings, "tags", TagMapping())

    def settings_as(self, model: type[OwnSettings]) -> OwnSettings:
        """The source's own settings; the defaults of a folder of its kind where a parser is used without any."""
        if isinstance(self.settings, model):
            return self.settings
        (kind,) = get_args(model.model_fields["kind"].annotation)
        return model.model_validate({"kind": kind, "name": self.source, "location": "."})

    def columns(self) -> dict[str, Any]:
        """Values of the columns that are the same on every staged row of the delivery."""
        return {
            "source": self.source,
            "source_account": self.source_account,
            "source_role": self.role,
            "delivery_id": self.delivery_id,
            "delivery_sequence": self.delivery_sequence,
        }


def _empty_quarantine() -> pl.DataFrame:
    return USAGE_EVENTS_QUARANTINE.empty()


@dataclass(frozen=True)
class CoveredBucket:
    """A bucket that a delivery answers for, also when it holds no rows: rows of older versions stop counting there."""

    table_name: str
    """``staged_usage`` or ``staged_charges``."""
    bucket_key: str
    """Replacement unit, unique within the source: an hour or day of a report, a billing period of an export."""
    day: dt.date | None = None
    """The day of the bucket where it lies within one; null for longer ones, such as a billing period."""
    version_at: dt.datetime | None = None
    """When the source made this version of the bucket: the newest counts, whatever the order of arrival. Null where only
    the order of arrival tells."""


@dataclass(frozen=True)
class ParsedBatch:
    """Consecutive records of one delivery; each is staged or quarantined, told by ``raw_ordinal``, or counted as left out.

    One record may become several rows (a charge and its credits; usage and its charge), all under its ``raw_ordinal``.
    ``rows_read`` counts records by a counter that does not depend on the parser's own reading of rows.
    """

    rows_read: int
    usage: pl.DataFrame | None = None
    """Rows in the columns of STAGED_USAGE; labels may still be plain strings."""
    charges: pl.DataFrame | None = None
    """Rows in the columns of STAGED_CHARGES."""
    quarantine: pl.DataFrame = field(default_factory=_empty_quarantine)
    """Refused records, in the shape of the quarantine tables."""
    covered: tuple[CoveredBucket, ...] = ()
    """Buckets that this batch holds whole, empty ones included; none for sources whose rows replace one by one."""
    rows_out_of_scope: int = 0
    """Records that read well and that the source's settings leave out, such as charges of services that are no AI."""
    rows_merged: int = 0
    """Records that went into the row of an earlier record, where a source spreads one thing over several lines."""
    raw_text: Callable[[int], str] = field(default=lambda _: "")
    """Record as received by ``raw_ordinal``, for rows that break the contract after parsing."""


class Parser(Protocol):
    """Reads one landed local file. Raises UnreadableDeliveryError when it is not what its source says."""

    def __call__(self, path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
        """Batches of the file's records, in order, each record exactly once."""
        ...


def staged_rows(table: Table, rows: Iterable[Mapping[str, Any]], context: ParseContext) -> pl.DataFrame:
    """Rows of a staged table from dictionaries; delivery columns are filled in, absent nullable ones are null.

    For small deliveries. Raises KeyError for a column that the table does not have.
    """
    schema = table.polars_schema
    shared = {name: found for name, found in context.columns().items() if name in schema}
    complete = [{**shared, **row} for row in rows]
    unknown = {name for row in complete for name in row} - set(schema)
    if unknown:
        raise KeyError(f"{table.name} has no column {', '.join(sorted(unknown))}")
    return pl.DataFrame({name: [row.get(name) for row in complete] for name in schema}, schema=schema, strict=True)


def quarantine_rows(records: Sequence[tuple[int, str, str]], context: ParseContext) -> pl.DataFrame:
    """Quarantine rows from ``(raw_ordinal, raw text, rule names comma-separated)``; raw text is cut to its limit."""
    return pl.DataFrame(
        {
            "source": [context.source] * len(records),
            "delivery_id": [context.delivery_id] * len(records),
            "object_key": [context.object_key] * len(records),
            "raw_ordinal": [ordinal for ordinal, _, _ in records],
            "raw_text": [text[:RAW_TEXT_LIMIT] for _, text, _ in records],
            "reasons": [reasons for _, _, reasons in records],
            "received_at": [context.received_at] * len(records),
        },
        schema=USAGE_EVENTS_QUARANTINE.polars_schema,
    )
