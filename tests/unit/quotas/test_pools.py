"""Pools: purchases that last, renew, overlap and end; what is promised, taken, left, and covered by nothing."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.quotas.samples import ORGANIZATION, daily, day, entitlements, quota, quotas, teams, users
from usage_etl.periods import Month
from usage_etl.quotas.accounts import team_tokens
from usage_etl.quotas.pools import pool_stocks, pool_usage, pools_month, with_runway
from usage_etl.schemas.quotas import MART_POOLS

NOVEMBER = Month(2026, 11)
START = dt.date(2026, 1, 1)
WHOLE = ("organization", ORGANIZATION, "inference")


def pools(
    bought: pl.DataFrame,
    *rows: dict[str, Any],
    limits: pl.DataFrame | None = None,
    people: pl.DataFrame | None = None,
    through: dt.date = dt.date(2026, 11, 20),
    floor: dt.date | None = START,
) -> dict[str, dict[str, Any]]:
    months = sorted({Month.of(row["usage_date"]) for row in rows})
    empty = team_tokens(daily(), month=NOVEMBER)
    usage = pl.concat([empty, *(team_tokens(daily(*rows), month=one) for one in months)])
    found = pools_month(
        bought, usage, people if people is not None else users(), teams(web="eng", ops="it"),
        limits if limits is not None else quotas(),
        organization_id=ORGANIZATION, month=Month.of(through), through_date=through, history_floor=floor,
    )  # fmt: skip
    return {f"{row['pool_id']}/{row['token_kind']}": row for row in found.to_dicts()}


def figures(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[f"{name}_tokens"] for name in ("purchased", "used", "remaining", "uncovered"))


def test_what_ends_first_is_taken_first_and_what_is_left_of_it_lapses() -> None:
    bought = entitlements(
        ("old", "main", *WHOLE, 100, "once", START, day(10)),
        ("new", "main", *WHOLE, 1000, "once", day(1), dt.date(2027, 1, 1)),
    )
    rows = ({"usage_date": day(2), "tokens": 70}, {"usage_date": day(12), "tokens": 40})
    assert figures(pools(bought, *rows, through=day(9))["main/inference"]) == (1100, 70, 1030, 0)
    assert figures(pools(bought, *rows)["main/inference"]) == (1000, 40, 960, 0)


def test_what_no_purchase_covers_is_told_and_the_rest_is_never_below_nothing() -> None:
    bought = entitlements(("p", "main", *WHOLE, 100, "once", day(5), None))
    rows = ({"usage_date": day(4), "tokens": 3}, {"usage_date": day(6), "tokens": 130})
    assert figures(pools(bought, *rows)["main/inference"]) == (100, 100, 0, 33)


def test_tokens_that_renew_come_anew_each_month_and_lapse() -> None:
    bought = entitlements(("p", "main", *WHOLE, 100, "calendar_month", dt.date(2026, 10, 15), None))
    rows = ({"usage_date": dt.date(2026, 10, 20), "tokens": 90}, {"usage_date": day(1), "tokens": 30})
    assert figures(pools(bought, *rows)["main/inference"]) == (100, 30, 70, 0)
    assert figures(pools(bought, *rows, through=dt.date(2026, 10, 31))["main/inference"]) == (100, 90, 10, 0)


def test_the_narrowest_pool_serves_a_team_and_each_kind_has_its_own() -> None:
    bought = entitlements(
        ("a", "main", *WHOLE, 100, "once", START, None),
        ("b", "web", "team", "web", "inference", 100, "once", START, None),
        ("c", "it", "department", "it", "inference", 100, "once", START, None),
        ("d", "main", "organization", ORGANIZATION, "embedding", 100, "once", START, None),
    )
    rows = (
        {"usage_date": day(1), "tokens": 1, "team_id": "web", "department_id": "eng"},
        {"usage_date": day(1), "tokens": 2, "team_id": "ops", "department_id": "it"},
        {"usage_date": day(1), "tokens": 4, "team_id": "unallocated", "department_id": "unallocated"},
        {"usage_date": day(1), "tokens": 8, "primitive": "ai.embed", "team_id": "web", "department_id": "eng"},
    )
    used = {name: row["used_tokens"] for name, row in pools(bought, *rows).items()}
    assert used == {"main/inference": 4, "web/inference": 1, "it/inference": 2, "main/embedding": 8}


def test_more_than_was_bought_for_a_month_is_promised() -> None:
    limits = quotas(quota("user:ada", "inference_tokens", 60), quota("user:bob", "inference_tokens", 41))
    people = users(("ada", "web", Decimal(40), START, None), ("ada", "ops", Decimal(60), START, None))
    year = entitlements(("p", "main", *WHOLE, 1200, "once", START, dt.date(2027, 1, 1)))
    found = pools(year, limits=limits, people=people)["main/inference"]
    assert (found["purchased_monthly_tokens"], found["assigned_tokens"], found["is_over_assigned"]) == (100, 101, True)
    monthly = entitlements(("p", "main", *WHOLE, 101, "calendar_month", START, dt.date(2027, 1, 1)))
    assert pools(monthly, limits=limits, people=people)["main/inference"]["is_over_assigned"] is False
    of_ops = entitlements(("p", "ops", "team", "ops", "inference", 10, "once", START, None))
    assert pools(of_ops, limits=limits, people=people)["ops/inference"]["assigned_tokens"] == 60


def test_a_pool_without_a_purchase_in_force_is_not_listed_and_no_history_is_not_nothing() -> None:
    bought = entitlements(("p", "main", *WHOLE, 100, "once", START, day(20)))
    assert pools(bought, through=day(20)) == {}
    assert figures(pools(bought, through=day(19), floor=None)["main/inference"]) == (100, None, None, None)


@given(
    usage=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 50)), max_size=20),
    bought=st.lists(
        st.tuples(st.integers(0, 100), st.integers(1, 20), st.integers(1, 20), st.sampled_from(["once", "calendar_month"])),
        max_size=5,
    ),
)
def test_used_and_uncovered_are_all_that_was_used_while_every_purchase_lasts(
    usage: list[tuple[int, int]], bought: list[tuple[int, int, int, str]]
) -> None:
    rows = [{"usage_date": day(at), "tokens": tokens} for at, tokens in usage]
    lots = [(f"p{n}", "main", *WHOLE, tokens, renewal, day(start), None) for n, (tokens, start, _, renewal) in enumerate(bought)]
    found = pools(entitlements(*lots), *rows)
    whole = sum(tokens for _, tokens in usage)
    if found:
        purchased, used, remaining, uncovered = figures(found["main/inference"])
        assert used + uncovered == whole
        assert used + remaining == purchased
        assert min(used, remaining, uncovered) >= 0
    days = team_tokens(daily(*rows), month=NOVEMBER)
    drawn = pool_usage(entitlements(*lots), days, organization_id=ORGANIZATION, through_date=day(30))
    assert drawn["total_tokens"].sum() == (whole if lots else 0)


def with_dates(found: dict[str, dict[str, Any]], *dates: dt.date | None) -> dict[str, Any]:
    frame = pl.DataFrame(list(found.values()), schema=MART_POOLS.polars_schema)
    names = ("runway_date", "runway_lower_date", "runway_upper_date")
    runways = pl.DataFrame([{"stock_id": "inference/main", **dict(zip(names, dates, strict=True))}],
                           schema={"stock_id": pl.String, **dict.fromkeys(names, pl.Date)})  # fmt: skip
    return with_runway(frame, runways).row(0, named=True)


def test_a_pool_is_empty_on_the_expected_day_unless_its_purchases_lapse_before() -> None:
    rows = ({"usage_date": day(1), "tokens": 10},)
    early, expected, late = day(25), day(28), dt.date(2026, 12, 5)
    open_ended = pools(entitlements(("p", "main", *WHOLE, 100, "once", START, None)), *rows)
    row = with_dates(open_ended, expected, early, late)
    assert (row["lapse_date"], row["runway_date"], row["runway_upper_date"]) == (None, expected, late)
    lapsing = pools(entitlements(("p", "main", *WHOLE, 100, "once", START, dt.date(2026, 12, 1))), *rows)
    row = with_dates(lapsing, expected, early, late)
    assert (row["lapse_date"], row["runway_lower_date"], row["runway_date"]) == (dt.date(2026, 12, 1), early, expected)
    assert row["runway_upper_date"] is None, "on the late side something is left when it lapses"
    renewing = pools(entitlements(("p", "main", *WHOLE, 100, "calendar_month", START, None)), *rows)
    assert renewing["main/inference"]["lapse_date"] == dt.date(2026, 12, 1), "what is left of a month lapses with it"


def test_usage_of_days_that_are_still_coming_in_is_given_back_to_the_stock() -> None:
    bought = entitlements(("p", "main", *WHOLE, 100, "once", START, None))
    rows = ({"usage_date": day(1), "tokens": 10}, {"usage_date": day(20), "tokens": 5})
    found = pl.DataFrame(list(pools(bought, *rows).values()), schema=MART_POOLS.polars_schema)
    drawn = pool_usage(bought, team_tokens(daily(*rows), month=NOVEMBER), organization_id=ORGANIZATION, through_date=day(20))
    assert pool_stocks(found, drawn, settled_date=day(19))["remaining_quantity"].to_list() == [90]
    assert pool_stocks(found, drawn, settled_date=day(20))["remaining_quantity"].to_list() == [85]
    unknown = found.with_columns(remaining_tokens=pl.lit(None, pl.Int64))
    assert pool_stocks(unknown, drawn, settled_date=day(20)).is_empty(), "what is left is not known"
