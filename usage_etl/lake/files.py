"""Turns a frame into one Parquet file whose bytes depend on its rows alone: checked, totally sorted, fixed row groups.

Frames above ``memory_rows`` rows are sorted outside memory: sorted runs, cut at common keys into parts that are merged
one by one. Both ways give the same bytes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from pathlib import Path

import polars as pl

from usage_etl.errors import ContractError
from usage_etl.keys import sha256_hex
from usage_etl.schemas.contract import Table

ROW_GROUP_ROWS = 100_000
MEMORY_ROWS = 1_000_000
"""The widest table takes about 1.1 GB at this size, and below 2 GB when it is sorted on disk."""
_BATCH_ROWS = 100_000
_CUT = "__cut"


@dataclass(frozen=True)
class TableFile:
    """A finished Parquet file of one partition: its bytes, or where they are when they are many."""

    content: bytes | Path
    bytes_count: int
    sha256: str
    rows_count: int
    control_totals: dict[str, str]


@dataclass
class _Totals:
    """Row count and exact sums of frames seen so far."""

    table: Table
    rows_count: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame) -> None:
        self.rows_count += frame.height
        with localcontext() as context:
            context.prec = 76
            for name, amount in exact_totals(self.table, frame).items():
                self.sums[name] = self.sums.get(name, Decimal(0)) + amount

    def texts(self) -> dict[str, str]:
        return {name: f"{_shortest(self.sums.get(name, Decimal(0))):f}" for name in self.table.control_totals}


@contextlib.contextmanager
def table_file(
    table: Table, partition: str, frame: pl.LazyFrame, *, work_folder: Path | None = None, memory_rows: int = MEMORY_ROWS
) -> Iterator[TableFile]:
    """``frame`` as the table's partition; memory stays near that of ``memory_rows`` rows.

    Raises ContractError when a column is missing, unexpected or of another type, or a row breaks a rule or lies outside
    the partition.
    """
    runs = _runs(_conformed(table, frame), memory_rows)
    run = next(runs, None)
    assert run is not None, "there is always one run, if an empty one"
    totals = _Totals(table)
    if run.is_whole:
        with io.BytesIO() as file:
            whole = _ordered(table, partition, run.frame, totals)
            whole.write_parquet(file, row_group_size=ROW_GROUP_ROWS, metadata=_metadata(table, totals))
            content = file.getvalue()
        yield TableFile(content, len(content), sha256_hex(content), totals.rows_count, totals.texts())
        return
    with tempfile.TemporaryDirectory(prefix="usage_etl-", dir=work_folder) as folder:
        paths: list[Path] = []
        while run is not None:
            paths.append(Path(folder) / f"run-{len(paths):06d}.parquet")
            _ordered(table, partition, run.frame, totals).write_parquet(paths[-1], compression="lz4")
            run = None  # frees its memory before the next one is read
            run = next(runs, None)
        path = _merged(table, paths, totals, Path(folder), rows_per_part=max(memory_rows // 2, 1))
        with path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        yield TableFile(path, path.stat().st_size, sha256, totals.rows_count, totals.texts())


def _ordered(table: Table, partition: str, frame: pl.DataFrame, totals: _Totals) -> pl.DataFrame:
    """``frame`` in total order, checked and counted."""
    _check_rows(table, partition, frame)
    totals.add(frame)
    return frame.sort(_total_order(table))


def _total_order(table: Table) -> list[str]:
    """Every column but lists, which follow from the key of their row and are slow to compare."""
    kinds = table.polars_schema
    return [*table.sort_by, *(name for name in kinds if name not in table.sort_by and not kinds[name].is_nested())]


def _merged(table: Table, runs: list[Path], totals: _Totals, folder: Path, *, rows_per_part: int) -> Path:
    """One sorted file from sorted runs, by way of parts that each fit into memory."""
    parts = list(merged_parts(runs, list(table.sort_by), _total_order(table), folder, rows_per_part=rows_per_part))
    target = folder / "whole.parquet"
    merged = pl.scan_parquet(parts, glob=False)
    merged.sink_parquet(target, row_group_size=ROW_GROUP_ROWS, metadata=_metadata(table, totals), engine="streaming")
    return target


def exact_totals(table: Table, frame: pl.DataFrame) -> dict[str, Decimal]:
    """Sums of the table's control totals. Raises ContractError when a sum leaves the range of its type."""
    # Int64 sums wrap silently, so whole numbers are summed as Int128; Decimal sums in a select raise.
    types = {name: table.polars_schema[name] for name in table.control_totals}
    if not types:
        return {}
    try:
        sums = frame.select(pl.col(name).cast(pl.Int128 if kind.is_integer() else kind).sum() for name, kind in types.items())
    except pl.exceptions.ComputeError as error:
        raise ContractError(table.name, {f"control totals|{error}": frame.height}, frame.height) from error
    return {name: Decimal(amount) for name, amount in sums.row(0, named=True).items()}


