"""Kong Gateway's access log: calls of models by its AI plugins."""

from __future__ import annotations

from usage_etl.sources.kong.parse import ACCESS_LOG, PARSER_VERSION, parse
from usage_etl.sources.kong.settings import KongSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="kong",
    settings=KongSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(ACCESS_LOG,),
    facts=Facts(
        title="Kong AI Gateway",
        formats="JSON lines of a logging plugin, with ai.<plugin>.usage in the singular (3.6 to 3.8) or the plural",
        covers="each call of a model by an AI plugin with tokens, consumer and outcome; no cache tokens; no other traffic",
        identity="`request.id` and the plugin; without an id a hash of what the line says",
        lateness="as late as your log shipping",
        tested_on="lines rebuilt from Kong's documented format and the source of its analytics filter",
    ),
)
