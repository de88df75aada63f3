"""Anthropic cost report and messages usage report: pages of daily buckets, fetched or saved by the customer."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.anthropic.fetch import fetch
from usage_etl.sources.anthropic.parse import COST_REPORT, MESSAGES_USAGE, PARSER_VERSION, parse
from usage_etl.sources.anthropic.settings import AnthropicSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="anthropic",
    settings=AnthropicSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(COST_REPORT, MESSAGES_USAGE),
    facts=Facts(
        title="Anthropic",
        formats="pages of the Admin API's cost and usage reports, from the API or saved",
        covers="the bill by day, workspace and description; tokens by key, workspace and model; no single requests",
        identity="a bucket (account, report, start, width) is replaced whole by a later pull",
        lateness="fresh within minutes; no finality documented, a trailing week is pulled again",
        tested_on="pages rebuilt from the documented types and public notebooks",
    ),
    fetch=fetch,
    fills=(STAGED_CHARGES, STAGED_USAGE),
    replaces_earlier=True,
)
