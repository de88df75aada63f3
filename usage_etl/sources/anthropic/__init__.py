"""Anthropic cost and usage reports: three report families of the API, fetched or saved, and downloads of the Console."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.anthropic.families import REPORTS
from usage_etl.sources.anthropic.fetch import fetch
from usage_etl.sources.anthropic.parse import PARSER_VERSION, parse
from usage_etl.sources.anthropic.settings import AnthropicSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="anthropic",
    settings=AnthropicSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=tuple(REPORTS),
    facts=Facts(
        title="Anthropic",
        formats="cost and usage reports of the Admin API, of Claude Enterprise and of analytics; CSV of the Console",
        covers="the bill by day, workspace, actor and token type; tokens by actor, key, workspace and model; no single requests",
        identity="a day (account, costs or usage) is replaced whole by a later pull, whichever family it is of",
        lateness="admin fresh within minutes, analytics a day late; no finality documented, a trailing week is pulled again",
        tested_on="pages generated from the SDK's types, and rebuilt from the public reference and public exports",
    ),
    fetch=fetch,
    fills=(STAGED_CHARGES, STAGED_USAGE),
    replaces_earlier=True,
)
