"""OpenAI's reports are asked as its reference says, landed as received, and read back by the parser."""

import datetime as dt
import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.page_server import QUICK, PageServer, Query, Reply, ReportSite, serving
from tests.unit.sources.report_pages import CONTEXT, openai_bucket, openai_cost, openai_page, openai_usage, read
from usage_etl.config import SecretRef
from usage_etl.errors import SourceError
from usage_etl.money import exact_sum
from usage_etl.periods import day_start
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.openai.fetch import ENDPOINTS, fetch
from usage_etl.sources.openai.parse import parse
from usage_etl.sources.openai.settings import OpenAISettings

KEY = "sk-admin-test"
TODAY = dt.date(2026, 10, 31)


def day_of(seconds: str) -> dt.date:
    return dt.datetime.fromtimestamp(int(seconds), tz=dt.UTC).date()


def rows(path: str, on: dt.date) -> list[Any]:
    if on.weekday() == 6:
        return []
    if path.endswith("/costs"):
        return [openai_cost(f"0.{on.day:02d}0000000000000001"), openai_cost("-1e-06", "Credit")]
    if path.endswith("/completions"):
        return [openai_usage(), openai_usage(model="gpt-6-astra")]
    return []


def bucket(on: dt.date, results: list[Any]) -> dict[str, Any]:
    start = int(day_start(on).timestamp())
    return openai_bucket(*results, start=start, end=start + 86_400)


def window(query: Query) -> tuple[dt.date, dt.date]:
    return day_of(query["start_time"][0]), day_of(query["end_time"][0])


@pytest.fixture
def server() -> Iterator[PageServer]:
    site = ReportSite(rows, bucket, lambda buckets, token: openai_page(*buckets, next_page=token), window)
    with serving(site) as found:
        yield found


def fetched(server: PageServer, known: frozenset[tuple[str, str]] = frozenset(), **fields: Any) -> list[FetchedObject]:
    settings = OpenAISettings(
        name="openai", kind="openai", base_url=server.url, api_key=SecretRef(env="KEY"), trailing_days=3, **fields
    )
    return list(
        fetch(
            settings,
            fetch_context(
                KEY, start_date=dt.date(2026, 9, 1), known=known, pulled_at=dt.datetime(2026, 10, 31, 6, tzinfo=dt.UTC)
            ),
            policy=QUICK,
        )
    )


def test_all_reports_are_asked_with_all_their_dimensions(server: PageServer) -> None:
    fetched(server)
    asked = {request.path: request for request in reversed(server.requests)}
    costs, usage = asked["/v1/organization/costs"], asked["/v1/organization/usage/completions"]
    assert costs.query == {
        "bucket_width": ["1d"],
        "limit": ["180"],
        "group_by[]": ["project_id", "line_item", "api_key_id"],
        "start_time": [str(int(day_start(dt.date(2026, 9, 1)).timestamp()))],
        "end_time": [str(int(day_start(dt.date(2026, 10, 1)).timestamp()))],
    }
    assert usage.query["limit"] == ["31"]
    assert usage.query["group_by[]"] == ["project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source"]
    assert asked["/v1/organization/usage/images"].query["group_by[]"][-2:] == ["size", "source"]
    assert set(asked) == {endpoint.path for endpoint in ENDPOINTS}
    assert len(asked) == 12
    assert costs.headers["authorization"] == f"Bearer {KEY}"


def test_what_is_fetched_parses_to_the_last_digit(server: PageServer, tmp_path: Path) -> None:
    charged, requests_count, days = Decimal(0), 0, set()
    for number, found in enumerate(fetched(server)):
        path = tmp_path / f"{number}.jsonl"
        found.save(path)
        parsed = read(parse, path, CONTEXT)
        assert parsed.reasons == []
        charged += exact_sum(parsed.charges["billed_cost"])
        requests_count += int(parsed.usage["requests_count"].sum())
        days |= {(found.dataset, bucket.day) for bucket in parsed.covered}
    september = [dt.date(2026, 9, 1) + dt.timedelta(days=offset) for offset in range(61)]
    working = [on for on in september if on.weekday() != 6]
    assert charged == sum((Decimal(f"0.{on.day:02d}0000000000000001") - Decimal("0.000001") for on in working), Decimal(0))
    assert requests_count == 16 * len(working)
    assert days == {(endpoint.dataset, on) for endpoint in ENDPOINTS for on in september}


def test_reports_that_are_left_out_are_not_asked(server: PageServer) -> None:
    left_out = ("usage_vector_stores", "usage_decisions", "costs")
    assert {found.dataset for found in fetched(server, leave_out=left_out)} == {
        endpoint.dataset for endpoint in ENDPOINTS if endpoint.dataset not in left_out
    }


def test_an_organization_without_decisions_is_pulled_all_the_same(server: PageServer, caplog: pytest.LogCaptureFixture) -> None:
    pages = server.answer
    server.answer = lambda path, query: Reply(404) if path.endswith("/decisions") else pages(path, query)
    with caplog.at_level(logging.WARNING):
        datasets = {found.dataset for found in fetched(server)}
    assert datasets == {endpoint.dataset for endpoint in ENDPOINTS} - {"usage_decisions"}
    assert "dataset=usage_decisions is_absent=1" in caplog.text
    server.answer = lambda path, query: Reply(403) if path.endswith("/decisions") else pages(path, query)
    with pytest.raises(SourceError, match="may not read usage"):
        fetched(server)
    server.answer = lambda path, query: Reply(404) if path.endswith("/embeddings") else pages(path, query)
    with pytest.raises(SourceError, match="there is no such report"):
        fetched(server)


def test_a_second_fetch_without_changes_lands_nothing(server: PageServer) -> None:
    known = frozenset((found.origin_key, found.origin_version) for found in fetched(server))
    assert fetched(server, known) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_kind_of_key_and_its_scope(server: PageServer, status: int) -> None:
    server.queue.append(Reply(status, b'{"error": {"message": "Incorrect API key provided: sk-admin-test"}}'))
    with pytest.raises(SourceError, match=r"Admin key \(sk-admin-\.\.\.\).*api\.usage\.read") as caught:
        fetched(server)
    assert KEY not in str(caught.value)
    assert caught.value.is_permanent
