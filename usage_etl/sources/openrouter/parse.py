"""A landed file of OpenRouter to staged rows: answers of the activity endpoint, or a CSV export of generations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from usage_etl.sources.openrouter.activity import ACTIVITY, parse_activity
from usage_etl.sources.openrouter.generations import GENERATIONS, parse_generations
from usage_etl.sources.openrouter.settings import OpenRouterSettings
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.plain import open_plain

PARSER_VERSION = "1"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file, told by its first character. Raises UnreadableDeliveryError."""
    counted = context.settings_as(OpenRouterSettings).counted
    with open_plain(path, context.source) as stream:
        start = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"{", b"[")) or not start:
        yield from parse_activity(path, context, is_counted=counted == ACTIVITY)
    else:
        yield from parse_generations(path, context, is_counted=counted == GENERATIONS)
