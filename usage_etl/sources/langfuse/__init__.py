"""Langfuse's blob storage export: one generation or embedding is one request, as the application traced it."""

from __future__ import annotations

from usage_etl.sources.langfuse.fetch import WINDOWS, fetch
from usage_etl.sources.langfuse.parse import PARSER_VERSION, parse
from usage_etl.sources.langfuse.settings import LangfuseSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="langfuse",
    settings=LangfuseSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(WINDOWS,),
    fetch=fetch,
    facts=Facts(
        title="Langfuse",
        formats="blob storage exports: observations with traces, or observations_v2; CSV, JSON, JSON lines, Parquet; gzip",
        covers="traced generations and embeddings with tokens, caches, user, session and outcome; not what was not traced",
        identity="project and observation id; of copies the newest `updated_at` counts",
        lateness="20 minutes after a window's end; what arrives or changes later is not exported again",
        tested_on="files rebuilt from Langfuse's export code with invented values",
    ),
)
