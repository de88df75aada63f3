"""The rule that tells a spike from a usual day, on plain numbers."""

from __future__ import annotations

import math
import random

import pytest

from usage_etl.anomalies.baseline import judge_days

WEEK = [100.0] * 5 + [20.0] * 2


def flagged(costs: list[float | None], *, first: int = 70, floor: float = 25.0) -> list[int]:
    return [index for index, day in judge_days(costs, first=first, floor=floor).items() if day.is_flagged]


def growing(seed: int, *, noise: float, growth: float = 0.02, days: int = 130, level: float = 500.0) -> list[float | None]:
    rng = random.Random(seed)
    return [level * (0.3 if day % 7 >= 5 else 1.0) * math.exp(growth * day / 7 + rng.gauss(0, noise)) for day in range(days)]


def test_a_spike_is_flagged_and_the_days_around_it_are_not() -> None:
    costs: list[float | None] = [*WEEK * 15]
    costs[80] = 400.0
    assert flagged(costs) == [80]


def test_weekend_work_is_seen_although_no_dearer_than_a_weekday() -> None:
    costs: list[float | None] = [*WEEK * 15]
    costs[82] = 100.0
    assert costs[82 - 7] == 20.0
    assert flagged(costs) == [82]


def test_expected_is_the_median_of_the_same_weekday() -> None:
    costs: list[float | None] = [*WEEK * 8, 70.0]
    assert judge_days(costs, first=56, floor=25.0)[56].expected == 100.0


def test_all_days_of_a_runaway_are_flagged() -> None:
    costs: list[float | None] = [*WEEK * 15]
    costs[77:80] = [400.0, 420.0, 410.0]
    assert flagged(costs) == [77, 78, 79]


def test_a_new_level_stops_being_news_within_about_a_week() -> None:
    costs: list[float | None] = [*WEEK * 10, *(cost * 2 for cost in WEEK * 6)]
    days = flagged(costs)
    assert days[0] == 70
    assert len(days) <= 8
    assert max(days) < 84


@pytest.mark.parametrize("growth", [0.0, 0.02, 0.05])
def test_clean_seasonal_growth_raises_next_to_no_alarm(growth: float) -> None:
    months = [flagged(growing(seed, noise=0.12, growth=growth)) for seed in range(30)]
    assert sum(map(len, months)) / 30 / 2 <= 0.2, "alarms per series and month"


def test_bursty_series_stay_within_the_alarm_budget() -> None:
    rng = random.Random(5)
    series: list[list[float | None]] = [
        [0.0 if rng.random() > 0.4 else 100 * math.exp(rng.gauss(0, 1.2)) for _ in range(190)] for _ in range(30)
    ]
    assert sum(len(flagged(costs)) for costs in series) / 30 / 4 <= 0.7


def test_a_tripled_day_in_noise_is_found() -> None:
    found = 0
    for seed in range(30):
        costs = growing(seed, noise=0.12)
        costs[100] = (costs[100] or 0) * 3
        found += 100 in flagged(costs)
    assert found >= 28


def test_later_days_do_not_change_a_judgement() -> None:
    costs = growing(3, noise=0.3)
    short = judge_days(costs[:100], first=70, floor=25.0)
    long = judge_days(costs, first=70, floor=25.0)
    assert short == {index: day for index, day in long.items() if index < 100}


def test_an_excess_below_the_floor_is_not_worth_a_line() -> None:
    costs: list[float | None] = [*[1.0] * 80, 25.9, 40.0]
    assert flagged(costs) == [81]


def test_a_day_with_fewer_than_three_weeks_before_it_is_not_judged() -> None:
    assert list(judge_days([1.0] * 23, first=0, floor=25.0)) == [21, 22]


def test_unknown_days_are_neither_judged_nor_taken_for_free_days() -> None:
    costs: list[float | None] = [*WEEK * 10]
    costs[49:56] = [None] * 7
    judged = judge_days([*costs, 100.0, None], first=70, floor=25.0)
    assert list(judged) == [70]
    assert judged[70].expected == 100.0
