"""A landed Kong access log to staged usage rows: a line holds one call per AI plugin, most lines of a log hold none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.forms.log_files import LogDialect, flat_records, quoted
from usage_etl.sources.forms.table_files import merged_parts
from usage_etl.sources.kong.rows import calls_of, has_call, mapping, shape
from usage_etl.sources.kong.settings import KongSettings
from usage_etl.sources.parsed import ParseContext, ParsedBatch, quarantine_rows
from usage_etl.sources.reading.json_lines import FlatRecords
from usage_etl.sources.rows.mapping import RowWriter

ACCESS_LOG = "access_log"
"""Lines of a logging plugin."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged calls and refused lines of one file. Raises UnreadableDeliveryError."""
    settings = context.settings_as(KongSettings)
    rows = mapping(settings)
    dialect = LogDialect(
        title="a Kong access log",
        shape=shape(settings),
        mapping=rows,
        recognised_by=("started_at", "request_id", "uri"),
        is_record=pl.any_horizontal(has_call(plugin) for plugin in settings.plugins),
    )
    writer = RowWriter(rows, context)
    for records in flat_records(path, context, dialect=dialect):
        yield _batch(records, writer, settings, context)


def _batch(records: FlatRecords, writer: RowWriter, settings: KongSettings, context: ParseContext) -> ParsedBatch:
    """Rows of all calls of the lines; a line of which one call is refused is refused whole."""
    calls = [calls_of(records.flat, plugin, settings) for plugin in settings.plugins]
    kept, broken = merged_parts([(writer, found) for found in calls if found.height] or [(writer, calls[0])])
    refused = [*records.refused, *((ordinal, text, broken[ordinal]) for ordinal, text in quoted(records, list(broken)))]
    return ParsedBatch(
        rows_read=records.lines_count,
        usage=kept[STAGED_USAGE.name],
        quarantine=quarantine_rows(sorted(refused), context),
        rows_out_of_scope=records.left_out_count,
        raw_text=lambda ordinal: next(text for _, text in quoted(records, [ordinal])),
    )
