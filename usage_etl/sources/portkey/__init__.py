"""Portkey's log export: one request per line, tokens and cost as Portkey saw them."""

from __future__ import annotations

from usage_etl.sources.portkey.parse import LOGS, PARSER_VERSION, parse
from usage_etl.sources.portkey.settings import PortkeySettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="portkey",
    settings=PortkeySettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(LOGS,),
    facts=Facts(
        title="Portkey",
        formats="log exports as JSON lines or a JSON array; metadata as pairs of lists or as an object",
        covers="every request through Portkey with tokens, key, metadata and outcome; no cache tokens; not what bypassed it",
        identity="`id`; of copies the later delivery counts",
        lateness="as late as your export job",
        tested_on="records rebuilt from the vendor's documented fields and its published sample file",
    ),
)
