"""FOCUS cost and usage files of any issuer, versions 1.0 to 1.4: CSV or Parquet, one billing period replaced at a time."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.fetching.object_sets import fetch_sets
from usage_etl.sources.focus.parse import COST_AND_USAGE, PARSER_VERSION, parse
from usage_etl.sources.focus.settings import FocusSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="focus",
    settings=FocusSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(COST_AND_USAGE,),
    facts=Facts(
        title="FOCUS",
        formats="FOCUS 1.0 to 1.4 cost and usage files, CSV (also compressed) or Parquet, whole or in numbered parts",
        covers="charge lines of the AI services of any issuer; no single requests",
        identity="a billing period of a billing account is replaced whole by a later file",
        lateness="as late as the issuer's file; corrections of closed periods come as lines of the class Correction",
        tested_on="rows rebuilt from the specification and from the peculiarities of the public FOCUS sample data",
    ),
    fetch=fetch_sets,
    fills=(STAGED_CHARGES,),
    replaces_earlier=True,
)
