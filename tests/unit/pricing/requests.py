"""Requests for pricing tests: staged rows through normaliser, slots and rating, as the pipeline does it."""

from __future__ import annotations

from typing import Any

import polars as pl

from tests.unit.staged_rows import DAY, staged
from usage_etl.config.contract_files import CONTRACT_COLUMNS, SURCHARGE_COLUMNS
from usage_etl.events import normalise
from usage_etl.facts.usage import group_for_rating
from usage_etl.pricing import LOGGED_COLUMNS, ModelCatalog, day_prices, rate


def table(columns: tuple[str, ...], base: dict[str, str], *rows: dict[str, str]) -> pl.DataFrame:
    complete = [{**dict.fromkeys(columns), **base, **row} for row in rows]
    return pl.DataFrame(complete, schema=dict.fromkeys(columns, pl.String), orient="row")


def contract_of(*rows: dict[str, str]) -> pl.DataFrame:
    return table(CONTRACT_COLUMNS, {"valid_from": "2026-01-01", "currency": "USD"}, *rows)


def surcharges_of(*rows: dict[str, str]) -> pl.DataFrame:
    return table(SURCHARGE_COLUMNS, {"valid_from": "2026-01-01"}, *rows)


def rated(book: pl.DataFrame, *changes: dict[str, Any], is_grouped: bool = False) -> pl.DataFrame:
    """Staged rows rated row by row, or grouped first as facts are; in the order of the changes where not grouped."""
    frame = staged(*changes).lazy()
    models = ModelCatalog().resolve(frame.select(LOGGED_COLUMNS).unique().collect().cast(pl.String))
    prices = day_prices(book, models, day=DAY)
    requests = normalise(frame).with_columns(prices.slot_columns())
    result = rate(group_for_rating(requests) if is_grouped else requests, prices=prices)
    return result.collect() if is_grouped else result.sort("raw_ordinal").collect()
