"""Fact rows, quotas and feeds of tests: what is not said takes a value that changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.quotas.feeds import Feeds
from usage_etl.schemas import DIM_ENTITLEMENT, DIM_QUOTA, DIM_TEAM, DIM_USER, FACT_USAGE_DAILY

ORGANIZATION = "me"
_ROW: dict[str, Any] = {
    "source": "gateway", "source_account": "a", "department_id": "eng", "team_id": "web", "cost_center_id": "cc",
    "owner_basis": "user", "user_id": "ada", "api_key_id": "key-1", "feature_id": "chat", "primitive": "ai.chat",
    "provider": "openai", "host": "openai", "model_id": "gpt", "processing": "standard", "status": "ok",
    "price_status": "priced", "currency": "USD", "requests_count": 1, "effective_cost": Decimal(0),
}  # fmt: skip


def daily(*rows: dict[str, Any]) -> pl.LazyFrame:
    """fact_usage_daily of rows that name usage_date, tokens (all of them input) and whatever differs from the usual."""
    zeros = {name: 0 for name, dtype in FACT_USAGE_DAILY.polars_schema.items() if dtype == pl.Int64}
    filled = []
    for row in rows:
        given = dict(row)
        tokens = given.pop("tokens", 0)
        filled.append({**zeros, **_ROW, "input_uncached_tokens": tokens, **given})
    text = {name: pl.String() if dtype == pl.Categorical else dtype for name, dtype in FACT_USAGE_DAILY.polars_schema.items()}
    return pl.DataFrame([{name: row.get(name) for name in text} for row in filled], schema=text, orient="row").lazy()


def day(number: int, month: int = 11, year: int = 2026) -> dt.date:
    return dt.date(year, month, number)


def quota(
    scope: str, measure: str, limit: int | str, *, period: str = "calendar_month", currency: str | None = None,
    enforcement: str = "soft", start: dt.date = dt.date(2026, 1, 1), end: dt.date | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    kind, _, member = scope.partition(":")
    unit = currency or ("USD" if measure == "effective_cost" else None)
    return kind, member, measure, period, Decimal(limit), unit, enforcement, start, end


def quotas(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=DIM_QUOTA.polars_schema, orient="row")


def users(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """(user_id, team_id, split_pct, valid_from, valid_to) rows as dim_user."""
    filled = [(user, user.title(), f"{user}@example.com", team, split, start, end) for user, team, split, start, end in rows]
    return pl.DataFrame(filled, schema=DIM_USER.polars_schema, orient="row")


def teams(**departments: str) -> pl.DataFrame:
    rows = [
        (team, team.title(), department, department.title(), "cc", "Cost", None, None, dt.date(2020, 1, 1), None)
        for team, department in departments.items()
    ]
    return pl.DataFrame(rows, schema=DIM_TEAM.polars_schema, orient="row")


def entitlements(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=DIM_ENTITLEMENT.polars_schema, orient="row")


def feeds(days: Iterable[dt.date], *, sources: Sequence[str] = ("gateway",), expected_hours: int = 48) -> Feeds:
    """Feeds that have rows on the same ``days``, and no delivery since."""
    known = [(source, one) for source in sources for one in days]
    frame = pl.DataFrame(known, schema={"source": pl.String, "usage_date": pl.Date}, orient="row")
    return Feeds(frame, {}, dict.fromkeys(sources, expected_hours))
