"""When stocks are used up, and what cannot be said of it."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.money import MONEY
from usage_etl.projections import runway

SETTLED = dt.date(2026, 11, 10)
FIRST = dt.date(2026, 3, 1)
DAYS = [FIRST + dt.timedelta(days=day) for day in range((SETTLED - FIRST).days + 1)]
SCHEMA = {"series_id": pl.String, "usage_date": pl.Date, "quantity": MONEY}


def steady(quantity: int) -> pl.DataFrame:
    return pl.DataFrame([("pool", day, quantity) for day in DAYS], schema=SCHEMA, orient="row")


def dates(daily: pl.DataFrame, left: Any, *, series: str = "pool") -> tuple[Any, ...]:
    stocks = pl.DataFrame(
        {"stock_id": ["s"], "series_id": [series], "remaining_quantity": [Decimal(left)]},
        schema_overrides={"remaining_quantity": MONEY},
    )
    return runway(daily, stocks, settled_date=SETTLED).row(0)[1:]


def test_a_steady_use_reaches_the_stock_on_the_day_that_division_says() -> None:
    assert dates(steady(10), 200)[0] == SETTLED + dt.timedelta(days=20)
    assert dates(steady(10), 2000)[0] == SETTLED + dt.timedelta(days=200)


def test_beyond_a_year_there_is_no_date() -> None:
    assert dates(steady(10), 10 * 365)[0] == SETTLED + dt.timedelta(days=365)
    assert dates(steady(10), 10 * 365 + 1)[0] is None


def test_a_stock_of_which_nothing_is_left_is_used_up_now() -> None:
    assert dates(steady(10), 0) == (SETTLED, SETTLED, SETTLED)
    assert dates(steady(10), -5) == (SETTLED, SETTLED, SETTLED)


def test_the_band_lies_around_the_date() -> None:
    rng = random.Random(3)
    daily = pl.DataFrame([("pool", day, rng.randrange(30)) for day in DAYS], schema=SCHEMA, orient="row")
    expected, lower, upper = dates(daily, 900)
    assert lower < expected < upper


def test_a_stock_that_nobody_draws_on_has_no_date() -> None:
    assert dates(steady(10), 100, series="other") == (None, None, None)
    assert dates(steady(0), 100)[0] is None


def test_little_past_gives_a_date_without_a_band() -> None:
    young = steady(10).filter(pl.col("usage_date") > SETTLED - dt.timedelta(days=5))
    assert dates(young, 100) == (SETTLED + dt.timedelta(days=10), None, None)


def test_days_after_the_settled_one_change_nothing() -> None:
    later = pl.DataFrame([("pool", SETTLED + dt.timedelta(days=1), 10**9)], schema=SCHEMA, orient="row")
    assert dates(pl.concat([steady(10), later]), 300) == dates(steady(10), 300)
