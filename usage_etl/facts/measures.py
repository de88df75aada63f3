"""Measures of the cube: what is summed in every group, and what follows from the sums."""

from __future__ import annotations

import polars as pl

from usage_etl.facts.latency import joined_lists
from usage_etl.money import MONEY
from usage_etl.units import INPUT_TOKEN_CLASSES, PRIMITIVE_UNITS, TOKEN_CLASSES

UNPRICED = ("unpriced", "needs_request_grain")

COUNTS = (
    "requests_count",
    "errors_count",
    "cache_hits_count",
    *TOKEN_CLASSES,
    "reasoning_tokens",
    "inference_tokens",
    "embedding_tokens",
    "unpriced_requests_count",
    "unpriced_tokens",
    "latency_ms_sum",
    "latency_count",
)
_SUMS = (*COUNTS, "effective_cost", "quantity")
_UNITS = tuple(PRIMITIVE_UNITS.values())

READ_COLUMNS = (
    "requests_count",
    "errors_count",
    "cache_hits_count",
    *TOKEN_CLASSES,
    "reasoning_tokens",
    "latency_ms_sum",
    "latency_count",
    "latency_buckets",
    "quantity",
    "effective_cost",
    "currency",
    "price_status",
)
"""Columns of usage facts, beside the members, that the measures need."""


def measured(usage: pl.LazyFrame, currency: str) -> pl.LazyFrame:
    """Usage facts with what ``merged`` sums, row by row.

    Cost in another currency than ``currency`` is never added: such usage counts as unpriced. ``is_priced`` and ``is_unknown``
    say whether any of a group's cost is a price, and whether any is not known.
    """
    tokens = pl.sum_horizontal(pl.col(*TOKEN_CLASSES))
    is_foreign = (pl.col("currency").cast(pl.String) != currency).fill_null(value=False)
    status = pl.col("price_status").cast(pl.String)
    is_unpriced = status.is_in(UNPRICED) | is_foreign
    is_embedding = pl.col("primitive").cast(pl.String) == "ai.embed"
    cost = pl.when(pl.col("currency").cast(pl.String) == currency).then(pl.col("effective_cost"))
    numbers = {primitive: number for number, primitive in enumerate(PRIMITIVE_UNITS)}
    unit = pl.col("primitive").cast(pl.String).replace_strict(numbers, default=None, return_dtype=pl.Int8)
    used_unit = pl.when(pl.col("quantity").is_not_null()).then(unit)
    return usage.with_columns(
        inference_tokens=pl.when(is_embedding).then(0).otherwise(tokens),
        embedding_tokens=pl.when(is_embedding).then(tokens).otherwise(0),
        unpriced_requests_count=pl.when(is_unpriced).then("requests_count").otherwise(0),
        unpriced_tokens=pl.when(is_unpriced).then(tokens).otherwise(0),
        effective_cost=cost,
        is_priced=(status == "priced") & cost.is_not_null(),
        is_unknown=cost.is_null(),
        first_unit=used_unit,
        last_unit=used_unit,
        first_active_date=pl.when(pl.col("requests_count") > 0).then("usage_date"),
        last_active_date=pl.when(pl.col("requests_count") > 0).then("usage_date"),
    )


def merged(*, with_latency: bool = False) -> list[pl.Expr]:
    """Sums of a group of measured rows, or of groups of them: merging twice gives what merging once does."""
    return [
        pl.col(_SUMS).sum(),
        pl.col("is_priced", "is_unknown").any(),
        pl.col("first_unit", "first_active_date").min(),
        pl.col("last_unit", "last_active_date").max(),
        *([joined_lists("latency_buckets")] if with_latency else []),
    ]


def known_cost() -> pl.Expr:
    """Priced usage of a merged group; null where some of it has no price and none has one: free calls do not make it $0."""
    return pl.when(pl.col("is_priced") | ~pl.col("is_unknown")).then(pl.col("effective_cost"))


def derived() -> list[pl.Expr]:
    """Columns of MART_SUMMARY that follow from merged sums."""
    has_one_unit = pl.col("first_unit") == pl.col("last_unit")
    units = pl.col("first_unit").replace_strict(dict(enumerate(_UNITS)), default=None, return_dtype=pl.String)
    return [
        pl.sum_horizontal(pl.col(*INPUT_TOKEN_CLASSES)).alias("input_tokens"),
        pl.sum_horizontal(pl.col(*TOKEN_CLASSES)).alias("total_tokens"),
        known_cost().alias("effective_cost"),
        pl.when(has_one_unit).then("quantity").alias("quantity"),
        pl.when(has_one_unit).then(units).alias("quantity_unit"),
    ]


def ratios() -> list[pl.Expr]:
    """Shares and averages of a row of MART_SUMMARY; null where nothing can be divided."""
    priced = pl.col("requests_count") - pl.col("unpriced_requests_count")
    return [
        cost_by(priced).alias("cost_per_request"),
        cost_by(pl.col("active_users_count")).alias("cost_per_user"),
        ratio_of("latency_ms_sum", "latency_count").alias("latency_average_ms"),
        ratio_of("errors_count", "requests_count").alias("error_ratio"),
        ratio_of("cache_hits_count", "requests_count").alias("cache_hit_ratio"),
        ratio_of("cache_read_tokens", "input_tokens").alias("cache_read_ratio"),
        ratio_of("total_tokens", "requests_count").alias("tokens_per_request_ratio"),
        ratio_of("input_tokens", "output_tokens").alias("input_output_ratio"),
        ratio_of("user_requests_count", "active_users_count").alias("requests_per_user_ratio"),
        pl.when(pl.col("effective_cost") > 0)
        .then(priced / pl.col("effective_cost").cast(pl.Float64))
        .alias("requests_per_cost_ratio"),
    ]


def ratio_of(part: str, whole: str) -> pl.Expr:
    """Share as a float; null where the whole is 0."""
    return pl.when(pl.col(whole) > 0).then(pl.col(part).cast(pl.Float64) / pl.col(whole).cast(pl.Float64))


def cost_by(number: pl.Expr, *, cost: str = "effective_cost") -> pl.Expr:
    """Money by a count, cut at 18 decimals; null where the count is 0 or the cost is not known."""
    return pl.when(number > 0).then((pl.col(cost) / number.cast(MONEY)).cast(MONEY))
