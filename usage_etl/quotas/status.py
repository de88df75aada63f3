"""What was used of every quota on every day of a month, and, once projected, where its newest period will end."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.quotas.feeds import Feeds, covered_days, group_reach, with_feed_groups
from usage_etl.quotas.periods import with_periods
from usage_etl.quotas.usage import series_id
from usage_etl.schemas.quotas import MART_QUOTA_STATUS, MONEY_MEASURES, quota_id

PROJECTED = (
    "linear_quantity",
    "projected_quantity",
    "projected_lower_quantity",
    "projected_upper_quantity",
    "breach_probability_ratio",
    "breach_date",
)
"""Columns of a projection; null on days that are not projected."""
MONEY_DECIMALS = 2
"""Decimals to which expected money is rounded; expected counts are whole."""
_SUMMED = ("quantity", "rows_count", "priced_rows_count", "unpriced_count")
_ZERO = pl.lit(0).cast(MONEY)


@dataclass(frozen=True)
class QuotaDays:
    """Every quota on every day of a month: ``status``, not projected yet, and ``limits`` that its newest day asks to project.

    ``limits`` has limit_id, series_id, period_start, period_end, limit_quantity, decimals to which what is expected is rounded,
    and settled_date, the last day that the feeds of the scope have filled.
    """

    status: pl.DataFrame
    limits: pl.DataFrame


def quota_days(
    quotas: pl.DataFrame,
    usage: pl.DataFrame,
    pairs: pl.DataFrame,
    names: pl.DataFrame,
    *,
    feeds: Feeds,
    month: Month,
    through_date: dt.date,
    first_date: dt.date,
    billing_day: int,
) -> QuotaDays:
    """One (quota, day) of ``month`` up to ``through_date`` on which a row of dim_quota is in force.

    ``usage`` is ``quota_usage`` and ``pairs`` ``scope_feeds``, both of days back to the first one of every period that the
    month touches; ``names`` has scope_kind, scope_id and scope_name. ``first_date`` is the lake's first day. What was used
    counts from the first day of the period, whatever row of the quota was in force then.
    """
    days = _days(quotas, month, through_date, first_date)
    dated = with_periods(days, day="status_date", billing_day=billing_day)
    grouped = with_feed_groups(dated, pairs, feeds)
    used = _with_used(grouped.with_columns(series_id()), usage)
    known = _with_coverage(used, feeds).join(names, on=["scope_kind", "scope_id"], how="left", maintain_order="left")
    status = known.with_columns(_figures()).with_columns(month=pl.lit(month.first_day), **dict.fromkeys(PROJECTED, pl.lit(None)))
    last_day = min(through_date, month.last_day)
    newest = status.filter(
        pl.col("status_date") == last_day, pl.col("used_quantity").is_not_null(), pl.col("settled_date") > dt.date.min
    )
    limits = newest.select(
        "series_id",
        "period_start",
        "period_end",
        "limit_quantity",
        limit_id="quota_id",
        decimals=pl.when(pl.col("measure").is_in(MONEY_MEASURES)).then(MONEY_DECIMALS).otherwise(0),
        settled_date=pl.min_horizontal("settled_date", pl.lit(last_day)),
    )
    return QuotaDays(_finished(status), limits.sort("limit_id"))


def with_projection(status: pl.DataFrame, projected: pl.DataFrame, *, through_date: dt.date) -> pl.DataFrame:
    """``status`` (mart_quota_status) whose rows of ``through_date`` carry ``projected``: one row per limit_id."""
    asked = projected.select(quota_id="limit_id", status_date=pl.lit(through_date), **{f"new_{name}": name for name in PROJECTED})
    joined = status.join(asked, on=["quota_id", "status_date"], how="left", maintain_order="left")
    filled = joined.with_columns(pl.coalesce(f"new_{name}", name).alias(name) for name in PROJECTED)
    return _finished(filled)


def as_projected(status: pl.DataFrame, projection: pl.DataFrame) -> pl.DataFrame:
    """``status`` whose whole calendar months end where ``projection`` (mart_projection of the month) says: one month, one end.

    Chance and day of passing the limit are taken too where both speak of one limit.
    """
    ends = ("linear_quantity", "projected_quantity", "projected_lower_quantity", "projected_upper_quantity")
    passing = ("breach_probability_ratio", "breach_date")
    keys = ["scope_kind", "scope_id", "measure", "currency", "status_date", "period_start", "period_end"]
    said = projection.select(
        *(pl.col(name).cast(pl.String).cast(status.schema[name]) for name in keys[:4]),
        status_date="through_date",
        period_start="month",
        period_end=pl.col("month").dt.month_end(),
        said_limit="limit_quantity",
        **{f"said_{name}": name for name in (*ends, *passing)},
    )
    joined = status.join(said, on=keys, how="left", nulls_equal=True, maintain_order="left", validate="m:1")
    is_one_limit = pl.col("said_limit") == pl.col("limit_quantity")
    return _finished(
        joined.with_columns(
            *(pl.coalesce(f"said_{name}", name).alias(name) for name in ends),
            *(pl.when(is_one_limit).then(f"said_{name}").otherwise(name).alias(name) for name in passing),
        )
    )


def _days(quotas: pl.DataFrame, month: Month, through_date: dt.date, first_date: dt.date) -> pl.DataFrame:
    """One (row of dim_quota, day of the month on which it is in force)."""
    first, last = max(month.first_day, first_date), min(month.last_day, through_date)
    spans = quotas.with_columns(
        quota_id(),
        span_start=pl.max_horizontal("valid_from", pl.lit(first)),
        span_end=pl.min_horizontal(pl.col("valid_to").dt.offset_by("-1d"), pl.lit(last)),
    ).filter(pl.col("span_start") <= pl.col("span_end"))
    dated = spans.with_columns(status_date=pl.date_ranges("span_start", "span_end"))
    return dated.explode("status_date").drop("span_start", "span_end", "valid_from", "valid_to")


def _with_used(days: pl.DataFrame, usage: pl.DataFrame) -> pl.DataFrame:
    """Sums since the first day of each row's period, as differences of running sums."""
    running = usage.sort("series_id", "usage_date").with_columns(pl.col(*_SUMMED).cum_sum().over("series_id"))
    until = _running_at(days, running, pl.col("status_date"), "until")
    both = _running_at(until, running, pl.col("period_start").dt.offset_by("-1d"), "before")
    sums = {name: pl.col(f"{name}_until").fill_null(0) - pl.col(f"{name}_before").fill_null(0) for name in _SUMMED}
    return both.with_columns(**sums)


