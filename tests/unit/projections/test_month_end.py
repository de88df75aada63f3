"""mart_projection: exact so far, no look into the future, and a band that holds about as often as it says."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from usage_etl.periods import Month
from usage_etl.projections import project_month
from usage_etl.schemas.dimensions import DIM_BUDGET
from usage_etl.schemas.projections import MART_PROJECTION

NOVEMBER = Month(2026, 11)
START = dt.date(2026, 8, 1)
END = dt.date(2026, 11, 30)
SCHEMA = {
    "usage_date": pl.Date,
    "scope_kind": pl.String,
    "scope_id": pl.String,
    "measure": pl.String,
    "quantity": pl.Decimal(38, 18),
}
NO_BUDGETS = DIM_BUDGET.empty()


def series(cost: Callable[[dt.date], Any], *, kind: str = "team", scope: str = "vision", first: dt.date = START) -> pl.DataFrame:
    days = [first + dt.timedelta(days=offset) for offset in range((END - first).days + 1)]
    return pl.DataFrame([(day, kind, scope, "effective_cost", cost(day)) for day in days], schema=SCHEMA, orient="row")


def business(seed: int, *, noise: float = 0.15, level: float = 500.0) -> Callable[[dt.date], Decimal]:
    """Weekday season, growth of 1 % a week and noise."""
    rng = random.Random(seed)

    def cost(day: dt.date) -> Decimal:
        season = 0.3 if day.weekday() >= 5 else 1.0
        trend = math.exp(0.01 * (day - START).days / 7)
        return Decimal(str(round(level * season * trend * math.exp(rng.gauss(0, noise)), 6)))

    return cost


def project(daily: pl.DataFrame, budgets: pl.DataFrame = NO_BUDGETS, *, through: dt.date = dt.date(2026, 11, 8)) -> pl.DataFrame:
    return MART_PROJECTION.validate(project_month(daily, budgets, month=NOVEMBER, through_date=through, currency="USD"))


def budget(**changes: Any) -> pl.DataFrame:
    row = {
        "scope_kind": "team",
        "scope_id": "vision",
        "monthly_budget": Decimal(1000),
        "currency": "USD",
        "valid_from": START,
        "valid_to": None,
    }
    return pl.DataFrame([row | changes], schema=DIM_BUDGET.polars_schema)


def test_what_is_used_is_exact_to_the_last_digit() -> None:
    row = project(series(lambda _: Decimal("0.000000000000000001"))).row(0, named=True)
    assert row["to_date_quantity"] == Decimal("0.000000000000000008")
    assert row["projected_quantity"] == row["to_date_quantity"]


def test_a_steady_month_ends_where_it_heads() -> None:
    row = project(series(lambda _: Decimal(10))).row(0, named=True)
    assert (row["to_date_quantity"], row["projected_quantity"], row["linear_quantity"]) == (80, 300, 300)
    assert row["projected_lower_quantity"] <= 300 <= row["projected_upper_quantity"]


def test_days_after_the_as_of_day_change_nothing() -> None:
    known = series(business(1))
    through = dt.date(2026, 11, 8)
    rewritten = known.with_columns(
        quantity=pl.when(pl.col("usage_date") > through).then(pl.lit(Decimal(10**6))).otherwise(pl.col("quantity"))
    )
    assert project(known).equals(project(rewritten))
    assert project(known).equals(project(known.filter(pl.col("usage_date") <= through)))


def test_a_scope_that_begins_after_the_as_of_day_is_not_known_yet() -> None:
    assert project(series(lambda _: Decimal(1), first=dt.date(2026, 11, 9))).is_empty()


def test_weekdays_to_come_are_priced_as_weekdays() -> None:
    """On Sunday the 8th, two of two weekends are over: the straight line is far too low."""
    row = project(series(lambda day: Decimal(2) if day.weekday() >= 5 else Decimal(20))).row(0, named=True)
    actual = sum(2 if dt.date(2026, 11, day).weekday() >= 5 else 20 for day in range(1, 31))
    assert abs(row["projected_quantity"] - actual) < abs(row["linear_quantity"] - actual)


def test_a_finished_month_is_what_it_is() -> None:
    row = project(series(business(2)), through=dt.date(2026, 12, 5)).row(0, named=True)
    amounts = {
        row[name] for name in ("projected_quantity", "projected_lower_quantity", "projected_upper_quantity", "linear_quantity")
    }
    assert amounts == {row["to_date_quantity"]}
    assert row["through_date"] == END


def test_without_any_past_there_is_a_straight_line_and_no_band() -> None:
    row = project(series(lambda _: Decimal(3), first=dt.date(2026, 11, 4))).row(0, named=True)
    assert row["projected_quantity"] == 15 + 3 * 22
    assert (row["projected_lower_quantity"], row["projected_upper_quantity"], row["band_samples_count"]) == (None, None, 0)


def test_a_young_scope_borrows_its_band_from_the_others() -> None:
    daily = pl.concat([series(business(3)), series(business(4), scope="young", first=dt.date(2026, 10, 20))])
    young = project(daily).filter(pl.col("scope_id") == "young").row(0, named=True)
    assert young["band_samples_count"] > 0
    assert young["projected_lower_quantity"] < young["projected_quantity"] < young["projected_upper_quantity"]


def test_the_band_never_promises_less_than_is_spent() -> None:
    rng = random.Random(7)

    def bursty(_: dt.date) -> Decimal:
        return Decimal(rng.randrange(1000)) if rng.random() < 0.1 else Decimal(0)

    rows = project(pl.concat([series(bursty, scope=f"team-{n}") for n in range(20)]))
    assert (rows["to_date_quantity"] <= rows["projected_lower_quantity"]).all()
    assert (rows["projected_lower_quantity"] <= rows["projected_quantity"]).all()
    assert (rows["projected_quantity"] <= rows["projected_upper_quantity"]).all()


def test_days_without_cost_and_unpriced_days_are_zero() -> None:
    sparse = series(lambda day: Decimal(7) if day.weekday() == 0 else None)
    row = project(sparse).row(0, named=True)
    assert (row["to_date_quantity"], row["projected_quantity"]) == (7, 35)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({}, Decimal(1000)),
        ({"currency": "EUR"}, None),
        ({"scope_id": "other"}, None),
        ({"scope_kind": "department"}, None),
        ({"valid_to": dt.date(2026, 11, 8)}, None),
        ({"valid_from": dt.date(2026, 11, 9)}, None),
    ],
)
def test_only_the_budget_in_force_and_in_the_same_currency_is_shown(row: dict[str, Any], found: Decimal | None) -> None:
    assert project(series(lambda _: Decimal(1)), budget(**row))["limit_quantity"].to_list() == [found]


def test_scopes_that_fell_silent_are_not_projected() -> None:
    silent = series(lambda day: Decimal(1) if day.month == 8 else Decimal(0), scope="silent")
    assert project(pl.concat([silent, series(lambda _: Decimal(1))]))["scope_id"].to_list() == ["vision"]


def test_one_scope_id_in_two_kinds_stays_two_scopes() -> None:
    daily = pl.concat([series(lambda _: Decimal(1)), series(lambda _: Decimal(2), kind="department")])
    assert project(daily).select("scope_kind", "to_date_quantity").rows() == [("department", Decimal(16)), ("team", Decimal(8))]


def test_before_the_month_begins_nothing_is_projected() -> None:
    with pytest.raises(ValueError, match="before 2026-11"):
        project(series(lambda _: Decimal(1)), through=dt.date(2026, 10, 31))


def test_an_empty_lake_projects_nothing() -> None:
    assert project(pl.DataFrame(schema=SCHEMA)).is_empty()


def test_the_band_holds_about_four_times_in_five_and_the_middle_beats_the_straight_line() -> None:
    daily = pl.concat([series(business(seed), scope=f"team-{seed}") for seed in range(120)])
    month = daily.filter(pl.col("usage_date") >= NOVEMBER.first_day)
    actual = dict(month.group_by("scope_id").agg(pl.col("quantity").sum()).iter_rows())
    held, ours, linear = [], Decimal(0), Decimal(0)
    for day in (5, 8, 13, 20, 25):
        for row in project(daily, through=dt.date(2026, 11, day)).iter_rows(named=True):
            end = actual[row["scope_id"]]
            held.append(row["projected_lower_quantity"] <= end <= row["projected_upper_quantity"])
            ours += abs(row["projected_quantity"] - end)
            linear += abs(row["linear_quantity"] - end)
    assert 0.75 <= sum(held) / len(held) <= 0.85
    assert ours < linear * Decimal("0.5")
