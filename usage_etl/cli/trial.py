"""Reads a file or a folder as a source would deliver it, without a lake, and says what became of it."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from usage_etl.config import read_secret
from usage_etl.config.settings import ParsingSettings, SourceSettings
from usage_etl.errors import ConfigError, UnreadableDeliveryError
from usage_etl.events import normalise
from usage_etl.lake import open_store
from usage_etl.schemas import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.sandbox.child import ParseChild
from usage_etl.sources.source import FetchContext, Source
from usage_etl.sources.staging import StagedDelivery

BEGINNING = dt.date(2015, 1, 1)
"""No export is older."""

KEPT_ROWS = 1_000
"""Rows that are kept for showing."""


@dataclass(frozen=True)
class Complaint:
    """Records that were refused for the same reasons, and the first of them."""

    reasons: str
    records_count: int
    first_ordinal: int
    first_text: str


@dataclass(frozen=True)
class Trial:
    """What a file became."""

    kind: str
    name: str
    """The file, or the delivery's key below the folder."""
    refusal: str = ""
    """Why the file is refused whole; empty where it is read."""
    rows_read: int = 0
    rows_quarantined: int = 0
    rows_out_of_scope: int = 0
    """Records that the source does not read, by its settings or by what they are."""
    rows_merged: int = 0
    """Records that went into the row of another."""
    days: tuple[dt.date, ...] = ()
    rows_by_table: Mapping[str, int] = field(default_factory=dict)
    usage: pl.DataFrame = field(default_factory=STAGED_USAGE.empty)
    """First usage rows, with the disjoint token classes beside what was reported."""
    charges: pl.DataFrame = field(default_factory=STAGED_CHARGES.empty)
    """First charge lines."""
    sums: Mapping[str, Any] = field(default_factory=dict)
    """Totals over all rows, by what they are."""
    complaints: tuple[Complaint, ...] = ()


def try_deliveries(kind: str, place: Path, assignments: Sequence[str]) -> Iterator[Trial]:
    """What a file, or each delivery that a folder holds, becomes as one of ``kind``.

    Raises ConfigError for an unknown kind or a setting it has not, SourceError for a folder that cannot be listed.
    """
    source = SOURCES.get(kind)
    if source is None:
        raise ConfigError("sources try", [f"unknown kind {kind!r}; known are {', '.join(SOURCES)}"])
    settings = _settings(source, place, assignments)
    child = ParseChild(ParsingSettings())
    try:
        if place.is_file():
            yield _tried(child, settings, place.resolve(), str(place))
            return
        with tempfile.TemporaryDirectory() as folder:
            for item in source.fetch(settings, _fetch_context()):
                item.save(local := Path(folder) / "delivery")
                yield _tried(child, settings, local, item.origin_key)
    finally:
        child.close()


def _fetch_context() -> FetchContext:
    return FetchContext(
        start_date=BEGINNING,
        known=(),
        pulled_at=dt.datetime.now(tz=dt.UTC),
        read_secret=read_secret,
        open_store=lambda location: open_store(location, endpoint_url=None, region="", must_exist=True),
    )


def _tried(child: ParseChild, settings: SourceSettings, path: Path, name: str) -> Trial:
    context = ParseContext(
        source=settings.name,
        source_account=settings.account,
        role=settings.role,
        delivery_id="0" * 32,
        delivery_sequence=1,
        object_key=name,
        received_at=dt.datetime.now(tz=dt.UTC),
        settings=settings,
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            staged = child.stage(path, kind=settings.kind, context=context, work_folder=Path(folder))
            return _trial(settings.kind, name, staged)
    except UnreadableDeliveryError as error:
        return Trial(settings.kind, name, refusal=error.reason)


def _settings(source: Source, place: Path, assignments: Sequence[str]) -> SourceSettings:
    folder = place if place.is_dir() else place.parent
    document: dict[str, Any] = {"kind": source.kind, "name": "trial", "location": str(folder.resolve())}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError("--set", [f"{assignment!r} is not key=value"])
        *above, last = key.split(".")
        section = document
        for name in above:
            section = section.setdefault(name, {})
        section[last] = text
    try:
        return source.settings.model_validate(document)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or source.kind}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError(f"settings of {source.kind}", [f"{fault} (give it with --set)" for fault in faults]) from error


def _trial(kind: str, name: str, staged: StagedDelivery) -> Trial:
    frames = {
        table.name: pl.concat(
            [
                table.empty().lazy(),
                *(pl.scan_parquet(part.path, glob=False) for part in staged.files if part.table_name == table.name),
            ]
        )
        for table in (STAGED_USAGE, STAGED_CHARGES)
    }
    usage, charges = normalise(frames[STAGED_USAGE.name]), frames[STAGED_CHARGES.name]
    refused = [pl.scan_parquet(list(parts), glob=False) for parts in staged.quarantine.values()]
    return Trial(
        kind=kind,
        name=name,
        rows_read=staged.rows_read,
        rows_quarantined=staged.rows_quarantined,
        rows_out_of_scope=staged.rows_out_of_scope,
        rows_merged=staged.rows_merged,
        days=tuple(sorted({part.day for part in staged.files if part.rows_count})),
        rows_by_table={name: frame.select(pl.len()).collect().item() for name, frame in frames.items()},
        usage=usage.sort("raw_ordinal").head(KEPT_ROWS).collect(),
        charges=charges.sort("raw_ordinal").head(KEPT_ROWS).collect(),
        sums=_sums(usage, charges),
        complaints=_complaints(refused),
    )


def _sums(usage: pl.LazyFrame, charges: pl.LazyFrame) -> dict[str, Any]:
    classes = ("input_uncached_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
    counted = usage.select(pl.col("requests_count", "errors_count", *classes).sum()).collect().row(0, named=True)
    found = {name: total for name, total in counted.items() if total}
    billed = charges.group_by("billing_currency").agg(pl.col("billed_cost").sum()).sort("billing_currency").collect()
    unmapped = charges.filter(pl.col("meter_mapping") == "unmapped").select(pl.len()).collect().item()
    return (
        found
        | {f"billed {currency}": amount for currency, amount in billed.rows()}
        | ({"lines of unmapped meters": unmapped} if unmapped else {})
    )


def _complaints(refused: Sequence[pl.LazyFrame]) -> tuple[Complaint, ...]:
    if not refused:
        return ()
    grouped = (
        pl.concat(refused)
        .sort("raw_ordinal")
        .group_by("reasons")
        .agg(pl.len(), pl.col("raw_ordinal", "raw_text").first())
        .sort(pl.col("len"), "reasons", descending=[True, False])
        .collect()
    )
    return tuple(Complaint(*row) for row in grouped.rows())
