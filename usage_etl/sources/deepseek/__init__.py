"""DeepSeek's usage export: tokens and requests by day, model and key, and costs in yuan or dollars."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.deepseek.parse import AMOUNTS, COSTS, PARSER_VERSION, parse
from usage_etl.sources.deepseek.settings import DeepSeekSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="deepseek",
    settings=DeepSeekSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(AMOUNTS, COSTS),
    facts=Facts(
        title="DeepSeek",
        formats="the monthly usage export: a zip of amount and cost tables, or the CSV files in it",
        covers="tokens and requests by day, model and key; costs by day, model and wallet; no single calls",
        identity="an interval (a day) is replaced whole by a later export",
        lateness="as late as your export; the running day is not complete",
        tested_on="rows rebuilt from the columns that public tools read; DeepSeek documents none",
    ),
    fills=(STAGED_USAGE, STAGED_CHARGES),
    replaces_earlier=True,
)
