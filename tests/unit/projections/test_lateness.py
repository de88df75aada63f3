"""Feeds that fill late: which days are complete, and that days still filling do not pull a projection down."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import polars as pl

from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.projections import project_month, settled_dates, settled_series
from usage_etl.schemas import DIM_BUDGET

THROUGH = dt.date(2026, 11, 20)
FIRST = dt.date(2026, 8, 1)
DAYS = [FIRST + dt.timedelta(days=day) for day in range((THROUGH - FIRST).days + 1)]
RUN = THROUGH + dt.timedelta(days=1)
KEYS = ["scope_kind", "scope_id", "measure"]


def arrivals(shares: Callable[[dt.date], dict[int, int]], *, source: str = "gateway") -> pl.DataFrame:
    """Rows of each day by days after it; what is yet to arrive on the day of the run is not there."""
    rows = [
        (source, day, day + dt.timedelta(days=lag), count, count)
        for day in DAYS
        for lag, count in shares(day).items()
        if day + dt.timedelta(days=lag) <= RUN
    ]
    names = ["source", "usage_date", "received_date", "rows_count", "counted_count"]
    return pl.DataFrame(rows, schema=names, orient="row")


def settled(frame: pl.DataFrame) -> dict[str, dt.date]:
    return dict(settled_dates(frame, through_date=THROUGH).iter_rows())


def test_a_feed_that_comes_whole_the_next_day_is_complete() -> None:
    assert settled(arrivals(lambda _: {1: 100})) == {"gateway": THROUGH}


def test_days_are_open_until_what_usually_comes_has_come() -> None:
    assert settled(arrivals(lambda _: {1: 60, 3: 39, 6: 1})) == {"gateway": THROUGH - dt.timedelta(days=2)}


def test_a_whole_day_pulled_again_is_not_late() -> None:
    again = arrivals(lambda _: {1: 100, 2: 100, 3: 100}).with_columns(
        counted_count=pl.when(pl.col("received_date") - pl.col("usage_date") == dt.timedelta(days=3)).then(100).otherwise(0)
    )
    assert settled(again)["gateway"] == THROUGH


def test_no_day_after_the_last_one_with_rows_is_complete() -> None:
    stopped = arrivals(lambda day: {1: 100} if day < THROUGH - dt.timedelta(days=3) else {})
    assert settled(stopped) == {"gateway": THROUGH - dt.timedelta(days=4)}


def test_a_feed_that_ended_holds_nothing_open() -> None:
    ended = arrivals(lambda day: {1: 100} if day.month < 10 else {})
    assert settled(ended) == {"gateway": THROUGH}


def test_what_was_loaded_when_a_feed_was_set_up_says_nothing_of_its_lateness() -> None:
    history = arrivals(lambda day: {(RUN - day).days: 100})
    assert settled(history) == {"gateway": THROUGH}


def test_each_feed_has_its_own_lateness() -> None:
    both = pl.concat([arrivals(lambda _: {1: 9}), arrivals(lambda _: {4: 9}, source="bill")])
    assert settled(both) == {"bill": THROUGH - dt.timedelta(days=3), "gateway": THROUGH}


def series(cost: Callable[[dt.date], int], *, team: str) -> pl.DataFrame:
    rows = [(day, "team", team, "effective_cost", Decimal(cost(day))) for day in DAYS]
    return pl.DataFrame(rows, schema={"usage_date": pl.Date, **dict.fromkeys(KEYS, pl.String), "quantity": MONEY}, orient="row")


def test_a_series_waits_for_its_slowest_feed_that_matters() -> None:
    late_day = THROUGH - dt.timedelta(days=3)
    whole = pl.concat([series(lambda _: 100, team=team) for team in ("a", "b", "c")])
    part = pl.concat([series(lambda _: 50, team="a"), series(lambda _: 1, team="b")]).with_columns(source=pl.lit("slow"))
    feeds = pl.DataFrame({"source": ["slow", "fast"], "settled_date": [late_day, THROUGH]})
    found = settled_series(whole, part, feeds, keys=KEYS, through_date=THROUGH)
    assert dict(found.select("scope_id", "settled_date").iter_rows()) == {"a": late_day, "b": THROUGH, "c": THROUGH}


def test_three_days_that_are_still_filling_move_the_projection_by_less_than_one_point() -> None:
    def cost(day: dt.date) -> int:
        return 40 if day.weekday() >= 5 else 100

    late_day = THROUGH - dt.timedelta(days=3)
    full = series(cost, team="a")
    filling = series(lambda day: cost(day) if day <= late_day else cost(day) // 10, team="a")
    days = pl.DataFrame({"scope_kind": ["team"], "scope_id": ["a"], "measure": ["effective_cost"], "settled_date": [late_day]})

    def projected(daily: pl.DataFrame, known: pl.DataFrame | None) -> float:
        month = project_month(
            daily, DIM_BUDGET.empty(), month=Month(2026, 11), through_date=THROUGH, currency="USD", settled=known
        )
        return float(month["projected_quantity"][0])

    truth = projected(full, None)
    assert abs(projected(filling, days) / truth - 1) < 0.01
    assert abs(projected(filling, None) / truth - 1) > 0.05, "taken as complete they would pull it down"
