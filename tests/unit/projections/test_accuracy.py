"""mart_projection_accuracy: finished months projected again, without a look ahead."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.projections import projection_accuracy
from usage_etl.projections.forecast import Horizon
from usage_etl.projections.outlook import outlook
from usage_etl.projections.panel import panel_of

OCTOBER = Month(2026, 10)
FIRST = dt.date(2026, 3, 1)
DAYS = [FIRST + dt.timedelta(days=day) for day in range((OCTOBER.last_day - FIRST).days + 1)]
SCHEMA = {
    "usage_date": pl.Date,
    "scope_kind": pl.String,
    "scope_id": pl.String,
    "measure": pl.String,
    "quantity": MONEY,
}


def bursty(teams: int, *, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    sizes = rng.gamma(0.4, 50, size=(teams, len(DAYS))) * (rng.random((teams, len(DAYS))) < 0.6)
    rows = [
        (day, "team", f"team-{team:02d}", "effective_cost", Decimal(str(round(float(sizes[team, place]), 2))))
        for team in range(teams)
        for place, day in enumerate(DAYS)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def measured(daily: pl.DataFrame) -> pl.DataFrame:
    return projection_accuracy(daily, month=OCTOBER, currency="USD")


def test_a_steady_month_is_never_missed() -> None:
    steady = pl.DataFrame([(day, "team", "a", "total_tokens", Decimal(10)) for day in DAYS], schema=SCHEMA, orient="row")
    rows = measured(steady)
    assert rows["origin_day"].to_list() == [5, 10, 15, 20, 25]
    assert rows["missed_quantity"].sum() == rows["linear_missed_quantity"].sum() == 0
    assert rows["actual_quantity"].to_list() == [310] * 5
    assert (rows["held_count"] == rows["banded_count"]).all()
    assert rows["currency"].null_count() == 5


def test_the_numbers_are_those_of_the_projections_made_on_the_day() -> None:
    daily = bursty(12)
    row = measured(daily).filter(pl.col("origin_day") == 10).row(0, named=True)
    named = daily.select("usage_date", "quantity", series_id="scope_id")
    day = dt.date(2026, 10, 10)
    panel = panel_of(named.filter(pl.col("usage_date") <= day), keys=["series_id"], last_day=day, days_count=len(DAYS) - 21)
    expected = outlook(panel, Horizon(elapsed=10, skipped=0, ahead=21)).middle
    actual = named.filter(pl.col("usage_date") > day).group_by("series_id").agg(pl.col("quantity").sum()).sort("series_id")
    missed = np.abs(expected - actual["quantity"].cast(pl.Float64).to_numpy()).sum()
    assert float(row["missed_quantity"]) == pytest.approx(missed, rel=1e-9)
    assert row["series_count"] == 12


def test_other_days_to_come_in_another_order_change_no_projection() -> None:
    """Shuffling what comes after the day leaves each month's total, and so each error, as it was."""
    daily, day = bursty(8), dt.date(2026, 10, 15)
    after = daily.filter(pl.col("usage_date") > day)
    shuffled = after.with_columns(pl.col("quantity").reverse().over("scope_id"))
    other = pl.concat([daily.filter(pl.col("usage_date") <= day), shuffled])
    of_day = pl.col("origin_day") == 15
    assert measured(daily).filter(of_day).equals(measured(other).filter(of_day))


def test_days_after_the_month_change_nothing() -> None:
    daily = bursty(3)
    later = daily.with_columns(pl.col("usage_date") + pl.duration(days=300), quantity=pl.lit(Decimal(10**6), MONEY))
    assert measured(pl.concat([daily, later.filter(pl.col("usage_date") > OCTOBER.last_day)])).equals(measured(daily))


def test_bands_hold_about_four_times_in_five_and_chances_come_true_as_stated() -> None:
    rows = measured(bursty(60))
    held = rows["held_count"].sum() / rows["banded_count"].sum()
    assert 0.7 <= held <= 0.92
    assert rows["missed_quantity"].sum() < rows["linear_missed_quantity"].sum()


def test_a_month_without_usage_has_no_rows() -> None:
    assert measured(pl.DataFrame(schema=SCHEMA)).is_empty()
