"""Month-end projection of every owner, key and feature, with an 80 % band measured on their own past."""

from __future__ import annotations

import datetime as dt

import polars as pl

from usage_etl.money import MONEY, minor_unit_digits
from usage_etl.periods import Month
from usage_etl.projections.limits import active_series, project_limits
from usage_etl.schemas.projections import MART_PROJECTION, PROJECTION_KEYS, PROJECTION_MONEY


def project_month(
    daily: pl.DataFrame,
    budgets: pl.DataFrame,
    *,
    month: Month,
    through_date: dt.date,
    currency: str,
    settled: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One (month, scope, measure) per row (mart_projection) for every series with anything in the last eight weeks.

    ``daily`` has usage_date, scope_kind, scope_id, measure and quantity (money in ``currency``; null counts as nothing), of
    the month and of as much past as there is; rows after ``through_date`` are never read. A day without a row is a day
    without usage. ``budgets`` is dim_budget: the row in force on ``through_date``, in the same currency, is the limit of
    effective_cost. ``settled`` has scope_kind, scope_id, measure and settled_date (``through_date`` where it has no row):
    later days are still filling and are projected.

    to_date_quantity is exact; what is expected for the rest of the month is rounded to the minor unit, or to whole tokens
    and requests. The method, band and chances are those of ``project_limits``.

    A finished month whose days are all settled is what it is: all quantities equal the first. Raises ValueError when
    ``through_date`` is before the month.
    """
    if through_date < month.first_day:
        raise ValueError(f"{through_date} is before {month}: nothing to project from")
    last_day = min(through_date, month.last_day)
    keys, series = _series(daily, through_date=last_day)
    limits = _limits(keys, budgets, settled, month=month, last_day=last_day, currency=currency)
    parts = [
        project_limits(series, group, through_date=last_day, settled_date=day)
        for (day,), group in limits.group_by("settled_date", maintain_order=True)
        if isinstance(day, dt.date)
    ]
    if not parts:
        return MART_PROJECTION.empty()
    rows = limits.join(pl.concat(parts), on="limit_id", validate="1:1", maintain_order="left").with_columns(
        month=pl.lit(month.first_day),
        through_date=pl.lit(last_day),
        currency=pl.when(pl.col("measure") == PROJECTION_MONEY).then(pl.lit(currency)),
        to_date_quantity="used_quantity",
    )
    return MART_PROJECTION.validate(MART_PROJECTION.conform(rows.lazy()).collect())


def _limits(
    keys: pl.DataFrame,
    budgets: pl.DataFrame,
    settled: pl.DataFrame | None,
    *,
    month: Month,
    last_day: dt.date,
    currency: str,
) -> pl.DataFrame:
    """One row per series: its budget, the month as its period, and its last settled day."""
    days = settled if settled is not None else keys.select(*PROJECTION_KEYS, settled_date=pl.lit(last_day)).clear()
    return (
        keys.join(
            _budgets_on(budgets, last_day, currency), on=list(PROJECTION_KEYS), how="left", validate="1:1", maintain_order="left"
        )
        .join(days, on=list(PROJECTION_KEYS), how="left", validate="1:1", maintain_order="left")
        .with_columns(
            settled_date=pl.min_horizontal(pl.col("settled_date").fill_null(last_day), pl.lit(last_day)),
            limit_id="series_id",
            period_start=pl.lit(month.first_day),
            period_end=pl.lit(month.last_day),
            decimals=pl.when(pl.col("measure") == PROJECTION_MONEY).then(minor_unit_digits(currency)).otherwise(0),
        )
    )


def _series(daily: pl.DataFrame, *, through_date: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scopes with anything in the last eight weeks, numbered, and their daily quantities under these numbers."""
    named = daily.with_columns(pl.col(*PROJECTION_KEYS).cast(pl.String))
    keys = named.select(*PROJECTION_KEYS).unique().sort(*PROJECTION_KEYS).with_row_index("series_row")
    keys = keys.with_columns(series_id=pl.col("series_row").cast(pl.String))
    series = named.join(keys, on=list(PROJECTION_KEYS)).select("series_id", "usage_date", pl.col("quantity").cast(MONEY))
    is_active = pl.col("series_id").is_in(active_series(series, through_date=through_date).implode())
    return keys.filter(is_active), series.filter(is_active)


def _budgets_on(budgets: pl.DataFrame, day: dt.date, currency: str) -> pl.DataFrame:
    in_force = budgets.filter(
        pl.col("valid_from") <= day, pl.col("valid_to").is_null() | (pl.col("valid_to") > day), pl.col("currency") == currency
    )
    return in_force.group_by(pl.col("scope_kind", "scope_id").cast(pl.String), measure=pl.lit(PROJECTION_MONEY)).agg(
        limit_quantity=pl.col("monthly_budget").min()  # of two limits in force the lower one is passed first
    )
