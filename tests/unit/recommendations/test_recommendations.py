"""What is recommended: the very rows at another price, with a range, and nothing where nothing can be said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from tests.unit.pricing.requests import contract_of
from tests.unit.recommendations.hours import (
    BIG,
    BIG_BATCH,
    BOOK,
    RIVAL,
    SMALL,
    advice,
    equivalent,
    hourly,
    price,
    request,
    settings_of,
    window_of,
)
from usage_etl.config.recommendations import RecommendationSettings
from usage_etl.pricing import ListPrices, price_book

CHAT = settings_of(equivalence_classes=equivalent("acme/big", "acme/small"), tokenizer_margin_ratio="0.1")


def only(found: pl.DataFrame, kind: str | None = None) -> dict[str, Any]:
    rows = found.filter(pl.col("recommendation_kind") == kind) if kind else found
    assert rows.height == 1, found.select("recommendation_kind", "scope_id", "advice_text").to_dicts()
    return rows.row(0, named=True)


def kinds(found: pl.DataFrame) -> list[str]:
    return sorted(found["recommendation_kind"])


def test_a_substitution_saves_the_price_difference_of_the_very_tokens() -> None:
    row = only(advice(hourly(request(2), request(3, reported_input_tokens=3000)), CHAT))
    before = (4000 * Decimal(10) + 200 * Decimal(50)) / 1_000_000
    after = (4000 * Decimal(1) + 200 * Decimal(5)) / 1_000_000
    assert (row["window_cost"], row["window_target_cost"]) == (before, after)
    assert row["monthly_savings_cost"] == before - after
    assert row["monthly_savings_lower_cost"] == before - after * Decimal("1.1")
    assert row["monthly_savings_upper_cost"] == before - after * Decimal("0.9")
    assert (row["model_id"], row["target_model_id"], row["scope_kind"], row["scope_id"]) == (
        "acme/big", "acme/small", "feature", "search",
    )  # fmt: skip
    assert (row["requests_count"], row["rows_count"], row["cost_share_ratio"]) == (2, 2, 1.0)
    assert "use acme/small instead of acme/big" in row["advice_text"]
    assert row["price_ids"] != row["target_price_ids"]


def test_no_model_outside_a_declared_class_is_recommended() -> None:
    assert advice(hourly(request()), settings_of()).is_empty()


@pytest.mark.parametrize(
    "condition",
    [{"features": ["other"]}, {"except_features": ["search"]}, {"teams": ["nobody"]}, {"max_input_tokens": 999}],
)
def test_a_condition_of_the_class_that_does_not_hold_keeps_it_silent(condition: dict[str, Any]) -> None:
    told = settings_of(equivalence_classes=equivalent("acme/big", "acme/small", **condition))
    assert advice(hourly(request()), told).is_empty()


def test_requests_without_a_feature_are_advice_to_their_key() -> None:
    row = only(advice(hourly(request(feature_id=None)), CHAT))
    assert (row["scope_kind"], row["scope_id"], row["feature_id"]) == ("api_key", "key-1", None)


def test_the_cheapest_equivalent_is_the_one_that_is_named() -> None:
    told = settings_of(equivalence_classes=equivalent("acme/big", "rival/mid", "acme/small"))
    assert only(advice(hourly(request()), told))["target_model_id"] == "acme/small"


def test_a_saving_that_the_tokenizer_may_eat_up_is_not_recommended() -> None:
    book = price_book(ListPrices(()), contract_of(BIG, price("near", input="9.5", read="1", write="1", output="48")))
    told = settings_of(equivalence_classes=equivalent("acme/big", "acme/near"))
    facts = hourly(request(), book=book)
    assert advice(facts, told, book=book).is_empty()
    assert advice(facts, told.model_copy(update={"tokenizer_margin_ratio": Decimal("0.01")}), book=book).height == 1


def test_an_equivalent_without_a_price_is_no_equivalent_and_unpriced_usage_is_counted_not_judged() -> None:
    told = settings_of(equivalence_classes=equivalent("acme/big", "acme/unheard-of"))
    assert advice(hourly(request()), told).is_empty()
    row = only(advice(hourly(request(), request(model_raw="mystery", count=7)), CHAT))
    assert (row["requests_count"], row["left_out_requests_count"]) == (1, 7)


def test_usage_in_another_currency_is_left_alone() -> None:
    euros = price_book(ListPrices(()), contract_of(BIG | {"currency": "EUR"}, SMALL))
    assert advice(hourly(request(), book=euros), CHAT, book=euros).is_empty()
    mixed = price_book(ListPrices(()), contract_of(BIG, SMALL | {"currency": "EUR"}))
    assert advice(hourly(request(), book=mixed), CHAT, book=mixed).is_empty()


def test_a_long_context_price_of_the_equivalent_gives_a_range() -> None:
    banded = (price("roomy", input="1", output="5"), price("roomy", band="5000", input="8", output="40"))
    book = price_book(ListPrices(()), contract_of(BIG, *banded))
    told = settings_of(equivalence_classes=equivalent("acme/big", "acme/roomy"), tokenizer_margin_ratio="0")
    one = only(advice(hourly(request(reported_input_tokens=6000), book=book), told, book=book))
    assert one["window_target_cost"] == (6000 * Decimal(8) + 100 * Decimal(40)) / 1_000_000
    assert one["monthly_savings_lower_cost"] == one["monthly_savings_upper_cost"]
    two = only(advice(hourly(request(), request(reported_input_tokens=6000, event_id="x"), book=book), told, book=book))
    whole = (7000 * Decimal(10) + 200 * Decimal(50)) / 1_000_000
    assert two["monthly_savings_cost"] == whole - (7000 * Decimal(1) + 200 * Decimal(5)) / 1_000_000
    assert two["monthly_savings_lower_cost"] == whole - (7000 * Decimal(8) + 200 * Decimal(40)) / 1_000_000


def test_a_request_of_exactly_the_threshold_is_in_the_band_below_it() -> None:
    banded = (price("roomy", input="1", output="5"), price("roomy", band="5000", input="8", output="40"))
    book = price_book(ListPrices(()), contract_of(BIG, *banded))
    told = settings_of(equivalence_classes=equivalent("acme/big", "acme/roomy"), tokenizer_margin_ratio="0")
    for tokens, rate in ((5000, 1), (5001, 8)):
        row = only(advice(hourly(request(reported_input_tokens=tokens), book=book), told, book=book))
        assert row["window_target_cost"] == (tokens * Decimal(rate) + 100 * Decimal(5 * rate)) / 1_000_000


BACKGROUND = settings_of(background_features=["search"])


def test_background_work_is_repriced_at_the_listed_batch_price() -> None:
    row = only(advice(hourly(request(cache_read_tokens=400)), BACKGROUND))
    assert (row["recommendation_kind"], row["target_processing"]) == ("batch_processing", "batch")
    assert row["window_cost"] == (600 * Decimal(10) + 400 * Decimal(1) + 100 * Decimal(50)) / 1_000_000
    assert row["window_target_cost"] == (600 * Decimal(5) + 400 * Decimal(1) + 100 * Decimal(25)) / 1_000_000
    uncached = (1000 * Decimal(5) + 100 * Decimal(25)) / 1_000_000
    assert row["monthly_savings_lower_cost"] == row["window_cost"] - uncached, "a batch may find no cache"


def test_no_discount_is_invented_where_the_list_names_no_batch_price() -> None:
    assert advice(hourly(request(model_raw="small")), BACKGROUND).is_empty()
    row = only(advice(hourly(request(), request(model_raw="small", count=3)), BACKGROUND))
    assert (row["requests_count"], row["left_out_requests_count"]) == (1, 3)


def test_a_batch_price_that_only_stands_in_for_the_standard_one_is_no_price() -> None:
    assumed = BOOK.with_columns(is_processing_assumed=pl.col("processing") == "batch")
    assert advice(hourly(request(), book=assumed), BACKGROUND, book=assumed).is_empty()


def test_what_goes_through_batch_already_is_not_recommended_again() -> None:
    assert advice(hourly(request(processing="batch")), BACKGROUND).is_empty()


NIGHTS = settings_of(night_from_hour=22, night_to_hour=6, night_movable_ratio="0.5")


def test_night_traffic_without_people_is_a_range_from_half_to_all_of_it() -> None:
    facts = hourly(request(hour=23), request(hour=5), request(hour=12), request(hour=2, user_id="ada"))
    row = only(advice(facts, NIGHTS))
    saved = 2 * (1000 * Decimal(5) + 100 * Decimal(25)) / 1_000_000
    assert (row["requests_count"], row["basis"], row["night_from_hour"], row["night_to_hour"]) == (2, "assumption", 22, 6)
    assert (row["monthly_savings_lower_cost"], row["monthly_savings_upper_cost"]) == (saved / 2, saved)
    assert row["monthly_savings_cost"] == saved / 2, "what is assumed is counted at its low end"


def test_the_night_is_that_of_the_organization() -> None:
    facts = hourly(request(hour=3), request(hour=12))
    assert advice(facts, NIGHTS, zone="UTC")["requests_count"].to_list() == [1]
    assert advice(facts, NIGHTS, zone="Asia/Tokyo").is_empty(), "noon and nine in the evening"
    assert advice(facts, NIGHTS, zone="America/Los_Angeles")["requests_count"].to_list() == [1], "four in the morning"


def team_of(user: str, tokens: int, **changes: Any) -> dict[str, Any]:
    return request(team_id=user, user_id=user, api_key_id=f"key-{user}", count=100, reported_input_tokens=tokens, **changes)


PROMPTS = settings_of(minimum_peers=3, peer_requests=50, prompt_excess_ratio="0.25", cache_requests_per_hour=10**6)


def by_team(facts: pl.DataFrame) -> pl.DataFrame:
    """The tests' directory knows two teams; here each user is one."""
    return facts.with_columns(team_id=pl.col("user_id"))


