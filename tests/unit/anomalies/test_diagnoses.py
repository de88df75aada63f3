"""Rules of thumb speak with their numbers, about groups that are large enough, and about nobody else."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from tests.unit.anomalies.awkward import NOVEMBER, table_rows, usage
from usage_etl.anomalies import Clinic, detail_rows, diagnoses
from usage_etl.config.anomalies import AnomalySettings
from usage_etl.schemas import FACT_USAGE_DAILY

DAY = dt.date(2026, 11, 4)
NO_SOURCES = pl.DataFrame(schema={"source": pl.String, "requests_count": pl.Int64, "unnamed_count": pl.Int64})


def user(name: str, day: dt.date = DAY, **changes: Any) -> dict[str, Any]:
    requests = changes.pop("requests_count", 100)
    base = {"user_id": name, "requests_count": requests, "latency_count": requests, "latency_ms_sum": requests * 1000}
    return usage(day, "vision", **(base | changes))


def crowd(count: int = 6) -> list[dict[str, Any]]:
    return [user(f"u{number}") for number in range(count)]


def told(
    rows: list[dict[str, Any]], sources: pl.DataFrame = NO_SOURCES, **settings: Any
) -> dict[tuple[str, str], dict[str, Any]]:
    clinic = Clinic(NOVEMBER, NOVEMBER.last_day, "USD", AnomalySettings(**settings), {"odd": "Otto Odd"})
    found = diagnoses(detail_rows(table_rows(FACT_USAGE_DAILY, rows).lazy(), currency="USD"), sources, clinic=clinic)
    return {(row["rule"], row["scope_id"]): row for row in found.iter_rows(named=True)}


def test_a_crowd_of_equals_has_no_diagnosis() -> None:
    assert told(crowd()) == {}
    assert told([]) == {}


def test_a_user_whose_answers_are_slow_is_told_with_the_others_time() -> None:
    row = told([*crowd(), user("odd", latency_ms_sum=100 * 2500)])["slow_user", "odd"]
    assert row["diagnosis_text"] == "Answers take 2.5 s on average; others wait 1.0 s on the same models"
    assert (row["times_ratio"], row["group_size_count"], row["scope_name"]) == (2.5, 6, "Otto Odd")


def test_whoever_uses_a_slow_model_is_not_called_slow() -> None:
    slow_model = [user(f"s{number}", model_id="deep", latency_ms_sum=100 * 9000) for number in range(3)]
    assert told([*crowd(), *slow_model]) == {}


def test_heavy_prompts_and_unusual_cost_are_told_against_the_median() -> None:
    found = told([*crowd(), user("odd", input_uncached_tokens=100 * 9800)])
    heavy = found["tokens_per_request", "odd"]
    assert (heavy["observed_level"], heavy["reference_level"]) == (10000, 1200)
    assert found["unusual_cost", "odd"]["effective_cost"] == Decimal(1000)
    assert found["unusual_cost", "odd"]["diagnosis_text"] == "Cost 1,000.00 USD, 8.3 times the median user's 120.00"


def test_a_group_below_the_minimum_is_not_compared() -> None:
    rows = [*crowd(3), user("odd", input_uncached_tokens=10**7, latency_ms_sum=10**7)]
    assert told(rows) == {}
    assert told(rows, minimum_group=3) != {}


def test_few_requests_with_many_tokens_are_told() -> None:
    row = told([*crowd(), user("odd", requests_count=5, input_uncached_tokens=200_000)])["few_requests_many_tokens", "odd"]
    assert row["diagnosis_text"] == "5 requests carry 201,000 tokens; the median user has 100 requests and 120,000 tokens"


def test_an_odd_ratio_is_odd_among_users_of_the_same_feature() -> None:
    odd = user("odd", input_uncached_tokens=100 * 200, output_tokens=100 * 1000)
    row = told([*crowd(), odd])["input_output_ratio", "odd"]
    assert (row["observed_level"], row["reference_level"]) == (0.2, 5)
    elsewhere = odd | {"feature_id": "draft"}
    assert ("input_output_ratio", "odd") not in told([*crowd(), elsewhere])


def test_missing_users_are_told_per_source() -> None:
    sources = pl.DataFrame({"source": ["gateway", "fine"], "requests_count": [200, 200], "unnamed_count": [110, 2]})
    found = told(crowd(), sources)
    assert list(found) == [("missing_users", "gateway")]
    assert found["missing_users", "gateway"]["diagnosis_text"] == "110 of 200 requests name no user (55 %)"


def test_a_user_who_was_there_every_week_and_is_gone_is_told() -> None:
    weeks = [user("gone", DAY - dt.timedelta(days=7 * week)) for week in range(5)]
    rare = [user("rare", DAY - dt.timedelta(days=20))]
    later = [user(f"u{number}", NOVEMBER.last_day) for number in range(6)]
    found = told([*weeks, *rare, *later])
    assert [key for key in found if key[0] == "gone_silent"] == [("gone_silent", "gone")]
    assert found["gone_silent", "gone"]["observed_level"] == 26


def test_unpriced_users_are_neither_dear_nor_free() -> None:
    rows = [row | {"effective_cost": None} for row in [*crowd(), user("odd", requests_count=900)]]
    found = told(rows)
    assert ("unusual_cost", "odd") not in found
    assert {row["effective_cost"] for row in found.values()} <= {None}
