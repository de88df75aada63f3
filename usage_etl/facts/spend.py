"""What the charts draw: usage by day, provider and team."""

from __future__ import annotations

import polars as pl

from usage_etl.facts.measures import known_cost, measured, merged
from usage_etl.periods import Month
from usage_etl.schemas.marts import MART_SPEND_DAILY
from usage_etl.units import TOKEN_CLASSES


def spend_daily(daily: pl.LazyFrame, *, month: Month, currency: str) -> pl.DataFrame:
    """One (UTC day, provider, team) per row (mart_spend_daily), from fact_usage_daily.

    Cost in another currency than ``currency`` is left out, as where no price is known.
    """
    days = daily.filter(pl.col("usage_date").is_between(month.first_day, month.last_day))
    grouped = (
        measured(days, currency)
        .group_by("usage_date", pl.col("provider", "team_id").cast(pl.String))
        .agg(merged())
        .with_columns(
            pl.sum_horizontal(pl.col(*TOKEN_CLASSES)).alias("total_tokens"),
            known_cost().alias("effective_cost"),
            month=pl.lit(month.first_day),
            currency=pl.lit(currency),
        )
    )
    spend = MART_SPEND_DAILY.conform(grouped).collect().sort(*MART_SPEND_DAILY.sort_by)
    return MART_SPEND_DAILY.validate(spend)
