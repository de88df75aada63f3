"""The series that are projected: what every scope used on each day, from the daily facts."""

from __future__ import annotations

import polars as pl

from usage_etl.money import MONEY
from usage_etl.schemas.projections import PROJECTION_MEASURES, PROJECTION_MONEY, PROJECTION_SCOPES
from usage_etl.units import NO_MEMBER, TOKEN_CLASSES

_COUNTS = tuple(measure for measure in PROJECTION_MEASURES if measure != PROJECTION_MONEY)


def scope_series(daily: pl.LazyFrame, *, organization_id: str, currency: str, by_feed: bool = False) -> pl.DataFrame:
    """One (usage_date, scope_kind, scope_id, measure) per row, with its quantity as an exact decimal.

    With ``by_feed`` one more key is the source that brought it.

    ``daily`` is fact_usage_daily. Cost is priced usage in ``currency``: a day on which nothing of a scope has a price has no
    row of that measure. Usage without a member stands under ``(none)``. Each measure adds up to the organization's within
    every kind of scope.
    """
    cost = pl.col("effective_cost").filter(pl.col("currency").cast(pl.String) == currency)
    members = [pl.col(f"{kind}_id").cast(pl.String).fill_null(NO_MEMBER) for kind in PROJECTION_SCOPES[1:]]
    feeds = [pl.col("source").cast(pl.String)] if by_feed else []
    measured = (
        daily.group_by("usage_date", *feeds, *members)
        .agg(
            pl.when(cost.count() > 0).then(cost.sum()).alias(PROJECTION_MONEY),
            total_tokens=pl.sum_horizontal(pl.col(*TOKEN_CLASSES).sum()).cast(MONEY),
            requests_count=pl.col("requests_count").sum().cast(MONEY),
        )
        .with_columns(organization_id=pl.lit(organization_id))
        .collect()
    )
    extra = ["source"] if by_feed else []
    return pl.concat(_of_kind(measured, kind, extra) for kind in PROJECTION_SCOPES)


def _of_kind(measured: pl.DataFrame, kind: str, extra: list[str]) -> pl.DataFrame:
    cost = pl.col(PROJECTION_MONEY)
    sums = measured.group_by("usage_date", *extra, pl.col(f"{kind}_id").alias("scope_id")).agg(
        pl.when(cost.count() > 0).then(cost.sum()).alias(PROJECTION_MONEY), pl.col(*_COUNTS).sum()
    )
    long = sums.unpivot(
        on=list(PROJECTION_MEASURES), index=["usage_date", *extra, "scope_id"], variable_name="measure", value_name="quantity"
    )
    return long.filter(pl.col("quantity").is_not_null()).select(
        "usage_date", *extra, pl.lit(kind).alias("scope_kind"), "scope_id", "measure", "quantity"
    )
