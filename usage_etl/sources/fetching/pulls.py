"""Pulls bucketed reports over HTTP: which days, in which chunks, page by page, as landed objects.

Days that were never pulled are asked for, and a trailing window before the last pull again, because providers restate.
A chunk is a whole calendar month once the month lies before the window, else a Monday-to-Sunday week cut at the month's
ends: stable names, so that an answer can be compared with the last one of the same chunk. A landed object is one line
that says what was asked and when, then one line per page body as received. An answer whose buckets are those of the
last landed one is not handed over again; one that returns to an older state is.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from usage_etl.errors import RefusedRequestError, SourceError
from usage_etl.keys import sha256_hex
from usage_etl.periods import Month, days_between
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.http import Answer, JsonApi
from usage_etl.sources.reading.exact_json import dumps
from usage_etl.sources.reading.pages import page_line, pull_line

_log = logging.getLogger(__name__)

PAGES_LIMIT = 500
"""Pages of one chunk; more means that paging does not end."""

_ORIGIN = "api"


@dataclass(frozen=True, order=True)
class Chunk:
    """Days of one request, both ends included."""

    first_day: dt.date
    last_day: dt.date

    def __str__(self) -> str:
        return f"{self.first_day}..{self.last_day}"


@dataclass(frozen=True)
class Endpoint:
    """One report: where it is and how it is asked."""

    dataset: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    window: Callable[[dt.date, dt.date], tuple[tuple[str, str], ...]]
    """Parameters that ask for the days from the first, included, to the second, excluded."""
    bucket_day: Callable[[Mapping[str, Any]], dt.date | None]
    """Day that a bucket, or a flat row's bucket, of the answer begins on."""
    headers: tuple[tuple[str, str], ...] = ()
    """Request headers besides those of every request."""
    has_empty_buckets: bool = True
    """Whether the answer names days without data too; one of flat rows does not."""
    first_day: dt.date = dt.date.min
    """Earlier days cannot be asked for."""
    last_day: dt.date = dt.date.max
    """Later days are asked of another report."""
    may_be_absent: bool = False
    """Whether some accounts do not have the report: then a 404 is noted, and the other reports are pulled."""


def pull(
    api: JsonApi,
    endpoints: Iterable[Endpoint],
    *,
    source: str,
    known: Collection[tuple[str, str]],
    start_date: dt.date,
    trailing_days: int,
    today: dt.date,
    pulled_at: dt.datetime,
) -> Iterator[FetchedObject]:
    """Objects that changed since they were last landed, oldest days first. Raises SourceError.

    ``known`` has the (origin key, origin version) of everything landed before. The running day is pulled too.
    """
    for endpoint in endpoints:
        first_day, last_day = max(start_date, endpoint.first_day), min(today, endpoint.last_day)
        landed = landed_versions(endpoint.dataset, known)
        chunks = chunks_to_pull(
            landed, start_date=first_day, trailing_days=trailing_days, today=today, last_day=endpoint.last_day
        )
        try:
            for chunk in chunks:
                asked = Chunk(max(chunk.first_day, first_day), min(chunk.last_day, last_day))
                yield from _changed(api, endpoint, asked, source=source, chunk=chunk, landed=landed, pulled_at=pulled_at)
        except RefusedRequestError as error:
            if not (endpoint.may_be_absent and error.status == httpx.codes.NOT_FOUND):
                raise
            _log.warning("source=%s dataset=%s is_absent=1 answer=%r", source, endpoint.dataset, str(error))


def _changed(
    api: JsonApi,
    endpoint: Endpoint,
    asked: Chunk,
    *,
    source: str,
    chunk: Chunk,
    landed: Mapping[Chunk, str],
    pulled_at: dt.datetime,
) -> Iterator[FetchedObject]:
    """The answer for the days ``asked`` of ``chunk``, unless it says what the last landed one said."""
    pages = list(_pages(api, endpoint, source, asked))
    if endpoint.has_empty_buckets:
        _log_missing_days(endpoint, source, pages, asked)
    content_mark = _content_mark(pages)
    if landed.get(chunk, "").endswith(content_mark):
        _log.info("source=%s dataset=%s chunk=%s unchanged=1", source, endpoint.dataset, chunk)
        return
    yield FetchedObject(
        dataset=endpoint.dataset,
        origin_key=f"{_ORIGIN}/{endpoint.dataset}/{chunk}",
        origin_version=f"{_instant(pulled_at)}-{content_mark}",
        content=_envelope(endpoint, asked, pulled_at, pages),
    )


def chunks_to_pull(
    landed: Mapping[Chunk, str],
    *,
    start_date: dt.date,
    trailing_days: int,
    today: dt.date,
    last_day: dt.date = dt.date.max,
) -> list[Chunk]:
    """Chunks with a day never pulled, or one of the ``trailing_days`` before the last pull or after it.

    Days run up to ``today``, or ``last_day`` where that is earlier. ``landed`` has the newest landed version of each chunk.
    """
    trailing = dt.timedelta(days=trailing_days)
    last_pull = min(today, max(map(_version_day, landed.values()), default=today))
    seen = {
        day for chunk, version in landed.items() for day in _days(chunk.first_day, min(chunk.last_day, _version_day(version)))
    }
    days = _days(start_date, min(today, last_day))
    wanted = {day for day in days if day >= last_pull - trailing or day not in seen}
    return sorted({_chunk_of(day, is_settled=Month.of(day).last_day < today - trailing) for day in wanted})


