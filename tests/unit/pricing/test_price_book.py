"""The price book says what genai-prices says, to the last digit, and the contract wins where it is in force."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from genai_prices import Usage, calc_price

from usage_etl.config.contract_files import CONTRACT_COLUMNS
from usage_etl.errors import PriceBookError
from usage_etl.pricing import ListPrices, price_book
from usage_etl.pricing.price import RATE_COLUMNS

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


def test_a_rate_of_a_part_is_kept_and_silence_means_the_whole(book: pl.DataFrame) -> None:
    instant = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    flash = in_force(book, "google", "gemini-2.5-flash", instant).row(0, named=True)
    assert (flash["input_uncached_per_mtok"], flash["input_audio_per_mtok"]) == (Decimal("0.3"), Decimal(1))
    assert flash["input_image_per_mtok"] is None


def test_a_contract_with_fewer_columns_than_there_are_is_enough(list_prices: ListPrices) -> None:
    rows = contract({"input_uncached_per_mtok": "1.25"}).select(
        "provider", "model_id", "valid_from", "currency", "input_uncached_per_mtok"
    )
    book = price_book(list_prices, rows)
    assert (book["price_source"] == "contract").sum() > 0


def test_a_contract_rate_also_prices_cache_tokens_that_the_list_prices_as_input(list_prices: ListPrices) -> None:
    """The list names no cache price for this model, which means the input rate: the agreed one, not the list's."""
    agreed = {"provider": "groq", "model_id": "gemma2-9b-it", "input_uncached_per_mtok": "0.07"}
    book = price_book(list_prices, contract(agreed))
    row = in_force(book, "groq", "gemma2-9b-it", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)).row(0, named=True)
    assert (row["cache_read_per_mtok"], row["cache_write_1h_per_mtok"]) == (Decimal("0.07"), Decimal("0.07"))


def test_contract_rows_for_a_part_of_the_day_leave_the_rest_at_list(list_prices: ListPrices) -> None:
    night = {"daily_from": "22:00", "daily_to": "24:00", "input_uncached_per_mtok": "0.5"}
    book = price_book(list_prices, contract(night))
    rows = in_force(book, "openai", "gpt-5.2", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)).filter(context_min_tokens=0)
    spans = rows.sort("from_minute").select("from_minute", "to_minute", "input_uncached_per_mtok").rows()
    assert spans == [(0, 1320, Decimal("1.75")), (1320, 1440, Decimal("0.5"))]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"unit": "images"}, "unit and per_unit stand together"),
        ({"unit": "images", "per_unit": "1", "output_per_mtok": "2"}, "prices that unit only"),
        ({"daily_from": "10:00", "daily_to": "09:00"}, "daily_to must be after daily_from"),
        ({"daily_from": "10:00:30"}, "HH:MM"),
        ({"context_min_tokens": "2e5"}, "whole number"),
        ({"unit": "s", "per_unit": "1", "unit_count": "0"}, "whole number"),
        ({"input_uncached_per_mtok": "0.0000000000001"}, "12 decimals"),
        ({"input_uncached_per_mtok": "NaN"}, "not a decimal number"),
        ({"valid_to": "2026-10-01"}, "valid_to must be after valid_from"),
    ],
)
def test_a_faulty_contract_row_says_what_is_wrong(list_prices: ListPrices, row: dict[str, str], fault: str) -> None:
    with pytest.raises(PriceBookError, match=fault):
        price_book(list_prices, contract(row))


def test_windows_of_the_day_that_touch_do_not_overlap(list_prices: ListPrices) -> None:
    touching = [{"daily_to": "12:00", "output_per_mtok": "1"}, {"daily_from": "12:00", "output_per_mtok": "2"}]
    assert price_book(list_prices, contract(*touching)).height
    with pytest.raises(PriceBookError, match=r"line 3: .* overlaps"):
        price_book(list_prices, contract({"daily_to": "12:01"}, {"daily_from": "12:00"}))


def test_no_rate_of_any_source_has_more_decimals_than_stay_exact(book: pl.DataFrame) -> None:
    rates = book.select(RATE_COLUMNS)
    assert rates.select(pl.all() - pl.all().round(12)).fill_null(Decimal(0)).sum().row(0) == (Decimal(0),) * len(RATE_COLUMNS)
