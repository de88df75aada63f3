"""Azure OpenAI's request log and API Management's LLM gateway log: one call through the gateway is one request."""

from __future__ import annotations

from usage_etl.sources.azure_openai_logs.fetch import HOURS, fetch
from usage_etl.sources.azure_openai_logs.parse import PARSER_VERSION, parse
from usage_etl.sources.azure_openai_logs.settings import AzureOpenAILogsSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="azure_openai_logs",
    settings=AzureOpenAILogsSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(HOURS,),
    fetch=fetch,
    facts=Facts(
        title="Azure OpenAI and API Management logs",
        formats="RequestResponse, GatewayLlmLogs and GatewayLogs as JSON lines, from diagnostic settings or a workspace's export",
        covers="calls through the gateway with tokens, caller and outcome; or Azure OpenAI's own requests, without tokens",
        identity="the correlation id; an hour that has grown replaces what it held before, row by row",
        lateness="minutes after the call; an hour's object grows while the hour runs",
        tested_on="records rebuilt from the documented tables and public descriptions of the envelopes",
    ),
)
