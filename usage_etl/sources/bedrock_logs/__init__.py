"""Amazon Bedrock model invocation logs: one call per record, as AWS saw it, with who signed it."""

from __future__ import annotations

from usage_etl.sources.bedrock_logs.fetch import fetch
from usage_etl.sources.bedrock_logs.parse import INVOCATIONS, PARSER_VERSION, parse
from usage_etl.sources.bedrock_logs.settings import BedrockLogsSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="bedrock_logs",
    settings=BedrockLogsSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(INVOCATIONS,),
    fetch=fetch,
    facts=Facts(
        title="Amazon Bedrock invocation logs",
        formats="model invocation logs of S3 (JSON lines, gzip), and as CloudWatch Logs exports or streams them",
        covers="every logged call of bedrock-runtime with tokens, caches, identity and outcome; no cost, no provisioned hours",
        identity="account, region and `requestId`; of copies the later delivery counts",
        lateness="minutes after the call; AWS promises no time",
        tested_on="records rebuilt from the documented schema and the shape of public examples, with invented values",
    ),
)