def test_a_team_that_sends_more_than_its_peers_is_told_the_median_and_the_quartiles() -> None:
    facts = by_team(hourly(*(team_of(user, tokens) for user, tokens in
                             (("a", 100_000), ("b", 200_000), ("c", 300_000), ("d", 1_000_000)))))  # fmt: skip
    row = only(advice(facts, PROMPTS))
    assert (row["scope_kind"], row["scope_id"], row["feature_id"], row["basis"]) == ("team", "d", "search", "peers")
    before = (1_000_000 * Decimal(10) + 100 * Decimal(50)) / 1_000_000
    assert row["window_cost"] == before
    assert row["monthly_savings_cost"] == 800_000 * Decimal(10) / 1_000_000
    assert row["monthly_savings_lower_cost"] == 750_000 * Decimal(10) / 1_000_000
    assert row["monthly_savings_upper_cost"] == 850_000 * Decimal(10) / 1_000_000
    assert "sends 10,000 input tokens, the median of 3 other teams is 2,000" in row["advice_text"]


def test_too_few_peers_are_no_measure() -> None:
    facts = by_team(hourly(*(team_of(user, tokens) for user, tokens in (("a", 100_000), ("b", 200_000), ("d", 1_000_000)))))
    assert advice(facts, PROMPTS).is_empty()


