"""Usage facts: hourly from requests, daily from hourly, monthly from daily. Tokens, requests and cost are conserved."""

from __future__ import annotations

import polars as pl

from usage_etl.facts.latency import bucket_numbers, histogram, joined_lists, merged_histogram
from usage_etl.schemas.usage import USAGE_DIMENSIONS
from usage_etl.units import MODAL_TOKENS

COUNTS = (
    "requests_count",
    "errors_count",
    "cache_hits_count",
    "input_uncached_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    *MODAL_TOKENS,
    "usage_missing_count",
    "latency_ms_sum",
    "latency_count",
)
QUANTITIES = ("quantity", "native_quantity", "effective_cost")
"""Sums that are null where nothing was known, never 0."""

RATING_KEYS = (
    "source",
    "source_account",
    "user_id",
    "team_id",
    "api_key_id",
    "project_id",
    "investigation_id",
    "feature_id",
    "tag_set",
    "primitive",
    "host_raw",
    "model_raw",
    "processing",
    "region",
    "native_unit",
    "status",
    "grain",
    "rating",
    "time_slot",
    "band_slot",
    "class_slot",
)
"""What a group must agree in so that it has one price and one owner on its day."""


def group_for_rating(requests: pl.LazyFrame) -> pl.LazyFrame:
    """One row per hour and RATING_KEYS: sums of normalised requests, ready to be rated and owned."""
    return requests.group_by(pl.col("started_at").dt.truncate("1h").alias("hour_start_at"), *RATING_KEYS).agg(
        pl.col(
            "requests_count",
            "errors_count",
            "cache_hits_count",
            "input_uncached_tokens",
            "cache_read_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "output_tokens",
            "reasoning_tokens",
            *MODAL_TOKENS,
        ).sum(),
        *map(_sum_of_known, ("quantity", "native_quantity")),
        pl.col("requests_count").filter(pl.col("is_usage_missing")).sum().alias("usage_missing_count"),
        pl.col("latency_ms").sum().alias("latency_ms_sum"),
        pl.col("latency_ms").count().cast(pl.Int64).alias("latency_count"),
        bucket_numbers(pl.col("latency_ms")).drop_nulls().implode().alias("latency_buckets"),
    )


def usage_hourly(rated: pl.LazyFrame) -> pl.LazyFrame:
    """One row per UTC hour and USAGE_DIMENSIONS, from rated and owned groups (several logged names can be one model)."""
    summed = _summed(rated.with_columns(usage_date=pl.col("hour_start_at").dt.date()), "usage_date", "hour_start_at")
    return summed.with_columns(histogram(pl.col("latency_buckets")))


def usage_daily(hourly: pl.LazyFrame) -> pl.LazyFrame:
    """One row per UTC day and USAGE_DIMENSIONS, from hourly rows."""
    return _summed(hourly, "usage_date").with_columns(merged_histogram(pl.col("latency_buckets")))


def usage_monthly(daily: pl.LazyFrame) -> pl.LazyFrame:
    """One row per calendar month in UTC and USAGE_DIMENSIONS, from daily rows."""
    summed = _summed(daily.with_columns(month=pl.col("usage_date").dt.truncate("1mo")), "month")
    return summed.with_columns(merged_histogram(pl.col("latency_buckets")))


def _summed(frame: pl.LazyFrame, *period: str) -> pl.LazyFrame:
    return frame.group_by(*period, *USAGE_DIMENSIONS).agg(
        pl.col(COUNTS).sum(), *map(_sum_of_known, QUANTITIES), joined_lists("latency_buckets")
    )


def _sum_of_known(name: str) -> pl.Expr:
    known = pl.col(name)
    return pl.when(known.count() > 0).then(known.sum()).alias(name)
