"""A landed invocation log to staged usage rows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from usage_etl.sources.bedrock_logs.cloudwatch import records_of
from usage_etl.sources.bedrock_logs.fields import shapes
from usage_etl.sources.bedrock_logs.rows import MAPPING
from usage_etl.sources.bedrock_logs.settings import BedrockLogsSettings
from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.small_objects import lines_of

INVOCATIONS = "invocations"
"""Records of model invocations."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged requests and refused lines of one object, or of an hour's objects that were landed as one.

    Raises UnreadableDeliveryError.
    """
    plain, variants = shapes(context.settings_as(BedrockLogsSettings).metadata)
    dialect = LogDialect(
        title="a Bedrock model invocation log",
        shape=plain,
        mapping=MAPPING,
        recognised_by=("modelId", "schemaType"),
        variants=variants,
    )
    with lines_of(path, context.source) as lines, records_of(lines, context.source) as records:
        yield from parse_log(records, context, dialect=dialect)
