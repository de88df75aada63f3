"""LiteLLM's request log: one request per line, tokens and prices as the gateway saw them, from files or its database."""

from __future__ import annotations

from usage_etl.sources.litellm.fetch import fetch
from usage_etl.sources.litellm.parse import DAILY_SPEND, LOGGER_PAYLOADS, PARSER_VERSION, SPEND_LOGS, parse
from usage_etl.sources.litellm.settings import LiteLLMSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="litellm",
    settings=LiteLLMSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(SPEND_LOGS, LOGGER_PAYLOADS, DAILY_SPEND),
    fetch=fetch,
    reads_bundles=True,
    facts=Facts(
        title="LiteLLM",
        formats="SpendLogs as JSON lines or from PostgreSQL, payloads of the S3, GCS and Pub/Sub loggers, LiteLLM_Daily*Spend",
        covers="every request through the gateway with tokens, caches, owner and outcome; not what bypassed it",
        identity="`request_id`; the newest `updated_at` counts, then the later delivery; daily sums are replaced by day",
        lateness="as late as your export or pull; rows change for minutes after the call; 7 days are looked at again",
        tested_on="rows and payloads rebuilt from LiteLLM's public schema and types, and its tables in a real PostgreSQL",
    ),
)
