"""The analytics family is asked where the key may read it, older days of the admin family, and no day of both."""

import datetime as dt
import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sources.analytics_rows import flat_cost, flat_page, flat_usage
from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.page_server import QUICK, PageServer, Query, Reply, json_reply, serving
from tests.unit.sources.report_pages import FIRST_DAY, anthropic_bucket, anthropic_cost, anthropic_page, anthropic_usage, read
from usage_etl.config import SecretRef
from usage_etl.errors import SourceError
from usage_etl.money import exact_sum
from usage_etl.sources.anthropic.fetch import fetch
from usage_etl.sources.anthropic.parse import parse
from usage_etl.sources.anthropic.settings import AnthropicSettings, Family
from usage_etl.sources.fetched import FetchedObject

KEY = "sk-ant-admin-test"
TODAY = dt.date(2026, 10, 31)
FIRST_OF_ALL = dt.date(2025, 12, 15)
ROWS_PER_PAGE = 3
Known = frozenset[tuple[str, str]]


def days_of(query: Query) -> list[dt.date]:
    first, end = (dt.datetime.fromisoformat(query[name][0]).date() for name in ("starting_at", "ending_at"))
    return [first + dt.timedelta(days=offset) for offset in range((end - first).days)]


def flat_rows(path: str, query: Query) -> list[Any]:
    """Two rows a day; none on Sundays."""
    make = (lambda day: flat_cost("50.5", day=day)) if path.endswith("/cost") else (lambda day: flat_usage(day=day))
    days = [(on - FIRST_DAY).days for on in days_of(query) if on.weekday() != 6]
    return [make(day) for day in days for _ in range(2)]


def answer(path: str, query: Query) -> Reply:
    if "/analytics/" in path:
        rows = flat_rows(path, query)
        at = int(query["page"][0]) if "page" in query else 0
        size = min(ROWS_PER_PAGE * 20, int(query["limit"][0]))
        token = str(at + size) if at + size < len(rows) else None
        return json_reply(flat_page(*rows[at : at + size], next_page=token, refreshed_at="2026-10-31T05:00:00Z"))
    result = anthropic_cost("100", token_type="output_tokens") if path.endswith("/cost_report") else anthropic_usage()
    return json_reply(anthropic_page(*(anthropic_bucket(result, day=(on - FIRST_DAY).days) for on in days_of(query))))


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving(answer) as found:
        yield found


def fetched(
    server: PageServer, family: Family = "auto", *, known: Known = frozenset(), today: dt.date = TODAY, **fields: Any
) -> list[FetchedObject]:
    settings = AnthropicSettings(
        name="anthropic",
        kind="anthropic",
        base_url=server.url,
        api_key=SecretRef(env="KEY"),
        start_date=FIRST_OF_ALL,
        family=family,
        **fields,
    )
    pulled_at = dt.datetime.combine(today, dt.time(6), tzinfo=dt.UTC)
    return list(fetch(settings, fetch_context(KEY, known=known, pulled_at=pulled_at), policy=QUICK))


def known(objects: list[FetchedObject], before: Known = frozenset()) -> Known:
    return before | {(found.origin_key, found.origin_version) for found in objects}


def asked_paths(server: PageServer) -> set[str]:
    return {request.path.removeprefix("/v1/organizations/") for request in server.requests}


def test_every_day_is_answered_by_exactly_one_family(server: PageServer, tmp_path: Path) -> None:
    days: dict[str, list[dt.date]] = {}
    charged = Decimal(0)
    for number, found in enumerate(fetched(server)):
        path = tmp_path / f"{number}.jsonl"
        found.save(path)
        parsed = read(parse, path)
        assert parsed.reasons == []
        charged += exact_sum(parsed.charges["billed_cost"])
        unit = "cost" if "cost" in found.dataset else "usage"
        days.setdefault(unit, []).extend(bucket.day for bucket in parsed.covered if bucket.day)
    wanted = [FIRST_OF_ALL + dt.timedelta(days=offset) for offset in range((TODAY - FIRST_OF_ALL).days + 1)]
    assert sorted(days["cost"]) == sorted(days["usage"]) == wanted
    weekdays = [on for on in wanted if on >= dt.date(2026, 1, 1) and on.weekday() != 6]
    assert charged == 17 + len(weekdays) * 2 * Decimal("0.505")
    assert asked_paths(server) == {"cost_report", "usage_report/messages", "analytics/cost", "analytics/usage"}


