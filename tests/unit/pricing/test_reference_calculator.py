"""Our engine against genai-prices' own calculator: every provider, model, price class, band, modality and hour."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pricing.requests import contract_of, rated
from tests.unit.staged_rows import DAY
from usage_etl.pricing import ListPrices, day_prices, price_book, rate
from usage_etl.pricing.explain import COUNTS
from usage_etl.schemas.staged import PROCESSINGS
from usage_etl.units import TOKEN_CLASSES

BOOK = price_book(ListPrices.bundled(("genai-prices",)), contract_of())
CONTEXTS: dict[str, dict[str, str] | None] = {
    "standard": None,
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
NOON = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
SIZES = (1_000, 32_001, 199_999, 200_000, 200_001, 300_000, 600_000)
PARTS = {"input_audio_tokens": 31, "cache_read_audio_tokens": 11, "output_audio_tokens": 17, "input_image_tokens": 23,
         "cache_read_image_tokens": 7, "output_image_tokens": 13, "reasoning_tokens": 5}  # fmt: skip


def counts(input_tokens: int, *, has_parts: bool) -> dict[str, int]:
    read, write_5m, write_1h = 300, 150, 50
    base = dict(zip(TOKEN_CLASSES, (input_tokens - read - write_5m - write_1h, read, write_5m, write_1h, 77), strict=True))
    return base | {name: count if has_parts else 0 for name, count in PARTS.items()}


def reference(provider: Provider, model: ModelInfo, row: dict[str, Any], at: dt.datetime) -> Decimal:
    """What the package's calculator says of the same tokens."""
    usage = Usage(
        input_tokens=sum(row[name] for name in TOKEN_CLASSES[:4]),
        cache_read_tokens=row["cache_read_tokens"],
        cache_write_tokens=row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"],
        cache_write_1h_tokens=row["cache_write_1h_tokens"],
        output_tokens=row["output_tokens"],
        output_reasoning_tokens=row["reasoning_tokens"],
        input_audio_tokens=row["input_audio_tokens"] + row["cache_read_audio_tokens"],
        cache_audio_read_tokens=row["cache_read_audio_tokens"],
        output_audio_tokens=row["output_audio_tokens"],
        input_image_tokens=row["input_image_tokens"] + row["cache_read_image_tokens"],
        cache_image_read_tokens=row["cache_read_image_tokens"],
        output_image_tokens=row["output_image_tokens"],
    )
    context = CONTEXTS[row["processing"]]
    return model.calc_price(usage, provider, genai_request_timestamp=at, price_context=context).total_price


def every_request(processing: str, *, has_parts: bool) -> Iterator[tuple[Provider, ModelInfo, dict[str, Any]]]:
    for provider in get_snapshot().providers:
        for model in provider.models:
            for size in SIZES if processing == "standard" or model.price_variants else SIZES[:1]:
                names = {"host_raw": provider.id, "model_raw": model.id, "processing": processing}
                yield provider, model, names | counts(size, has_parts=has_parts)


@pytest.mark.parametrize("has_parts", [False, True], ids=["text", "audio and images"])
@pytest.mark.parametrize("processing", PROCESSINGS)
def test_every_model_costs_what_the_reference_says(processing: str, has_parts: bool) -> None:
    asked = list(every_request(processing, has_parts=has_parts))
    rows = pl.DataFrame([row for _, _, row in asked]).with_row_index("place").with_columns(
        started_at=NOON, ended_at=None, grain=pl.lit("request"), context_min_tokens=None, rating=pl.lit("rate"), requests_count=1,
        quantity=None, native_quantity=None,
    ).cast({"host_raw": pl.Categorical, "model_raw": pl.Categorical, "processing": pl.Categorical})  # fmt: skip
    models = rows.select("host_raw", "model_raw").unique().cast(pl.String).with_columns(
        provider="host_raw", host="host_raw", model_id="model_raw", price_provider="host_raw"
    )  # fmt: skip
    prices = day_prices(BOOK, models, day=DAY)
    costs = rate(rows.lazy().with_columns(prices.slot_columns()), prices=prices).sort("place").collect()["effective_cost"]
    compared = 0
    for (provider, model, row), cost in zip(asked, costs, strict=True):
        if cost is None:
            assert lacks_a_rate(model, row), (provider.id, model.id, row)
        else:
            expected = reference(provider, model, row, NOON)
            assert abs(cost - expected) < Decimal("1e-12"), (provider.id, model.id, row)
            compared += 1
    assert compared > (14_000 if processing == "standard" else 2_000)


def lacks_a_rate(model: ModelInfo, row: dict[str, Any]) -> bool:
    """Whether a class that the request uses has no price: there the reference says 0, and we say nothing."""
    stated = model.get_prices(NOON, CONTEXTS[row["processing"]])
    return stated.input_mtok is None or stated.output_mtok is None


@settings(max_examples=60, deadline=None)
@given(
    minute=st.integers(0, 1439),
    model_id=st.sampled_from(["deepseek-chat", "deepseek-flash", "deepseek-reasoner", "deepseek-v4-flash", "deepseek-v4-pro"]),
)
def test_every_minute_of_the_day_has_the_price_of_its_time(minute: int, model_id: str) -> None:
    at = dt.datetime(2026, 11, 2, tzinfo=dt.UTC) + dt.timedelta(minutes=minute)
    provider = next(provider for provider in get_snapshot().providers if provider.id == "deepseek")
    model = next(model for model in provider.models if model.id == model_id)
    change = {
        "host_raw": "deepseek",
        "model_raw": model_id,
        "started_at": at,
        "reported_input_tokens": 5_000,
        "cache_read_tokens": 700,
    }
    row = rated(BOOK, change).row(0, named=True)
    assert row["effective_cost"] == reference(provider, model, row | {"processing": "standard"}, at)


def test_the_counts_of_this_test_cover_every_class_and_part() -> None:
    assert set(counts(1_000, has_parts=True)) == set(COUNTS)
