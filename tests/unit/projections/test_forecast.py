"""The forecasting method on plain numbers."""

from __future__ import annotations

import datetime as dt
import random

import numpy as np
import polars as pl
import pytest

from usage_etl.projections import forecast
from usage_etl.projections.forecast import Horizon
from usage_etl.projections.outlook import outlook
from usage_etl.projections.panel import Panel

WEEK = [10.0, 10.0, 10.0, 10.0, 10.0, 2.0, 2.0]


def forecast_rest(history: list[float], *, elapsed: int, remaining: int) -> float:
    days, ages = np.array([history], dtype=float), np.array([len(history)])
    panel = Panel(pl.DataFrame({"series_id": ["a"]}), days, ages, dt.date(2026, 11, 8))
    return float(outlook(panel, Horizon(elapsed=elapsed, skipped=0, ahead=remaining)).middle[0])


def weekday_profile(history: list[float]) -> tuple[list[float], float]:
    profile, belief = forecast.weekday_profile(np.array([history]), np.array([len(history)]))
    return profile[0].tolist(), float(belief[0])


def weekly_variability(history: list[float]) -> float:
    return float(forecast.weekly_variability(np.array([history], dtype=float), np.array([len(history)]))[0])


def test_a_steady_series_goes_on() -> None:
    assert forecast_rest([5.0] * 60, elapsed=10, remaining=20) == pytest.approx(100.0)


def test_a_weekly_rhythm_is_carried_on_where_a_straight_line_would_be_off() -> None:
    history = WEEK * 8 + WEEK[:5]
    assert forecast_rest(history, elapsed=5, remaining=2) == pytest.approx(4.0)
    assert sum(history[-5:]) / 5 * 2 == 20.0


def test_one_wild_day_moves_the_projection_less_than_the_straight_line() -> None:
    history = [10.0] * 60 + [10_000.0] + [10.0] * 4
    assert forecast_rest(history, elapsed=5, remaining=25) < sum(history[-5:]) / 5 * 25 / 1.5


def test_a_rhythm_is_believed_as_far_as_the_past_proves_it() -> None:
    _, proven = weekday_profile(WEEK * 8)
    rng = random.Random(1)
    _, noise = weekday_profile([rng.expovariate(1) for _ in range(56)])
    _, single_week = weekday_profile(WEEK)
    assert (proven, single_week) == (1.0, 0.0)
    assert noise < 0.6


def test_under_a_week_of_history_only_the_straight_line_is_drawn() -> None:
    assert forecast_rest([1.0, 2.0, 3.0], elapsed=3, remaining=10) == pytest.approx(20.0)


def test_a_series_that_began_inside_the_month_is_not_thinned_by_days_before_it() -> None:
    assert forecast_rest([4.0, 4.0], elapsed=20, remaining=10) == pytest.approx(40.0)


@pytest.mark.parametrize("history", [[], [0.0] * 60])
def test_nothing_is_expected_of_nothing(history: list[float]) -> None:
    assert forecast_rest(history, elapsed=5, remaining=25) == 0.0
    assert weekly_variability(history) == 0.0


def test_no_day_left_is_no_rest() -> None:
    assert forecast_rest([5.0] * 30, elapsed=30, remaining=0) == 0.0


def test_variability_is_the_change_from_week_to_week() -> None:
    up_and_down = [10.0] * 7 + [20.0] * 7 + [10.0] * 7
    usual = forecast.UNEVEN_RATIO * sum(up_and_down) / 3
    assert weekly_variability(up_and_down) == pytest.approx((70.0 + 70.0 + usual) / 3)
    steady = forecast.weekly_variability(np.full((1, 56), 10.0), np.array([56]), usual_ratio=0.0)
    assert steady.tolist() == pytest.approx([3.5]), "a twentieth of a week at least"
