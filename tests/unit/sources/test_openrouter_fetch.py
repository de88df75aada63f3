"""OpenRouter is asked for each completed day it still keeps, once, and again while the day may change."""

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sources.bill_files import parsed
from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.page_server import QUICK, PageServer, Query, Reply, json_reply, serving
from tests.unit.sources.test_openrouter_activity import activity, number
from usage_etl.config import SecretRef
from usage_etl.errors import SourceError
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.openrouter.fetch import days_to_ask, fetch
from usage_etl.sources.openrouter.settings import OpenRouterSettings

KEY = "sk-or-management"
TODAY = dt.date(2026, 10, 31)


@pytest.fixture
def rows() -> dict[str, list[Any]]:
    """Rows by day; a day that is not listed has one."""
    return {}


@pytest.fixture
def server(rows: dict[str, list[Any]]) -> Iterator[PageServer]:
    def answer(path: str, query: Query) -> Reply:
        assert path == "/api/v1/activity"
        day = query["date"][0]
        return json_reply({"data": rows.get(day, [activity(date=day)])})

    with serving(answer) as found:
        yield found


def pulled(server: PageServer, known: frozenset[tuple[str, str]] = frozenset(), **changes: Any) -> list[FetchedObject]:
    made = {"name": "or", "kind": "openrouter", "base_url": server.url, "api_key": SecretRef(env="KEY"), "trailing_days": 2}
    context = fetch_context(KEY, start_date=dt.date(2026, 10, 28), known=known)
    return list(fetch(OpenRouterSettings(**made | changes), context, policy=QUICK))


def marks(found: list[FetchedObject]) -> frozenset[tuple[str, str]]:
    return frozenset((one.origin_key, one.origin_version) for one in found)


def test_each_completed_day_is_asked_by_itself(server: PageServer) -> None:
    found = pulled(server)
    assert [one.origin_key for one in found] == [f"api/activity/2026-10-{day}" for day in (28, 29, 30)]
    assert [request.query for request in server.requests] == [{"date": [f"2026-10-{day}"]} for day in (28, 29, 30)]
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


def test_an_answer_is_landed_as_received_and_read_back(server: PageServer, rows: dict[str, list[Any]], tmp_path: Path) -> None:
    rows["2026-10-28"] = []
    path = tmp_path / "landed.jsonl"
    for one in pulled(server):
        one.save(path)
        outcome = parsed("openrouter", path)
        assert [str(bucket.day) for bucket in outcome.covered] == [one.origin_key.rpartition("/")[2]] * 2
        assert KEY.encode() not in path.read_bytes()


def test_landed_days_are_asked_again_while_they_may_change(server: PageServer, rows: dict[str, list[Any]]) -> None:
    known = marks(pulled(server))
    server.requests.clear()
    assert pulled(server, known) == []
    assert [request.query["date"] for request in server.requests] == [["2026-10-29"], ["2026-10-30"]]
    rows["2026-10-30"] = [activity(date="2026-10-30", usage=number("2"))]
    assert [one.origin_key for one in pulled(server, known)] == ["api/activity/2026-10-30"]


def test_an_answer_that_returns_to_an_older_state_is_landed_again(server: PageServer, rows: dict[str, list[Any]]) -> None:
    first = pulled(server)
    changed = [("api/activity/2026-10-30", "2026-10-31T23:00:00Z-other")]
    again = pulled(server, marks(first) | frozenset(changed))
    assert [one.origin_key for one in again] == ["api/activity/2026-10-30"]


def test_days_that_are_no_longer_kept_are_not_asked_and_named(server: PageServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = pulled(server, start_date=dt.date(2026, 9, 1))
    assert found[0].origin_key == "api/activity/2026-10-01"
    assert "days_no_longer_kept_by_openrouter=30 first=2026-09-01 last=2026-09-30" in caplog.text


def test_the_running_day_is_never_asked() -> None:
    days = days_to_ask((), first_day=dt.date(2026, 1, 1), today=TODAY, trailing_days=7)
    assert (days[0], days[-1], len(days)) == (dt.date(2026, 10, 1), dt.date(2026, 10, 30), 30)
    assert days_to_ask(days, first_day=days[0], today=TODAY, trailing_days=0) == []
    assert days_to_ask((), first_day=TODAY, today=TODAY, trailing_days=7) == []


def test_an_answer_about_other_days_is_an_error(server: PageServer, rows: dict[str, list[Any]]) -> None:
    rows["2026-10-28"] = [activity(date="2026-10-28"), activity(date="2026-10-27")]
    with pytest.raises(SourceError, match="other days too \\(2026-10-27\\)"):
        pulled(server)


def test_a_key_that_may_not_read_activity_is_advised(server: PageServer) -> None:
    server.queue.append(Reply(status=403, body=b"{}"))
    with pytest.raises(SourceError, match="management key") as raised:
        pulled(server)
    assert KEY not in str(raised.value)
