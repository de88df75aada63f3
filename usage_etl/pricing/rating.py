"""Rating: tokens, requests and units times their price, exactly.

Which price applies is decided per request (see ``slots``); the multiplication happens once per group, and once per row of
events.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from usage_etl.money import MONEY
from usage_etl.pricing.price import RATE_COLUMNS
from usage_etl.pricing.slots import PRICE_KEYS, SLOT_COLUMNS, DayPrices

_PER_MTOK = Decimal("0.000001")
_LABELS = ("provider", "host", "model_id", "price_id", "price_status", "currency")


def rate(frame: pl.LazyFrame, *, prices: DayPrices) -> pl.LazyFrame:
    """``frame`` with provider, host, model_id, price_id, price_status, effective_cost and currency.

    Wants the logged names, processing, rating, quantities, requests_count, the slot columns and the token classes of one
    request or of any group of requests that agree in them. ``rating`` is rate, free or usage_missing. Rows are kept,
    never filtered. A cost stands only where everything that the row used has a rate.
    """
    logged = prices.logged_columns
    models = prices.models.with_columns(pl.col(logged).cast(pl.Categorical))
    rated = frame.join(models.lazy(), on=logged, how="left", nulls_equal=True).join(
        prices.slots.lazy(), on=[*PRICE_KEYS, "processing", "time_slot", "band_slot"], how="left", nulls_equal=True
    )
    is_rated = pl.col("rating") == "rate"
    needs_request = is_rated & pl.col("is_ambiguous").fill_null(value=False)
    amount = _amount(prices)
    is_priced = is_rated & pl.col("price_id").is_not_null() & ~needs_request & amount.is_not_null()
    free = pl.col("rating") == "free"
    status = (
        pl.when(free).then(pl.lit("free"))
        .when(needs_request).then(pl.lit("needs_request_grain"))
        .when(is_priced).then(pl.lit("priced"))
        .otherwise(pl.lit("unpriced"))
    )  # fmt: skip
    zero = pl.lit(Decimal(0)).cast(MONEY)
    with_amounts = rated.with_columns(
        effective_cost=pl.when(is_priced).then(amount).when(free).then(zero).otherwise(pl.lit(None, MONEY)),
        price_status=status,
        price_id=pl.when(is_priced).then("price_id"),
        currency=pl.when(is_priced | free).then(pl.col("currency").fill_null(pl.lit("USD"))),
    )
    labelled = with_amounts.with_columns(pl.col(_LABELS).cast(pl.Categorical))
    return labelled.drop(*RATE_COLUMNS, "per_unit", "unit_count", *PRICE_KEYS, "is_ambiguous", *SLOT_COLUMNS)


def _amount(prices: DayPrices) -> pl.Expr:
    """Σ tokens x rate / 1,000,000, and what requests and units cost; null where something used has no rate.

    Exact: rates have at most 12 decimals. Only what is priced by the hour and counted in seconds may need more than 18
    decimals; it is cut there. A unit is either the row's own or the one of its primitive.
    """
    zero = pl.lit(Decimal(0)).cast(MONEY)
    parts = [
        pl.when(tokens > 0).then(tokens * pl.col(rate_column)).otherwise(zero)
        for rate_column, tokens in prices.tokens_by_rate().items()
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    by_token = (total * pl.lit(_PER_MTOK).cast(MONEY)).cast(MONEY)
    per_request = (pl.col("requests_count") * pl.col("per_request")).fill_null(zero)
    quantity = _priced_quantity(prices)
    by_unit = (quantity * pl.col("per_unit")).cast(MONEY)
    per_unit = (
        pl.when(pl.col("unit_count") == 1).then(by_unit).otherwise((by_unit / pl.col("unit_count").cast(MONEY)).cast(MONEY))
    )
    has_tokens = pl.col("class_slot") > 0
    beside = pl.when(pl.col("price_unit").is_null()).then(zero).otherwise(per_unit.fill_null(zero))
    is_known = has_tokens | (pl.col("price_unit").is_not_null() & (quantity > 0))
    return pl.when(is_known).then(by_token + per_request + beside)


def _priced_quantity(prices: DayPrices) -> pl.Expr:
    """How much of ``price_unit`` the row used: its native quantity where that is the unit, else its primitive's."""
    if "native_unit" not in prices.logged_columns:
        return pl.lit(None, MONEY)
    is_native = pl.col("native_unit").cast(pl.String) == pl.col("price_unit")
    return pl.when(is_native).then("native_quantity").otherwise("quantity").cast(MONEY)
