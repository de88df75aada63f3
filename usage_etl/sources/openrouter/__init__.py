"""OpenRouter's activity by day, model and endpoint, fetched or saved, and its CSV exports of single generations."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.openrouter.activity import ACTIVITY
from usage_etl.sources.openrouter.fetch import fetch
from usage_etl.sources.openrouter.generations import GENERATIONS
from usage_etl.sources.openrouter.parse import PARSER_VERSION, parse
from usage_etl.sources.openrouter.settings import OpenRouterSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="openrouter",
    settings=OpenRouterSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(ACTIVITY, GENERATIONS),
    facts=Facts(
        title="OpenRouter",
        formats="answers of the activity endpoint, from the API or saved; CSV exports of single generations",
        covers="what OpenRouter bills, and tokens, by day, model and endpoint; not what providers bill for your own keys",
        identity="a day of activity is replaced whole by a later answer; a generation by its id",
        lateness="completed UTC days only, kept for 30 days: fetch daily",
        tested_on="answers rebuilt from the documented types, and the export's columns as public tools read them",
    ),
    fetch=fetch,
    fills=(STAGED_USAGE, STAGED_CHARGES),
    replaces_earlier=True,
)
