"""A pull asks for what is missing and for the trailing window, follows pages to the end, and lands changes only."""

import dataclasses
import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sources.page_server import QUICK, PageServer, Query, Reply, ReportSite, json_reply, serving
from tests.unit.sources.report_pages import number
from usage_etl.errors import SourceError
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.http import JsonApi
from usage_etl.sources.fetching.pulls import Chunk, Endpoint, chunks_to_pull, pull
from usage_etl.sources.reading.exact_json import dumps

START = dt.date(2026, 8, 1)
TODAY = dt.date(2026, 11, 20)
Known = set[tuple[str, str]]


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def chunks(landed: Mapping[Chunk, str] | None = None, **fields: Any) -> list[str]:
    options = {"start_date": START, "trailing_days": 7, "today": TODAY, **fields}
    return [str(chunk) for chunk in chunks_to_pull(landed or {}, **options)]


def landed(*names: str, on: str) -> dict[Chunk, str]:
    return {Chunk(*map(day, name.split(".."))): f"{on}T06:00:00Z-abc" for name in names}


FIRST_PULL = [
    "2026-08-01..2026-08-31",
    "2026-09-01..2026-09-30",
    "2026-10-01..2026-10-31",
    "2026-11-01..2026-11-01",
    "2026-11-02..2026-11-08",
    "2026-11-09..2026-11-15",
    "2026-11-16..2026-11-22",
]


def test_the_first_pull_takes_months_then_weeks_up_to_today() -> None:
    assert chunks() == FIRST_PULL


def test_a_daily_pull_takes_the_weeks_of_the_trailing_window() -> None:
    assert chunks(landed(*FIRST_PULL, on="2026-11-20")) == FIRST_PULL[-2:]
    assert chunks(landed(*FIRST_PULL, on="2026-11-20"), trailing_days=0) == FIRST_PULL[-1:]


def test_the_window_reaches_back_from_the_last_pull_so_an_outage_leaves_no_hole() -> None:
    found = chunks(landed(*FIRST_PULL, on="2026-11-20"), today=day("2026-12-20"))
    assert found == [
        "2026-11-01..2026-11-30",
        "2026-12-01..2026-12-06",
        "2026-12-07..2026-12-13",
        "2026-12-14..2026-12-20",
    ]


def test_a_pull_that_broke_off_goes_on_with_what_was_never_landed() -> None:
    assert chunks(landed("2026-08-01..2026-08-31", on="2026-11-20")) == FIRST_PULL[1:]


def test_a_day_that_its_chunk_names_but_the_pull_did_not_reach_counts_as_never_pulled() -> None:
    weeks = landed(*FIRST_PULL[:-1], on="2026-11-10")
    assert "2026-11-09..2026-11-15" in chunks(weeks, trailing_days=0)


def test_an_earlier_start_date_is_filled_in() -> None:
    found = chunks(landed(*FIRST_PULL, on="2026-11-20"), start_date=day("2026-06-15"))
    assert found == ["2026-06-01..2026-06-30", "2026-07-01..2026-07-31", *FIRST_PULL[-2:]]


def test_a_start_date_in_the_future_asks_for_nothing() -> None:
    assert chunks(start_date=day("2026-12-01")) == []


@given(
    st.dates(dt.date(2025, 1, 1), dt.date(2026, 12, 31)),
    st.integers(0, 200),
    st.integers(0, 60),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_after_a_pull_every_day_since_the_start_was_pulled_once_and_the_window_today(
    today: dt.date, age: int, trailing_days: int, pauses: list[int]
) -> None:
    start = today - dt.timedelta(days=age)
    state: dict[Chunk, str] = {}
    pulled_on: dict[dt.date, dt.date] = {}
    for pause in [0, *pauses]:
        today += dt.timedelta(days=pause)
        asked = chunks_to_pull(state, start_date=start, trailing_days=trailing_days, today=today)
        days = [
            chunk.first_day + dt.timedelta(days=offset)
            for chunk in asked
            for offset in range((min(chunk.last_day, today) - chunk.first_day).days + 1)
        ]
        assert len(days) == len(set(days))
        pulled_on |= dict.fromkeys(days, today)
        state |= dict.fromkeys(asked, f"{today}T06:00:00Z-abc")
    wanted = [start + dt.timedelta(days=offset) for offset in range((today - start).days + 1)]
    assert set(wanted) <= set(pulled_on)
    for one in wanted:
        assert pulled_on[one] >= min(today, one + dt.timedelta(days=trailing_days))


def bucket_day(bucket: Mapping[str, Any]) -> dt.date | None:
    return day(bucket["day"])


ENDPOINT = Endpoint(
    dataset="costs",
    path="/v1/costs",
    parameters=(("limit", "31"),),
    window=lambda first, end: (("from", str(first)), ("to", str(end))),
    bucket_day=bucket_day,
)


@pytest.fixture
def site() -> ReportSite:
    return ReportSite(
        rows=lambda path, on: [{"amount": number(f"{on.day}.50")}, {"amount": number("1e-06")}],
        make_bucket=lambda on, rows: {"day": str(on), "results": rows},
        make_page=lambda buckets, token: {"data": buckets, "has_more": token is not None, "next_page": token},
        window=lambda query: (day(query["from"][0]), day(query["to"][0])),
    )


@pytest.fixture
def server(site: ReportSite) -> Iterator[PageServer]:
    with serving(site) as found:
        yield found


def pulled(server: PageServer, known: Known | None = None, **fields: Any) -> list[FetchedObject]:
    options = {
        "start_date": day("2026-11-01"),
        "trailing_days": 7,
        "today": TODAY,
        "pulled_at": dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC),
        **fields,
    }
    with JsonApi(source="bills", base_url=server.url, headers={}, secret="x", advice={}, policy=QUICK) as api:
        return list(pull(api, [ENDPOINT], source="bills", known=known or set(), **options))


