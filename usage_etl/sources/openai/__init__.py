"""OpenAI organization costs and completions usage: pages of daily buckets, fetched or saved by the customer."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.openai.fetch import fetch
from usage_etl.sources.openai.parse import COMPLETIONS_USAGE, COSTS, PARSER_VERSION, parse
from usage_etl.sources.openai.settings import OpenAISettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="openai",
    settings=OpenAISettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(COSTS, COMPLETIONS_USAGE),
    facts=Facts(
        title="OpenAI",
        formats="pages of organization costs and usage, from the API or saved",
        covers="the bill by day, project and line item; tokens by project, user, key and model; no single requests",
        identity="a bucket (account, report, start, width) is replaced whole by a later pull",
        lateness="no finality documented; a trailing week is pulled again",
        tested_on="pages rebuilt from the documented types, checked against the SDK's types",
    ),
    fetch=fetch,
    fills=(STAGED_CHARGES, STAGED_USAGE),
    replaces_earlier=True,
)
