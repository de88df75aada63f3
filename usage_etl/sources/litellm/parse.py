"""A landed SpendLogs file to staged usage rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from usage_etl.sources.litellm.rows import MAPPING
from usage_etl.sources.litellm.spend_logs import SHAPE
from usage_etl.sources.log_files import LogDialect, parse_log
from usage_etl.sources.parsed import ParseContext, ParsedBatch

SPEND_LOGS = "spend_logs"
"""Rows of LiteLLM_SpendLogs."""

PARSER_VERSION = "2"
"""Changes when the same file would give other rows."""

_DIALECT = LogDialect(title="LiteLLM SpendLogs", shape=SHAPE, mapping=MAPPING, recognised_by=("request_id", "startTime"))


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged requests and refused lines of one JSON-lines file. Raises UnreadableDeliveryError."""
    return parse_log(path, context, dialect=_DIALECT)
