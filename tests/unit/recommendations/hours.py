"""Hourly facts for recommendations: staged requests through the pipeline's own normaliser, prices and owners."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from tests.unit.events.test_events import DIRECTORIES
from tests.unit.pricing.requests import contract_of
from tests.unit.staged_rows import staged
from usage_etl.config.recommendations import RecommendationSettings
from usage_etl.events import normalise, own
from usage_etl.facts.usage import group_for_rating, usage_hourly
from usage_etl.periods import Month
from usage_etl.pricing import LOGGED_COLUMNS, ListPrices, ModelCatalog, day_prices, price_book, rate
from usage_etl.pricing.alternatives import price_alternatives
from usage_etl.recommendations import Inquiry, Window, inquire, recommend, traffic_rows
from usage_etl.schemas import FACT_USAGE_HOURLY, MART_RECOMMENDATIONS

CATALOG = ModelCatalog()
MONTH = Month(2026, 11)


def price(model: str, *, processing: str = "standard", provider: str = "acme", **rates: str) -> dict[str, str]:
    """One contract row; rates per million tokens by short name."""
    columns = {"input": "input_uncached_per_mtok", "read": "cache_read_per_mtok", "write": "cache_write_5m_per_mtok",
               "write_1h": "cache_write_1h_per_mtok", "output": "output_per_mtok", "band": "context_min_tokens"}  # fmt: skip
    named = {columns.get(name, name): rate for name, rate in rates.items()}
    return {"provider": provider, "model_id": model, "processing": processing} | named


BIG = price("big", input="10", read="1", write="12.5", write_1h="20", output="50")
BIG_BATCH = price("big", processing="batch", input="5", read="1", write="6.25", write_1h="10", output="25")
SMALL = price("small", input="1", read="0.1", write="1", write_1h="1", output="5")
RIVAL = price("mid", provider="rival", input="4", read="4", write="4", write_1h="4", output="20")
BOOK = price_book(ListPrices(()), contract_of(BIG, BIG_BATCH, SMALL, RIVAL))


def request(day: int = 2, hour: int = 12, *, month: Month = MONTH, count: int = 1, **changes: Any) -> dict[str, Any]:
    """``count`` requests of one hour, as one staged row of the model big."""
    started = dt.datetime(month.year, month.number, day, hour, 5, tzinfo=dt.UTC)
    return {
        "started_at": started, "host_raw": "acme", "model_raw": "big", "feature_id": "search", "requests_count": count,
        "user_id": None, "team_id": None, "reported_input_tokens": 1000, "reported_output_tokens": 100,
    } | changes  # fmt: skip


def hourly(*requests: dict[str, Any], book: pl.DataFrame = BOOK) -> pl.DataFrame:
    """FACT_USAGE_HOURLY rows of the requests, as the pipeline stores them."""
    frame = staged(*({"event_id": f"e{number}"} | change for number, change in enumerate(requests)))
    days = []
    for day in frame["usage_date"].unique().sort():
        of_day = frame.filter(pl.col("usage_date") == day).lazy()
        models = CATALOG.resolve(of_day.select(LOGGED_COLUMNS).unique().collect().cast(pl.String))
        prices = day_prices(book, models, day=day)
        grouped = rate(group_for_rating(normalise(of_day).with_columns(prices.slot_columns())), prices=prices)
        days.append(FACT_USAGE_HOURLY.conform(usage_hourly(own(grouped, directories=DIRECTORIES, day=day))).collect())
    return FACT_USAGE_HOURLY.validate(pl.concat(days).sort(FACT_USAGE_HOURLY.sort_by))


def window_of(month: Month = MONTH, *, through: int | None = None, first: int = 1) -> Window:
    last = month.last_day if through is None else month.first_day.replace(day=through)
    return Window.of(month, last, month.first_day.replace(day=first))


def settings_of(**changes: Any) -> RecommendationSettings:
    """Settings without a floor, nights and long waits; keys are changed by keyword."""
    plain = {"minimum_monthly_savings": "0", "minimum_days": 1, "minimum_active_days": 1, "night_from_hour": 0,
             "night_to_hour": 0}  # fmt: skip
    return RecommendationSettings.model_validate(plain | changes)


def asked(facts: pl.DataFrame, settings: RecommendationSettings, *, window: Window | None = None, book: pl.DataFrame = BOOK,
          zone: str = "UTC") -> tuple[Inquiry, pl.DataFrame]:  # fmt: skip
    """The questions about facts and their answers, composed as the asset composes them."""
    rows = traffic_rows(facts.lazy(), prices=book, zone=zone)
    inquiry = inquire(rows, window=window or window_of(), settings=settings, currency="USD")
    return inquiry, price_alternatives(inquiry.asked, book=book, catalog=CATALOG)


def advice(facts: pl.DataFrame, settings: RecommendationSettings, *, window: Window | None = None, book: pl.DataFrame = BOOK,
           zone: str = "UTC", charges: Any = ()) -> pl.DataFrame:  # fmt: skip
    """MART_RECOMMENDATIONS of facts, its contract kept."""
    inquiry, answered = asked(facts, settings, window=window, book=book, zone=zone)
    found = recommend(
        inquiry, answered, charges, window=window or window_of(), names={("feature", "search"): "Search"}, settings=settings,
        currency="USD",
    )  # fmt: skip
    return MART_RECOMMENDATIONS.validate(found)


def equivalent(*models: str, name: str = "chat", **changes: Any) -> list[dict[str, Any]]:
    """One equivalence class as the settings file writes it."""
    return [{"name": name, "models": list(models)} | changes]
