"""Anthropic's reports are asked as its reference says, landed as received, and read back by the parser."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.page_server import QUICK, PageServer, Query, Reply, ReportSite, serving
from tests.unit.sources.report_pages import anthropic_bucket, anthropic_cost, anthropic_page, anthropic_usage, read
from usage_etl.config import SecretRef
from usage_etl.errors import SourceError
from usage_etl.money import exact_sum
from usage_etl.sources.anthropic.fetch import fetch
from usage_etl.sources.anthropic.parse import parse
from usage_etl.sources.anthropic.settings import AnthropicSettings
from usage_etl.sources.fetched import FetchedObject

KEY = "sk-ant-admin-test"


def rows(path: str, on: dt.date) -> list[Any]:
    if path.endswith("/cost_report"):
        return [anthropic_cost(f"{on.day}.5", token_type="output_tokens", model="claude-opus-5")]
    return [anthropic_usage()]


def window(query: Query) -> tuple[dt.date, dt.date]:
    return tuple(dt.datetime.fromisoformat(query[name][0]).date() for name in ("starting_at", "ending_at"))  # type: ignore[return-value] # two names


@pytest.fixture
def server() -> Iterator[PageServer]:
    site = ReportSite(
        rows,
        lambda on, results: anthropic_bucket(*results, start=f"{on}T00:00:00Z", end=f"{on + dt.timedelta(days=1)}T00:00:00Z"),
        lambda buckets, token: anthropic_page(*buckets, next_page=token),
        window,
    )
    with serving(site) as found:
        yield found


def fetched(server: PageServer) -> list[FetchedObject]:
    settings = AnthropicSettings(
        name="anthropic",
        kind="anthropic",
        base_url=server.url,
        api_key=SecretRef(env="KEY"),
        start_date=dt.date(2026, 10, 1),
        family="admin",
    )
    return list(
        fetch(
            settings,
            fetch_context(KEY, start_date=dt.date(2020, 1, 1), pulled_at=dt.datetime(2026, 10, 31, 6, tzinfo=dt.UTC)),
            policy=QUICK,
        )
    )


def test_both_reports_are_asked_with_all_their_dimensions(server: PageServer) -> None:
    fetched(server)
    asked = {request.path: request for request in reversed(server.requests)}
    costs, usage = asked["/v1/organizations/cost_report"], asked["/v1/organizations/usage_report/messages"]
    assert costs.query == {
        "bucket_width": ["1d"],
        "limit": ["31"],
        "group_by[]": ["description", "workspace_id"],
        "starting_at": ["2026-10-01T00:00:00Z"],
        "ending_at": ["2026-10-05T00:00:00Z"],
    }
    assert usage.query["group_by[]"] == [
        *("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo", "speed"),
        *("account_id", "service_account_id"),
    ]
    assert usage.headers["anthropic-beta"] == "fast-mode-2026-02-01"
    assert "anthropic-beta" not in costs.headers
    assert costs.headers["x-api-key"] == KEY
    assert costs.headers["anthropic-version"] == "2023-06-01"


def test_what_is_fetched_parses_to_the_last_digit(server: PageServer, tmp_path: Path) -> None:
    charged, days = Decimal(0), 0
    for number, found in enumerate(fetched(server)):
        path = tmp_path / f"{number}.jsonl"
        found.save(path)
        parsed = read(parse, path)
        assert parsed.reasons == []
        charged += exact_sum(parsed.charges["billed_cost"])
        days += len(parsed.covered)
    assert charged == sum(Decimal(f"{day}.5") for day in range(1, 32)) / 100
    assert days == 2 * 31


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_kind_of_key_and_who_makes_it(server: PageServer, status: int) -> None:
    server.queue.append(Reply(status))
    with pytest.raises(SourceError, match=r"Admin key \(sk-ant-admin\.\.\.\).*organization admin"):
        fetched(server)
