"""Which copy of an event counts. Later record version wins, then later delivery, then later line.

A day lists the row numbers of the copies that lose (a few per cent at most) and drops those from the main stream, so
the common row is never ranked or moved.
"""

from __future__ import annotations

import polars as pl

EVENT_KEY = ("source", "source_account", "event_id")
ROW = "row_number"


def loser_rows(numbered: pl.LazyFrame) -> pl.DataFrame:
    """Row numbers of the copies that do not count: columns ``row_number``, ``source``, ``delivery_id``.

    ``numbered`` is one usage day's staged rows with ``row_number``, of each bucket those of one delivery. Request rows are
    copies when source, account and event id agree; bucket rows are never copies of each other.
    """
    requests = numbered.filter(pl.col("grain") == "request")
    suspects = _repeated_hashes(requests)
    copies = requests.select(ROW, *EVENT_KEY, "delivery_id", "record_version_at", "delivery_sequence", "raw_ordinal").filter(
        pl.col("event_id").hash().is_in(suspects.implode())
    )
    order = ["record_version_at", "delivery_sequence", "raw_ordinal", ROW]
    ranked = copies.sort(order, descending=True, nulls_last=True, maintain_order=True)
    winners = ranked.unique(EVENT_KEY, keep="first", maintain_order=True).select(ROW)
    return ranked.join(winners, on=ROW, how="anti").select(ROW, "source", "delivery_id").collect()


def _repeated_hashes(requests: pl.LazyFrame) -> pl.Series:
    """Hashes of event ids that more than one row has. A sort of plain numbers: 8 bytes a row, no hash table.

    Two ids with one hash only cost a comparison: copies are told apart by the whole key.
    """
    hashes = requests.select(pl.col("event_id").hash()).collect().to_series().sort()
    return hashes.filter(hashes == hashes.shift(1)).unique()


def without_losers(numbered: pl.LazyFrame, losers: pl.DataFrame) -> pl.LazyFrame:
    """The rows that count, in no promised order."""
    if losers.is_empty():
        return numbered
    return numbered.filter(~pl.col(ROW).is_in(losers.get_column(ROW).implode()))


def delivery_counts(numbered: pl.LazyFrame, losers: pl.DataFrame) -> pl.LazyFrame:
    """One row per delivery of the day: staged, loaded, duplicate and reconciliation counts; the last three add up."""
    beaten = losers.lazy().group_by("source", "delivery_id").agg(duplicate_count=pl.len().cast(pl.Int64))
    is_compared = (pl.col("source_role") == "reconciliation").first()
    staged = numbered.group_by("source", "delivery_id").agg(staged_count=pl.len().cast(pl.Int64), is_compared=is_compared)
    kept = pl.col("staged_count") - pl.col("duplicate_count")
    return (
        staged.join(beaten, on=["source", "delivery_id"], how="left")
        .with_columns(pl.col("duplicate_count").fill_null(0))
        .with_columns(
            loaded_count=pl.when("is_compared").then(0).otherwise(kept).cast(pl.Int64),
            reconciliation_count=pl.when("is_compared").then(kept).otherwise(0).cast(pl.Int64),
        )
        .drop("is_compared")
    )
