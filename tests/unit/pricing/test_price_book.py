"""The price book says what genai-prices says, to the last digit, and the contract wins where it is in force."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from usage_etl.config.directory import CONTRACT_COLUMNS
from usage_etl.errors import PriceBookError
from usage_etl.pricing import ListPrices, price_book

NO_CONTRACT = pl.DataFrame(schema=dict.fromkeys(CONTRACT_COLUMNS, pl.String))


def contract(*rows: dict[str, str]) -> pl.DataFrame:
    base = {"provider": "openai", "model_id": "gpt-5.2", "valid_from": "2026-10-01", "currency": "USD"}
    complete = [{**dict.fromkeys(CONTRACT_COLUMNS), **base, **row} for row in rows]
    return pl.DataFrame(complete, schema=dict.fromkeys(CONTRACT_COLUMNS, pl.String), orient="row")


@pytest.fixture(scope="module")
def list_prices() -> ListPrices:
    return ListPrices.bundled()


@pytest.fixture(scope="module")
def book(list_prices: ListPrices) -> pl.DataFrame:
    return price_book(list_prices, NO_CONTRACT)


def in_force(book: pl.DataFrame, provider: str, model: str, instant: dt.datetime, processing: str = "standard") -> pl.DataFrame:
    return book.filter(
        pl.col("provider") == provider,
        pl.col("model_id") == model,
        pl.col("processing") == processing,
        pl.col("region").is_null(),
        pl.col("unit").is_null(),
        pl.col("valid_from") <= instant,
        pl.col("valid_to").is_null() | (pl.col("valid_to") > instant),
    )


def test_every_token_priced_model_has_exactly_one_base_price_at_any_instant(book: pl.DataFrame) -> None:
    for instant in (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 11, 1, tzinfo=dt.UTC)):
        active = book.filter(pl.col("valid_from") <= instant, pl.col("valid_to").is_null() | (pl.col("valid_to") > instant))
        key = ["provider", "model_id", "processing", "region", "unit", "context_min_tokens", "from_minute"]
        assert active.height == active.select(key).unique().height


@pytest.mark.parametrize("processing", ["standard", "batch", "flex", "priority"])
@pytest.mark.parametrize("input_tokens", [1_000, 200_000, 200_001, 300_000])
def test_rates_equal_the_reference_calculator(book: pl.DataFrame, processing: str, input_tokens: int) -> None:
    """Every OpenAI, Anthropic, Google and Mistral model against genai_prices.calc_price on the same tokens."""
    instant = dt.datetime(2026, 11, 5, 12, tzinfo=dt.UTC)
    context = {"standard": None, "batch": {"processing": "batch"}}.get(processing, {"service_tier": processing})
    read, write, write_1h, output = 300, 200, 50, 77
    compared = 0
    for provider in get_snapshot().providers:
        if provider.id not in {"openai", "anthropic", "google", "mistral"}:
            continue
        for model in provider.models:
            rows = in_force(book, provider.id, model.id, instant, processing)
            rows = rows.filter((pl.col("context_min_tokens") < input_tokens) | (pl.col("context_min_tokens") == 0)).sort(
                "context_min_tokens"
            )
            if (
                rows.is_empty()
                or rows["price_source"][0] != "genai-prices"
                or rows["output_per_mtok"][-1] is None
                or rows["input_uncached_per_mtok"][-1] is None
            ):
                continue
            row = rows.row(-1, named=True)
            ours = (
                (input_tokens - read - write) * row["input_uncached_per_mtok"]
                + read * row["cache_read_per_mtok"]
                + (write - write_1h) * row["cache_write_5m_per_mtok"]
                + write_1h * row["cache_write_1h_per_mtok"]
                + output * row["output_per_mtok"]
            ) / 1_000_000
            usage = Usage(
                input_tokens=input_tokens,
                cache_read_tokens=read,
                cache_write_tokens=write,
                cache_write_1h_tokens=write_1h,
                output_tokens=output,
            )
            reference = model.calc_price(usage, provider, genai_request_timestamp=instant, price_context=context).total_price
            assert abs(ours - reference) < Decimal("1e-12"), (provider.id, model.id)
            compared += 1
    assert compared > (100 if processing == "standard" else 5)


def test_a_dated_price_changes_on_its_day(book: pl.DataFrame) -> None:
    before = in_force(book, "anthropic", "claude-sonnet-4-6", dt.datetime(2026, 3, 12, 23, 59, tzinfo=dt.UTC))
    after = in_force(book, "anthropic", "claude-sonnet-4-6", dt.datetime(2026, 3, 13, tzinfo=dt.UTC))
    assert before["context_min_tokens"].to_list() == [0, 200_000]
    assert after["context_min_tokens"].to_list() == [0]


def test_contract_wins_only_while_it_is_in_force(list_prices: ListPrices) -> None:
    book = price_book(list_prices, contract({"valid_to": "2026-11-01", "input_uncached_per_mtok": "1.25"}))
    september, october, november = (
        in_force(book, "openai", "gpt-5.2", dt.datetime(2026, month, 15, tzinfo=dt.UTC)).row(0, named=True)
        for month in (9, 10, 11)
    )
    assert (september["price_source"], october["price_source"], november["price_source"]) == (
        "genai-prices",
        "contract",
        "genai-prices",
    )
    assert october["input_uncached_per_mtok"] == Decimal("1.25")
    assert october["output_per_mtok"] == september["output_per_mtok"], "a rate left empty stays at list"


def test_price_ids_are_unique_and_change_with_the_rate(list_prices: ListPrices) -> None:
    one = price_book(list_prices, contract({"input_uncached_per_mtok": "1.25"}))
    other = price_book(list_prices, contract({"input_uncached_per_mtok": "1.26"}))
    changed = set(one["price_id"]) ^ set(other["price_id"])
    assert one["price_id"].n_unique() == one.height
    assert {text.split(":")[0] for text in changed} == {"contract"}


def test_contract_faults_are_named_all_at_once(list_prices: ListPrices) -> None:
    rows = [{"input_uncached_per_mtok": "-1"}, {"processing": "turbo"}, {"currency": ""}, {}, {"valid_from": "2026-12-01"}]
    with pytest.raises(PriceBookError) as error:
        price_book(list_prices, contract(*rows))
    for part in ("line 2", "line 3", "turbo", "line 4", "currency is empty", "line 6", "overlaps"):
        assert part in str(error.value)


def test_contract_for_an_unlisted_model_prices_it(list_prices: ListPrices) -> None:
    book = price_book(list_prices, contract({"model_id": "house-model", "input_uncached_per_mtok": "2", "output_per_mtok": "4"}))
    row = in_force(book, "openai", "house-model", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)).row(0, named=True)
    assert (row["input_uncached_per_mtok"], row["cache_read_per_mtok"]) == (Decimal(2), None)


def test_calc_price_of_the_package_is_the_oracle_we_think_it_is() -> None:
    assert calc_price(Usage(input_tokens=1_000_000), model_ref="gpt-5.2", provider_id="openai").total_price == Decimal("1.75")


def test_a_contract_for_a_higher_band_leaves_the_lower_one_at_list(list_prices: ListPrices) -> None:
    band = {"provider": "google", "model_id": "gemini-2.5-pro", "context_min_tokens": "200000", "input_uncached_per_mtok": "2"}
    book = price_book(list_prices, contract(band))
    rows = in_force(book, "google", "gemini-2.5-pro", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)).sort("context_min_tokens")
    columns = ("context_min_tokens", "input_uncached_per_mtok", "output_per_mtok", "price_source")
    assert rows.select(columns).rows() == [
        (0, Decimal("1.25"), Decimal(10), "genai-prices"),
        (200_000, Decimal(2), Decimal(15), "contract"),
    ]
