"""OpenAI organization costs and usage: pages of daily buckets, fetched or saved, and downloads of the dashboard."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.openai.fetch import fetch
from usage_etl.sources.openai.parse import PARSER_VERSION, REPORTS, parse
from usage_etl.sources.openai.settings import OpenAISettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="openai",
    settings=OpenAISettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=tuple(REPORTS),
    facts=Facts(
        title="OpenAI",
        formats="pages of organization costs and all usage reports, from the API or saved; CSV and TSV of the dashboard",
        covers="the bill by day, project, key and line item; usage by project, user, key and model; no single requests",
        identity="a bucket (account, report, start, width) is replaced whole by a later pull",
        lateness="no finality documented; a trailing week is pulled again",
        tested_on="three real days of a public report, to the last digit; pages generated from the SDK's types",
    ),
    fetch=fetch,
    fills=(STAGED_CHARGES, STAGED_USAGE),
    replaces_earlier=True,
)
