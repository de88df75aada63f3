"""A landed file of JSON records, one per line, to staged usage rows, block by block."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.parsed import ParseContext, ParsedBatch, quarantine_rows
from usage_etl.sources.reading.json_lines import FlatRecords, LineReader, Variant, joined_records
from usage_etl.sources.reading.lines import LineBlock, read_line_blocks
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.mapping import RowMapping, RowWriter

GROUPED_BLOCKS = 3
"""Blocks whose records are typed together, where their lines are long."""

GROUPED_LINES = 8192
"""Lines that are enough for a group."""


@dataclass(frozen=True)
class LogDialect:
    """How one kind of request log is written: JSON lines whose records become rows one by one."""

    title: str
    """What the file should be, for the message when it is something else."""
    shape: RecordShape
    mapping: RowMapping
    recognised_by: tuple[str, ...]
    """Fields of which a record of this log has at least one; a first block in which none has is another log."""
    variants: tuple[Variant, ...] = ()
    """Shapes of records that are not of ``shape``, told by their lines; their columns are read beside those of ``shape``."""
    is_record: pl.Expr | None = None
    """Which lines are records, over the flat fields; null is no. The others are counted as out of scope. None where every
    line is one."""
    read_blocks: Callable[[Path, str], Iterator[LineBlock]] = read_line_blocks
    """Blocks of lines of a file, for a source's name."""


def parse_log(path: Path, context: ParseContext, *, dialect: LogDialect) -> Iterator[ParsedBatch]:
    """Batches of staged requests and refused lines of one JSON-lines file.

    Raises UnreadableDeliveryError when the file is not JSON lines, its compression is broken, or no record of its first
    block is of this log.
    """
    writer = RowWriter(dialect.mapping, context)
    for records in flat_records(path, context, dialect=dialect):
        yield batch_of_records(records, writer, context)


def flat_records(path: Path, context: ParseContext, *, dialect: LogDialect) -> Iterator[FlatRecords]:
    """The file's records, flattened, some blocks at a time; other lines are counted only. Raises as ``parse_log``."""
    return _groups(_read(path, context.source, dialect))


def _read(path: Path, source: str, dialect: LogDialect) -> Iterator[FlatRecords]:
    reader = LineReader(dialect.shape, dialect.variants)
    for block in dialect.read_blocks(path, source):
        records = reader.read(block)
        if block.first_ordinal == 1:
            _refuse_other_records(records, dialect, source)
        if records.lines_count:
            yield records if dialect.is_record is None else _only_records(records, dialect.is_record)


def _only_records(read: FlatRecords, is_record: pl.Expr) -> FlatRecords:
    kept = read.flat.filter(is_record)
    return dataclasses.replace(read, flat=kept, left_out_count=read.flat.height - kept.height)


def _groups(blocks: Iterator[FlatRecords]) -> Iterator[FlatRecords]:
    """Blocks put together: typing costs much per call and little per row, reading JSON the other way round."""
    held: list[FlatRecords] = []
    for records in blocks:
        held.append(records)
        if len(held) == GROUPED_BLOCKS or sum(each.lines_count for each in held) >= GROUPED_LINES:
            yield joined_records(held)
            held = []
    if held:
        yield joined_records(held)


def _refuse_other_records(records: FlatRecords, dialect: LogDialect, source: str) -> None:
    flat, names = records.flat, dialect.recognised_by
    if flat.height and all(flat[name].null_count() == flat.height for name in names):
        raise UnreadableDeliveryError(source, f"no line has a {' or a '.join(names)}: not {dialect.title}")


def batch_of_records(records: FlatRecords, writer: RowWriter, context: ParseContext) -> ParsedBatch:
    """The batch that flattened records become."""
    usage, broken = writer.staged(records.flat)
    refused = [*records.refused, *((ordinal, text, broken[ordinal]) for ordinal, text in quoted(records, list(broken)))]
    return ParsedBatch(
        rows_read=records.lines_count,
        usage=usage,
        quarantine=quarantine_rows(sorted(refused), context),
        rows_out_of_scope=records.left_out_count,
        raw_text=lambda ordinal: next(text for _, text in quoted(records, [ordinal])),
    )


def quoted(records: FlatRecords, ordinals: list[int]) -> list[tuple[int, str]]:
    """Ordinals and texts of some lines."""
    return records.lines.filter(pl.col("raw_ordinal").is_in(ordinals)).rows() if ordinals else []
