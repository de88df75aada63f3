"""A landed file of Cloudflare AI Gateway logs to staged usage rows: answers of the logs API, or Logpush lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from usage_etl.sources.cloudflare_ai_gateway.rows import api_mapping, api_shape, pushed_mapping, pushed_shape
from usage_etl.sources.cloudflare_ai_gateway.settings import CloudflareAIGatewaySettings
from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.json_documents import read_record_blocks
from usage_etl.sources.reading.lines import LineBlock
from usage_etl.sources.reading.plain import open_plain

LOGS = "logs"
"""Requests through the gateway, of either shape."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_HEAD_BYTES = 1 << 20
_PUSHED = re.compile(rb'"Timestamp"\s*:\s*("?)')


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged requests and refused records of one file. Raises UnreadableDeliveryError."""
    settings = context.settings_as(CloudflareAIGatewaySettings)
    with open_plain(path, context.source) as stream:
        pushed = _PUSHED.search(stream.read(_HEAD_BYTES))
    if pushed is None:
        dialect = LogDialect(
            title="Cloudflare AI Gateway logs",
            shape=api_shape(settings),
            mapping=api_mapping(settings),
            recognised_by=("id", "created_at"),
            read_blocks=_api_blocks,
        )
    else:
        dialect = LogDialect(
            title="Cloudflare AI Gateway logs",
            shape=pushed_shape(settings),
            mapping=pushed_mapping(settings, is_text=pushed[1] == b'"'),
            recognised_by=("timestamp",),
            read_blocks=read_record_blocks,
        )
    return parse_log(path, context, dialect=dialect)


def _api_blocks(path: Path, source: str) -> Iterator[LineBlock]:
    return read_record_blocks(path, source, page_keys=("result",))
