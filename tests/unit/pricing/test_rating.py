"""Rating keeps every row, prices exactly, and never turns an unknown price into zero."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pricing.test_price_book import NO_CONTRACT, contract
from tests.unit.staged_rows import DAY, staged
from usage_etl.events import normalise
from usage_etl.pricing import LOGGED_COLUMNS, ListPrices, ModelCatalog, day_prices, price_book, rate

TOKENS = st.integers(0, 10**9)
CATALOG = ModelCatalog({"internal-alias": "openai/gpt-5.2"})
BOOK = price_book(ListPrices.bundled(), NO_CONTRACT)


def rated(*changes: dict[str, object], book: pl.DataFrame = BOOK) -> pl.DataFrame:
    frame = staged(*changes).lazy()
    models = CATALOG.resolve(frame.select(LOGGED_COLUMNS).unique().collect().cast(pl.String))
    prices = day_prices(book, models, day=DAY)
    return rate(normalise(frame).with_columns(prices.slot_columns()), prices=prices).sort("raw_ordinal").collect()


def test_a_request_is_priced_class_by_class() -> None:
    row = rated({"reported_input_tokens": 1000, "cache_read_tokens": 400, "reported_output_tokens": 100}).row(0, named=True)
    assert row["effective_cost"] == (600 * Decimal("1.75") + 400 * Decimal("0.175") + 100 * 14) / 1_000_000
    assert (row["price_status"], row["currency"], row["provider"], row["host"]) == ("priced", "USD", "openai", "openai")
    assert row["price_id"].startswith("genai-prices:openai/gpt-5.2:standard:0:")


def test_cache_writes_have_two_prices() -> None:
    row = rated({
        "host_raw": "anthropic", "model_raw": "claude-opus-4-5-20251101", "reported_input_tokens": 1000,
        "cache_write_tokens": 800, "cache_write_1h_tokens": 300, "reported_output_tokens": 0,
    }).row(0, named=True)  # fmt: skip
    assert row["effective_cost"] == (200 * Decimal(5) + 500 * Decimal("6.25") + 300 * Decimal(10)) / 1_000_000


def test_context_band_is_a_cliff_on_the_single_request() -> None:
    below, above = rated(
        {"host_raw": "gemini", "model_raw": "gemini-2.5-pro", "reported_input_tokens": 200_000},
        {"host_raw": "gemini", "model_raw": "gemini-2.5-pro", "reported_input_tokens": 200_001},
    )["effective_cost"]
    assert below == (200_000 * Decimal("1.25") + 100 * 10) / 1_000_000
    assert above == (200_001 * Decimal("2.5") + 100 * 15) / 1_000_000


def test_a_bucket_of_a_banded_model_is_not_guessed() -> None:
    row = rated({"grain": "bucket", "host_raw": "gemini", "model_raw": "gemini-2.5-pro", "requests_count": 9}).row(0, named=True)
    assert (row["price_status"], row["effective_cost"], row["price_id"]) == ("needs_request_grain", None, None)


def test_a_price_change_inside_the_day_counts_per_request() -> None:
    book = price_book(ListPrices.bundled(), contract({"valid_from": "2026-11-02", "input_uncached_per_mtok": "1"}))
    noon = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
    book = book.with_columns(
        valid_from=pl.when(pl.col("valid_from") == dt.datetime(2026, 11, 2, tzinfo=dt.UTC)).then(noon).otherwise("valid_from"),
        valid_to=pl.when(pl.col("valid_to") == dt.datetime(2026, 11, 2, tzinfo=dt.UTC)).then(noon).otherwise("valid_to"),
    )
    before, after = rated(
        {"started_at": noon - dt.timedelta(microseconds=1), "reported_output_tokens": 0},
        {"started_at": noon, "reported_output_tokens": 0},
        book=book,
    )["effective_cost"]
    assert (before, after) == (Decimal("0.00175"), Decimal("0.001"))


@pytest.mark.parametrize(
    ("change", "status", "cost"),
    [
        ({"model_raw": "internal-llama-ft"}, "unpriced", None),
        ({"model_raw": None}, "unpriced", None),
        ({"host_raw": None, "model_raw": None}, "unpriced", None),
        ({"is_cache_hit": True}, "free", Decimal(0)),
        ({"status": "error", "reported_input_tokens": 0, "reported_output_tokens": 0}, "free", Decimal(0)),
        ({"status": "error", "reported_input_tokens": None, "reported_output_tokens": None}, "free", Decimal(0)),
        ({"status": "error", "reported_output_tokens": 0}, "priced", Decimal("0.00175")),
        ({"reported_input_tokens": None, "reported_output_tokens": None}, "unpriced", None),
        ({"model_raw": "internal-alias", "reported_output_tokens": 0}, "priced", Decimal("0.00175")),
        ({"model_raw": "openai/gpt-5.2", "reported_output_tokens": 0}, "priced", Decimal("0.00175")),
        ({"host_raw": "azure", "reported_output_tokens": 0}, "priced", Decimal("0.00175")),
        ({"model_raw": "text-embedding-3-small", "reported_output_tokens": 0}, "priced", Decimal("0.00002")),
        ({"model_raw": "text-embedding-3-small", "reported_output_tokens": 5}, "unpriced", None),
    ],
)  # fmt: skip
def test_status_and_cost_of_awkward_rows(change: dict[str, object], status: str, cost: Decimal | None) -> None:
    row = rated(change).row(0, named=True)
    assert (row["price_status"], row["effective_cost"]) == (status, cost)
    assert (row["price_id"] is None) == (status != "priced")


def test_batch_without_a_listed_rate_takes_the_standard_rate_and_batch_with_one_takes_it() -> None:
    listed, unlisted = rated(
        {"processing": "batch", "reported_output_tokens": 0},
        {"processing": "batch", "host_raw": "groq", "model_raw": "gemma2-9b-it", "reported_output_tokens": 0},
    ).rows(named=True)
    assert listed["effective_cost"] == Decimal("0.000875")
    assert unlisted["price_id"] is None or ":standard:" in unlisted["price_id"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["gpt-5.2", "nobody-knows"])),
        min_size=1,
        max_size=8,
    )
)
def test_rows_are_kept_and_amounts_are_exact(requests: list[tuple[int, int, str]]) -> None:
    changes = [{"reported_input_tokens": i, "reported_output_tokens": o, "model_raw": m} for i, o, m in requests]
    result = rated(*changes)
    assert result.height == len(requests)
    for (tokens_in, tokens_out, model), row in zip(requests, result.rows(named=True), strict=True):
        known = model == "gpt-5.2" and tokens_in + tokens_out > 0
        expected = (tokens_in * Decimal("1.75") + tokens_out * 14) / 1_000_000 if known else None
        assert row["effective_cost"] == expected
