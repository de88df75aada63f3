"""Sessions by day: what a session used and cost, so that sessions can be counted anew in any window and group."""

from __future__ import annotations

import polars as pl

from usage_etl.facts.measures import UNPRICED
from usage_etl.schemas.usage import FACT_SESSIONS_DAILY
from usage_etl.units import TOKEN_CLASSES

_MEASURES = ("requests_count", *TOKEN_CLASSES, "unpriced_requests_count", "effective_cost")


def sessions_daily(events: pl.LazyFrame) -> pl.LazyFrame:
    """FACT_SESSIONS_DAILY of usage events; events without a session are in none of its rows.

    A session is one of its source: two sources may use one id. Cost is null where nothing in the row has a price.
    """
    names = [name for name in FACT_SESSIONS_DAILY.columns if name not in {*_MEASURES, "session_key"}]
    key = pl.concat_str(pl.col("source").cast(pl.String), pl.lit("/"), pl.col("session_id"))
    is_unpriced = pl.col("price_status").cast(pl.String).is_in(UNPRICED)
    return (
        events.filter(pl.col("session_id").is_not_null())
        .with_columns(session_key=key, unpriced_requests_count=pl.when(is_unpriced).then("requests_count").otherwise(0))
        .group_by("session_key", *names)
        .agg(
            pl.col("requests_count", *TOKEN_CLASSES, "unpriced_requests_count").sum(),
            pl.when(pl.col("effective_cost").count() > 0).then(pl.col("effective_cost").sum()).alias("effective_cost"),
        )
        .select(*FACT_SESSIONS_DAILY.columns)
    )
