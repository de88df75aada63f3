"""Latency histograms: log-spaced buckets that merge by adding, so that percentiles of any window and group can be told.

Bucket 0 holds durations below one millisecond, bucket ``k`` those from ``GAMMA ** (k - 1)`` up to, not including,
``GAMMA ** k`` milliseconds. A percentile is told as the point of its bucket that is never further than ``RELATIVE_ERROR``
from any duration in it (Masson, Rim and Lee, DDSketch, VLDB 2019). The last bucket, 255, begins after three years.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from usage_etl.schemas.usage import LATENCY_BUCKETS

RELATIVE_ERROR = 0.05
"""Largest error of a percentile, relative to the exact one (nearest rank)."""

GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LAST_BUCKET = 255
_KEYS = _LAST_BUCKET + 1


def bucket_numbers(latency_ms: pl.Expr) -> pl.Expr:
    """Bucket of each known duration; null where it is not known."""
    logged = (latency_ms.log() / math.log(GAMMA)).floor() + 1
    number = pl.when(latency_ms >= 1).then(logged.clip(0, _LAST_BUCKET)).when(latency_ms.is_not_null()).then(0)
    return number.cast(pl.UInt8)


def histogram(numbers: pl.Expr) -> pl.Expr:
    """A list of buckets per row (``bucket_numbers`` of its requests, in any order) as its histogram."""
    return numbers.map_batches(_counted, return_dtype=LATENCY_BUCKETS, is_elementwise=True)


def merged_histogram(joined: pl.Expr) -> pl.Expr:
    """Histograms that were put behind each other in one list per row, as one histogram with each bucket once."""
    return joined.map_batches(_merged, return_dtype=LATENCY_BUCKETS, is_elementwise=True)


def joined_lists(name: str) -> pl.Expr:
    """In a group: the lists of column ``name`` behind each other."""
    return pl.col(name).list.explode(keep_nulls=False, empty_as_null=False).implode().alias(name)


def percentiles(buckets: pl.LazyFrame, keys: Sequence[str], *, ratios: Sequence[float]) -> pl.LazyFrame:
    """One row per ``keys``: ``buckets_count`` and, for each ratio, ``latency_p<pct>_ms``.

    ``buckets`` has the keys, bucket_number and requests_count (rows of one key and bucket are added). The percentile of
    ratio q is the duration of rank ``ceil(q * count)``, told within ``RELATIVE_ERROR``.
    """
    counted = buckets.group_by(*keys, "bucket_number").agg(pl.col("requests_count").sum())
    whole = pl.col("requests_count").sum()
    reached = pl.col("requests_count").cum_sum()
    found = [
        pl.col("bucket_number").filter(reached >= (whole * ratio - 1e-9).ceil().clip(1)).first().alias(f"p{ratio}")
        for ratio in ratios
    ]
    ranked = counted.sort("bucket_number").group_by(*keys, maintain_order=True).agg(whole.alias("buckets_count"), *found)
    return ranked.select(
        *keys, "buckets_count", *(_duration_ms(pl.col(f"p{ratio}")).alias(percentile_name(ratio)) for ratio in ratios)
    )


def percentile_name(ratio: float) -> str:
    """Column of a percentile: ``latency_p95_ms`` of 0.95."""
    return f"latency_p{ratio * 100:g}_ms"


def _duration_ms(number: pl.Expr) -> pl.Expr:
    """The point of a bucket that is within ``RELATIVE_ERROR`` of all of it."""
    lower = pl.lit(GAMMA).pow(number.cast(pl.Float64) - 1)
    return pl.when(number == 0).then(0.0).otherwise(lower * (2 * GAMMA / (1 + GAMMA)))


def _counted(lists: pl.Series) -> pl.Series:
    """Equal numbers of a row counted: one sort of whole numbers, no hash table."""
    rows = _exploded(lists)
    keys = (rows["row"].cast(pl.Int64) * _KEYS + rows[lists.name]).sort()
    return _listed(lists, keys.rle().struct.unnest().select("value", requests_count=pl.col("len").cast(pl.Int64)))


def _merged(lists: pl.Series) -> pl.Series:
    rows = _exploded(lists).unnest(lists.name)
    keyed = rows.select(
        "requests_count",
        value=pl.col("row").cast(pl.Int64) * _KEYS + pl.col("bucket_number"),
    )
    return _listed(lists, keyed.group_by("value").agg(pl.col("requests_count").sum()).sort("value"))


def _exploded(lists: pl.Series) -> pl.DataFrame:
    numbered = pl.DataFrame({"row": pl.int_range(len(lists), dtype=pl.UInt32, eager=True), lists.name: lists})
    return numbered.filter(lists.list.len() > 0).explode(lists.name)


def _listed(lists: pl.Series, counted: pl.DataFrame) -> pl.Series:
    """One list for each row of ``lists``, from sorted ``value`` (row and bucket) with its count; empty where a row has none."""
    bucket = pl.struct(bucket_number=(pl.col("value") % _KEYS).cast(pl.UInt8), requests_count="requests_count")
    rows = counted.select(row=(pl.col("value") // _KEYS).set_sorted(), bucket=bucket)
    filled = rows.group_by("row", maintain_order=True).agg("bucket")["bucket"]
    is_filled = (lists.list.len() > 0).fill_null(value=False)
    if is_filled.all():
        return filled.alias(lists.name)
    place = pl.when(is_filled).then(is_filled.cast(pl.UInt32).cum_sum() - 1)
    found = filled.gather(pl.select(place).to_series())
    return found.fill_null(pl.Series([[]], dtype=LATENCY_BUCKETS)).alias(lists.name)
