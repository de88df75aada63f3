"""The projected series add up to the organization in every kind of scope."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.projections import scope_series
from usage_etl.schemas import FACT_USAGE_DAILY

DAY = dt.date(2026, 11, 1)


def facts(*rows: dict[str, Any]) -> pl.LazyFrame:
    blank: dict[str, Any] = {
        name: 0 if dtype == pl.Int64 else None for name, dtype in FACT_USAGE_DAILY.polars_schema.items() if name != "usage_date"
    }
    base = {"usage_date": DAY, "source": "gateway", "department_id": "d", "team_id": "t", "currency": "USD"}
    return pl.LazyFrame([blank | base | row for row in rows], schema=FACT_USAGE_DAILY.polars_schema)


ROWS = (
    {"user_id": "u", "requests_count": 2, "input_uncached_tokens": 5, "output_tokens": 7, "effective_cost": Decimal("0.1")},
    {"team_id": "s", "api_key_id": "k", "requests_count": 1, "cache_read_tokens": 11, "effective_cost": Decimal("0.2")},
    {"feature_id": "f", "requests_count": 4, "effective_cost": None, "currency": None},
    {"requests_count": 3, "effective_cost": Decimal(9), "currency": "EUR", "source": "other"},
)


def test_every_kind_of_scope_adds_up_to_the_organization() -> None:
    series = scope_series(facts(*ROWS), organization_id="o", currency="USD")
    sums = series.group_by("scope_kind", "measure").agg(pl.col("quantity").sum())
    for measure, total in (("requests_count", 10), ("total_tokens", 23), ("effective_cost", Decimal("0.3"))):
        found = sums.filter(pl.col("measure") == measure)
        assert found.height == 6
        assert set(found["quantity"]) == {total}


def test_usage_without_a_price_has_requests_and_no_cost() -> None:
    series = scope_series(facts(*ROWS), organization_id="o", currency="USD").filter(pl.col("scope_id") == "f")
    assert set(series["measure"]) == {"requests_count", "total_tokens"}


def test_usage_without_a_member_stands_under_none() -> None:
    series = scope_series(facts(*ROWS), organization_id="o", currency="USD")
    users = series.filter(pl.col("scope_kind") == "user", pl.col("measure") == "requests_count")
    assert dict(users.select("scope_id", "quantity").iter_rows()) == {"u": 2, "(none)": 8}


def test_feeds_are_one_more_key() -> None:
    by_feed = scope_series(facts(*ROWS), organization_id="o", currency="USD", by_feed=True)
    requests = by_feed.filter(pl.col("scope_kind") == "organization", pl.col("measure") == "requests_count")
    assert dict(requests.select("source", "quantity").iter_rows()) == {"gateway": 7, "other": 3}
