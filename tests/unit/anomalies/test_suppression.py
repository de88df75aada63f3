"""What is known beforehand is kept, says why, and does not alert."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

from tests.unit.anomalies.awkward import PRICES, RATE, SPIKE, burst, find, of, quiet


def test_a_price_change_is_known_and_kept() -> None:
    changed = SPIKE - dt.timedelta(days=1)
    dear = {**PRICES[0], "price_id": "dear", "valid_from": dt.datetime(2026, 11, 11, tzinfo=dt.UTC)}
    dear |= dict.fromkeys(("input_uncached_per_mtok", "output_per_mtok", "cache_read_per_mtok"), RATE * 4)
    rows = [
        row | {"price_id": "dear", "effective_cost": row["effective_cost"] * 4} if row["usage_date"] >= changed else row
        for row in quiet()
    ]
    team = of(find(rows, prices=[*PRICES, dear]), "team").filter(pl.col("usage_date") == changed)
    assert set(team["suppressed_by"]) == {"price change: openai/gpt-5 since 2026-11-11"}
    assert not team["is_alerting"].any()
    assert all(text.startswith("Higher prices") for text in team["cause_text"])
    unannounced = [row | {"price_id": "openai/gpt-5"} for row in rows]
    unknown = of(find(unannounced), "team").filter(pl.col("usage_date") == changed)
    assert unknown["is_alerting"].all(), "a price that no list announces is not known"


def test_a_spike_during_a_price_change_still_alerts() -> None:
    cheap = {**PRICES[0], "price_id": "new", "valid_from": dt.datetime(2026, 11, 11, tzinfo=dt.UTC)}
    rows = [row | {"price_id": "new"} if row["usage_date"] >= SPIKE else row for row in [*quiet(), burst()]]
    assert of(find(rows, prices=[*PRICES, cheap]), "team")["is_alerting"].to_list() == [True]


def test_planned_events_keep_their_rows_and_their_reason() -> None:
    event = {"reason": "load test", "first_date": SPIKE, "last_date": SPIKE, "scope_kind": "team", "scope_id": "vision"}
    found = find([*quiet(), burst()], settings={"known_events": (event,)})
    assert of(found, "team").select("suppressed_by", "is_alerting").rows() == [("load test", False)]
    assert of(found, "organization")["is_alerting"].to_list() == [True]
    of_tokens = {**event, "scope_kind": "organization", "scope_id": None, "measures": ("total_tokens",)}
    assert of(find([*quiet(), burst()], settings={"known_events": (of_tokens,)}), "team")["is_alerting"].all()


def test_a_day_that_a_late_rebuild_made_dear_is_a_restatement() -> None:
    rebuild = {
        "table_name": "fact_usage_hourly",
        "usage_date": SPIKE,
        "built_at": dt.datetime(2026, 11, 25, tzinfo=dt.UTC),
        "currency": "USD",
        "before_effective_cost": Decimal(120),
        "after_effective_cost": Decimal(720),
    }
    found = of(find([*quiet(), burst()], restatements=[rebuild]), "team")
    assert found["suppressed_by"].to_list() == ["restatement: rebuilt more than 7 days later"]
    soon = rebuild | {"built_at": dt.datetime(2026, 11, 14, tzinfo=dt.UTC)}
    assert of(find([*quiet(), burst()], restatements=[soon]), "team")["is_alerting"].to_list() == [True]
