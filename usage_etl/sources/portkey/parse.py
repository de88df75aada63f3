"""A landed Portkey log export to staged usage rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.portkey.rows import mapping, shape
from usage_etl.sources.portkey.settings import PortkeySettings
from usage_etl.sources.reading.json_documents import read_record_blocks

LOGS = "logs"
"""Requests as Portkey exports them."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged requests and refused records of one file. Raises UnreadableDeliveryError."""
    settings = context.settings
    assert isinstance(settings, PortkeySettings), "Portkey's cost has no unit without its settings"
    dialect = LogDialect(
        title="a Portkey log export",
        shape=shape(settings),
        mapping=mapping(settings),
        recognised_by=("req_units", "res_units", "ai_model", "ai_org"),
        read_blocks=read_record_blocks,
    )
    return parse_log(path, context, dialect=dialect)