def remembered(objects: list[FetchedObject], known: Known | None = None) -> Known:
    return (known or set()) | {(found.origin_key, found.origin_version) for found in objects}


def lines(found: FetchedObject) -> list[Any]:
    assert isinstance(found.content, bytes)
    return [json.loads(line) for line in found.content.splitlines()]


def test_every_page_of_a_chunk_is_landed_as_received(server: PageServer) -> None:
    found = {one.origin_key: one for one in pulled(server)}
    assert list(found) == [f"api/costs/{name}" for name in FIRST_PULL[3:]]
    week = found["api/costs/2026-11-09..2026-11-15"]
    head, *pages = lines(week)
    assert [len(page["data"]) for page in pages] == [5, 2]
    assert head["usage_etl_pull"] == {
        "version": 1,
        "dataset": "costs",
        "endpoint": "/v1/costs",
        "parameters": [["limit", "31"]],
        "first_day": "2026-11-09",
        "last_day": "2026-11-15",
        "pulled_at": "2026-11-20T06:00:00Z",
    }
    assert isinstance(week.content, bytes)
    assert b'"amount":9.50' in week.content
    assert b'"amount":1e-06' in week.content
    assert week.origin_version.startswith("2026-11-20T06:00:00Z-")


def test_the_running_week_is_asked_up_to_today_and_not_before_the_start(server: PageServer) -> None:
    pulled(server, start_date=day("2026-11-18"))
    assert [(asked.query["from"], asked.query["to"]) for asked in server.requests] == [(["2026-11-18"], ["2026-11-21"])]


def test_an_unchanged_answer_is_not_landed_again(server: PageServer) -> None:
    known = remembered(pulled(server))
    later = dt.datetime(2026, 11, 20, 18, tzinfo=dt.UTC)
    assert pulled(server, known, pulled_at=later) == []


def test_other_paging_and_another_order_of_rows_are_no_change(server: PageServer, site: ReportSite) -> None:
    known = remembered(pulled(server))
    rows = site.rows
    site.rows = lambda path, on: rows(path, on)[::-1]
    site.days_per_page = 3
    assert pulled(server, known) == []


def test_a_changed_answer_is_landed_and_so_is_the_return_to_an_older_one(server: PageServer, site: ReportSite) -> None:
    rows = site.rows
    known = remembered(pulled(server))
    changes: list[Callable[[str, dt.date], list[Any]]] = [
        lambda path, on: [] if on == TODAY else rows(path, on),
        lambda path, on: [*rows(path, on), *rows(path, on)][: 3 if on == TODAY else 2],
        rows,
    ]
    for hour, change in enumerate(changes, 7):
        site.rows = change
        found = pulled(server, known, pulled_at=dt.datetime(2026, 11, 20, hour, tzinfo=dt.UTC))
        assert [one.origin_key for one in found] == ["api/costs/2026-11-16..2026-11-22"]
        known = remembered(found, known)


def test_the_same_answer_pulled_at_another_time_has_other_bytes(server: PageServer) -> None:
    first, second = (
        pulled(server, start_date=TODAY, pulled_at=dt.datetime(2026, 11, 20, hour, tzinfo=dt.UTC))[0] for hour in (6, 7)
    )
    assert first.content != second.content
    assert first.origin_version[-16:] == second.origin_version[-16:]


