"""Which days of a feed are complete: learnt from when the rows of earlier days arrived."""

from __future__ import annotations

import datetime as dt

import polars as pl

MEMORY_DAYS = 60
"""Days whose arrivals are looked at."""
LATEST_DAYS = 14
"""What arrives later than this is a correction, and a feed that brought nothing for longer has ended."""
COMPLETE_RATIO = 0.98
MIN_DAYS = 7
"""Fewer days than this teach nothing: the last day with rows is taken as complete."""
MATERIAL_RATIO = 0.02
"""A feed that carries less of a series does not hold its days open."""


def settled_dates(arrivals: pl.DataFrame, *, through_date: dt.date) -> pl.DataFrame:
    """One feed per row: source and settled_date, its last day that is complete, never after ``through_date``.

    ``arrivals`` has source, usage_date, received_date, rows_count (rows of the day in a delivery) and counted_count (of
    those, rows that count today). A day is complete as many days after it as it took until 98 % of the rows of earlier days
    had arrived (at least seven days of the last sixty, without those that were delivered when the feed was set up). A pull
    that brings a whole day again counts with its first arrival. The last day with rows is the latest that can be complete.
    A feed without a row in the last fourteen days has ended and holds nothing open.
    """
    known = arrivals.filter(pl.col("usage_date") <= through_date)
    last = known.group_by("source").agg(last_date=pl.col("usage_date").max())
    lags = _lags(known, through_date)
    ended = pl.col("last_date") < through_date - dt.timedelta(days=LATEST_DAYS)
    waited = pl.lit(through_date) + pl.duration(days=1 - pl.col("lag_days").fill_null(1).clip(lower_bound=1))
    return (
        last.join(lags, on="source", how="left", validate="1:1")
        .select(
            "source",
            settled_date=pl.when(ended)
            .then(pl.lit(through_date))
            .otherwise(pl.min_horizontal("last_date", waited.cast(pl.Date))),
        )
        .sort("source")
    )


def _lags(known: pl.DataFrame, through_date: dt.date) -> pl.DataFrame:
    """Per source: days after a day until 98 % of its rows have arrived."""
    live_from = known.group_by("source").agg(live_from=pl.col("received_date").min())
    last, first = through_date - dt.timedelta(days=LATEST_DAYS), through_date - dt.timedelta(days=MEMORY_DAYS)
    days = known.join(live_from, on="source").filter(
        pl.col("usage_date").is_between(first, last), pl.col("usage_date") >= pl.col("live_from")
    )
    final = days.group_by("source", "usage_date").agg(final_count=pl.col("counted_count").sum())
    waits = pl.DataFrame({"lag_days": range(LATEST_DAYS + 1)}, schema={"lag_days": pl.Int64})
    by_then = (pl.col("received_date") - pl.col("usage_date")).dt.total_days() <= pl.col("lag_days")
    shares = (
        days.join(waits, how="cross")
        .group_by("source", "usage_date", "lag_days")
        .agg(arrived_count=pl.col("rows_count").filter(by_then).sum())
        .join(final, on=["source", "usage_date"])
        .filter(pl.col("final_count") > 0)
        .group_by("source", "lag_days")
        .agg(
            days_count=pl.len(),
            share=pl.min_horizontal("arrived_count", "final_count").sum() / pl.col("final_count").sum(),
        )
    )
    enough = shares.filter(pl.col("days_count") >= MIN_DAYS, pl.col("share") >= COMPLETE_RATIO)
    unsettled = shares.filter(pl.col("days_count") >= MIN_DAYS).select("source").unique()
    found = enough.group_by("source").agg(pl.col("lag_days").min())
    return unsettled.join(found, on="source", how="left").with_columns(pl.col("lag_days").fill_null(LATEST_DAYS))


def settled_series(
    daily: pl.DataFrame, by_feed: pl.DataFrame, settled: pl.DataFrame, *, keys: list[str], through_date: dt.date
) -> pl.DataFrame:
    """One series per row: its ``keys`` and settled_date, that of its slowest feed.

    ``daily`` has the keys, usage_date and quantity, ``by_feed`` the same with source, for late feeds at least; ``settled``
    is what ``settled_dates`` found. A feed that brought less than 2 % of what a series used in the eight weeks before its own
    settled date is not waited for.
    """
    first = through_date - dt.timedelta(days=MEMORY_DAYS)
    recent = pl.col("usage_date").is_between(first, through_date)
    whole = daily.filter(recent).group_by(*keys).agg(whole_quantity=pl.col("quantity").cast(pl.Float64).sum())
    late = settled.filter(pl.col("settled_date") < through_date)
    waiting = (
        by_feed.filter(recent)
        .join(late, on="source", how="inner")
        .group_by(*keys, "source", "settled_date")
        .agg(feed_quantity=pl.col("quantity").cast(pl.Float64).sum())
        .join(whole, on=keys, how="inner")
        .filter(pl.col("feed_quantity").abs() >= MATERIAL_RATIO * pl.col("whole_quantity").abs())
        .group_by(*keys)
        .agg(pl.col("settled_date").min())
    )
    return whole.select(*keys).join(waiting, on=keys, how="left").with_columns(pl.col("settled_date").fill_null(through_date))
