"""The tie-out of providers whose days and months begin at other instants than UTC's."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from tests.unit.allocation.tie_out_samples import causes, charges, day_of, line, tie_out, usage
from usage_etl.schemas.usage import FACT_USAGE_HOURLY

GOOGLE = {"host": "google", "provider": "google"}
GOOGLE_BILL = {"provider_name": "google"}


def month_of(bill: pl.DataFrame, logs: pl.DataFrame, **more: Any) -> dict[str, Decimal]:
    """Causes of the month."""
    return causes(tie_out(bill, logs, **more)[1])


def hours(*rows: tuple[str, float]) -> pl.DataFrame:
    """Hourly usage of google: (instant, millions of output tokens)."""
    made = [{"hour": dt.datetime.fromisoformat(f"{at}+00:00"), "output": output} | GOOGLE for at, output in rows]
    return usage(*made, table=FACT_USAGE_HOURLY)


def by_day(hourly: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {"day": (row["usage_date"] - day_of(0)).days, "output_tokens": row["output_tokens"]} | GOOGLE
        for row in hourly.iter_rows(named=True)
    ]
    return usage(*rows)


PACIFIC = hours(("2026-11-01T03:00", 1), ("2026-11-01T20:00", 2), ("2026-11-02T03:00", 4), ("2026-12-01T03:00", 8))
"""Evenings of 31 October and 1 and 30 November in California, where midnight is 07:00 or 08:00 UTC."""


def test_a_month_in_another_zone_begins_and_ends_at_other_instants() -> None:
    bill = charges(*(line("output", 0, 0, **GOOGLE_BILL) | {"tokens": tokens, "billed_cost": 40 * tokens, "day": day}
                     for day, tokens in ((1, 6), (30, 8))))  # fmt: skip
    daily, monthly = tie_out(bill, by_day(PACIFIC), hours=PACIFIC)
    assert causes(monthly) == {"timezone_cut": Decimal(280)}
    assert daily.select("charge_date", "metered_cost", "timezone_cut_cost").rows() == [
        (day_of(1), 120, 120),
        (day_of(2), 160, -160),
        (day_of(30), None, 320),
    ]
    assert set(monthly["tie_out_status"]) == {"explained"}


def test_lines_of_hours_are_cut_by_utc_days_inside_the_month_of_the_zone() -> None:
    rows = [(1, "2026-11-01T20:00", 2), (2, "2026-11-02T03:00", 4), (30, "2026-12-01T03:00", 8)]
    lines = []
    for day, at, tokens in rows:
        start = dt.datetime.fromisoformat(f"{at}+00:00")
        span = {"charge_period_start": start, "charge_period_end": start + dt.timedelta(hours=1)}
        lines.append(line("output", tokens, 40 * tokens, day=day, **GOOGLE_BILL, **span))
    daily, monthly = tie_out(charges(*lines), by_day(PACIFIC), hours=PACIFIC)
    assert causes(monthly) == {"timezone_cut": Decimal(280)}
    assert daily.filter(pl.col("charge_date") == day_of(2))["tie_out_status"].to_list() == ["matched"]


def test_zones_east_of_utc_begin_their_days_on_the_day_before() -> None:
    """Midnight of 3 November in Shanghai is 16:00 UTC of the 2nd, the day that such a line is counted on."""
    east = hours(("2026-11-02T17:00", 1), ("2026-11-03T15:00", 2))
    start = dt.datetime(2026, 11, 2, 16, tzinfo=dt.UTC)
    span = {"charge_period_start": start, "charge_period_end": start + dt.timedelta(days=1)}
    bill = charges(line("output", 3, 120, day=2, **GOOGLE_BILL, **span))
    daily, _ = tie_out(bill, by_day(east), hours=east, time_zones={"google": "Asia/Shanghai"})
    assert daily.filter(pl.col("charge_date") == day_of(2)).pipe(causes) == {"timezone_cut": Decimal(80)}


def test_usage_in_utc_is_not_cut_again() -> None:
    bill = charges(line("output", 6, 240, **GOOGLE_BILL, day=2))
    assert "timezone_cut" not in month_of(bill, by_day(PACIFIC), hours=PACIFIC, time_zones={})
    assert "timezone_cut" not in month_of(bill, by_day(PACIFIC), hours=PACIFIC, time_zones={"google": "UTC"})
