"""A landed Envoy AI Gateway access log to staged usage rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from usage_etl.sources.envoy_ai_gateway.rows import is_call, mapping, shape
from usage_etl.sources.envoy_ai_gateway.settings import EnvoyAIGatewaySettings
from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.parsed import ParseContext, ParsedBatch

ACCESS_LOG = "access_log"
"""Lines of the gateway's access log."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged calls and refused lines of one file. Raises UnreadableDeliveryError."""
    settings = context.settings_as(EnvoyAIGatewaySettings)
    read = shape(settings)
    dialect = LogDialect(
        title="an Envoy access log with the fields that the settings name",
        shape=read,
        mapping=mapping(settings),
        recognised_by=("start_time",),
        is_record=is_call(read),
    )
    return parse_log(path, context, dialect=dialect)
