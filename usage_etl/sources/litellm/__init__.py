"""LiteLLM SpendLogs as JSON lines: one request per line, tokens and prices as the gateway saw them."""

from __future__ import annotations

from usage_etl.sources.litellm.parse import PARSER_VERSION, SPEND_LOGS, parse
from usage_etl.sources.litellm.settings import LiteLLMSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="litellm",
    settings=LiteLLMSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(SPEND_LOGS,),
    reads_bundles=True,
    facts=Facts(
        title="LiteLLM",
        formats="SpendLogs as JSON lines, plain, gzip or zstd",
        covers="every request through the gateway with tokens, caches, owner and outcome; not what bypassed it",
        identity="`request_id`; of copies the newest `updated_at` counts, then the later delivery",
        lateness="as late as your export; rows change for minutes after the call",
        tested_on="LiteLLM's own public payload fixtures and rows rebuilt from its table schema",
    ),
)