def test_peers_with_a_handful_of_requests_do_not_count() -> None:
    few = [request(user_id=user, api_key_id=user, count=49, reported_input_tokens=100) for user in "abc"]
    assert advice(by_team(hourly(*few, team_of("d", 1_000_000))), PROMPTS).is_empty()


CACHING = settings_of(cache_minimum_tokens=1000, cache_requests_per_hour=6, cache_reads_per_write=4)


def test_without_peers_caching_is_a_stated_range_that_pays_for_its_writes() -> None:
    row = only(advice(hourly(request(count=10, reported_input_tokens=100_000)), CACHING))
    assert (row["recommendation_kind"], row["basis"]) == ("caching", "assumption")

    def cost(read: int, written: int) -> Decimal:
        return (
            (100_000 - read - written) * Decimal(10) + read * Decimal(1) + written * Decimal("12.5") + 100 * Decimal(50)
        ) / 10**6

    assert row["monthly_savings_lower_cost"] == row["monthly_savings_cost"] == cost(0, 0) - cost(20_000, 5_000)
    assert row["monthly_savings_upper_cost"] == cost(0, 0) - cost(60_000, 15_000)
    assert "it is assumed that 20% to 60% could be" in row["advice_text"]


@pytest.mark.parametrize("change", [{"count": 5}, {"reported_input_tokens": 9_999}, {"model_raw": "mid", "host_raw": "rival"}])
def test_quiet_hours_short_prompts_and_prices_without_a_cache_rate_are_not_caching(change: dict[str, Any]) -> None:
    assert advice(hourly(request(**({"count": 10, "reported_input_tokens": 100_000} | change))), CACHING).is_empty()


def test_where_peers_read_from_the_cache_their_share_is_the_measure() -> None:
    told = CACHING.model_copy(update={"minimum_peers": 3, "peer_requests": 10})
    shares = {"a": 40_000, "b": 50_000, "c": 60_000, "d": 0}
    facts = hourly(*(
        request(api_key_id=key, count=10, reported_input_tokens=100_000, cache_read_tokens=read) for key, read in shares.items()
    ))  # fmt: skip
    found = advice(facts, told)
    row = only(found.filter(pl.col("scope_id") == "d"))
    assert (row["basis"], row["scope_kind"], row["whole_count"], row["part_count"]) == ("peers", "api_key", 100_000, 0)
    assert row["monthly_savings_cost"] == 50_000 * Decimal(9) / 10**6, "peers write nothing, so nothing extra is written"
    assert "3 others there read 45% to 55%" in row["advice_text"]


