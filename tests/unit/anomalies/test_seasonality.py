"""Patterns are told when they are proven, in words that come from the days, and not otherwise."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import polars as pl

from tests.unit.anomalies.awkward import NOVEMBER, table_rows, usage
from usage_etl.anomalies import detail_rows, local_hours, seasonality
from usage_etl.schemas import FACT_USAGE_DAILY, FACT_USAGE_HOURLY

START = dt.date(2026, 7, 1)
DAYS = [START + dt.timedelta(days=offset) for offset in range(153)]


def patterns(costs: dict[dt.date, float], hours: list[dict[str, Any]] | None = None, zone: str = "UTC") -> dict[str, str]:
    rows = [usage(day, "vision", effective_cost=Decimal(str(round(cost, 6)))) for day, cost in costs.items()]
    detail = detail_rows(table_rows(FACT_USAGE_DAILY, rows).lazy(), currency="USD")
    local = local_hours(table_rows(FACT_USAGE_HOURLY, hours or []).lazy(), zone=zone)
    found = seasonality(detail, local, month=NOVEMBER, organization_id="northwind", names={}, zone=zone)
    team = found.filter(pl.col("scope_kind") == "team")
    return dict(team.select("pattern", "pattern_text").iter_rows())


def working(day: dt.date) -> float:
    return 20 if day.weekday() > 4 else 120 if day.weekday() == 1 else 100


def noise(seed: int) -> random.Random:
    return random.Random(seed)


def test_a_working_week_is_described_by_its_own_numbers() -> None:
    chance = noise(1)
    text = patterns(
        {day: (20 if day.weekday() > 4 else 120 if day.weekday() == 1 else 100) * chance.uniform(0.97, 1.03) for day in DAYS}
    )
    assert text["weekday"].startswith("Weekdays carry 93 % of cost; Tuesday is highest, ")
    assert text["month_end"] == "No proven pattern"


def test_one_runaway_makes_no_weekday_the_highest() -> None:
    chance = noise(2)
    costs = {day: working(day) * chance.uniform(0.97, 1.03) for day in DAYS}
    costs[dt.date(2026, 10, 8)] = 9000
    assert "Tuesday is highest" in patterns(costs)["weekday"]


def test_month_ends_are_measured_against_their_own_weekday() -> None:
    chance = noise(3)

    def cost(day: dt.date) -> float:
        is_end = (day + dt.timedelta(days=3)).month != day.month
        return (20 if day.weekday() > 4 else 100) * (1.5 if is_end else 1) * chance.uniform(0.95, 1.05)

    text = patterns({day: cost(day) for day in DAYS})["month_end"]
    assert text.startswith("The last 3 days of months are ")
    assert "above other days of the same weekday" in text


def test_noise_is_no_pattern_in_nearly_all_of_many_series() -> None:
    told = 0
    for seed in range(20):
        chance = noise(seed)
        found = patterns({day: chance.lognormvariate(3, 1) for day in DAYS})
        told += sum(text != "No proven pattern" for text in found.values())
    assert told <= 2


def test_few_days_and_no_cost_prove_nothing() -> None:
    assert set(patterns(dict.fromkeys(DAYS[:20], 100.0)).values()) == {"No proven pattern"}
    assert set(patterns(dict.fromkeys(DAYS, 0.0)).values()) == {"No proven pattern"}


def test_hours_are_those_of_the_reporting_zone() -> None:
    hours = [
        usage(day, "vision", hour_start_at=dt.datetime(day.year, day.month, day.day, hour, tzinfo=dt.UTC), requests_count=count)
        for day in DAYS
        for hour, count in [(hour, 100 if 14 <= hour < 22 else 5) for hour in range(24)]
    ]
    text = patterns(dict.fromkeys(DAYS, 1.0), hours, zone="Asia/Tokyo")["hour_of_day"]
    assert text.startswith("The eight hours from 23:00 to 07:00 (Asia/Tokyo) carry 91 % of requests")
