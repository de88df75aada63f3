"""Helicone's request export: one request per record, tokens and cost as Helicone saw them."""

from __future__ import annotations

from usage_etl.sources.helicone.parse import PARSER_VERSION, REQUESTS, parse
from usage_etl.sources.helicone.settings import HeliconeSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="helicone",
    settings=HeliconeSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(REQUESTS,),
    facts=Facts(
        title="Helicone",
        formats="the export tool's JSON lines, JSON array and CSV",
        covers="every request through Helicone with tokens, caches, user, properties and outcome; not what bypassed it",
        identity="`request_id` (CSV: `response_id`); of copies the newest `updated_at` counts, then the later delivery",
        lateness="as late as your export; a request is complete once it has been answered",
        tested_on="records rebuilt from the API's published schema and the export tool's source",
    ),
)