def _conformed(table: Table, frame: pl.LazyFrame) -> pl.LazyFrame:
    found = frame.collect_schema().names()
    faults = {f"{name}|missing": 1 for name in table.columns if name not in found}
    faults |= {f"{name}|unexpected": 1 for name in found if name not in table.columns}
    if faults:
        raise ContractError(table.name, faults, 0)
    conformed = table.conform(frame)
    if (schema := conformed.collect_schema()) != table.polars_schema:
        table.validate(pl.DataFrame(schema=schema))  # names the columns that differ
    return conformed


@dataclass(frozen=True)
class _Run:
    frame: pl.DataFrame
    is_whole: bool
    """Whether this run is all there is."""


def _runs(frame: pl.LazyFrame, memory_rows: int) -> Iterator[_Run]:
    """All rows in one run when they fit into ``memory_rows``, else in runs of about half of it. At least one run."""
    held: list[pl.DataFrame] = []
    limit, is_whole = memory_rows, True
    for batch in frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=False, engine="streaming"):
        if held and sum(part.height for part in held) + batch.height > limit:
            limit, is_whole = max(memory_rows // 2, 1), False
            yield _Run(pl.concat(held), is_whole)
            held = []
        held.append(batch)
    yield _Run(pl.concat(held) if held else pl.DataFrame(schema=frame.collect_schema()), is_whole)


def _check_rows(table: Table, partition: str, frame: pl.DataFrame) -> None:
    if not frame.height:
        return
    table.validate(frame)
    if table.partition in table.columns:
        column = pl.col(table.partition)
        is_date = table.polars_schema[table.partition] == pl.Date
        value = pl.lit(dt.date.fromisoformat(partition)) if is_date else pl.lit(partition)
        outside = frame.select((column if is_date else column.cast(pl.String)).ne_missing(value).sum()).item()
        if outside:
            raise ContractError(table.name, {f"{table.partition}|outside partition {partition}": outside}, outside)


def _metadata(table: Table, totals: _Totals) -> dict[str, str]:
    """Key-values of the Parquet file. Nothing that changes while the rows stay: versions and times are the manifest's."""
    texts = json.dumps(totals.texts(), sort_keys=True)
    return {"usage_etl.table": table.name, "usage_etl.rows_count": str(totals.rows_count), "usage_etl.control_totals": texts}


def merged_parts(runs: list[Path], keys: list[str], order: list[str], folder: Path, *, rows_per_part: int) -> Iterator[Path]:
    """Files that, read one after the other, hold all rows of the sorted ``runs`` in order."""
    step = max(rows_per_part // (4 * len(runs)), 1)
    samples = pl.concat(pl.scan_parquet(run, glob=False).select(keys).gather_every(step).collect() for run in runs)
    cuts = samples.sort(keys).gather_every(max(rows_per_part // step, 1)).slice(1).unique(maintain_order=True)
    positions = [_positions(run, cuts, keys) for run in runs]
    for number in range(cuts.height + 1):
        slices = [
            pl.scan_parquet(run, glob=False).slice(at[number], at[number + 1] - at[number])
            for run, at in zip(runs, positions, strict=True)
        ]
        part = folder / f"part-{number:06d}.parquet"
        pl.concat(slices).collect().sort(order).write_parquet(part, compression="lz4")
        yield part


def _positions(run: Path, cuts: pl.DataFrame, keys: list[str]) -> list[int]:
    """Row numbers at which each part begins in a sorted run: 0, the rows below each cut, and the end."""
    own = pl.scan_parquet(run, glob=False).select(*keys, pl.lit(1, pl.Int8).alias(_CUT)).collect()
    marked = pl.concat([own, cuts.with_columns(pl.lit(0, pl.Int8).alias(_CUT))]).sort([*keys, _CUT])
    at_cut = marked.with_row_index("row").filter(pl.col(_CUT) == 0).get_column("row").to_list()
    return [0, *(row - number for number, row in enumerate(at_cut)), own.height]


def _shortest(amount: Decimal) -> Decimal:
    """The same number without trailing zeros, whatever its length."""
    with localcontext() as context:
        context.prec = 76
        return amount.normalize()
