"""Recommendations: savings are price differences to the last digit, totals never exceed the rows, order does not matter."""

from __future__ import annotations

from decimal import Decimal, localcontext
from random import Random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.recommendations.hours import BOOK, CATALOG, advice, asked, equivalent, hourly, request, settings_of
from usage_etl.money import exact_sum
from usage_etl.pricing.alternatives import price_alternatives
from usage_etl.recommendations.estimates import row_answers
from usage_etl.recommendations.traffic import asks, traffic_rows

RATES = {
    "big": ("10", "1", "12.5", "20", "50"),
    "small": ("1", "0.1", "1", "1", "5"),
    "mid": ("4", "4", "4", "4", "20"),
}
CLASSES = ("input_uncached_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens")
EVERYTHING = settings_of(
    equivalence_classes=equivalent("acme/big", "acme/small", "rival/mid"),
    background_features=["search"],
    night_from_hour=20,
    night_to_hour=7,
    cache_minimum_tokens=100,
    cache_requests_per_hour=2,
    minimum_peers=2,
    peer_requests=2,
)
USED = st.fixed_dictionaries({
    "day": st.integers(1, 30),
    "hour": st.integers(0, 23),
    "count": st.integers(1, 40),
    "model_raw": st.sampled_from(["big", "big", "small", "mid", "mystery"]),
    "processing": st.sampled_from(["standard", "standard", "batch"]),
    "feature_id": st.sampled_from(["search", "triage", None]),
    "api_key_id": st.sampled_from(["key-1", "key-2", "key-3", "key-4"]),
    "user_id": st.sampled_from([None, "ada", "bob"]),
    "reported_input_tokens": st.integers(700, 2_000_000),
    "cache_read_tokens": st.sampled_from([0, 0, 300]),
    "cache_write_tokens": st.sampled_from([0, 400]),
    "cache_write_1h_tokens": st.sampled_from([0, 100]),
    "reported_output_tokens": st.integers(0, 90_000),
})  # fmt: skip


def facts_of(changes: list[dict[str, Any]]) -> pl.DataFrame:
    hosts = {"mid": "rival"}
    rows = []
    for change in changes:
        written = change["cache_write_tokens"]
        rows.append(request(**change | {"host_raw": hosts.get(change["model_raw"], "acme"),
                                        "cache_write_1h_tokens": min(written, change["cache_write_1h_tokens"])}))  # fmt: skip
    return hourly(*rows)


def by_hand(row: dict[str, Any], model: str) -> Decimal:
    """Tokens times rates by Python's own decimals."""
    with localcontext() as context:
        context.prec = 60
        return sum((row[name] * Decimal(rate) / 1_000_000 for name, rate in zip(CLASSES, RATES[model], strict=True)), Decimal(0))


@settings(max_examples=12, deadline=None)
@given(st.lists(USED, min_size=1, max_size=12))
def test_repriced_savings_are_the_price_difference_row_by_row(changes: list[dict[str, Any]]) -> None:
    rows = traffic_rows(facts_of(changes).lazy(), prices=BOOK, zone="UTC").filter(
        (pl.col("price_status") == "priced") & (pl.col("processing") == "standard")
    )
    for target in ("acme/small", "rival/mid"):
        answered = price_alternatives(asks(rows, model_id=target), book=BOOK, catalog=CATALOG)
        for row in answered.iter_rows(named=True):
            before, after = by_hand(row, row["model_id"]), by_hand(row, target.partition("/")[2])
            assert (row["effective_cost"], row["asked_cost"]) == (before, after)
            assert row["effective_cost"] - row["asked_cost"] == before - after


@settings(max_examples=12, deadline=None)
@given(st.lists(USED, min_size=1, max_size=12))
def test_a_question_that_changes_nothing_is_answered_with_the_stored_cost(changes: list[dict[str, Any]]) -> None:
    rows = traffic_rows(facts_of(changes).lazy(), prices=BOOK, zone="UTC")
    answered = price_alternatives(asks(rows), book=BOOK, catalog=CATALOG)
    assert answered["asked_cost"].to_list() == answered["effective_cost"].to_list()
    assert answered["asked_price_id"].to_list() == answered["price_id"].to_list()


@settings(max_examples=12, deadline=None)
@given(st.lists(USED, min_size=1, max_size=25))
def test_totals_without_overlap_never_exceed_the_cost_of_the_rows(changes: list[dict[str, Any]]) -> None:
    facts = facts_of(changes)
    found = advice(facts, EVERYTHING)
    inquiry, answered = asked(facts, EVERYTHING)
    assert exact_sum(found["net_monthly_savings_cost"]) <= inquiry.cost
    assert (found["net_monthly_savings_cost"] >= 0).all()
    ordered = found["monthly_savings_lower_cost"], found["monthly_savings_cost"], found["monthly_savings_upper_cost"]
    assert (ordered[0] > 0).all()
    assert ((ordered[0] <= ordered[1]) & (ordered[1] <= ordered[2]) & (ordered[2] <= found["window_cost"])).all()
    answers = row_answers(answered, currency="USD").filter("is_usable")
    assert answers.filter(pl.col("expected_cost") < 0).is_empty()
    without = found.filter(pl.col("overlaps_with").is_null())
    assert (without["net_monthly_savings_cost"] == without["monthly_savings_cost"]).all()


@settings(max_examples=10, deadline=None)
@given(st.lists(USED, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_prices_does_not_matter(changes: list[dict[str, Any]], random: Random) -> None:
    facts = facts_of(changes)
    shuffled = facts.sample(fraction=1, shuffle=True, seed=random.randrange(10**6))
    book = BOOK.sample(fraction=1, shuffle=True, seed=random.randrange(10**6))
    assert advice(facts, EVERYTHING).equals(advice(shuffled, EVERYTHING, book=book))


@settings(max_examples=10, deadline=None)
@given(st.lists(USED, min_size=1, max_size=20))
def test_traffic_conserves_requests_tokens_and_cost(changes: list[dict[str, Any]]) -> None:
    facts = facts_of(changes)
    rows = traffic_rows(facts.lazy(), prices=BOOK, zone="Asia/Kolkata")
    for name in ("requests_count", *CLASSES):
        assert rows[name].sum() == facts[name].sum()
    assert exact_sum(rows["effective_cost"]) == exact_sum(facts["effective_cost"])
