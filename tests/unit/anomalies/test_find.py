"""mart_anomalies: what stood out, by how much money, and who carried it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.anomalies.awkward import SPIKE, burst, find, of, quiet, usage
from usage_etl.money import exact_sum


def test_a_quiet_month_has_no_anomaly() -> None:
    assert find(quiet()).anomalies.is_empty()


def test_an_empty_lake_has_no_anomaly() -> None:
    assert find([]).anomalies.is_empty()


def test_a_runaway_key_is_found_and_named_at_team_and_organization() -> None:
    found = find([*quiet(), burst()])
    for kind, scope in (("organization", "northwind"), ("team", "vision")):
        row = of(found, kind).row(0, named=True)
        assert (row["usage_date"], row["scope_id"], row["is_alerting"]) == (SPIKE, scope, True)
        assert (row["top_api_key_id"], row["top_user_id"], row["top_model_id"]) == ("key-script", "night", "openai/gpt-5")
        assert row["top_share_ratio"] == pytest.approx(1.0, abs=0.05)
    assert of(found, "team").height == 1


def test_observed_is_the_exact_sum_and_excess_what_is_left_of_it() -> None:
    row = of(find([*quiet(), burst(effective_cost=Decimal("512.345678901234567891"))]), "team").row(0, named=True)
    usual = [one["effective_cost"] for one in quiet() if one["usage_date"] == SPIKE and one["team_id"] == "vision"]
    assert row["observed_quantity"] == usual[0] + Decimal("512.345678901234567891")
    assert row["excess_cost"] == row["excess_quantity"] == row["observed_quantity"] - row["expected_quantity"]


def test_parts_of_every_breakdown_add_up_to_the_excess() -> None:
    rows = [*quiet(), burst(effective_cost=Decimal("512.345678901234567891")), usage(SPIKE, "vision", effective_cost=None)]
    found = find(rows)
    excess = dict(found.anomalies.select("anomaly_id", "excess_quantity").iter_rows())
    assert set(found.factors["anomaly_id"]) == set(excess) != set()
    for (anomaly, _), parts in found.factors.group_by("anomaly_id", "breakdown"):
        assert exact_sum(parts["change_quantity"]) == excess[anomaly]


def test_more_requests_are_volume_and_neither_price_nor_mix() -> None:
    found = find([*quiet(), burst(user_id="user-vision")])
    team = of(found, "team").row(0, named=True)
    factors = found.factors.filter((pl.col("anomaly_id") == team["anomaly_id"]) & (pl.col("breakdown") == "factor"))
    parts = dict(factors.select("part_id", "share_ratio").iter_rows())
    assert parts["volume"] == pytest.approx(1.0, abs=0.1)
    assert parts["price"] == parts["model_mix"] == 0
    assert team["cause_text"].startswith("Requests \u00d75.")
    assert "by new key-script (" in team["cause_text"]
    assert team["cause_text"].endswith("on gpt-5; price and mix unchanged")


def test_users_keys_and_models_are_ranked_and_do_not_alert() -> None:
    rows = [*quiet(), burst(api_key_id="key-vision", user_id="user-vision")]
    found = find(rows).anomalies.filter(pl.col("scope_kind").is_in(["user", "api_key", "model"]))
    assert set(found["scope_kind"]) == {"user", "api_key", "model"}
    assert not found["is_alerting"].any()
    assert set(found["measure"]) == {"effective_cost"}


def test_a_new_key_with_material_money_is_its_own_finding_once() -> None:
    rows = [*quiet(), *(burst(SPIKE + dt.timedelta(days=offset), requests=200) for offset in range(5))]
    new = find(rows).anomalies.filter(pl.col("detector") == "first_appearance")
    assert new.select("scope_kind", "scope_id", "usage_date").rows() == [("api_key", "key-script", SPIKE)]
    assert new["cause_text"][0].startswith("First seen on 12 Nov 2026: first requests")


def test_keys_of_the_first_weeks_of_the_history_are_not_new() -> None:
    rows = [row for row in quiet() if row["usage_date"] >= dt.date(2026, 10, 20)]
    assert find([*rows, burst(dt.date(2026, 11, 2))]).anomalies.is_empty()


def test_days_close_together_are_one_episode_and_a_later_day_another() -> None:
    days = [SPIKE, SPIKE + dt.timedelta(days=1), SPIKE + dt.timedelta(days=4), SPIKE + dt.timedelta(days=12)]
    sizes = (500, 700, 900, 1200)
    team = of(find([*quiet(), *(burst(day, requests=size) for day, size in zip(days, sizes, strict=True))]), "team")
    starts = dict(team.select("usage_date", "episode_start_date").iter_rows())
    assert starts == {days[0]: SPIKE, days[1]: SPIKE, days[2]: SPIKE, days[3]: days[3]}
    assert team["episode_id"].n_unique() == 2
    assert team["anomaly_id"].n_unique() == 4


def test_an_outage_is_found_below_the_expectation_once_the_day_is_settled() -> None:
    rows = [row for row in quiet() if row["usage_date"] != SPIKE or row["team_id"] != "vision"]
    team = of(find(rows), "team")
    assert team["excess_cost"].to_list()[0] < 0
    assert team["cause_text"].to_list() == ["No requests by key-vision (100 %) on gpt-5; price and mix unchanged"]
    assert of(find(rows, settled_date=SPIKE - dt.timedelta(days=1)), "team").is_empty()


def test_a_surge_of_failures_has_its_own_detector_and_a_least_count() -> None:
    failed = usage(SPIKE, "vision", requests_count=60, errors_count=60, input_uncached_tokens=0, output_tokens=0)
    found = of(find([*quiet(), failed]), "team", "error_ratio").row(0, named=True)
    assert found["detector"] == "failure_surge"
    assert found["currency"] is None
    assert found["excess_cost"] is None
    assert Decimal("0.3") < found["observed_quantity"] < Decimal("0.5")
    assert found["cause_text"].startswith("Failed requests 3")
    few = usage(SPIKE, "vision", requests_count=15, errors_count=15, input_uncached_tokens=0, output_tokens=0)
    assert of(find([*quiet(), few]), "team", "error_ratio").is_empty()


def test_slow_answers_are_found_by_their_average() -> None:
    rows = [row | {"latency_count": row["requests_count"], "latency_ms_sum": row["requests_count"] * 900} for row in quiet()]
    for row in rows:
        if row["usage_date"] == SPIKE and row["team_id"] == "vision":
            row["latency_ms_sum"] *= 4
    found = of(find(rows), "team", "latency_average_ms").row(0, named=True)
    assert (found["observed_quantity"], found["expected_quantity"]) == (Decimal(3600), Decimal(900))
    assert found["cause_text"].startswith("Time per request \u00d74.0")


def test_longer_prompts_are_found_by_tokens_per_request() -> None:
    def longer(row: dict[str, object]) -> dict[str, object]:
        if (row["usage_date"], row["team_id"]) != (SPIKE, "vision"):
            return row
        requests = int(str(row["requests_count"]))
        return usage(SPIKE, "vision", requests_count=requests, input_uncached_tokens=requests * 9000)

    found = find([longer(row) for row in quiet()])
    assert of(found, "team", "tokens_per_request_ratio")["observed_quantity"].to_list() == [Decimal(9200)]
    assert "okens per request \u00d77.7" in of(found, "team")["cause_text"][0]


def test_tokens_and_requests_of_a_day_whose_cost_alerts_are_the_same_event() -> None:
    found = find([*quiet(), burst()])
    for measure in ("total_tokens", "requests_count"):
        row = of(found, "team", measure).row(0, named=True)
        assert (row["is_alerting"], row["suppressed_by"]) == (False, "the cost of the same day tells it")


def test_tokens_without_a_price_are_found_though_they_cost_nothing_known() -> None:
    rows = [row | {"effective_cost": None, "price_id": None, "price_status": "unpriced"} for row in [*quiet(), burst()]]
    found = find(rows)
    assert of(found, "team").is_empty()
    assert of(found, "team", "total_tokens")["is_alerting"].to_list() == [True]


def test_an_excess_below_the_floor_is_not_told() -> None:
    rows = [*quiet(), burst()]
    assert of(find(rows, settings={"minimum_excess": Decimal(500)}), "team").height == 1
    assert of(find(rows, settings={"minimum_excess": Decimal(900)}), "team").is_empty()


def test_days_to_come_do_not_change_what_was_found() -> None:
    rows = [*quiet(), burst()]
    until = [row for row in rows if row["usage_date"] <= SPIKE]
    wild = [
        row | {"effective_cost": Decimal(10**6), "requests_count": 10**6} if row["usage_date"] > SPIKE else row for row in rows
    ]
    before, after = find(until), find(wild)
    shared = after.anomalies.filter(pl.col("usage_date") <= SPIKE)
    assert before.anomalies.equals(shared)
    assert before.factors.equals(after.factors.filter(pl.col("anomaly_id").is_in(shared["anomaly_id"].to_list())))


def test_a_day_of_which_nobody_has_a_row_is_neither_free_nor_anomalous() -> None:
    assert find([row for row in quiet() if row["usage_date"] != SPIKE]).anomalies.is_empty()


def test_other_currencies_are_never_added() -> None:
    assert of(find([*quiet(), burst(currency="EUR")]), "team").is_empty()


def test_a_negative_correction_still_adds_up_and_is_told_apart_from_requests() -> None:
    correction = usage(SPIKE, "vision", requests_count=0, effective_cost=Decimal(-900), price_id=None)
    found = find([*quiet(), correction])
    team = of(found, "team").row(0, named=True)
    assert team["observed_quantity"] < 0
    parts = found.factors.filter((pl.col("anomaly_id") == team["anomaly_id"]) & (pl.col("breakdown") == "factor"))
    assert exact_sum(parts["change_quantity"]) == team["excess_quantity"]
    assert dict(parts.select("part_id", "change_quantity").iter_rows())["without_requests"] == -900


def test_the_same_rows_in_another_order_give_the_same_tables() -> None:
    rows = [*quiet(), burst()]
    one, other = find(rows), find(rows[::-1])
    assert one.anomalies.equals(other.anomalies)
    assert one.factors.equals(other.factors)


def test_a_month_is_not_told_what_happened_in_another() -> None:
    assert find([*quiet(), burst(dt.date(2026, 10, 22))]).anomalies.filter(pl.col("excess_quantity") > 0).is_empty()
