"""Rating: which price a request has, and tokens times price, exactly.

Which price applies is decided per request (its instant, processing class and input length) and carried as two small
slot numbers through any grouping; the multiplication then happens once per group.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.money import MONEY
from usage_etl.periods import day_start
from usage_etl.pricing.book import RATE_COLUMNS
from usage_etl.units import INPUT_TOKEN_CLASSES, TOKEN_CLASSES

_PRICE_SLOTS = ("time_slot", "band_slot")
SLOT_COLUMNS = (*_PRICE_SLOTS, "class_slot")
"""What a request says of its price: change instants passed, context bands passed, and which sides have tokens at all."""

_PER_MTOK = Decimal("0.000001")
_LABELS = ("provider", "host", "model_id", "price_id", "price_status", "currency")


@dataclass(frozen=True)
class DayPrices:
    """Prices in force on one UTC day, spread over the day's price-change instants and context bands.

    ``slots``: one row per (price_provider, model_id, processing, time_slot, band_slot) with its price. ``models``: one
    row per logged (host_raw, model_raw). ``banded``: models whose price needs the single request's length.
    """

    change_instants: tuple[dt.datetime, ...]
    band_thresholds: tuple[int, ...]
    slots: pl.DataFrame
    models: pl.DataFrame

    def slot_columns(self) -> list[pl.Expr]:
        """The SLOT_COLUMNS of a request, from ``started_at`` and its token classes.

        ``class_slot`` keeps requests with and without input or output apart: where a price has no rate for one side,
        those without tokens on it are priced and the others are not.
        """
        input_tokens = pl.sum_horizontal(INPUT_TOKEN_CLASSES)
        return [
            _count_true([pl.col("started_at") >= instant for instant in self.change_instants]).alias("time_slot"),
            _count_true([input_tokens > threshold for threshold in self.band_thresholds]).alias("band_slot"),
            ((input_tokens > 0).cast(pl.UInt8) + (pl.col("output_tokens") > 0).cast(pl.UInt8) * 2).alias("class_slot"),
        ]


def day_prices(book: pl.DataFrame, models: pl.DataFrame, *, day: dt.date) -> DayPrices:
    """Prices of the models seen on ``day``. ``book`` is DIM_PRICE; ``models`` comes from ``ModelCatalog.resolve``."""
    start, end = day_start(day), day_start(day + dt.timedelta(days=1))
    listed = models.select("price_provider", "model_id").drop_nulls().unique()
    in_force = book.join(listed, left_on=["provider", "model_id"], right_on=["price_provider", "model_id"], how="semi").filter(
        (pl.col("valid_from") < end) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > start))
    )
    edges = {edge for name in ("valid_from", "valid_to") for edge in in_force[name].drop_nulls() if start < edge < end}
    thresholds = tuple(sorted(set(in_force["context_min_tokens"]) - {0}))
    instants = tuple(sorted(edges))
    rows = [
        row
        for time_slot, instant in enumerate((start, *instants))
        for row in _band_rows(in_force, instant, time_slot, (0, *thresholds))
    ]
    slots = pl.concat(rows) if rows else _slot_rows(in_force.clear(), 0, 0)
    return DayPrices(instants, thresholds, _assume_standard(slots), models)


def rate(frame: pl.LazyFrame, *, prices: DayPrices) -> pl.LazyFrame:
    """``frame`` with provider, host, model_id, price_id, price_status, effective_cost and currency.

    Wants host_raw, model_raw, processing, grain, rating, the slot columns and the token classes of one request or of
    any group of requests that agree in them. ``rating`` is rate, free or usage_missing. Rows are kept, never filtered.
    """
    keys = ["price_provider", "model_id", "processing", *_PRICE_SLOTS]
    models = prices.models.with_columns(pl.col("host_raw", "model_raw").cast(pl.Categorical))
    rated = frame.join(models.lazy(), on=["host_raw", "model_raw"], how="left", nulls_equal=True).join(
        prices.slots.lazy(), on=keys, how="left"
    )
    is_rated = pl.col("rating") == "rate"
    needs_request = is_rated & (pl.col("grain") == "bucket") & pl.col("is_banded").fill_null(value=False)
    amount = _amount()
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
    return labelled.drop(*RATE_COLUMNS, "price_provider", "is_banded", *SLOT_COLUMNS)


def _amount() -> pl.Expr:
    """Σ tokens x rate / 1,000,000; null where a class has tokens but no rate. Exact: rates have at most 12 decimals."""
    parts = [
        pl.when(pl.col(tokens) > 0).then(pl.col(tokens) * pl.col(rate_column)).otherwise(pl.lit(Decimal(0)).cast(MONEY))
        for tokens, rate_column in zip(TOKEN_CLASSES, RATE_COLUMNS, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return (total * pl.lit(_PER_MTOK).cast(MONEY)).cast(MONEY)


def _band_rows(in_force: pl.DataFrame, instant: dt.datetime, time_slot: int, thresholds: tuple[int, ...]) -> list[pl.DataFrame]:
    active = in_force.filter((pl.col("valid_from") <= instant) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > instant)))
    return [
        _slot_rows(
            active.filter(pl.col("context_min_tokens") <= threshold)
            .sort("context_min_tokens")
            .group_by("provider", "model_id", "processing", maintain_order=True)
            .last(),
            time_slot,
            band_slot,
        )
        for band_slot, threshold in enumerate(thresholds)
    ]


def _slot_rows(prices: pl.DataFrame, time_slot: int, band_slot: int) -> pl.DataFrame:
    return prices.select(
        pl.col("provider").alias("price_provider"),
        "model_id",
        pl.col("processing").cast(pl.Categorical),
        pl.lit(time_slot, pl.UInt8).alias("time_slot"),
        pl.lit(band_slot, pl.UInt8).alias("band_slot"),
        "price_id",
        "currency",
        *RATE_COLUMNS,
    )


def _assume_standard(slots: pl.DataFrame) -> pl.DataFrame:
    """Adds the standard price for processing classes the list does not name, and marks models with bands."""
    key = ["price_provider", "model_id", *_PRICE_SLOTS]
    classes = pl.DataFrame({"processing": ["batch", "flex", "priority"]}, schema={"processing": pl.Categorical})
    standard = slots.filter(pl.col("processing") == "standard").drop("processing").join(classes, how="cross")
    assumed = standard.join(slots.select(*key, "processing"), on=[*key, "processing"], how="anti").select(slots.columns)
    spread = pl.concat([slots, assumed])
    banded = pl.col("price_id").n_unique().over("price_provider", "model_id", "processing", "time_slot") > 1
    return spread.with_columns(is_banded=banded)


def _count_true(conditions: list[pl.Expr]) -> pl.Expr:
    if not conditions:
        return pl.lit(0, pl.UInt8)
    return pl.sum_horizontal(condition.cast(pl.UInt8) for condition in conditions).cast(pl.UInt8)
