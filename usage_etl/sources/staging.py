"""Parsed batches to staged files: one Parquet file per table and day, checked against its contract, in one pass.

Rows that break the contract go to quarantine with the names of the rules; every batch and the whole delivery must close:
rows read = rows staged + rows quarantined. Memory holds a few batches, whatever the size of the delivery.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from usage_etl.errors import ConservationError, ContractError
from usage_etl.schemas.contract import Table
from usage_etl.schemas.staged import BILLING_CHARGES_QUARANTINE, STAGED_CHARGES, STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.day_files import day_path, write_days
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows

_QUARANTINE_OF = {STAGED_USAGE.name: USAGE_EVENTS_QUARANTINE, STAGED_CHARGES.name: BILLING_CHARGES_QUARANTINE}
_HELD_QUARANTINE_ROWS = 5_000


@dataclass(frozen=True)
class StagedFile:
    """The rows of one delivery on one day, as a local Parquet file in the shape of its staged table."""

    table_name: str
    day: dt.date
    path: Path
    rows_count: int
    sha256: str


@dataclass(frozen=True)
class StagedDelivery:
    """What one delivery became. Its files lie in the work folder that was given to ``stage``."""

    files: tuple[StagedFile, ...]
    """By table and day; a file without rows says that the day's buckets were emptied."""
    quarantine: dict[str, pl.LazyFrame]
    """Refused records by the name of their quarantine table; tables without refused records are absent."""
    rows_read: int
    rows_staged: int
    rows_quarantined: int
    covered: tuple[CoveredBucket, ...]
    """Buckets that the delivery answers for."""

    @property
    def is_empty(self) -> bool:
        """Whether the delivery held no records at all."""
        return self.rows_read == 0


def stage(batches: Iterable[ParsedBatch], *, context: ParseContext, work_folder: Path) -> StagedDelivery:
    """Write a parsed delivery into ``work_folder``.

    Raises what the parser raises (UnreadableDeliveryError), ContractError when a frame has the wrong shape, and
    ConservationError when counts do not close.
    """
    tally = _Tally(context, work_folder)
    write_days(STAGED_USAGE, tally.usage_frames(batches), work_folder)
    write_days(STAGED_CHARGES, iter(tally.charges), work_folder)
    tally.close()
    days = {(bucket.table_name, bucket.day): 0 for bucket in tally.covered} | tally.rows_by_day
    files = tuple(_staged_file(name, day, rows, work_folder) for (name, day), rows in sorted(days.items()))
    return StagedDelivery(
        files=files,
        quarantine=tally.quarantine(),
        rows_read=tally.rows_read,
        rows_staged=sum(days.values()),
        rows_quarantined=tally.rows_quarantined,
        covered=tuple(tally.covered),
    )


@dataclass
class _Tally:
    """One pass over the batches: what was read, staged by day, refused and covered so far."""

    context: ParseContext
    work_folder: Path
    rows_read: int = 0
    rows_quarantined: int = 0
    rows_by_day: Counter[tuple[str, dt.date]] = field(default_factory=Counter)
    charges: list[pl.DataFrame] = field(default_factory=list)
    covered: list[CoveredBucket] = field(default_factory=list)
    _held: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    _parts: dict[str, list[Path]] = field(default_factory=dict)

    def usage_frames(self, batches: Iterable[ParsedBatch]) -> Iterator[pl.DataFrame]:
        """Usage rows that keep the contract, as they come; charges (never many) are kept aside."""
        for batch in batches:
            table = STAGED_USAGE if batch.charges is None else STAGED_CHARGES
            rows = batch.usage if batch.charges is None else batch.charges
            good, refused = _split(table, table.empty() if rows is None else rows, batch, self.context)
            if batch.rows_read != good.height + refused.height:
                raise ConservationError(
                    "rows of a batch: read and staged + quarantined", batch.rows_read, good.height + refused.height
                )
            self.rows_read += batch.rows_read
            self.covered += batch.covered
            for day, count in good[str(table.partition)].value_counts().rows():
                self.rows_by_day[table.name, day] += count
            self._refuse(_QUARANTINE_OF[table.name], refused)
            if table is STAGED_CHARGES:
                self.charges.append(good)
            elif good.height:
                yield good

    def _refuse(self, table: Table, refused: pl.DataFrame) -> None:
        if not refused.height:
            return
        self.rows_quarantined += refused.height
        held = self._held.setdefault(table.name, [])
        held.append(refused)
        if sum(frame.height for frame in held) >= _HELD_QUARANTINE_ROWS:
            self._write_held(table.name)

    def _write_held(self, name: str) -> None:
        parts = self._parts.setdefault(name, [])
        parts.append(self.work_folder / f"{name}-{len(parts):06d}.parquet")
        pl.concat(self._held.pop(name)).write_parquet(parts[-1])

    def close(self) -> None:
        """Write what is held. Raises ConservationError."""
        for name in tuple(self._held):
            self._write_held(name)
        accounted = self.rows_by_day.total() + self.rows_quarantined
        if self.rows_read != accounted:
            raise ConservationError("rows of the delivery: read and staged + quarantined", self.rows_read, accounted)

    def quarantine(self) -> dict[str, pl.LazyFrame]:
        return {name: pl.scan_parquet(parts, glob=False) for name, parts in self._parts.items()}


def _split(table: Table, rows: pl.DataFrame, batch: ParsedBatch, context: ParseContext) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that keep the contract, and the batch's quarantine with those that do not. Raises ContractError on shape."""
    frame = rows if rows.schema == table.polars_schema else table.conform(rows.lazy()).collect()
    try:
        return table.validate(frame), batch.quarantine
    except ContractError:
        if frame.schema != table.polars_schema:
            raise
    good, failure = table.schema.filter(frame)
    rules = failure.details().select(failure.counts().keys()).iter_rows(named=True)
    ordinals = failure.invalid()["raw_ordinal"].to_list()
    found = [(ordinal, batch.raw_text(ordinal), _reasons(verdicts)) for ordinal, verdicts in zip(ordinals, rules, strict=True)]
    return pl.DataFrame(good), pl.concat([batch.quarantine, quarantine_rows(found, context)])


def _reasons(rules: dict[str, str]) -> str:
    return ",".join(name.replace("|", "__") for name, verdict in rules.items() if verdict == "invalid")


def _staged_file(table_name: str, day: dt.date, rows_count: int, work_folder: Path) -> StagedFile:
    path = day_path(work_folder, table_name, day)
    if rows_count == 0:
        path.parent.mkdir(exist_ok=True)
        table = STAGED_USAGE if table_name == STAGED_USAGE.name else STAGED_CHARGES
        table.empty().write_parquet(path)
    stored = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    if stored != rows_count:
        raise ConservationError(f"{table_name} {day}: rows counted and stored", rows_count, stored)
    with path.open("rb") as opened:
        return StagedFile(table_name, day, path, rows_count, hashlib.file_digest(opened, "sha256").hexdigest())
