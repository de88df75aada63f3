"""OpenTelemetry GenAI spans as OTLP/JSON: one span of a model call is one request, as the application saw it."""

from __future__ import annotations

from usage_etl.sources.otel_genai.parse import PARSER_VERSION, parse
from usage_etl.sources.otel_genai.settings import OtelGenAiSettings
from usage_etl.sources.source import OBJECTS, Facts, Source

SOURCE = Source(
    kind="otel_genai",
    settings=OtelGenAiSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(OBJECTS,),
    facts=Facts(
        title="OpenTelemetry GenAI",
        formats="OTLP/JSON of the collector's file and S3 exporters: a document per line, per frame or per object; gzip, zstd",
        covers="model calls of instrumented applications with tokens, caches, owner and outcome; not what was sampled away",
        identity="the provider's response id where it is long enough, else trace and span id; the copy with tokens counts",
        lateness="as late as your collector; a span is exported once, when it has ended",
        tested_on="documents rebuilt from the OTLP and GenAI conventions and the attribute names of public instrumentations",
    ),
)