@pytest.mark.parametrize("change", [{"cache_read_tokens": 11_000}, {"model_raw": "small"}], ids=["in use", "works by itself"])
def test_a_cache_that_shows_what_repeats_is_not_guessed_about(change: dict[str, Any]) -> None:
    assert advice(hourly(request(**({"count": 10, "reported_input_tokens": 100_000} | change))), CACHING).is_empty()


def test_traffic_of_a_day_or_two_is_an_incident_and_no_habit() -> None:
    told = CHAT.model_copy(update={"minimum_active_days": 3})
    assert advice(hourly(request(2, count=900), request(3, count=900)), told).is_empty()
    assert advice(hourly(request(2), request(3), request(4)), told).height == 1


def test_of_two_equivalents_the_one_that_saves_more_for_certain_is_named() -> None:
    banded = (price("roomy", input="0.5", output="5"), price("roomy", band="1500", input="9", output="45"))
    book = price_book(ListPrices(()), contract_of(BIG, SMALL, *banded))
    told = settings_of(equivalence_classes=equivalent("acme/big", "acme/roomy", "acme/small"))
    assert (
        only(advice(hourly(request(count=3, reported_input_tokens=3000), book=book), told, book=book))["target_model_id"]
        == "acme/small"
    )


def test_less_than_the_floor_and_less_than_the_days_say_nothing() -> None:
    facts = hourly(request())
    saving = only(advice(facts, CHAT))["monthly_savings_cost"]
    assert advice(facts, CHAT.model_copy(update={"minimum_monthly_savings": saving})).height == 1
    assert advice(facts, CHAT.model_copy(update={"minimum_monthly_savings": saving + Decimal("1e-12")})).is_empty()
    assert advice(facts, CHAT.model_copy(update={"minimum_days": 28}), window=window_of(through=20)).is_empty()


def test_a_running_month_takes_the_days_before_and_a_short_history_is_scaled_to_the_month() -> None:
    window = window_of(through=10)
    assert (window.days_count, str(window.start)) == (10, "2026-11-01"), "data begins with the month here"
    row = only(advice(hourly(request()), CHAT, window=window))
    assert row["monthly_savings_cost"] == 3 * (row["window_cost"] - row["window_target_cost"])
    assert window_of(through=30).days_count == 30


def test_what_two_recommendations_would_save_twice_is_counted_once() -> None:
    told = settings_of(
        equivalence_classes=equivalent("acme/big", "acme/small", difficulty="high"), background_features=["search"]
    )
    found = advice(hourly(request(), request(3, feature_id="other")), told)
    assert found["recommendation_kind"].to_list() == ["batch_processing", "model_substitution", "model_substitution"]
    assert found["rank"].to_list() == [1, 2, 3]
    batch, other, same = found.rows(named=True)
    if other["scope_id"] == "search":
        other, same = same, other
    assert batch["overlaps_with"] == same["recommendation_id"]
    assert same["overlaps_with"] == batch["recommendation_id"]
    assert other["overlaps_with"] is None
    assert same["net_monthly_savings_cost"] == 0
    assert batch["net_monthly_savings_cost"] == batch["monthly_savings_cost"]
    assert found["net_monthly_savings_cost"].sum() < found["monthly_savings_cost"].sum()


def test_an_advice_has_the_same_id_every_month_and_another_one_for_another_scope() -> None:
    def found(**changes: Any) -> str:
        return str(only(advice(hourly(request(**changes)), CHAT))["recommendation_id"])

    assert found() == found(day=20, count=9) != found(feature_id="other")


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"equivalence_classes": equivalent("acme/big")}, "at least 2"),
        ({"equivalence_classes": equivalent("acme/big", "acme/big")}, "named twice: acme/big"),
        ({"equivalence_classes": equivalent("big", "acme/small")}, "should match pattern"),
        ({"equivalence_classes": [*equivalent("a/b", "a/c"), *equivalent("a/d", "a/e")]}, "used twice: chat"),
        ({"cache_share_low": "0.9"}, "above cache_share_high"),
        ({"tokenizer_margin_ratio": "1.5"}, "less than or equal to 1"),
        ({"unheard": 1}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(document: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        RecommendationSettings.model_validate(document)


def test_the_prices_of_the_tests_are_what_they_say() -> None:
    assert {row["model_id"] for row in (BIG, BIG_BATCH, SMALL, RIVAL)} == set(BOOK["model_id"])
