"""A landed file of GitHub to staged rows: which report it is, is told by its columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.github_copilot.reports import parse_report
from usage_etl.sources.github_copilot.requests_used import parse_requests_used
from usage_etl.sources.github_copilot.seats import parse_activity_report, parse_seat_pages
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.plain import open_plain
from usage_etl.sources.reading.text_tables import read_tables

USAGE_REPORT = "usage_report"
METERED_REPORT = "metered_report"
SEATS = "seats"
PARSER_VERSION = "1"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file. Raises UnreadableDeliveryError."""
    with open_plain(path, context.source) as stream:
        start = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"{", b"[")):
        return parse_seat_pages(path, context)
    names = {name.strip().lower() for name in next(read_tables(path, context.source)).frame.columns}
    if "requests used" in names:
        return parse_requests_used(path, context)
    if {"login", "report_time"} <= names or "last_activity_at" in names:
        return parse_activity_report(path, context)
    if {"sku", "quantity", "net_amount"} <= names:
        return parse_report(path, context, has_models="model" in names)
    raise UnreadableDeliveryError(
        context.source,
        "not a report of GitHub that is read; these are: the premium request or AI usage report, the metered usage report, "
        "the activity report of seats, and answers of the seats endpoint",
    )
