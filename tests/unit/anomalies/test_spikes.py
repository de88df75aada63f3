"""mart_anomalies: what stood out, by how much money, and who carried it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from usage_etl.anomalies import spikes
from usage_etl.periods import Month
from usage_etl.schemas.anomalies import MART_ANOMALIES

NOVEMBER = Month(2026, 11)
START = dt.date(2026, 8, 17)
SPIKE = dt.date(2026, 11, 12)
DAILY = {
    "usage_date": pl.Date,
    "scope_kind": pl.String,
    "scope_id": pl.String,
    "scope_name": pl.String,
    "effective_cost": pl.Decimal(38, 18),
}
DETAIL = {
    "usage_date": pl.Date,
    "team_id": pl.String,
    "api_key_id": pl.String,
    "model_id": pl.String,
    "user_id": pl.String,
    "effective_cost": pl.Decimal(38, 18),
}
DAYS = [START + dt.timedelta(days=offset) for offset in range((NOVEMBER.last_day - START).days + 1)]

Detail = list[tuple[dt.date, str, str | None, str, str | None, Decimal | None]]


def usual(day: dt.date) -> Decimal:
    return Decimal(20) if day.weekday() >= 5 else Decimal(100)


def quiet() -> Detail:
    """Two teams; each with its key, model and user."""
    return [(day, team, f"key-{team}", "gpt-5", f"user-{team}", usual(day)) for day in DAYS for team in ("vision", "speech")]


def find(detail: Detail, **changes: Any) -> pl.DataFrame:
    fine = pl.DataFrame(detail, schema=DETAIL, orient="row")
    teams = fine.group_by("usage_date", scope_kind=pl.lit("team"), scope_id="team_id").agg(pl.col("effective_cost").sum())
    whole = fine.group_by("usage_date", scope_kind=pl.lit("organization"), scope_id=pl.lit("northwind")).agg(
        pl.col("effective_cost").sum()
    )
    daily = pl.concat([teams, whole]).with_columns(scope_name=pl.col("scope_id").str.to_titlecase())
    return MART_ANOMALIES.validate(spikes(daily.select(*DAILY), fine, **({"month": NOVEMBER, "currency": "USD"} | changes)))


def test_a_quiet_month_has_no_anomaly() -> None:
    assert find(quiet()).is_empty()


def test_a_runaway_key_is_found_and_named_at_team_and_organization() -> None:
    found = find([*quiet(), (SPIKE, "vision", "key-script", "o9", "user-night", Decimal("512.345678901"))])
    assert found.select("usage_date", "scope_kind", "scope_id", "scope_name").rows() == [
        (SPIKE, "organization", "northwind", "Northwind"),
        (SPIKE, "team", "vision", "Vision"),
    ]
    team = found.row(1, named=True)
    assert team["observed_quantity"] == Decimal("612.345678901")
    assert (team["expected_quantity"], team["excess_cost"]) == (Decimal(100), Decimal("512.345678901"))
    assert (team["top_api_key_id"], team["top_model_id"], team["top_user_id"]) == ("key-script", "o9", "user-night")
    assert team["top_share_ratio"] == pytest.approx(1.0)


def test_the_share_is_the_keys_part_of_the_excess() -> None:
    burst: Detail = [
        (SPIKE, "vision", "key-a", "gpt-5", None, Decimal(300)),
        (SPIKE, "vision", "key-b", "gpt-5", None, Decimal(100)),
    ]
    team = find([*quiet(), *burst]).filter(pl.col("scope_kind") == "team").row(0, named=True)
    assert (team["top_api_key_id"], team["top_share_ratio"]) == ("key-a", pytest.approx(0.75))
    assert (team["top_model_id"], team["top_user_id"]) == ("gpt-5", None)


def test_a_steady_dear_key_is_not_blamed() -> None:
    steady: Detail = [(day, "vision", "key-dear", "o9", "user-dear", Decimal(1000)) for day in DAYS]
    burst: Detail = [(SPIKE, "vision", "key-script", "gpt-5", "user-night", Decimal(900))]
    team = find([*quiet(), *steady, *burst]).filter(pl.col("scope_kind") == "team").row(0, named=True)
    assert team["top_api_key_id"] == "key-script"


def test_without_keys_the_model_carries_the_share() -> None:
    team = find([*quiet(), (SPIKE, "vision", None, "o9", None, Decimal(400))]).filter(pl.col("scope_kind") == "team")
    assert team.select("top_api_key_id", "top_model_id", "top_share_ratio").row(0) == (None, "o9", pytest.approx(1.0))


def test_the_dearest_excess_comes_first() -> None:
    burst: Detail = [
        (dt.date(2026, 11, 4), "vision", "k", "m", "u", Decimal(300)),
        (dt.date(2026, 11, 18), "speech", "k", "m", "u", Decimal(900)),
    ]
    teams = find([*quiet(), *burst]).filter(pl.col("scope_kind") == "team")
    assert teams["excess_cost"].to_list() == [Decimal(900), Decimal(300)]


def test_spikes_of_other_months_are_not_repeated() -> None:
    assert find([*quiet(), (dt.date(2026, 10, 22), "vision", "k", "m", "u", Decimal(900))]).is_empty()


def test_days_to_come_do_not_change_what_was_found() -> None:
    spiked: Detail = [*quiet(), (SPIKE, "vision", "k", "m", "u", Decimal(900))]
    until = [row for row in spiked if row[0] <= SPIKE]
    later = [(*row[:5], Decimal(10**6)) if row[0] > SPIKE else row for row in spiked]
    assert find(until).equals(find(later).filter(pl.col("usage_date") <= SPIKE))


def test_a_day_of_which_nobody_has_a_row_is_not_a_day_without_cost() -> None:
    missing = {SPIKE - dt.timedelta(days=7 * week) for week in range(1, 6)}
    burst: Detail = [(SPIKE, "vision", "k", "m", "u", Decimal(900))]
    team = find([row for row in [*quiet(), *burst] if row[0] not in missing]).filter(pl.col("scope_kind") == "team")
    assert team["expected_quantity"].to_list() == [Decimal(100)]


def test_a_team_that_is_silent_on_a_known_day_cost_nothing_then() -> None:
    sleepy: Detail = [(SPIKE - dt.timedelta(days=7 * week), "sleepy", "k", "m", "u", Decimal(5)) for week in (8, 10)]
    burst: Detail = [(SPIKE, "sleepy", "k", "m", "u", Decimal(60))]
    found = find([*quiet(), *sleepy, *burst]).filter(pl.col("scope_kind") == "team")
    assert found.select("scope_id", "expected_quantity").rows() == [("sleepy", Decimal(0))]


def test_the_floor_is_money_the_caller_sets() -> None:
    burst: Detail = [(SPIKE, "vision", "k", "m", "u", Decimal(80))]
    assert find([*quiet(), *burst], floor=Decimal(79)).height == 2
    assert find([*quiet(), *burst], floor=Decimal(81)).is_empty()


def test_unpriced_usage_is_no_spike() -> None:
    assert find([*quiet(), (SPIKE, "vision", "k", "m", "u", None)]).is_empty()


def test_an_empty_lake_has_no_anomaly() -> None:
    assert find([]).is_empty()
