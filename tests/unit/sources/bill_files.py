"""Parses a file with its source's own settings, and holds what must be true of every file: counts close, contracts are kept."""

import csv
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.config import SourceSettings
from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.staging import stage

RECORDED = Path(__file__).parents[2] / "recorded"
RECEIVED_AT = dt.datetime(2026, 11, 24, 6, tzinfo=dt.UTC)


@dataclass
class Outcome:
    """Everything that one file became."""

    charges: pl.DataFrame
    usage: pl.DataFrame
    quarantine: pl.DataFrame
    batches: list[ParsedBatch]

    @property
    def rows_read(self) -> int:
        return sum(batch.rows_read for batch in self.batches)

    @property
    def out_of_scope(self) -> int:
        return sum(batch.rows_out_of_scope for batch in self.batches)

    @property
    def covered(self) -> list[CoveredBucket]:
        return [bucket for batch in self.batches for bucket in batch.covered]

    @property
    def refused(self) -> dict[int, str]:
        """Rule names by record number."""
        return dict(self.quarantine.select("raw_ordinal", "reasons").rows())

    @property
    def charge(self) -> dict[str, Any]:
        """The only charge; no row was refused."""
        assert self.refused == {}
        assert self.charges.height == 1
        return self.charges.row(0, named=True)

    @property
    def event(self) -> dict[str, Any]:
        """The only usage row; no row was refused."""
        assert self.refused == {}
        assert self.usage.height == 1
        return self.usage.row(0, named=True)


def context_of(kind: str, **settings: Any) -> ParseContext:
    """Context of one delivery of a source of ``kind``."""
    made: SourceSettings = SOURCES[kind].settings(kind=kind, name="bills", account="org-1", **settings)
    return ParseContext(
        source="bills",
        source_account="org-1",
        role=made.role,
        delivery_id="d" * 32,
        delivery_sequence=7,
        object_key="landing/bills/2026-11-24/d-file",
        received_at=RECEIVED_AT,
        settings=made,
    )


def parsed(kind: str, path: Path, **settings: Any) -> Outcome:
    """One file, parsed and staged; every record is staged, refused, left out or merged, each exactly once."""
    settings = {"location": str(path.parent), **settings}
    context = context_of(kind, **settings)
    batches = list(SOURCES[kind].parse(path, context))
    charges = _concat(STAGED_CHARGES.empty(), [batch.charges for batch in batches])
    usage = _concat(STAGED_USAGE.empty(), [batch.usage for batch in batches])
    quarantine = _concat(USAGE_EVENTS_QUARANTINE.empty(), [batch.quarantine for batch in batches])
    STAGED_CHARGES.validate(charges)
    STAGED_USAGE.validate(usage)
    outcome = Outcome(charges, usage, quarantine, batches)
    staged, refused = {*charges["raw_ordinal"], *usage["raw_ordinal"]}, set(quarantine["raw_ordinal"])
    assert not staged & refused
    merged = sum(batch.rows_merged for batch in batches)
    assert outcome.rows_read == len(staged) + quarantine.height + outcome.out_of_scope + merged
    work_folder = path.parent / f"staged-{path.name}"
    work_folder.mkdir(exist_ok=True)
    delivery = stage(SOURCES[kind].parse(path, replace(context)), context=context, work_folder=work_folder)
    assert (delivery.rows_read, delivery.rows_out_of_scope) == (outcome.rows_read, outcome.out_of_scope)
    assert delivery.rows_staged == charges.height + usage.height
    return outcome


def _concat(empty: pl.DataFrame, frames: Iterable[pl.DataFrame | None]) -> pl.DataFrame:
    return pl.concat([empty, *(frame for frame in frames if frame is not None)])


def write_csv(path: Path, rows: Sequence[Mapping[str, str | None]], **dialect: Any) -> Path:
    """Rows under the names of all of them, in order of first mention."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, **dialect)
        writer.writeheader()
        writer.writerows(rows)
    return path


def total(amounts: Iterable[Decimal]) -> Fraction:
    """Sum that no decimal context can round."""
    return sum(map(Fraction, amounts), Fraction(0))
