"""Parsed batches to staged files: one Parquet file per table and day, checked against its contract, in one pass.

Rows that break the contract go to quarantine with the names of the rules; every batch and the whole delivery must close:
records read = records staged + quarantined + left out by the settings + merged into the row of another. Memory holds a few
batches, whatever the size of the delivery.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from usage_etl.errors import ConservationError, ContractError
from usage_etl.schemas.contract import Table
from usage_etl.schemas.staged import BILLING_CHARGES_QUARANTINE, STAGED_CHARGES, STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.day_files import day_path, write_days
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows

_QUARANTINE_OF = {STAGED_USAGE.name: USAGE_EVENTS_QUARANTINE, STAGED_CHARGES.name: BILLING_CHARGES_QUARANTINE}
HELD_CHARGE_ROWS = 20_000
"""Charge rows that are held in memory before they are put on disk."""

_HELD_QUARANTINE_ROWS = 5_000
_ACCOUNTED = "read and staged + quarantined + out of scope + merged"


@dataclass(frozen=True)
class StagedFile:
    """The rows of one delivery on one day, as a local Parquet file in the shape of its staged table."""

    table_name: str
    day: dt.date
    path: Path
    rows_count: int
    sha256: str


@dataclass(frozen=True)
class BucketRows:
    """One bucket that the delivery answers for, with its staged rows by day; none where it is empty."""

    bucket: CoveredBucket
    rows_by_day: Mapping[dt.date, int]

    @property
    def rows_count(self) -> int:
        """Its staged rows."""
        return sum(self.rows_by_day.values())


@dataclass(frozen=True)
class StagedDelivery:
    """What one delivery became. Its files lie in the work folder that was given to ``stage``."""

    files: tuple[StagedFile, ...]
    """By table and day; each has rows."""
    quarantine: dict[str, tuple[Path, ...]]
    """Files of refused records by the name of their quarantine table; tables without refused records are absent."""
    rows_read: int
    rows_staged: int
    rows_quarantined: int
    records_staged: int
    """Records that became rows; one may become several."""
    buckets: tuple[BucketRows, ...]
    """Buckets that the delivery answers for: those that its parser says it covers, and those of its rows."""
    rows_out_of_scope: int = 0
    """Records that the source's settings leave out."""
    rows_merged: int = 0
    """Records that went into the row of another."""

    @property
    def covered(self) -> tuple[CoveredBucket, ...]:
        """The buckets without their rows."""
        return tuple(rows.bucket for rows in self.buckets)

    @property
    def rows_in_scope(self) -> int:
        """Records that had to become rows or be quarantined."""
        return self.rows_read - self.rows_out_of_scope - self.rows_merged

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
    write_days(STAGED_CHARGES, tally.charge_frames(), work_folder)
    tally.close()
    files = tuple(_staged_file(name, day, rows, work_folder) for (name, day), rows in sorted(tally.rows_by_day.items()))
    return StagedDelivery(
        files=files,
        quarantine=tally.quarantine(),
        rows_read=tally.rows_read,
        rows_staged=tally.rows_by_day.total(),
        rows_quarantined=tally.rows_quarantined,
        records_staged=tally.records_staged,
        buckets=tally.buckets(),
        rows_out_of_scope=tally.rows_out_of_scope,
        rows_merged=tally.rows_merged,
    )


