"""One dimension of the cube: sums of every window and member, what is distinct, percentiles, leaders, the period before."""

from __future__ import annotations

import polars as pl

from usage_etl.facts.latency import percentiles
from usage_etl.facts.measures import derived, merged
from usage_etl.facts.members import MODEL_KEY
from usage_etl.facts.windows import Segments

KEYS = ("window", "member_id")
COMPARED = ("requests_count", "errors_count", "total_tokens", "active_users_count", "effective_cost")
"""Measures that stand beside those of the period before."""
PERCENTILES = (0.5, 0.95, 0.99)


def rolled_up(dimension: str, rows: pl.LazyFrame, pieces: Segments, *, with_gone: bool = True) -> pl.DataFrame:
    """One row per window and member, with the period before beside it, from rows with ``segment`` and ``member_id``.

    Members of the period before alone have rows of zeros, unless ``with_gone`` is off.
    """
    # codes instead of texts in every group-by: half of the time
    codes = [pl.col("member_id").cast(pl.Categorical), MODEL_KEY.cast(pl.Categorical).alias("model")]
    rows = rows.with_columns(codes).collect().lazy()
    windows = pieces.windows.lazy().with_columns(pl.col("window").cast(pl.Categorical))
    current = windows.filter(~pl.col("is_previous")).drop("is_previous")
    every = ["is_previous", *KEYS]
    sums = rows.group_by("segment", "member_id").agg(merged()).join(windows, on="segment").group_by(every).agg(merged())
    active = rows.filter(pl.col("requests_count") > 0)
    people = active.filter(pl.col("user_id").is_not_null())
    users = (
        people.group_by("segment", "member_id", "user_id").agg(user_requests_count=pl.col("requests_count").sum())
        .join(windows, on="segment").group_by(every)
        .agg(pl.col("user_id").n_unique().cast(pl.Int64).alias("active_users_count"), pl.col("user_requests_count").sum())
    )  # fmt: skip
    work = distinct(active, current, "investigation_id", "investigations_count")
    latency = percentiles(
        rows.select("segment", "member_id", "latency_buckets").explode("latency_buckets").unnest("latency_buckets")
        .drop_nulls("bucket_number").group_by("segment", "member_id", "bucket_number").agg(pl.col("requests_count").sum())
        .join(current, on="segment"),
        KEYS, ratios=PERCENTILES,
    )  # fmt: skip
    features, models, providers = (_tops(active, current, name) for name in ("feature_id", "model", "provider"))
    frames = pl.collect_all([sums, users, work, latency, features, models, providers], engine="streaming")
    summed, counted, *details = frames
    whole = summed.join(counted, on=every, how="left").with_columns(
        *derived(), pl.col("active_users_count", "user_requests_count").fill_null(0)
    )
    found = _beside_previous(whole, with_gone=with_gone)
    for detail in details:
        found = found.join(detail, on=KEYS, how="left")
    return found.with_columns(pl.col(KEYS).cast(pl.String), dimension=pl.lit(dimension))


def distinct(rows: pl.LazyFrame, windows: pl.LazyFrame, column: str, alias: str) -> pl.LazyFrame:
    """Distinct values of ``column`` per window and member."""
    seen = rows.select("segment", "member_id", column).drop_nulls(column).unique()
    return seen.join(windows, on="segment").group_by(KEYS).agg(pl.col(column).n_unique().cast(pl.Int64).alias(alias))


def _tops(rows: pl.LazyFrame, windows: pl.LazyFrame, by: str) -> pl.LazyFrame:
    """Per window and member the leading features, models or providers; ties go to the first by id."""
    tokens = pl.col("inference_tokens") + pl.col("embedding_tokens")
    used = (
        rows.rename({by: "used"}).drop_nulls("used").group_by("segment", "member_id", "used")
        .agg(pl.col("requests_count").sum(), tokens=tokens.sum())
        .join(windows, on="segment").group_by(*KEYS, "used").agg(pl.col("requests_count", "tokens").sum())
        .with_columns(pl.col("used").cast(pl.String))
    )  # fmt: skip
    by_requests = used.sort(["requests_count", "tokens", "used"], descending=[True, True, False])
    biggest = pl.col("used").sort_by(["tokens", "requests_count", "used"], descending=[True, True, False]).first()
    first = pl.col("used").first()
    wanted = {
        "feature_id": [biggest.alias("top_feature_id"), first.alias("most_used_feature_id")],
        "model": [
            biggest.alias("top_model_id"),
            pl.col("used").implode().list.join(", ").alias("model_ids"),
            pl.len().cast(pl.Int64).alias("models_count"),
        ],
        "provider": [first.alias("primary_provider"), pl.col("requests_count").first().alias("primary_requests_count")],
    }[by]
    return by_requests.group_by(KEYS, maintain_order=True).agg(wanted)


def _beside_previous(both: pl.DataFrame, *, with_gone: bool) -> pl.DataFrame:
    """Current and compared rows side by side. A member that is absent from a period used nothing in it, which cost nothing."""
    current = both.filter(~pl.col("is_previous")).drop("is_previous")
    compared = both.filter("is_previous").select(*KEYS, pl.col(*COMPARED).name.prefix("previous_"))
    joined = current.join(compared, on=KEYS, how="full" if with_gone else "left", coalesce=True)
    measures = [
        name
        for name in current.columns
        if name not in {*KEYS, "first_active_date", "last_active_date", "quantity", "quantity_unit"}
    ]
    return joined.with_columns(
        *_zero_where_absent(measures, marker="requests_count"),
        *_zero_where_absent([f"previous_{name}" for name in COMPARED], marker="previous_requests_count"),
    )


def _zero_where_absent(columns: list[str], *, marker: str) -> list[pl.Expr]:
    return [pl.when(pl.col(marker).is_null()).then(0).otherwise(pl.col(name)).alias(name) for name in columns]
