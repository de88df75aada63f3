"""The sources that can be configured: by kind, how each is fetched and parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from usage_etl.schemas.contract import Table
from usage_etl.schemas.staged import BILLING_CHARGES_QUARANTINE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.anthropic import fetch as anthropic_fetch
from usage_etl.sources.anthropic import parse as anthropic_parse
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.litellm import parse as litellm_parse
from usage_etl.sources.openai import fetch as openai_fetch
from usage_etl.sources.openai import parse as openai_parse
from usage_etl.sources.parsed import Parser

Fetch = Callable[..., Iterator[FetchedObject]]
"""``fetch(settings, *, api_key, start_date, known, today, pulled_at)``: what an API has that is not landed yet."""


@dataclass(frozen=True)
class Source:
    """One kind of source. Folders and buckets are listed by ``folder.list_objects``; ``fetch`` asks the provider's API."""

    kind: str
    parse: Parser
    parser_version: str
    fetch: Fetch | None
    """None where there is no API to ask: the source is a folder or bucket."""
    quarantine_tables: tuple[Table, ...]
    datasets: tuple[str, ...]
    """What its objects hold."""
    replaces_earlier: bool
    """Whether later deliveries replace the buckets of earlier ones, so that old bytes that come back count again."""


SOURCES: Mapping[str, Source] = {
    source.kind: source
    for source in (
        Source(
            kind="litellm",
            parse=litellm_parse.parse,
            parser_version=litellm_parse.PARSER_VERSION,
            fetch=None,
            quarantine_tables=(USAGE_EVENTS_QUARANTINE,),
            datasets=(litellm_parse.SPEND_LOGS,),
            replaces_earlier=False,
        ),
        Source(
            kind="openai",
            parse=openai_parse.parse,
            parser_version=openai_parse.PARSER_VERSION,
            fetch=openai_fetch.fetch,
            quarantine_tables=(BILLING_CHARGES_QUARANTINE, USAGE_EVENTS_QUARANTINE),
            datasets=(openai_parse.COSTS, openai_parse.COMPLETIONS_USAGE),
            replaces_earlier=True,
        ),
        Source(
            kind="anthropic",
            parse=anthropic_parse.parse,
            parser_version=anthropic_parse.PARSER_VERSION,
            fetch=anthropic_fetch.fetch,
            quarantine_tables=(BILLING_CHARGES_QUARANTINE, USAGE_EVENTS_QUARANTINE),
            datasets=(anthropic_parse.COST_REPORT, anthropic_parse.MESSAGES_USAGE),
            replaces_earlier=True,
        ),
    )
}
"""Kind, as in the settings file, to source."""
