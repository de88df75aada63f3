"""A landed OTLP/JSON file to staged usage rows, block by block."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.otel_genai import files
from usage_etl.sources.otel_genai.documents import Wanted, read_documents, span_texts
from usage_etl.sources.otel_genai.rows import MAPPING
from usage_etl.sources.otel_genai.settings import OtelGenAiSettings
from usage_etl.sources.otel_genai.spans import in_scope, wanted
from usage_etl.sources.parsed import ParseContext, ParsedBatch, quarantine_rows
from usage_etl.sources.reading.lines import LineBlock, read_line_blocks
from usage_etl.sources.rows.mapping import RowWriter

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_BLANK = b" \t\r"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged calls and refused spans of one file.

    A record is a span, a log record, a metric, or a line that cannot be read. Raises UnreadableDeliveryError when the file
    holds no OTLP/JSON at all.
    """
    reader = _Reader(context)
    with files.as_lines(path, context.source) as lines:
        for block in read_line_blocks(lines, context.source, max_line_bytes=files.MAX_DOCUMENT_BYTES):
            batch = reader.read(block)
            if batch.rows_read:
                yield batch


class _Quotes:
    """The spans of one block by ordinal, as JSON, for quarantine. The line that was asked for last stays open."""

    def __init__(self, lines: pl.DataFrame, first_ordinals: dict[int, int]) -> None:
        self._lines = dict(lines.rows())
        self._numbers, self._firsts = list(first_ordinals), list(first_ordinals.values())
        self._open: tuple[int, list[str]] = (0, [])

    def text(self, ordinal: int) -> str:
        """The span with ``ordinal``."""
        at = bisect_right(self._firsts, ordinal) - 1
        number = self._numbers[at]
        if self._open[0] != number:
            self._open = (number, span_texts(self._lines[number]))
        return self._open[1][ordinal - self._firsts[at]]


class _Reader:
    """Reads the blocks of one file; counts records through all of them."""

    def __init__(self, context: ParseContext) -> None:
        self._context, self._settings = context, context.settings_as(OtelGenAiSettings)
        self._wanted: Wanted = wanted(self._settings)
        self._writer = RowWriter(MAPPING, context)
        self._next_ordinal, self._has_otlp = 1, False

    def read(self, block: LineBlock) -> ParsedBatch:
        lines, unreadable = _lines(block)
        documents = read_documents(lines, self._wanted)
        refused = [*documents.refused, *((number, 0, text, rule) for number, text, rule in unreadable)]
        self._refuse_other_files(lines.height + len(unreadable), refused)
        records = [*documents.records.rows(), *((number, 1) for number, _, _ in unreadable)]
        first_ordinals, rows_read = {}, 0
        for number, count in sorted(records):
            first_ordinals[number] = self._next_ordinal + rows_read
            rows_read += count
        self._next_ordinal += rows_read
        quotes = _Quotes(lines, first_ordinals)
        spans = in_scope(_numbered(documents.spans, first_ordinals), self._settings)
        usage, broken = self._writer.staged(spans)
        quarantined = [
            *((first_ordinals[number] + position, text, rule) for number, position, text, rule in refused),
            *((ordinal, quotes.text(ordinal), reasons) for ordinal, reasons in broken.items()),
        ]
        return ParsedBatch(
            rows_read=rows_read,
            usage=usage,
            quarantine=quarantine_rows(sorted(quarantined), self._context),
            rows_out_of_scope=documents.others + documents.spans.height - spans.height,
            raw_text=quotes.text,
        )

    def _refuse_other_files(self, lines_count: int, refused: list[tuple[int, int, str, str]]) -> None:
        """A file whose first block has no document of OTLP is something else."""
        is_other = bool(refused) and len({number for number, _, _, rule in refused if rule.startswith("line__")}) == lines_count
        if is_other and not self._has_otlp:
            raise UnreadableDeliveryError(
                self._context.source, "no line is an OTLP/JSON document with resourceSpans, resourceLogs or resourceMetrics"
            )
        self._has_otlp = self._has_otlp or lines_count > 0


def _lines(block: LineBlock) -> tuple[pl.DataFrame, list[tuple[int, str, str]]]:
    """Lines of a block that are not blank with their numbers, and those that are no text."""
    rows, unreadable = [], []
    if block.is_overlong:
        return _frame([]), [(block.first_ordinal, block.data.decode("utf-8", "replace"), "line__too_long")]
    for number, raw in enumerate(block.data.split(b"\n"), start=block.first_ordinal):
        stripped = raw.strip(_BLANK)
        if not stripped:
            continue
        try:
            rows.append((number, stripped.decode()))
        except UnicodeDecodeError:
            unreadable.append((number, stripped.decode("utf-8", "replace"), "line__not_utf8"))
    return _frame(rows), unreadable


def _frame(rows: list[tuple[int, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"line_number": pl.Int64, "line": pl.String}, orient="row")


def _numbered(spans: pl.DataFrame, first_ordinals: dict[int, int]) -> pl.DataFrame:
    first = pl.col("line_number").replace_strict(first_ordinals, return_dtype=pl.Int64)
    return spans.with_columns(raw_ordinal=first + pl.col("position"))