@dataclass
class _Tally:
    """One pass over the batches: what was read, staged by day, refused and covered so far."""

    context: ParseContext
    work_folder: Path
    rows_read: int = 0
    records_staged: int = 0
    rows_quarantined: int = 0
    rows_out_of_scope: int = 0
    rows_merged: int = 0
    rows_by_day: Counter[tuple[str, dt.date]] = field(default_factory=Counter)
    _charges: list[pl.DataFrame | Path] = field(default_factory=list)
    _covered: dict[tuple[str, str], CoveredBucket] = field(default_factory=dict)
    _bucket_rows: dict[tuple[str, str], Counter[dt.date]] = field(default_factory=dict)
    _held: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    _parts: dict[str, list[Path]] = field(default_factory=dict)

    def usage_frames(self, batches: Iterable[ParsedBatch]) -> Iterator[pl.DataFrame]:
        """Usage rows that keep the contract, as they come; charges are kept aside, many of them on disk."""
        for batch in batches:
            kept = _kept(batch, self.context)
            counted = kept.records_count + kept.refused.height + batch.rows_out_of_scope + batch.rows_merged
            if batch.rows_read != counted:
                raise ConservationError(f"records of a batch: {_ACCOUNTED}", batch.rows_read, counted)
            self.rows_read += batch.rows_read
            self.records_staged += kept.records_count
            self.rows_out_of_scope += batch.rows_out_of_scope
            self.rows_merged += batch.rows_merged
            for bucket in batch.covered:
                self._cover(bucket)
            for table, frame in kept.frames:
                self._count(table, frame)
            self._refuse(quarantine_of(STAGED_USAGE if batch.charges is None else STAGED_CHARGES), kept.refused)
            for table, frame in kept.frames:
                if table is STAGED_CHARGES:
                    self._keep_charges(frame)
                elif frame.height:
                    yield frame

    def charge_frames(self) -> Iterator[pl.DataFrame]:
        """Charge rows that keep the contract, in the order in which they came."""
        yield from (pl.read_parquet(part, glob=False) if isinstance(part, Path) else part for part in self._charges)

    def _keep_charges(self, frame: pl.DataFrame) -> None:
        self._charges.append(frame)
        held = [part for part in self._charges if isinstance(part, pl.DataFrame)]
        if sum(part.height for part in held) >= HELD_CHARGE_ROWS:
            path = self.work_folder / f"{STAGED_CHARGES.name}-{len(self._charges):06d}.parquet"
            pl.concat(held).write_parquet(path, compression_level=1)
            self._charges = [*(part for part in self._charges if isinstance(part, Path)), path]

    def _cover(self, bucket: CoveredBucket) -> None:
        """A bucket that is covered twice has the newer version of the two."""
        key = (bucket.table_name, bucket.bucket_key)
        known = self._covered.get(key)
        if known is None or (bucket.version_at and not (known.version_at and known.version_at >= bucket.version_at)):
            self._covered[key] = bucket

    def _count(self, table: Table, frame: pl.DataFrame) -> None:
        """Count rows by day, and those of buckets by bucket and day too. Raises ContractError for one without a bucket."""
        day_column = str(table.partition)
        for day, count in frame[day_column].value_counts().rows():
            self.rows_by_day[table.name, day] += count
        if table is STAGED_USAGE:
            unnamed = frame.filter((pl.col("grain") == "bucket") & pl.col("bucket_key").is_null()).height
            if unnamed:
                raise ContractError(table.name, {"bucket_key|null in a row of grain bucket": unnamed}, unnamed)
        if frame["bucket_key"].null_count() == frame.height:
            return
        in_buckets = frame.lazy().filter(pl.col("bucket_key").is_not_null()).group_by("bucket_key", day_column).len().collect()
        for key, day, count in in_buckets.rows():
            self._bucket_rows.setdefault((table.name, key), Counter())[day] += count

    def buckets(self) -> tuple[BucketRows, ...]:
        """Every bucket that is covered or has rows, in order."""
        implied = {key: CoveredBucket(*key) for key in self._bucket_rows}
        found = sorted((implied | self._covered).items())
        return tuple(BucketRows(bucket, dict(sorted(self._bucket_rows.get(key, {}).items()))) for key, bucket in found)

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
        accounted = self.records_staged + self.rows_quarantined + self.rows_out_of_scope + self.rows_merged
        if self.rows_read != accounted:
            raise ConservationError(f"records of the delivery: {_ACCOUNTED}", self.rows_read, accounted)

    def quarantine(self) -> dict[str, tuple[Path, ...]]:
        return {name: tuple(parts) for name, parts in self._parts.items()}


@dataclass(frozen=True)
class _Kept:
    """What of one batch keeps the contracts."""

    frames: tuple[tuple[Table, pl.DataFrame], ...]
    records_count: int
    refused: pl.DataFrame


def _kept(batch: ParsedBatch, context: ParseContext) -> _Kept:
    """Rows that keep their contract, and the batch's quarantine with the records of those that do not.

    A record whose usage is refused is refused with its charges too. Raises ContractError on shape.
    """
    given = [(STAGED_USAGE, batch.usage), (STAGED_CHARGES, batch.charges)]
    frames = [(table, _conformed(table, rows)) for table, rows in given if rows is not None]
    faults = {ordinal: reasons for table, frame in frames for ordinal, reasons in _faults(table, frame).items()}
    refused = batch.quarantine
    if faults:
        frames = [(table, frame.filter(~pl.col("raw_ordinal").is_in(list(faults)))) for table, frame in frames]
        found = [(ordinal, batch.raw_text(ordinal), reasons) for ordinal, reasons in sorted(faults.items())]
        refused = pl.concat([refused, quarantine_rows(found, context)])
    return _Kept(tuple(frames), _records_count(frames), refused)


def _conformed(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    return rows if rows.schema == table.polars_schema else table.conform(rows.lazy()).collect()


def _records_count(frames: Sequence[tuple[Table, pl.DataFrame]]) -> int:
    """Records that became rows; one record may have become several."""
    return pl.concat([frame["raw_ordinal"] for _, frame in frames]).n_unique() if frames else 0


def _faults(table: Table, frame: pl.DataFrame) -> dict[int, str]:
    """Ordinals of the records with a row that breaks the contract, and the rules it breaks. Raises ContractError on shape."""
    try:
        table.validate(frame)
    except ContractError:
        if frame.schema != table.polars_schema:
            raise
    else:
        return {}
    _, failure = table.schema.filter(frame)
    rules = failure.details().select(failure.counts().keys()).iter_rows(named=True)
    ordinals = failure.invalid()["raw_ordinal"].to_list()
    return {ordinal: _reasons(verdicts) for ordinal, verdicts in zip(ordinals, rules, strict=True)}


def quarantine_of(table: Table) -> Table:
    """Where the refused records of a staged table go."""
    return _QUARANTINE_OF[table.name]


def _reasons(rules: dict[str, str]) -> str:
    return ",".join(name.replace("|", "__") for name, verdict in rules.items() if verdict == "invalid")


def _staged_file(table_name: str, day: dt.date, rows_count: int, work_folder: Path) -> StagedFile:
    path = day_path(work_folder, table_name, day)
    stored = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    if stored != rows_count:
        raise ConservationError(f"{table_name} {day}: rows counted and stored", rows_count, stored)
    with path.open("rb") as opened:
        return StagedFile(table_name, day, path, rows_count, hashlib.file_digest(opened, "sha256").hexdigest())