def test_only_the_newest_landed_version_of_a_chunk_is_compared(server: PageServer) -> None:
    newest = remembered(pulled(server, start_date=TODAY))
    stale = {(key, f"2026-11-{number:02d}T06:00:00Z-{version[-16:][::-1]}") for key, version in newest for number in range(1, 20)}
    assert pulled(server, newest | stale, start_date=TODAY) == []
    (key, version), *_ = newest
    older = {(key, f"2026-11-{number:02d}T06:00:00Z-{version[-16:]}") for number in range(1, 20)}
    changed = {(key, "2026-11-20T05:00:00Z-0123456789abcdef")}
    assert len(pulled(server, older | changed, start_date=TODAY)) == 1


def test_keys_of_other_reports_and_folders_are_not_ours(server: PageServer) -> None:
    foreign = {("api/usage/2026-11-01..2026-11-22", "2026-11-20T06:00:00Z-abc"), ("pages/api/costs.json", "1-2")}
    assert len(pulled(server, foreign)) == 4


def test_days_without_a_bucket_are_named_in_the_log(server: PageServer, caplog: pytest.LogCaptureFixture) -> None:
    server.queue.append(json_reply({"data": [{"day": "2026-11-18", "results": []}], "has_more": False, "next_page": None}))
    with caplog.at_level(logging.WARNING):
        assert len(pulled(server, start_date=day("2026-11-18"))) == 1
    assert "days_without_bucket=2026-11-19,2026-11-20" in caplog.text


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ({"data": [], "has_more": True, "next_page": None}, "names no next page"),
        ({"data": [], "has_more": True, "next_page": ""}, "names no next page"),
        ({"data": [], "has_more": True}, "names no next page"),
        ({"data": [], "has_more": True, "next_page": "again"}, "names a page again"),
        ({"data": []}, "no page of buckets"),
        ({"has_more": False}, "no page of buckets"),
        ({"data": {}, "has_more": False}, "no page of buckets"),
    ],
)
def test_paging_that_does_not_hold_together_lands_nothing(server: PageServer, page: dict[str, Any], message: str) -> None:
    server.queue.extend([json_reply(page)] * 3)
    with pytest.raises(SourceError, match=message):
        pulled(server, start_date=TODAY)


def test_paging_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage_etl.sources.fetching.pulls.PAGES_LIMIT", 7)

    def endless(path: str, query: Query) -> Reply:
        token = str(int(query.get("page", ["0"])[0]) + 1)
        return json_reply({"data": [], "has_more": True, "next_page": token})

    with serving(endless) as server, pytest.raises(SourceError, match="gave 7 pages and still has more"):
        pulled(server, start_date=TODAY)


def test_chunks_before_a_failure_were_handed_over(server: PageServer) -> None:
    with JsonApi(source="bills", base_url=server.url, headers={}, secret="x", advice={}, policy=QUICK) as api:
        objects = pull(
            api,
            [ENDPOINT],
            source="bills",
            known=set(),
            start_date=START,
            trailing_days=7,
            today=TODAY,
            pulled_at=dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        )
        assert next(objects).origin_key == "api/costs/2026-08-01..2026-08-31"
        server.queue.append(Reply(403, dumps({"error": "no"}).encode()))
        with pytest.raises(SourceError):
            next(objects)


def test_a_report_that_names_only_its_next_page_is_followed_to_the_end(server: PageServer) -> None:
    server.queue.append(json_reply({"data": [{"day": "2026-11-18", "results": []}], "next_page": "b"}))
    server.queue.append(json_reply({"data": [{"day": "2026-11-19", "results": []}], "next_page": None}))
    found = pulled(server, start_date=day("2026-11-18"))
    assert [len(page["data"]) for page in lines(found[0])[1:]] == [1, 1]
    assert [request.query.get("page") for request in server.requests] == [None, ["b"]]


def test_days_beyond_the_bounds_of_a_report_are_not_asked(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded = dataclasses.replace(ENDPOINT, first_day=day("2026-11-04"), last_day=day("2026-11-12"), headers=(("x-beta", "1"),))
    monkeypatch.setitem(globals(), "ENDPOINT", bounded)
    found = pulled(server)
    assert [request.query["from"] + request.query["to"] for request in server.requests if "page" not in request.query] == [
        ["2026-11-04", "2026-11-09"],
        ["2026-11-09", "2026-11-13"],
    ]
    assert {request.headers["x-beta"] for request in server.requests} == {"1"}
    server.requests.clear()
    assert pulled(server, remembered(found), today=day("2026-12-20"), trailing_days=3) == []
    assert server.requests == []
