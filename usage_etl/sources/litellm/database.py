"""Reads LiteLLM's PostgreSQL database as a considerate guest: read-only, in short transactions, a few rows at a time.

Requests are read by windows of ``startTime``, which is indexed and never changes, and not by ``updated_at``: a row that is
committed late carries an older ``updated_at`` and would be passed over by a reader that remembers how far it came. Instead
each window has a mark of what it holds (its rows' ids, versions and amounts); windows of the trailing days whose mark
differs from the landed one are read again whole. So nothing is missed and nothing unchanged is landed twice, and a run that
breaks off goes on where it stopped. Prompts, responses and addresses are not selected.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from backports import zstd

from usage_etl.periods import day_start
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.litellm.connection import Database
from usage_etl.sources.litellm.exports import DAILY_TABLES, SPEND_LOGS_TABLE, Export, daily_export, spend_logs_export
from usage_etl.sources.litellm.settings import LiteLLMSettings
from usage_etl.sources.litellm.windows import Landed, Span, spans_to_check
from usage_etl.sources.source import FetchContext

_log = logging.getLogger(__name__)

_ORIGIN = "database"
_DAY = dt.timedelta(days=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def fetch_database(settings: LiteLLMSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Windows of requests and days of sums that are not landed as they are now, oldest first.

    Raises SourceError, or TransientSourceError where the database does not answer.
    """
    assert settings.database is not None, "the settings demand a location or a database"
    database = Database(
        context.read_secret(settings.database),
        source=settings.name,
        schema=settings.database_schema,
        fetch_rows=settings.fetch_rows,
        statement_timeout_s=settings.statement_timeout_s,
    )
    first_day = settings.start_date or context.start_date
    window = dt.timedelta(hours=settings.window_hours)
    requests = spend_logs_export(database.columns(SPEND_LOGS_TABLE), schema=settings.database_schema, source=settings.name)
    yield from _changed(database, requests, settings, context, first_day=first_day, window=window)
    if settings.daily_spend is not None:
        table = DAILY_TABLES[settings.daily_spend]
        if columns := database.columns(table):
            sums = daily_export(table, columns, schema=settings.database_schema, source=settings.name)
            yield from _changed(database, sums, settings, context, first_day=first_day, window=_DAY)
        else:
            _log.info("source=%s table=%s absent=1", settings.name, table)


def _changed(
    database: Database,
    export: Export,
    settings: LiteLLMSettings,
    context: FetchContext,
    *,
    first_day: dt.date,
    window: dt.timedelta,
) -> Iterator[FetchedObject]:
    """Windows of one table whose mark is not the landed one. Days are asked for one by one: no statement is long."""
    prefix = f"{_ORIGIN}/{export.dataset}/"
    landed = Landed.of(prefix, context.known)
    spans = spans_to_check(landed, first_day=first_day, trailing_days=settings.trailing_days, pulled_at=context.pulled_at)
    for span in spans:
        for start, mark in _marks(database, export, span, context.pulled_at, window):
            key = f"{prefix}{start:%Y-%m-%dT%H:%M}Z-{window // dt.timedelta(hours=1)}h.jsonl.zst"
            if landed.mark(key) != mark:
                read = partial(_write, database, export, start, start + window)
                yield FetchedObject(export.dataset, key, f"{context.pulled_at:%Y-%m-%dT%H:%M:%SZ}-{mark}", read)


def _marks(
    database: Database, export: Export, span: Span, pulled_at: dt.datetime, window: dt.timedelta
) -> Iterator[tuple[dt.datetime, str]]:
    """Start and mark of each window of the span that holds rows."""
    with database.transaction() as connection:
        least, most = connection.execute(export.extent(span.start, span.end)).one()
    if least is None:
        return
    first, last = (day_start(export.day_of(at)) for at in (least, most))
    future = day_start(pulled_at.date()) + 2 * _DAY
    while first <= min(last, future):
        yield from _marks_between(database, export, first, first + _DAY, window)
        first += _DAY
    if first <= last:
        yield from _marks_between(database, export, first, span.end, window)


def _marks_between(
    database: Database, export: Export, start: dt.datetime, end: dt.datetime, window: dt.timedelta
) -> list[tuple[dt.datetime, str]]:
    with database.transaction() as connection:
        rows = connection.execute(export.marks(start, end, window)).all()
    return [(_EPOCH + number * window, f"{count}-{int(digest) & (2**64 - 1):016x}") for number, count, digest in rows]


def _write(database: Database, export: Export, start: dt.datetime, end: dt.datetime, target: Path) -> None:
    """The rows of one window as JSON lines, zstd: what the documented export writes."""
    with zstd.open(target, "wb", level=3) as lines:
        for texts in database.stream(export.lines(start, end)):
            lines.write("".join(f"{export.cleaned(text)}\n" for text in texts).encode())
