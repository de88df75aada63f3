"""Limits of any period: exact use, what is expected of the rest, and when the limit is passed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from usage_etl.money import MONEY
from usage_etl.projections import project_limits

THROUGH = dt.date(2026, 11, 10)


def usage(quantities: Sequence[Any], *, series: str = "a", last: dt.date = THROUGH) -> pl.DataFrame:
    """One row a day, the last on ``last``."""
    first = last - dt.timedelta(days=len(quantities) - 1)
    rows = [(series, first + dt.timedelta(days=day), quantity) for day, quantity in enumerate(quantities)]
    return pl.DataFrame(rows, schema={"series_id": pl.String, "usage_date": pl.Date, "quantity": MONEY}, orient="row")


def limits(*rows: tuple[Any, ...]) -> pl.DataFrame:
    schema = {
        "limit_id": pl.String,
        "series_id": pl.String,
        "period_start": pl.Date,
        "period_end": pl.Date,
        "limit_quantity": MONEY,
    }
    return pl.DataFrame(list(rows), schema=schema, orient="row")


NOVEMBER = (dt.date(2026, 11, 1), dt.date(2026, 11, 30))


def project(daily: pl.DataFrame, wanted: pl.DataFrame, *, settled: dt.date = THROUGH) -> list[dict[str, Any]]:
    return project_limits(daily, wanted, through_date=THROUGH, settled_date=settled).rows(named=True)


def test_a_steady_series_passes_its_limit_on_the_day_on_which_the_sum_does() -> None:
    (row,) = project(usage([10] * 100), limits(("l", "a", *NOVEMBER, 205)))
    assert (row["used_quantity"], row["projected_quantity"], row["linear_quantity"]) == (100, 300, 300)
    assert row["breach_date"] == dt.date(2026, 11, 21)
    assert row["breach_probability_ratio"] == 1.0


def test_a_limit_that_is_out_of_reach_has_no_breach_date() -> None:
    (row,) = project(usage([10] * 100), limits(("l", "a", *NOVEMBER, 400)))
    assert (row["breach_date"], row["breach_probability_ratio"]) == (None, 0.0)


def test_a_limit_already_passed_was_passed_on_a_known_day() -> None:
    (row,) = project(usage([10] * 100), limits(("l", "a", *NOVEMBER, 45)))
    assert (row["breach_date"], row["breach_probability_ratio"]) == (dt.date(2026, 11, 5), 1.0)


def test_reaching_a_limit_exactly_does_not_pass_it() -> None:
    (row,) = project(usage([10] * 100), limits(("l", "a", dt.date(2026, 11, 1), THROUGH, 100)))
    assert (row["breach_date"], row["breach_probability_ratio"], row["projected_quantity"]) == (None, 0.0, 100)


def test_without_a_limit_there_is_a_projection_and_no_chance() -> None:
    (row,) = project(usage([10] * 100), limits(("l", "a", *NOVEMBER, None)))
    assert (row["projected_quantity"], row["breach_probability_ratio"], row["breach_date"]) == (300, None, None)


def test_each_limit_keeps_its_own_period_and_the_order_is_kept() -> None:
    wanted = limits(
        ("z", "a", *NOVEMBER, 400),
        ("billing", "a", dt.date(2026, 10, 20), dt.date(2026, 11, 19), 400),
        ("day", "a", THROUGH, THROUGH, 9),
        ("next", "a", dt.date(2026, 12, 1), dt.date(2026, 12, 31), 400),
    )
    rows = project(usage([10] * 100), wanted)
    assert [row["limit_id"] for row in rows] == ["z", "billing", "day", "next"]
    assert [row["used_quantity"] for row in rows] == [100, 220, 10, 0]
    assert [row["projected_quantity"] for row in rows] == [300, 310, 10, 310]
    assert rows[2]["breach_date"] == THROUGH


def test_days_that_are_still_filling_are_projected_and_never_below_what_arrived() -> None:
    late = usage([10] * 97 + [1, 0, 0])
    (row,) = project(late, limits(("l", "a", *NOVEMBER, None)), settled=dt.date(2026, 11, 7))
    assert (row["used_quantity"], row["projected_quantity"], row["linear_quantity"]) == (71, 300, 300)
    burst = usage([10] * 97 + [1000, 0, 0])
    (row,) = project(burst, limits(("l", "a", *NOVEMBER, None)), settled=dt.date(2026, 11, 7))
    assert row["projected_quantity"] >= row["used_quantity"] == 1070


def test_before_any_settled_day_of_the_period_the_level_of_the_last_days_goes_on() -> None:
    (row,) = project(usage([10] * 100), limits(("l", "a", THROUGH, dt.date(2026, 11, 12), 25)), settled=dt.date(2026, 11, 9))
    assert (row["projected_quantity"], row["linear_quantity"], row["breach_date"]) == (30, 30, dt.date(2026, 11, 12))


def test_a_series_without_usage_uses_nothing_and_promises_nothing() -> None:
    (row,) = project(usage([10] * 100), limits(("l", "b", *NOVEMBER, 5)))
    assert (row["used_quantity"], row["projected_quantity"], row["projected_lower_quantity"]) == (0, 0, None)
    assert row["breach_probability_ratio"] == 0.0


def test_the_last_digit_of_what_is_used_is_kept() -> None:
    tiny = Decimal("0.000000000000000001")
    (row,) = project(usage([tiny] * 100), limits(("l", "a", *NOVEMBER, tiny * 9)))
    assert row["used_quantity"] == tiny * 10
    assert row["breach_date"] == THROUGH


def test_days_after_the_last_day_change_nothing() -> None:
    known, wanted = usage([10, 30, 0] * 40), limits(("l", "a", *NOVEMBER, 500))
    future = usage([9**9] * 20, last=THROUGH + dt.timedelta(days=20))
    assert project(known, wanted) == project(pl.concat([known, future]), wanted)


def test_settled_days_cannot_lie_ahead_of_the_data() -> None:
    with pytest.raises(ValueError, match="cannot be settled"):
        project(usage([1]), limits(("l", "a", *NOVEMBER, 1)), settled=THROUGH + dt.timedelta(days=1))


def test_no_limits_is_no_row() -> None:
    assert project(usage([1]), limits()) == []
    assert project(usage([]), limits(("l", "a", *NOVEMBER, 1)))[0]["used_quantity"] == 0
