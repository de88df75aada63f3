"""Envoy AI Gateway's access log: calls of models with the tokens that the gateway counted."""

from __future__ import annotations

from usage_etl.sources.envoy_ai_gateway.parse import ACCESS_LOG, PARSER_VERSION, parse
from usage_etl.sources.envoy_ai_gateway.settings import EnvoyAIGatewaySettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="envoy_ai_gateway",
    settings=EnvoyAIGatewaySettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(ACCESS_LOG,),
    facts=Facts(
        title="Envoy AI Gateway",
        formats="the access log in format JSON, with field names as the operator chose them",
        covers="each call of a model with tokens, caches and outcome; users and teams where a field of the log names them",
        identity="`x-request-id`; without it a hash of what the line says",
        lateness="as late as your log shipping",
        tested_on="lines rebuilt from the gateway's own guide",
    ),
)
