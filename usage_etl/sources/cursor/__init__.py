"""Cursor's usage events as CSV: tokens per call, and what is billed on demand."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.cursor.parse import PARSER_VERSION, USAGE_EVENTS, parse
from usage_etl.sources.cursor.settings import CursorSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="cursor",
    settings=CursorSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(USAGE_EVENTS,),
    facts=Facts(
        title="Cursor",
        formats="CSV of usage events in the generations since 2025",
        covers="every call with model, user and tokens; money of on-demand calls only, not of seats",
        identity="user, instant, model and tokens; money is replaced by user and quarter of an hour",
        lateness="as late as your export",
        tested_on="rows rebuilt from headers and cells that public tools and write-ups show; Cursor documents none",
    ),
    fills=(STAGED_USAGE, STAGED_CHARGES),
)
