"""GitHub Copilot: premium requests and AI credits by user and model, the metered usage report, and lists of seats."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.github_copilot.parse import METERED_REPORT, PARSER_VERSION, SEATS, USAGE_REPORT, parse
from usage_etl.sources.github_copilot.settings import GitHubCopilotSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="github_copilot",
    settings=GitHubCopilotSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(USAGE_REPORT, METERED_REPORT, SEATS),
    facts=Facts(
        title="GitHub Copilot",
        formats="premium request and AI usage reports, metered usage reports (CSV); lists of seats (CSV or JSON)",
        covers="requests, AI credits, tokens and money by user, model and day; seats; no single calls since October 2025",
        identity="a day of a SKU in an organization is replaced whole by a later report of either kind",
        lateness="as late as your report; GitHub settles a month after its end",
        tested_on="columns of GitHub's documentation; rows rebuilt with invented values",
    ),
    fills=(STAGED_USAGE, STAGED_CHARGES),
    replaces_earlier=True,
)
