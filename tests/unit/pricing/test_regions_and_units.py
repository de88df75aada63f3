"""Regions, units beside tokens, buckets that name their band, and prices with holes: exact, and never a silent zero."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pricing.requests import contract_of, rated, surcharges_of
from usage_etl.errors import PriceBookError
from usage_etl.pricing import ListPrices, price_book
from usage_etl.pricing.surcharges import matched_region

LISTS = ListPrices.bundled()
BOOK = price_book(LISTS, contract_of())
MILLION = {"reported_input_tokens": 1_000_000, "reported_output_tokens": 0}
OPUS = {"host_raw": "anthropic", "model_raw": "claude-opus-4-6", **MILLION}


def costs(book: pl.DataFrame, *changes: dict[str, Any]) -> list[Decimal | None]:
    return rated(book, *changes)["effective_cost"].to_list()


def test_inference_in_one_country_costs_what_the_list_adds_for_it() -> None:
    regions = (None, "global", "not_listed", "us", "US")
    assert costs(BOOK, *({**OPUS, "region": region} for region in regions)) == [5, 5, 5, Decimal("5.5"), Decimal("5.5")]


def test_any_regional_endpoint_costs_more_than_the_global_one() -> None:
    vertex = {**OPUS, "host_raw": "vertex_ai"}
    found = costs(BOOK, *({**vertex, "region": region} for region in ("us-east5", "europe-west1", "global", None)))
    assert found == [Decimal("5.5"), Decimal("5.5"), 5, 5]


def test_a_contract_surcharge_beats_the_list_from_its_day_on_and_applies_to_every_class() -> None:
    rows = [
        {"provider": "anthropic", "region": "us", "multiplier": "1.25", "valid_from": "2026-11-01"},
        {"provider": "anthropic", "region": "eu-*", "multiplier": "1.1"},
    ]
    book = price_book(LISTS, contract_of(), surcharges_of(*rows))
    cached = {**OPUS, "cache_read_tokens": 400_000, "reported_output_tokens": 100_000, "processing": "batch", "region": "us"}
    assert costs(book, cached) == [
        (Decimal("0.6") * 5 + Decimal("0.4") * Decimal("0.5") + Decimal("0.1") * 25) / 2 * Decimal("1.25")
    ]
    assert costs(book, {**OPUS, "region": "eu-west-1"}, {**OPUS, "region": "eu"}) == [Decimal("5.5"), 5]


def test_a_price_row_of_a_region_beats_its_surcharge() -> None:
    agreed = {"provider": "anthropic", "model_id": "claude-opus-4-6", "region": "us", "input_uncached_per_mtok": "4"}
    book = price_book(LISTS, contract_of(agreed))
    assert costs(book, {**OPUS, "region": "us"}, OPUS) == [4, 5]


def test_a_contract_price_carries_the_surcharge_of_the_list() -> None:
    book = price_book(
        LISTS, contract_of({"provider": "anthropic", "model_id": "claude-opus-4-6", "input_uncached_per_mtok": "4"})
    )
    row = rated(book, {**OPUS, "region": "us"}).row(0, named=True)
    assert row["effective_cost"] == Decimal("4.4")
    assert row["price_id"].startswith("contract:")


@pytest.mark.parametrize(
    ("sent", "priced"),
    [("us", "us"), (" US ", "us"), ("us-east-1", "us-east-*"), ("us-west-2", "us-*"), ("eu", "*"), (None, None)],
)
def test_the_most_exact_region_holds(sent: str | None, priced: str | None) -> None:
    assert matched_region(sent, ["*", "us-*", "us", "us-east-*"]) == priced


def test_a_region_nobody_prices_does_not_matter() -> None:
    assert matched_region("mars", ["us"]) is None


@pytest.mark.parametrize("multiplier", ["0", "-1.1", "1.0000001", "x", ""])
def test_a_surcharge_that_is_none_is_refused(multiplier: str) -> None:
    with pytest.raises(PriceBookError, match="line 2"):
        price_book(LISTS, contract_of(), surcharges_of({"provider": "openai", "region": "eu", "multiplier": multiplier}))


def test_fast_costs_what_fast_costs() -> None:
    fast = {**OPUS, "model_raw": "claude-opus-4-8", "processing": "fast"}
    assert costs(BOOK, fast, {**fast, "processing": "standard"}) == [10, 5]


def test_searches_cost_on_top_of_tokens() -> None:
    search = {**OPUS, "native_unit": "web_searches", "native_quantity": Decimal(3)}
    row = rated(BOOK, search).row(0, named=True)
    assert row["effective_cost"] == 5 + 3 * Decimal("0.01")
    assert ":web_searches:" in row["price_id"]


def test_a_unit_without_a_price_leaves_tokens_priced_and_alone_is_unpriced() -> None:
    unknown = {"native_unit": "tool_calls", "native_quantity": Decimal(3)}
    alone = {**OPUS, **unknown, "reported_input_tokens": 0}
    first, second = rated(BOOK, {**OPUS, **unknown}, alone).rows(named=True)
    assert (first["price_status"], first["effective_cost"]) == ("priced", 5)
    assert (second["price_status"], second["effective_cost"]) == ("unpriced", None)


def test_an_hour_of_audio_costs_the_price_of_an_hour_exactly() -> None:
    whisper = {
        "host_raw": "groq", "model_raw": "whisper-large-v3", "reported_input_tokens": None, "reported_output_tokens": None,
        "native_unit": "seconds",
    }  # fmt: skip
    assert costs(BOOK, {**whisper, "native_quantity": Decimal(3600)}, {**whisper, "native_quantity": Decimal(1)}) == [
        Decimal("0.111"), Decimal("0.000030833333333333"),
    ]  # fmt: skip


def test_tokens_of_a_model_that_is_billed_by_the_second_are_not_free() -> None:
    row = rated(BOOK, {"host_raw": "groq", "model_raw": "whisper-large-v3", "reported_input_tokens": 100}).row(0, named=True)
    assert (row["price_status"], row["effective_cost"]) == ("unpriced", None)


def test_a_request_fee_counts_once_per_request() -> None:
    sonar = {"host_raw": "perplexity", "model_raw": "sonar", **MILLION}
    assert costs(BOOK, sonar, {**sonar, "grain": "bucket", "requests_count": 5}) == [
        1 + Decimal("0.012"),
        1 + 5 * Decimal("0.012"),
    ]


@pytest.mark.parametrize(
    ("primitive", "unit", "price"),
    [
        ("ai.image", "images", "0.04"), ("voice.room", "participant_minutes", "0.002"), ("phone.sms", "messages", "0.0075"),
        ("web.crawl", "pages", "0.00083"), ("email.send", "emails", "0.0001"), ("governance.scan", "scans", "0.15"),
        ("safety.moderate", "checks", "0"), ("ai.embed", "embeddings", "0.000001"), ("phone.call", "call_minutes", "0.0140"),
    ],
)  # fmt: skip
def test_every_primitive_can_be_priced_by_its_unit(primitive: str, unit: str, price: str) -> None:
    agreed = {"provider": "vendor", "model_id": "*", "unit": unit, "per_unit": price}
    book = price_book(LISTS, contract_of(agreed))
    used = {
        "host_raw": "vendor", "model_raw": None, "primitive": primitive, "quantity": Decimal("12.5"),
        "reported_input_tokens": None, "reported_output_tokens": None,
    }  # fmt: skip
    row = rated(book, used, {**used, "primitive": "ai.chat"}).rows(named=True)
    assert row[0]["effective_cost"] == Decimal("12.5") * Decimal(price)
    assert row[1]["price_status"] == "unpriced", "a quantity of another unit is not priced by this one"


def test_a_native_unit_is_priced_before_the_unit_of_the_primitive() -> None:
    rows = [
        {"provider": "vendor", "model_id": "m", "unit": unit, "per_unit": price}
        for unit, price in (("credits", "2"), ("images", "9"))
    ]
    used = {
        "host_raw": "vendor", "model_raw": "m", "primitive": "ai.image", "quantity": Decimal(4), "reported_input_tokens": None,
        "reported_output_tokens": None,
    }  # fmt: skip
    native = {**used, "native_unit": "credits", "native_quantity": Decimal(3)}
    assert costs(price_book(LISTS, contract_of(*rows)), used, native) == [36, 6]


def test_a_bucket_that_names_its_band_is_priced_by_it() -> None:
    bucket = {"grain": "bucket", "host_raw": "gemini", "model_raw": "gemini-2.5-pro", "requests_count": 900, **MILLION}
    named = [{**bucket, "context_min_tokens": band} for band in (0, 200_000, None)]
    rows = rated(BOOK, *named)
    assert rows["effective_cost"].to_list() == [Decimal("1.25"), Decimal("2.5"), None]
    assert rows["price_status"].to_list() == ["priced", "priced", "needs_request_grain"]


def test_a_bucket_of_a_model_without_bands_needs_none_although_another_model_has_some() -> None:
    day = [
        {"grain": "bucket", "host_raw": "gemini", "model_raw": "gemini-2.5-pro"},
        {"grain": "bucket", "model_raw": "gpt-5.2", "reported_output_tokens": 0},
    ]
    assert rated(BOOK, *day)["price_status"].to_list() == ["needs_request_grain", "priced"]


@pytest.mark.parametrize(
    ("start", "hours", "status"),
    [
        (0, 24, "needs_request_grain"),
        (2, 1, "priced"),
        (4, 1, "priced"),
        (3, 2, "needs_request_grain"),
        (0, None, "needs_request_grain"),
    ],
)
def test_a_bucket_over_a_change_of_the_time_of_day_is_not_guessed(start: int, hours: int | None, status: str) -> None:
    begin = dt.datetime(2026, 11, 2, start, tzinfo=dt.UTC)
    bucket = {
        "grain": "bucket", "host_raw": "deepseek", "model_raw": "deepseek-v4-pro", "started_at": begin, "context_min_tokens": 0,
        "ended_at": None if hours is None else begin + dt.timedelta(hours=hours),
    }  # fmt: skip
    assert rated(BOOK, bucket)["price_status"].to_list() == [status]


@pytest.mark.parametrize(
    ("hole", "start", "hours", "status"),
    [
        ({"daily_from": "12:00"}, 0, 24, "needs_request_grain"),
        ({"daily_from": "12:00"}, 12, 12, "priced"),
        ({"daily_from": "12:00"}, 0, 12, "unpriced"),
        ({"daily_to": "12:00"}, 0, 24, "needs_request_grain"),
        ({"context_min_tokens": "200000"}, 0, 24, "needs_request_grain"),
    ],
)
def test_a_price_of_a_part_is_not_the_price_of_a_whole_bucket(hole: dict[str, str], start: int, hours: int, status: str) -> None:
    agreed = {"provider": "vendor", "model_id": "m", "input_uncached_per_mtok": "1", "output_per_mtok": "1", **hole}
    begin = dt.datetime(2026, 11, 2, start, tzinfo=dt.UTC)
    bucket = {
        "grain": "bucket", "host_raw": "vendor", "model_raw": "m", "started_at": begin,
        "ended_at": begin + dt.timedelta(hours=hours),
        "context_min_tokens": None if "context_min_tokens" in hole else 0,
    }  # fmt: skip
    row = rated(price_book(LISTS, contract_of(agreed)), bucket).row(0, named=True)
    assert (row["price_status"], row["effective_cost"] is None) == (status, status != "priced")


THINKS = {
    "input_uncached_per_mtok": "2", "cache_read_per_mtok": "1", "output_per_mtok": "4", "output_reasoning_per_mtok": "3",
    "input_audio_per_mtok": "20", "cache_read_audio_per_mtok": "0.123456789012",
}  # fmt: skip
HOLEY = contract_of(
    {"provider": "vendor", "model_id": "no-cache", "input_uncached_per_mtok": "2", "output_per_mtok": "4"},
    {"provider": "vendor", "model_id": "thinks", **THINKS},
    {"provider": "vendor", "model_id": "thinks", "unit": "web_searches", "per_unit": "0.01"},
    {"provider": "vendor", "model_id": "thinks", "region": "eu", "output_per_mtok": "5"},
)
HOLEY_BOOK = price_book(LISTS, HOLEY)


def test_a_class_without_a_rate_is_unpriced_only_where_it_has_tokens() -> None:
    asked = {"host_raw": "vendor", "model_raw": "no-cache", "reported_output_tokens": 10}
    rows = rated(HOLEY_BOOK, asked, {**asked, "cache_read_tokens": 1}, {**asked, "cache_write_tokens": 1})
    assert rows["price_status"].to_list() == ["priced", "unpriced", "unpriced"]


def test_parts_of_a_class_cost_their_own_rate_and_the_rest_is_text() -> None:
    asked = {
        "host_raw": "vendor", "model_raw": "thinks", "reported_input_tokens": 1_000_000, "input_audio_tokens": 100_000,
        "reported_output_tokens": 500_000, "reasoning_tokens": 200_000, "output_image_tokens": 100_000,
    }  # fmt: skip
    text, audio = Decimal("0.9") * 2, Decimal("0.1") * 20
    assert costs(HOLEY_BOOK, asked) == [text + audio + Decimal("0.3") * 4 + Decimal("0.2") * 3]


PLACES: tuple[dict[str, Any], ...] = (
    {"model_raw": "vendor/no-cache"},
    {"model_raw": "vendor/no-cache", "processing": "batch"},
    {"model_raw": "vendor/thinks"},
    {"model_raw": "vendor/thinks", "region": "eu", "processing": "fast"},
    {"model_raw": "vendor/thinks", "native_unit": "web_searches", "native_quantity": Decimal(2)},
    {"model_raw": "vendor/thinks", "native_unit": "credits", "native_quantity": Decimal(2)},
    {"model_raw": "deepseek/deepseek-v4-pro", "started_at": dt.datetime(2026, 11, 2, 3, 59, tzinfo=dt.UTC)},
    {"model_raw": "deepseek/deepseek-v4-pro", "started_at": dt.datetime(2026, 11, 2, 4, tzinfo=dt.UTC)},
    {"model_raw": "gemini/gemini-2.5-pro"},
    {"model_raw": "gemini/gemini-2.5-pro", "grain": "bucket", "context_min_tokens": 200_000},
    {"model_raw": "gemini/gemini-2.5-pro", "grain": "bucket"},
    {"model_raw": "anthropic/claude-opus-4-6", "region": "us"},
    {"model_raw": "gemini/gemini-embedding-001"},
    {"model_raw": "vendor/nobody"},
)


@pytest.mark.parametrize(
    ("model", "odd"),
    [
        ("no-cache", {"cache_read_tokens": 1}),
        ("thinks", {"reported_input_tokens": 50, "input_audio_tokens": 5_000}),
        ("thinks", {"reported_output_tokens": 50, "reasoning_tokens": 5_000}),
    ],
)
def test_one_odd_request_does_not_change_the_cost_of_its_group(model: str, odd: dict[str, Any]) -> None:
    plain = {"host_raw": "vendor", "model_raw": model, "reported_input_tokens": 300_000, "reported_output_tokens": 9_000}
    expected = [cost for cost in costs(HOLEY_BOOK, plain, {**plain, **odd}) if cost is not None]
    assert rated(HOLEY_BOOK, plain, {**plain, **odd}, is_grouped=True)["effective_cost"].sum() == sum(expected)


USED = st.tuples(
    st.sampled_from(PLACES),
    st.fixed_dictionaries(
        {
            "reported_input_tokens": st.sampled_from([0, 50, 300_000]) | st.integers(0, 400_000),
            "cache_read_tokens": st.sampled_from([0, 0, 900]),
            "cache_write_tokens": st.sampled_from([0, 0, 0, 40]),
            "cache_read_audio_tokens": st.sampled_from([0, 0, 100, 5_000]),
            "input_audio_tokens": st.sampled_from([0, 0, 100, 5_000]),
            "reported_output_tokens": st.sampled_from([0, 700]),
            "output_audio_tokens": st.sampled_from([0, 300]),
            "output_image_tokens": st.sampled_from([0, 300]),
            "reasoning_tokens": st.sampled_from([0, 200, 900]),
            "token_convention": st.just("cache_beside_input"),
            "host_raw": st.none(),
        }
    ),
).map(lambda both: both[0] | both[1])


@settings(max_examples=20, deadline=None)
@given(st.lists(USED, min_size=5, max_size=40))
def test_groups_cost_what_their_requests_cost(changes: list[dict[str, Any]]) -> None:
    """Slots, regions, units, parts and holes survive the grouping: money and requests by status are the same."""
    one_by_one, grouped = rated(HOLEY_BOOK, *changes), rated(HOLEY_BOOK, *changes, is_grouped=True)
    keys = ["model_id", "price_id", "price_status", "currency"]
    sums = [pl.col("effective_cost").sum(), pl.col("requests_count").sum()]
    left, right = (frame.group_by(keys).agg(sums).sort(keys, nulls_last=True) for frame in (one_by_one, grouped))
    assert left.rows() == right.rows()
    is_empty = one_by_one["effective_cost"].is_null()
    assert (is_empty == one_by_one["price_status"].is_in(["unpriced", "needs_request_grain"])).all()
    assert ((one_by_one["effective_cost"] == 0) <= (one_by_one["price_status"] == "free")).all()


@settings(max_examples=50, deadline=None)
@given(tokens=st.integers(1, 10**13), digits=st.integers(1, 999_999_999_999))
def test_the_largest_counts_at_the_finest_rates_stay_exact(tokens: int, digits: int) -> None:
    price = Decimal(digits).scaleb(-12)
    row = {"provider": "vendor", "model_id": "fine", "input_uncached_per_mtok": f"{price:f}"}
    asked = {"host_raw": "vendor", "model_raw": "fine", "reported_input_tokens": tokens, "reported_output_tokens": 0}
    assert costs(price_book(ListPrices(()), contract_of(row)), asked) == [Decimal(tokens * digits).scaleb(-18)]
