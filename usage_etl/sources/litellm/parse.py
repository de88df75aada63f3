"""A landed SpendLogs file to staged usage rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.lines import read_line_blocks
from usage_etl.sources.litellm.read import FlatRecords, LineReader
from usage_etl.sources.litellm.rows import RowWriter
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
    reader, writer = LineReader(), RowWriter(context)
    for block in read_line_blocks(path, context.source):
        records = reader.read(block)
        if block.first_ordinal == 1:
            _refuse_other_records(records, context.source)
        if records.lines_count:
            yield _batch(records, writer, context)


def _refuse_other_records(records: FlatRecords, source: str) -> None:
    flat = records.flat
    if flat.height and flat["request_id"].null_count() == flat.height == flat["startTime"].null_count():
        raise UnreadableDeliveryError(source, "no line has a request_id or a startTime: not LiteLLM SpendLogs")


def _batch(records: FlatRecords, writer: RowWriter, context: ParseContext) -> ParsedBatch:
    usage, broken = writer.staged(records.flat)
    refused = [*records.refused, *((ordinal, text, broken[ordinal]) for ordinal, text in _quoted(records, list(broken)))]
    return ParsedBatch(
        rows_read=records.lines_count,
        usage=usage,
        quarantine=quarantine_rows(sorted(refused), context),
        raw_text=lambda ordinal: next(text for _, text in _quoted(records, [ordinal])),
    )


def _quoted(records: FlatRecords, ordinals: list[int]) -> list[tuple[int, str]]:
    return records.lines.filter(pl.col("raw_ordinal").is_in(ordinals)).rows() if ordinals else []