def _chunk_of(day: dt.date, *, is_settled: bool) -> Chunk:
    """The calendar month of a settled day, else the week, cut at the month's ends."""
    month = Month.of(day)
    if is_settled:
        return Chunk(month.first_day, month.last_day)
    monday = day - dt.timedelta(days=day.weekday())
    return Chunk(max(monday, month.first_day), min(monday + dt.timedelta(days=6), month.last_day))


def _days(first_day: dt.date, last_day: dt.date) -> Iterator[dt.date]:
    return days_between(first_day, last_day + dt.timedelta(days=1))


def landed_versions(dataset: str, known: Collection[tuple[str, str]]) -> dict[Chunk, str]:
    """Newest landed version of each pulled chunk of one report."""
    newest: dict[Chunk, str] = {}
    for origin_key, version in known:
        place, _, name = origin_key.rpartition("/")
        if place == f"{_ORIGIN}/{dataset}":
            first_day, _, last_day = name.partition("..")
            chunk = Chunk(dt.date.fromisoformat(first_day), dt.date.fromisoformat(last_day))
            newest[chunk] = max(version, newest.get(chunk, ""))
    return newest


def _version_day(version: str) -> dt.date:
    """Day on which a version was pulled."""
    return dt.date.fromisoformat(version[:10])


def _pages(api: JsonApi, endpoint: Endpoint, source: str, asked: Chunk) -> Iterator[Answer]:
    """Every page of one chunk. Raises SourceError where the paging does not hold together."""
    parameters = (*endpoint.parameters, *endpoint.window(asked.first_day, asked.last_day + dt.timedelta(days=1)))
    tokens: list[str] = []
    while len(tokens) < PAGES_LIMIT:
        answer = api.get(endpoint.path, [*parameters, *(("page", token) for token in tokens[-1:])], endpoint.headers)
        has_more, token = _more(answer.document)
        if not isinstance(answer.document.get("data"), list) or has_more is None:
            raise SourceError(source, f"GET {endpoint.path} answered no page of buckets; base_url must be the provider's API")
        yield answer
        if not has_more:
            return
        if not isinstance(token, str) or not token or token in tokens:
            fault = "names no next page" if not token else "names a page again that it gave before"
            raise SourceError(source, f"GET {endpoint.path} for {asked} says that it has more and {fault}; nothing was landed")
        tokens.append(token)
    raise SourceError(source, f"GET {endpoint.path} for {asked} gave {PAGES_LIMIT} pages and still has more; nothing was landed")


def _more(page: Mapping[str, Any]) -> tuple[bool | None, Any]:
    """Whether the page has a next one, null where it does not say, and that one's token. Some reports give the token only."""
    has_more, token = page.get("has_more"), page.get("next_page")
    if isinstance(has_more, bool):
        return has_more, token
    return (token is not None if has_more is None and "next_page" in page else None), token


def _log_missing_days(endpoint: Endpoint, source: str, pages: Sequence[Answer], asked: Chunk) -> None:
    """Say which days the answer leaves out; what is stored of them stays."""
    buckets = [bucket for page in pages for bucket in page.document["data"] if isinstance(bucket, dict)]
    missing = sorted(set(_days(asked.first_day, asked.last_day)) - {endpoint.bucket_day(bucket) for bucket in buckets})
    if missing:
        names = ",".join(map(str, missing))
        _log.warning("source=%s dataset=%s chunk=%s days_without_bucket=%s", source, endpoint.dataset, asked, names)


def _content_mark(pages: Sequence[Answer]) -> str:
    """Mark of what the answer says, whatever its paging and the order of rows in a bucket."""
    texts = []
    for bucket in (bucket for page in pages for bucket in page.document["data"]):
        results = bucket.get("results") if isinstance(bucket, dict) else None
        rows = sorted(map(dumps, results)) if isinstance(results, list) else []
        frame = {name: part for name, part in bucket.items() if name != "results"} if rows else bucket
        texts.append("\n".join([dumps(frame), *rows]))
    return sha256_hex("\n\n".join(sorted(texts)).encode())[:16]


def _envelope(endpoint: Endpoint, asked: Chunk, pulled_at: dt.datetime, pages: Sequence[Answer]) -> bytes:
    facts = {
        "version": 1,
        "dataset": endpoint.dataset,
        "endpoint": endpoint.path,
        "parameters": [list(pair) for pair in endpoint.parameters],
        "first_day": str(asked.first_day),
        "last_day": str(asked.last_day),
        "pulled_at": _instant(pulled_at),
    }
    return b"".join(line + b"\n" for line in (pull_line(facts), *(page_line(page.body) for page in pages)))


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
