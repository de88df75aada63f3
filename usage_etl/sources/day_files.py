"""Rows in any order of days to one Parquet file per day, with the memory of a few batches.

The day that the first rows belong to is written as it comes: nearly every delivery holds one day and a few strays. Rows
of other days wait on disk and are written day by day afterwards.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from usage_etl.schemas.contract import Table

ROW_GROUP_ROWS = 100_000
WAITING_ROWS = 32_768
"""Rows of other days than the first that are held in memory before they are put on disk."""

_COMPRESSION_LEVEL = 1


def day_path(folder: Path, table_name: str, day: dt.date) -> Path:
    """Where a day's file lies."""
    return folder / table_name / f"{day}.parquet"


def write_days(table: Table, frames: Iterable[pl.DataFrame], folder: Path) -> None:
    """One file per day of the table's partition column, each with its rows in the order of ``frames``.

    The same rows give the same bytes, however they are cut into frames.
    """
    incoming = (frame for frame in frames if frame.height)
    first = next(incoming, None)
    if first is None:
        return
    day_column = str(table.partition)
    main = first[day_column].value_counts(sort=True).row(0)[0]
    waiting = _Waiting(folder / f"{table.name}-waiting", day_column)

    def main_frames(*_: object) -> Iterator[pl.DataFrame]:
        for frame in _chained(first, incoming):
            is_main = frame[day_column] == main
            if is_main.all():
                yield frame
            else:
                waiting.add(frame.filter(~is_main))
                yield _compact(frame.filter(is_main))

    main_rows = register_io_source(main_frames, schema=table.polars_schema)
    _write(main_rows, day_path(folder, table.name, main))
    for day, rows in waiting.days():
        _write(rows, day_path(folder, table.name, day))


def _chained(first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield first
    yield from rest


def _compact(rows: pl.DataFrame) -> pl.DataFrame:
    """The same few rows with text of their own: a filtered frame keeps all text of the frame it was cut from."""
    names = [name for name, kind in rows.schema.items() if kind == pl.String]
    return rows.with_columns(pl.Series(name, rows[name].to_list(), dtype=pl.String) for name in names)


def _write(rows: pl.LazyFrame, path: Path) -> None:
    rows.sink_parquet(path, mkdir=True, compression_level=_COMPRESSION_LEVEL, row_group_size=ROW_GROUP_ROWS)


class _Waiting:
    """Rows of other days, on disk by day in the order in which they came."""

    def __init__(self, folder: Path, day_column: str) -> None:
        self._folder, self._day_column = folder, day_column
        self._held: list[pl.DataFrame] = []
        self._parts: dict[dt.date, list[Path]] = {}

    def add(self, frame: pl.DataFrame) -> None:
        self._held.append(frame)
        if sum(held.height for held in self._held) >= WAITING_ROWS:
            self._flush()

    def days(self) -> Iterator[tuple[dt.date, pl.LazyFrame]]:
        """Each day with its rows."""
        self._flush()
        for day, parts in sorted(self._parts.items()):
            yield day, pl.scan_parquet(parts, glob=False)
            for part in parts:
                part.unlink()

    def _flush(self) -> None:
        if not self._held:
            return
        by_day = pl.concat(self._held).partition_by(self._day_column, as_dict=True, maintain_order=True)
        self._held = []
        for (day,), rows in by_day.items():
            parts = self._parts.setdefault(day, [])
            parts.append(self._folder / str(day) / f"{len(parts):06d}.parquet")
            rows.write_parquet(parts[-1], compression="lz4", mkdir=True)
