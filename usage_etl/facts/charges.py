"""Charge lines that count, and their sums by day and billing month. Amounts are conserved."""

from __future__ import annotations

import polars as pl

from usage_etl.schemas.charges import BILLING_CHARGES, CHARGE_DIMENSIONS


def billing_charges(current: pl.LazyFrame, *, models: pl.DataFrame) -> pl.LazyFrame:
    """BILLING_CHARGES rows: lines that count with their canonical ``model_id``, null where the price book knows none.

    ``models`` has host_raw (who bills), model_raw, model_id and price_provider (null: not listed).
    """
    known = models.filter(pl.col("price_provider").is_not_null()).select("host_raw", "model_raw", "model_id")
    named = current.join(known.lazy(), left_on=["provider_name", "model_raw"], right_on=["host_raw", "model_raw"], how="left")
    return named.select(*BILLING_CHARGES.columns)


def charges_daily(charges: pl.LazyFrame) -> pl.LazyFrame:
    """One row per UTC day and CHARGE_DIMENSIONS."""
    return _summed(charges.with_columns(lines_count=pl.lit(1, pl.Int64)), "charge_date")


def charges_monthly(daily: pl.LazyFrame) -> pl.LazyFrame:
    """One row per billing month and CHARGE_DIMENSIONS."""
    return _summed(daily.with_columns(month=pl.col("charge_date").dt.truncate("1mo")), "month")


def _summed(frame: pl.LazyFrame, period: str) -> pl.LazyFrame:
    return frame.group_by(period, *CHARGE_DIMENSIONS).agg(
        pl.col("lines_count", "billed_cost", "effective_cost", "list_cost").sum()
    )
