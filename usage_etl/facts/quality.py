"""How far to trust a month: per source, what was delivered, where its rows went, and which days are missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.periods import Month
from usage_etl.schemas.marts import MART_DATA_QUALITY

_ZERO_COUNTS = (
    "deliveries_count",
    "held_deliveries_count",
    "refused_deliveries_count",
    "rows_read_count",
    "repeated_count",
    "loaded_count",
    "replaced_count",
    "rows_quarantined_count",
    "rows_out_of_scope_count",
    "unmapped_lines_count",
    "days_with_data_count",
    "days_until_through_count",
)


def data_quality_month(
    deliveries: pl.DataFrame,
    staged_days: pl.DataFrame,
    daily: pl.DataFrame,
    charge_days: pl.DataFrame,
    *,
    month: Month,
    through_date: dt.date,
    sources: Mapping[str, str],
) -> pl.DataFrame:
    """One (month, source) per row (mart_data_quality), also for configured ``sources`` (name to kind) without delivery.

    Inputs: ``deliveries`` with source, source_kind, delivery_id, status, rows_read_count, rows_quarantined_count,
    rows_out_of_scope_count and received_at; ``staged_days`` with source, delivery_id, table_name, usage_date, rows_count
    and lost_count (both from the delivery index); ``daily`` is fact_deliveries_daily; ``charge_days`` has source,
    charge_date, rows (lines that count) and of those unmapped (no maintained table knows the meter).

    A delivery belongs to the month when it staged rows of one of its days; one that staged nothing (held, refused,
    duplicate, empty) belongs to the month in which it was received. Rows read and quarantined are those of whole
    deliveries; loaded and duplicate rows are those of the month's days, plus every row of a duplicate delivery. So read =
    loaded + duplicate + quarantined where no delivery spans two months and none was held, refused or kept for comparison.
    """
    days = pl.col("usage_date").is_between(month.first_day, month.last_day)
    staged = staged_days.filter(days)
    usage = daily.filter(days)
    charges = charge_days.rename({"charge_date": "usage_date"}).filter(days)
    parts = [
        _of_deliveries(_of_month(deliveries, staged_days, month)),
        _of_rows(usage, staged, charges),
        _of_days(usage, charges, through_date),
        charges.group_by("source").agg(unmapped_lines_count=pl.col("unmapped").sum()),
    ]
    kinds = dict(deliveries.select("source", "source_kind").sort("source").iter_rows()) | dict(sources)
    frame = pl.DataFrame([*kinds.items()], schema={"source": pl.String, "source_kind": pl.String}, orient="row")
    for part in parts:
        frame = frame.join(part, on="source", how="left", validate="1:1")
    elapsed = max(0, (min(through_date, month.last_day) - month.first_day).days + 1)
    complete = frame.with_columns(pl.col(*_ZERO_COUNTS).fill_null(0).cast(pl.Int64)).with_columns(
        month=pl.lit(month.first_day),
        rows_loaded_count=pl.col("loaded_count"),
        rows_duplicate_count=pl.col("replaced_count") + pl.col("repeated_count"),
        days_missing_count=elapsed - pl.col("days_until_through_count"),
    )
    return MART_DATA_QUALITY.validate(complete.select(*MART_DATA_QUALITY.columns).sort("source"))


def _of_month(deliveries: pl.DataFrame, staged_days: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Deliveries that staged a day of the month, or staged nothing and were received in it."""
    touched = staged_days.filter(pl.col("usage_date").is_between(month.first_day, month.last_day))["delivery_id"].unique()
    is_received = pl.col("received_at").dt.date().is_between(month.first_day, month.last_day)
    staged_nothing = ~pl.col("delivery_id").is_in(staged_days["delivery_id"].unique().implode())
    return deliveries.filter(pl.col("delivery_id").is_in(touched.implode()) | (staged_nothing & is_received))


def _of_deliveries(deliveries: pl.DataFrame) -> pl.DataFrame:
    status = pl.col("status")
    return deliveries.group_by("source").agg(
        deliveries_count=pl.len(),
        held_deliveries_count=(status == "held").sum(),
        refused_deliveries_count=(status == "refused").sum(),
        rows_read_count=pl.col("rows_read_count").sum(),
        rows_quarantined_count=pl.col("rows_quarantined_count").sum(),
        rows_out_of_scope_count=pl.col("rows_out_of_scope_count").sum(),
        repeated_count=pl.col("rows_read_count").filter(status == "duplicate").sum(),
        last_received_at=pl.col("received_at").max().dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _of_rows(usage: pl.DataFrame, staged: pl.DataFrame, charges: pl.DataFrame) -> pl.DataFrame:
    """Loaded and replaced rows: copies of an event, and rows of buckets that another delivery answers for."""
    parts = pl.concat(
        [
            usage.select("source", "loaded_count", replaced_count="duplicate_count"),
            charges.select("source", loaded_count="rows", replaced_count=pl.lit(0, pl.Int64)),
            staged.select("source", loaded_count=pl.lit(0, pl.Int64), replaced_count="lost_count"),
        ]
    )
    return parts.group_by("source").agg(pl.col("loaded_count", "replaced_count").sum())


def _of_days(usage: pl.DataFrame, charges: pl.DataFrame, through_date: dt.date) -> pl.DataFrame:
    filled = pl.concat(
        [
            usage.filter(pl.col("staged_count") > 0).select("source", "usage_date"),
            charges.filter(pl.col("rows") > 0).select("source", "usage_date"),
        ]
    ).unique()
    return filled.group_by("source").agg(
        days_with_data_count=pl.len(),
        days_until_through_count=(pl.col("usage_date") <= through_date).sum(),
        first_date=pl.col("usage_date").min(),
        last_date=pl.col("usage_date").max(),
    )
