"""Cloudflare AI Gateway logs: one request per record, from Logpush or the logs API."""

from __future__ import annotations

from usage_etl.sources.cloudflare_ai_gateway.parse import LOGS, PARSER_VERSION, parse
from usage_etl.sources.cloudflare_ai_gateway.settings import CloudflareAIGatewaySettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="cloudflare_ai_gateway",
    settings=CloudflareAIGatewaySettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(LOGS,),
    facts=Facts(
        title="Cloudflare AI Gateway",
        formats="answers of the logs API (pages, arrays, JSON lines) and Logpush files of ai_gateway_events",
        covers="every request through the gateway; tokens in the API's records, cost and duration in both",
        identity="`id`; Logpush lines have none, so a hash of what the line says, numbered among equals",
        lateness="Logpush within minutes; the API until the gateway's log limit deletes the record",
        tested_on="records rebuilt from Cloudflare's published SDK types and its Logpush field list",
    ),
)
