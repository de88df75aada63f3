"""Facts conserve requests, tokens and money from hour to month, and unpriced usage stays unpriced."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.events.test_events import DIRECTORIES
from tests.unit.pricing.test_rating import BOOK, CATALOG
from tests.unit.staged_rows import DAY, staged
from usage_etl.events import normalise, own
from usage_etl.facts.usage import COUNTS, group_for_rating, usage_daily, usage_hourly, usage_monthly
from usage_etl.pricing import LOGGED_COLUMNS, day_prices, rate
from usage_etl.schemas import FACT_USAGE_DAILY, FACT_USAGE_HOURLY, FACT_USAGE_MONTHLY


def hourly(*changes: dict[str, object]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(hourly facts, rated requests) of the same staged rows: grouped-then-rated and rated row by row."""
    frame = staged(*changes).lazy()
    prices = day_prices(BOOK, CATALOG.resolve(frame.select(LOGGED_COLUMNS).unique().collect().cast(pl.String)), day=DAY)
    requests = normalise(frame).with_columns(prices.slot_columns())
    grouped = own(rate(group_for_rating(requests), prices=prices), directories=DIRECTORIES, day=DAY)
    facts = FACT_USAGE_HOURLY.validate(FACT_USAGE_HOURLY.conform(usage_hourly(grouped)).collect())
    return facts, rate(requests, prices=prices).collect()


MIDNIGHT = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
REQUEST = st.fixed_dictionaries({
    "reported_input_tokens": st.integers(600, 300_000),
    "cache_read_tokens": st.integers(0, 500),
    "reported_output_tokens": st.sampled_from([0, 0, 700]),
    "status": st.sampled_from(["success", "error"]),
    "is_cache_hit": st.booleans(),
    "host_raw": st.just("gemini"),
    "model_raw": st.sampled_from(["gemini-2.5-pro", "gemini/gemini-2.5-pro", "gemini-embedding-001", "unknown-model"]),
    "user_id": st.sampled_from(["ada", None]),
    "started_at": st.integers(0, 86_399).map(lambda second: MIDNIGHT + dt.timedelta(seconds=second)),
})  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.lists(REQUEST, min_size=1, max_size=20))
def test_grouping_before_pricing_gives_the_same_money(changes: list[dict[str, object]]) -> None:
    facts, rows = hourly(*changes)
    assert facts["requests_count"].sum() == len(changes)
    assert (facts["effective_cost"].sum() or Decimal(0)) == (rows["effective_cost"].sum() or Decimal(0))
    for status in ("priced", "unpriced", "free"):
        in_facts = facts.filter(pl.col("price_status") == status)["requests_count"].sum()
        assert in_facts == rows.filter(pl.col("price_status") == status).height
    daily = FACT_USAGE_DAILY.validate(FACT_USAGE_DAILY.conform(usage_daily(facts.lazy())).collect())
    monthly = FACT_USAGE_MONTHLY.validate(FACT_USAGE_MONTHLY.conform(usage_monthly(daily.lazy())).collect())
    for name in (*COUNTS, "effective_cost"):
        assert facts[name].sum() == daily[name].sum() == monthly[name].sum()


def test_spellings_of_one_model_become_one_row() -> None:
    facts, _ = hourly({"model_raw": "gpt-5.2"}, {"model_raw": "openai/gpt-5.2"}, {"model_raw": "gpt-5.2-2025-12-11"})
    assert facts.select("model_id", "requests_count").rows() == [("gpt-5.2", 3)]


def test_an_unpriced_group_has_no_cost_rather_than_zero() -> None:
    facts, _ = hourly({"model_raw": "internal-llama-ft"})
    assert facts.select("price_status", "effective_cost", "currency").rows() == [("unpriced", None, None)]


def test_hours_are_utc_hours() -> None:
    late = dt.datetime(2026, 11, 2, 23, 59, 59, 999_999, tzinfo=dt.UTC)
    facts, _ = hourly({"started_at": late})
    assert facts["hour_start_at"].to_list() == [dt.datetime(2026, 11, 2, 23, tzinfo=dt.UTC)]
