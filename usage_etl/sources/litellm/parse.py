"""A landed LiteLLM file to staged usage rows: each shape that LiteLLM writes is told by the fields of its first records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.litellm import payload_fields, payload_rows, rows, spend_logs
from usage_etl.sources.litellm.daily import parse_daily_spend
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.lines import read_line_blocks

SPEND_LOGS = "spend_logs"
"""Rows of LiteLLM_SpendLogs."""

LOGGER_PAYLOADS = "logger_payloads"
"""Payloads of the S3, GCS and Pub/Sub loggers."""

DAILY_SPEND = "daily_spend"
"""Rows of LiteLLM_DailyUserSpend or of a table beside it."""

PARSER_VERSION = "3"
"""Changes when the same file would give other rows."""

_SNIFFED_LINES = 100
_TABLE = LogDialect(
    title="LiteLLM SpendLogs", shape=spend_logs.SHAPE, mapping=rows.MAPPING, recognised_by=("request_id", "startTime")
)
_PAYLOADS = LogDialect(
    title="payloads of a LiteLLM logger",
    shape=payload_fields.SHAPE,
    mapping=payload_rows.MAPPING,
    recognised_by=("response_cost", "startTime"),
)


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged requests and refused lines of one JSON-lines file, or of many small ones that were landed as one.

    Raises UnreadableDeliveryError.
    """
    dataset = _dataset_of(path, context.source)
    if dataset == DAILY_SPEND:
        yield from parse_daily_spend(path, context)
    else:
        yield from parse_log(path, context, dialect=_PAYLOADS if dataset == LOGGER_PAYLOADS else _TABLE)


def _dataset_of(path: Path, source: str) -> str:
    """What the first record that reads is; rows of the request log where none does."""
    block = next((block for block in read_line_blocks(path, source) if not block.fault), None)
    for line in block.data.split(b"\n", _SNIFFED_LINES)[:_SNIFFED_LINES] if block else ():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            return _dataset_of_record(set(record))
    return SPEND_LOGS


def _dataset_of_record(names: set[str]) -> str:
    if "request_id" not in names and "response_cost" in names:
        return LOGGER_PAYLOADS
    return DAILY_SPEND if {"api_requests", "date"} <= names else SPEND_LOGS
