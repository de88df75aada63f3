"""Stored facts priced anew: the same book changes nothing, another one changes exactly what it says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.events.test_events import DIRECTORIES
from tests.unit.pricing.requests import contract_of
from tests.unit.staged_rows import DAY, staged
from usage_etl.events import normalise, own
from usage_etl.facts.usage import group_for_rating, usage_daily, usage_hourly
from usage_etl.pricing import LOGGED_COLUMNS, ListPrices, ModelCatalog, day_prices, price_book, rate
from usage_etl.pricing.reprice import repricing_effect
from usage_etl.schemas import FACT_USAGE_DAILY

LISTS = ListPrices.bundled()
BOOK = price_book(LISTS, contract_of())
CATALOG = ModelCatalog({"our-alias": "openai/gpt-5.2"})


def daily(book: pl.DataFrame, *changes: dict[str, Any]) -> pl.DataFrame:
    """FACT_USAGE_DAILY rows of staged rows, as the pipeline stores them."""
    frame = staged(*changes).lazy()
    models = CATALOG.resolve(frame.select(LOGGED_COLUMNS).unique().collect().cast(pl.String))
    prices = day_prices(book, models, day=DAY)
    grouped = rate(group_for_rating(normalise(frame).with_columns(prices.slot_columns())), prices=prices)
    days = usage_daily(usage_hourly(own(grouped, directories=DIRECTORIES, day=DAY)))
    return FACT_USAGE_DAILY.validate(FACT_USAGE_DAILY.conform(days).collect())


def effect(facts: pl.DataFrame, new_book: pl.DataFrame, old_book: pl.DataFrame = BOOK) -> list[dict[str, Any]]:
    return repricing_effect(facts, old_book=old_book, new_book=new_book, catalog=CATALOG).rows(named=True)


USED = st.fixed_dictionaries({
    "model_raw": st.sampled_from(["gpt-5.2", "our-alias", "gemini/gemini-2.5-pro", "deepseek/deepseek-v4-pro", "nobody"]),
    "host_raw": st.none(),
    "region": st.sampled_from([None, "us"]),
    "native_unit": st.sampled_from([None, "web_searches"]),
    "native_quantity": st.just(Decimal(2)),
    "processing": st.sampled_from(["standard", "batch"]),
    "started_at": st.integers(0, 1439).map(lambda minute: dt.datetime(2026, 11, 2, tzinfo=dt.UTC) + dt.timedelta(minutes=minute)),
    "reported_input_tokens": st.integers(600, 400_000),
    "cache_read_tokens": st.sampled_from([0, 500]),
    "reported_output_tokens": st.sampled_from([0, 700]),
    "is_cache_hit": st.booleans(),
    "grain": st.sampled_from(["request", "request", "bucket"]),
})  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.lists(USED, min_size=1, max_size=25))
def test_the_same_book_gives_the_same_cost_to_the_last_digit(changes: list[dict[str, Any]]) -> None:
    facts = daily(BOOK, *changes)
    for row in effect(facts, BOOK):
        assert row["before_cost"] == row["after_cost"]
        assert (row["difference"], row["newly_priced_count"], row["no_longer_priced_count"], row["undecided_count"]) == (
            0,
            0,
            0,
            0,
        )
    assert sum(row["requests_count"] for row in effect(facts, BOOK)) == len(changes)


def test_a_cheaper_contract_saves_exactly_its_share() -> None:
    facts = daily(
        BOOK, {"reported_output_tokens": 0}, {"model_raw": "our-alias", "reported_output_tokens": 0}, {"model_raw": "nobody"}
    )
    book = price_book(LISTS, contract_of({"provider": "openai", "model_id": "gpt-5.2", "input_uncached_per_mtok": "1"}))
    first, second = effect(facts, book)
    assert (first["model_id"], first["before_cost"], first["after_cost"], first["difference"]) == (
        "gpt-5.2", Decimal("0.0035"), Decimal("0.002"), Decimal("-0.0015"),
    )  # fmt: skip
    assert (second["model_id"], second["difference"], second["newly_priced_count"]) == ("nobody", 0, 0)


def test_a_price_from_the_middle_of_the_month_changes_only_later_days() -> None:
    facts = daily(BOOK, {"reported_output_tokens": 0})
    later = facts.with_columns(usage_date=pl.lit(dt.date(2026, 11, 20)))
    row = {"provider": "openai", "model_id": "gpt-5.2", "input_uncached_per_mtok": "1", "valid_from": "2026-11-15"}
    only = effect(pl.concat([facts, later]), price_book(LISTS, contract_of(row)))
    assert [(line["before_cost"], line["after_cost"]) for line in only] == [(Decimal("0.0035"), Decimal("0.00275"))]


def test_a_model_that_gets_a_price_is_newly_priced_and_one_that_loses_it_is_not() -> None:
    facts = daily(BOOK, {"model_raw": "nobody", "host_raw": "openai"}, {"reported_output_tokens": 9})
    gained = price_book(
        LISTS, contract_of({"provider": "openai", "model_id": "nobody", "input_uncached_per_mtok": "1", "output_per_mtok": "1"})
    )
    assert {line["model_id"]: line["newly_priced_count"] for line in effect(facts, gained)} == {"nobody": 1, "gpt-5.2": 0}
    lost = {
        line["model_id"]: line["no_longer_priced_count"] for line in effect(facts, BOOK.filter(pl.col("model_id") != "gpt-5.2"))
    }
    assert lost == {"nobody": 0, "gpt-5.2": 1}


def test_new_bands_cannot_be_told_from_daily_sums_and_are_counted_as_undecided() -> None:
    facts = daily(BOOK, {"reported_output_tokens": 0})
    bands = [
        {"provider": "openai", "model_id": "gpt-5.2", "context_min_tokens": band, "input_uncached_per_mtok": price}
        for band, price in (("0", "1"), ("100000", "2"))
    ]
    (line,) = effect(facts, price_book(LISTS, contract_of(*bands)))
    assert (line["undecided_count"], line["difference"], line["after_cost"]) == (1, 0, line["before_cost"])


def test_no_facts_have_no_effect() -> None:
    assert effect(FACT_USAGE_DAILY.empty(), BOOK) == []


def test_the_same_tokens_by_another_model_cost_what_that_model_costs() -> None:
    facts = daily(BOOK, {"reported_output_tokens": 0}, {"model_raw": "gpt-5-mini", "reported_output_tokens": 0})
    found = repricing_effect(
        facts, old_book=BOOK, new_book=BOOK, catalog=CATALOG, instead={"gpt-5.2": "anthropic/claude-haiku-4-5"}
    )
    lines = {line["model_id"]: line for line in found.rows(named=True)}
    assert (lines["gpt-5.2"]["before_cost"], lines["gpt-5.2"]["after_cost"]) == (Decimal("0.00175"), Decimal("0.001"))
    assert lines["gpt-5-mini"]["difference"] == 0