def test_analytics_reports_are_asked_by_day_with_their_own_header(server: PageServer) -> None:
    fetched(server, "analytics", group_by=("actor", "model", "session_id"))
    costs = next(request for request in server.requests if request.path.endswith("/analytics/cost"))
    assert costs.query["time_bucket_width"] == ["1d"]
    assert costs.query["limit"] == ["1000"]
    assert costs.query["group_by[]"] == ["actor", "model", "session_id", "cost_type", "token_type"]
    assert costs.query["starting_at"] == ["2026-01-01T00:00:00Z"]
    assert costs.headers["anthropic-beta"] == "analytics-usage-cost-2026-08-24"
    betas = {request.headers.get("anthropic-beta") for request in server.requests if "/analytics/" not in request.path}
    assert betas == {None, "fast-mode-2026-02-01"}


def test_a_second_pull_lands_nothing_and_days_that_leave_the_window_are_not_asked_of_the_admin_family(
    server: PageServer,
) -> None:
    landed = known(fetched(server))
    assert fetched(server, known=landed) == []
    server.requests.clear()
    later = fetched(server, known=landed, today=dt.date(2027, 3, 20))
    assert {found.dataset for found in later} == {"analytics_cost", "analytics_usage"}
    assert asked_paths(server) == {"analytics/cost", "analytics/usage"}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_key_that_may_not_read_analytics_is_asked_of_the_admin_family(
    server: PageServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda path, query: Reply(status) if "/analytics/" in path else answer(path, query)
    with caplog.at_level(logging.WARNING):
        assert {found.dataset for found in fetched(server)} == {"cost_report", "usage_messages"}
    assert "family=admin analytics_refused=" in caplog.text
    with pytest.raises(SourceError):
        fetched(server, "analytics")


def test_a_key_that_is_not_accepted_at_all_is_an_error(server: PageServer) -> None:
    server.queue.append(Reply(401))
    with pytest.raises(SourceError, match="is not accepted"):
        fetched(server)


def test_analytics_that_become_readable_take_over_all_days_that_they_know(server: PageServer) -> None:
    landed = known(fetched(server, "admin"))
    objects = fetched(server, known=landed)
    assert {found.dataset for found in objects} == {"analytics_cost", "analytics_usage"}
    assert objects[0].origin_key == "api/analytics_cost/2026-01-01..2026-01-31"


@pytest.mark.parametrize(
    ("family", "paths", "limit"),
    [
        ("enterprise", {"analytics/cost_report", "analytics/usage_report"}, "31"),
        ("enterprise_users", {"analytics/user_cost_report", "analytics/user_usage_report"}, "1000"),
    ],
)
def test_older_analytics_reports_are_asked_where_the_settings_say_so(
    server: PageServer, family: Family, paths: set[str], limit: str
) -> None:
    server.answer = lambda path, query: json_reply(anthropic_page())
    fetched(server, family)
    assert asked_paths(server) == paths
    assert {request.query["limit"][0] for request in server.requests} == {limit}
    assert {request.query["bucket_width"][0] for request in server.requests} == {"1d"}
    assert min(request.query["starting_at"][0] for request in server.requests) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("group_by", [["rbac_group_id"], ["actor", "model", "speed", "product", "session_id", "workspace_id"]])
def test_dimensions_that_would_not_add_up_or_are_too_many_are_refused(group_by: list[str]) -> None:
    with pytest.raises(ValueError, match="group_by"):
        AnthropicSettings.model_validate({"kind": "anthropic", "name": "a", "location": "x", "group_by": group_by})
