"""A landed SpendLogs file to staged usage rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.lines import read_line_blocks
from usage_etl.sources.litellm.read import FlatRecords, LineReader, Refusal
from usage_etl.sources.litellm.rows import staged_usage, typed_fields
from usage_etl.sources.litellm.rules import broken_rules
from usage_etl.sources.parsed import ParseContext, ParsedBatch, quarantine_rows

SPEND_LOGS = "spend_logs"
"""The one dataset of this source."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged requests and refused lines of one JSON-lines file.

    Raises UnreadableDeliveryError when the file is not JSON lines, its compression is broken, or no record of its first
    block has a request_id or a startTime.
    """
    reader = LineReader()
    for block in read_line_blocks(path, context.source):
        records = reader.read(block)
        if block.first_ordinal == 1:
            _refuse_other_records(records, context.source)
        if records.lines_count:
            yield _batch(records, context)


def _refuse_other_records(records: FlatRecords, source: str) -> None:
    flat = records.flat
    if flat.height and flat["request_id"].null_count() == flat.height == flat["startTime"].null_count():
        raise UnreadableDeliveryError(source, "no line has a request_id or a startTime: not LiteLLM SpendLogs")


def _batch(records: FlatRecords, context: ParseContext) -> ParsedBatch:
    typed = typed_fields(records.flat, context.tags)
    broken = broken_rules(records.flat, typed, received_at=context.received_at)
    refused = records.refused
    if broken:
        is_bad = pl.Series([False]).extend_constant(False, typed.height - 1)
        for mask in broken.values():
            is_bad |= mask
        refused = refused + _refusals(records, broken, is_bad)
        typed = typed.filter(~is_bad)
    lines = records.lines
    return ParsedBatch(
        rows_read=records.lines_count,
        usage=staged_usage(typed, context),
        quarantine=quarantine_rows(sorted(refused), context),
        raw_text=lambda ordinal: str(lines.row(by_predicate=pl.col("raw_ordinal") == ordinal)[1]),
    )


def _refusals(records: FlatRecords, broken: dict[str, pl.Series], is_bad: pl.Series) -> list[Refusal]:
    marked = records.flat.select("raw_ordinal").with_columns(mask.alias(name) for name, mask in broken.items())
    quoted = marked.filter(is_bad).join(records.lines, on="raw_ordinal", how="left", maintain_order="left")
    return [
        (row["raw_ordinal"], row["line"], ",".join(name for name in broken if row[name])) for row in quoted.iter_rows(named=True)
    ]
