"""Lists are compared rate by rate, and a price is explained to the last digit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pricing.requests import contract_of
from usage_etl.pricing import ListPrices, ModelCatalog, price_book
from usage_etl.pricing.differences import disagreements
from usage_etl.pricing.explain import Explanation, explain_request
from usage_etl.pricing.lists import Listed, PriceList
from usage_etl.pricing.price import BEGINNING, Price, rates_of

AT = dt.datetime(2026, 11, 5, 12, tzinfo=dt.UTC)
LISTS = ListPrices.bundled()
BOOK = price_book(LISTS, contract_of())


def priced(source: str, provider: str, model: str, *, processing: str = "standard", **rates: str) -> Price:
    found = rates_of({f"{name}_per_mtok": Decimal(rate) for name, rate in rates.items()})
    return Price(provider, model, processing, 0, BEGINNING, None, found, "USD", source, "1", provenance=f"{provider}/{model}")


def lists(*pairs: tuple[Price, Price]) -> tuple[PriceList, PriceList]:
    spellings = tuple(
        Listed(f"{weak.provider}/{weak.model_id}", (weak.provider, weak.model_id), is_known=True) for _, weak in pairs
    )
    return (
        PriceList("genai-prices", "1", tuple(strong for strong, _ in pairs)),
        PriceList("litellm", "1", tuple(weak for _, weak in pairs), spellings=spellings),
    )


def test_only_rates_that_both_state_are_compared() -> None:
    pair = (
        priced("genai-prices", "a", "m", input_uncached="2", output="8"),
        priced("litellm", "a", "m", input_uncached="2.5", output="8", cache_read="0.2"),
    )
    found = disagreements(*lists(pair), at=AT)
    columns = ("rate", "strong_rate", "weak_rate", "difference", "difference_pct")
    assert found.differences.select(columns).rows() == [
        ("input_uncached_per_mtok", Decimal(2), Decimal("2.5"), Decimal("0.5"), Decimal(25))
    ]
    assert found.coverage.rows() == [("a", 1, 0, 1, 0, 0)]


@pytest.mark.parametrize(
    ("strong", "weak", "note"),
    [("0.125", "0.13", "rounded"), ("3.3", "3", "matched a regional price"), ("3", "3.3", "id is a regional price")],
)
def test_well_known_reasons_are_named(strong: str, weak: str, note: str) -> None:
    pair = (priced("genai-prices", "aws", "m", input_uncached=strong), priced("litellm", "aws", "m", input_uncached=weak))
    assert note in disagreements(*lists(pair), at=AT).differences["note"][0]


def test_a_part_that_only_one_list_prices_is_compared_with_what_silence_means() -> None:
    pair = (
        priced("genai-prices", "a", "m", input_uncached="2"),
        priced("litellm", "a", "m", input_uncached="2", input_audio="40"),
    )
    row = disagreements(*lists(pair), at=AT).differences.row(0, named=True)
    assert (row["rate"], row["strong_rate"], row["weak_rate"]) == ("input_audio_per_mtok", 2, 40)
    assert "names no rate of its own" in row["note"]


def test_lists_that_agree_have_no_rows_and_models_of_one_list_are_counted() -> None:
    same = (priced("genai-prices", "a", "m", input_uncached="2"), priced("litellm", "a", "m", input_uncached="2"))
    strong, weak = lists(same)
    alone = priced("litellm", "b", "only", input_uncached="1")
    found = disagreements(strong, PriceList("litellm", "1", (*weak.prices, alone)), at=AT)
    assert found.differences.is_empty()
    assert found.coverage.rows() == [("a", 1, 1, 0, 0, 0), ("b", 0, 0, 0, 0, 1)]


def test_the_bundled_lists_agree_on_most_models_of_the_large_providers() -> None:
    coverage = {row["provider"]: row for row in disagreements(*LISTS.lists, at=AT).coverage.rows(named=True)}
    for provider in ("openai", "anthropic", "google", "aws"):
        row = coverage[provider]
        assert row["compared_count"] >= 15
        assert row["agreeing_count"] + row["differing_count"] == row["compared_count"]
        assert row["agreeing_count"] > row["compared_count"] * 0.8


def explained(model: str, counts: dict[str, int], *, host: str | None = None, **words: Any) -> Explanation:
    quantity = words.pop("quantity", None)
    return explain_request(BOOK, ModelCatalog(), host=host, model=model, at=AT, counts=counts, words=words, quantity=quantity)


def test_an_explanation_shows_every_product() -> None:
    counts = {"input_uncached_tokens": 600, "cache_read_tokens": 400, "output_tokens": 100, "reasoning_tokens": 40}
    found = explained("claude-opus-4-6", counts, host="anthropic", region="us", native_unit="web_searches", quantity=Decimal(2))
    assert [(term.what, term.quantity, term.rate, term.per, term.amount) for term in found.terms] == [
        ("input_uncached_tokens", 600, Decimal("5.5"), 1_000_000, Decimal("0.0033")),
        ("cache_read_tokens", 400, Decimal("0.55"), 1_000_000, Decimal("0.00022")),
        ("output_tokens", 100, Decimal("27.5"), 1_000_000, Decimal("0.00275")),
        ("web_searches", 2, 10, 1000, Decimal("0.02")),
    ]
    assert found.cost == Decimal("0.02627")
    assert found.price is not None
    assert "x 1.1 for us" in found.price["provenance"]
    assert set(found.rows["processing"]) >= {"standard", "batch"}


def test_what_nobody_lists_is_unpriced_and_has_no_terms() -> None:
    found = explained("nobody-knows", {"output_tokens": 5})
    assert (found.price_status, found.cost, found.price, found.terms, found.rows.height) == ("unpriced", None, None, (), 0)


@settings(max_examples=40, deadline=None)
@given(
    place=st.sampled_from([("gpt-4o-audio-preview", "openai"), ("gemini-2.5-pro", "gemini"), ("sonar-pro", "perplexity"),
                           ("whisper-large-v3", "groq"), ("claude-opus-4-8", "anthropic")]),
    tokens=st.tuples(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**9)),
    processing=st.sampled_from(["standard", "batch", "fast"]), quantity=st.none() | st.integers(1, 10**6).map(Decimal),
)  # fmt: skip
def test_the_terms_always_add_up_to_what_the_pipeline_says(
    place: tuple[str, str], tokens: tuple[int, int, int], processing: str, quantity: Decimal | None
) -> None:
    """``explain_request`` raises where they do not."""
    fresh, audio, output = tokens
    counts = {"input_uncached_tokens": fresh, "input_audio_tokens": min(audio, fresh), "output_tokens": output}
    found = explained(place[0], counts, host=place[1], processing=processing, native_unit="seconds", quantity=quantity)
    assert (found.cost is None) == (found.price_status != "priced")


def test_every_row_of_the_book_says_where_it_is_from() -> None:
    assert BOOK["price_source_version"].null_count() == 0
    unsaid = BOOK.filter(pl.col("provenance").is_null()).select("provider", "price_source").unique().rows()
    assert {source for _, source in unsaid} <= {"genai-prices"}
