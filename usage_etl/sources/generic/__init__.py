"""Usage and bills of any tool, by a documented contract: the settings say which column is what."""

from __future__ import annotations

from usage_etl.sources.generic.parse import PARSER_VERSION, ROWS, parse
from usage_etl.sources.generic.settings import GenericSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="generic",
    settings=GenericSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(ROWS,),
    facts=Facts(
        title="Any tool (generic contract)",
        formats="CSV of any encoding and separator, JSON lines, JSON arrays, Parquet",
        covers="requests or sums of any of the ten primitives, and lines of a bill; what it holds is up to the file",
        identity="requests: the mapped id, else a hash of what the row says; buckets: the period, replaced whole",
        lateness="as late as the file; in grain bucket a later file replaces the periods that it names",
        tested_on="files made up for each primitive; the shapes of real ones are the customer's",
    ),
    replaces_earlier=True,
)
