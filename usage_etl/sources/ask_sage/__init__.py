"""Ask Sage: its activity log and its monthly tokens, in its own tokens beside the models'."""

from __future__ import annotations

from usage_etl.sources.ask_sage.fetch import fetch
from usage_etl.sources.ask_sage.parse import ACTIVITY, PARSER_VERSION, parse
from usage_etl.sources.ask_sage.settings import AskSageSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="ask_sage",
    settings=AskSageSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(ACTIVITY,),
    facts=Facts(
        title="Ask Sage",
        formats="activity log as CSV or JSON, monthly tokens as CSV; the log of one user over the API",
        covers="each interaction with user, model, tokens and its price in Ask Sage tokens; no money, no caches, no outcome",
        identity="the log's id, else user, time, model and tokens, numbered among equals; a month is replaced whole",
        lateness="as late as your export",
        tested_on="files rebuilt from the vendor's public guide; the API from second-hand notes, against a local server",
    ),
    fetch=fetch,
    replaces_earlier=True,
)