def _running_at(days: pl.DataFrame, running: pl.DataFrame, day: pl.Expr, suffix: str) -> pl.DataFrame:
    named = running.rename({name: f"{name}_{suffix}" for name in _SUMMED}).sort("usage_date")
    asked = days.with_columns(usage_date=day).sort("usage_date")
    joined = asked.join_asof(named, on="usage_date", by="series_id", strategy="backward", check_sortedness=False)
    return joined.drop("usage_date")


def _with_coverage(days: pl.DataFrame, feeds: Feeds) -> pl.DataFrame:
    """covered_date: the last day up to status_date that a feed of the scope covers; settled_date and late_after of its feeds."""
    covered = covered_days(days["feed_group"], feeds).sort("usage_date").rename({"usage_date": "covered_date"})
    asked = days.with_columns(covered_date=pl.col("status_date")).sort("covered_date")
    found = asked.join_asof(
        covered.with_columns(last_covered=pl.col("covered_date")), on="covered_date", by="feed_group", check_sortedness=False
    )
    return found.join(group_reach(days["feed_group"], feeds), on="feed_group", how="left", maintain_order="left")


def _figures() -> list[pl.Expr]:
    is_money = pl.col("measure").is_in(MONEY_MEASURES)
    is_covered = (pl.col("last_covered") >= pl.col("period_start")).fill_null(value=False)
    is_unknown = is_money & (pl.col("rows_count") > 0) & (pl.col("priced_rows_count") == 0)
    used = pl.when(is_covered & ~is_unknown).then(pl.col("quantity"))
    limit = pl.col("limit_quantity")
    by_limit = used.cast(pl.Float64) / pl.when(limit > 0).then(limit.cast(pl.Float64))
    return [
        pl.col("scope_name").fill_null(pl.col("scope_id")),
        used.alias("used_quantity"),
        pl.when(limit > 0).then(by_limit).when(used > _ZERO).then(1.0).when(used.is_not_null()).then(0.0).alias("used_ratio"),
        pl.when(used.is_not_null()).then(pl.max_horizontal(limit - used, _ZERO)).alias("remaining_quantity"),
        (pl.col("period_end") - pl.col("status_date")).dt.total_days().alias("days_left_count"),
        pl.col("unpriced_count").alias("unpriced_requests_count"),
        (pl.col("status_date") > pl.col("late_after")).alias("is_stale"),
        (pl.col("status_date") > pl.col("settled_date")).alias("is_preliminary"),
    ]


def _finished(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns of the mart, in its types and order."""
    typed = frame.with_columns(
        pl.col(name).cast(dtype) for name, dtype in MART_QUOTA_STATUS.polars_schema.items() if dtype != pl.Categorical
    )
    conformed = MART_QUOTA_STATUS.conform(typed.lazy()).collect()
    return MART_QUOTA_STATUS.validate(conformed.sort(*MART_QUOTA_STATUS.sort_by))
