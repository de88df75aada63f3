"""What usage brought: registered outcomes beside what the feature or team cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.facts.measures import cost_by, known_cost, measured, merged, ratio_of
from usage_etl.facts.members import MEMBER_COLUMNS, Organization, member_names, with_names
from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.schemas.economics import MART_OUTCOMES, OUTCOME_SCOPES

_SCOPE = ("scope_kind", "scope_id")


def outcomes_month(
    daily: pl.LazyFrame,
    outcomes: pl.DataFrame,
    *,
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    month: Month,
    through_date: dt.date,
) -> pl.DataFrame:
    """MART_OUTCOMES of fact_usage_daily of the month and of DIM_OUTCOME.

    An outcome that the file knows of a scope in another month only has a row with a null count where the scope has usage in
    this one. An outcome of a scope without usage costs 0: nothing was used. Value in another currency is not set against cost.
    """
    days = measured(daily.filter(pl.col("usage_date").is_between(month.first_day, through_date)), organization.currency)
    usage = pl.concat(pl.collect_all(_of_scope(days, kind) for kind in OUTCOME_SCOPES))
    registered = outcomes.with_columns(
        scope_kind=pl.when(pl.col("feature_id").is_not_null()).then(pl.lit("feature")).otherwise(pl.lit("team")),
        scope_id=pl.coalesce("feature_id", "team_id"),
    )
    of_month = registered.filter(pl.col("month") == month.first_day).select(
        *_SCOPE, "outcome_name", "outcomes_count", "value_per_outcome", value_currency="currency"
    )
    known = registered.select(*_SCOPE, "outcome_name").unique()
    joined = known.join(of_month, on=[*_SCOPE, "outcome_name"], how="left").join(usage, on=_SCOPE, how="left")
    has_usage = pl.col("requests_count").is_not_null()
    shown = joined.filter(has_usage | pl.col("outcomes_count").is_not_null()).with_columns(
        pl.when(has_usage).then("effective_cost").otherwise(pl.lit(0, MONEY)).alias("effective_cost"),
        pl.col("requests_count", "unpriced_requests_count").fill_null(0),
    )
    valued = _valued(shown, organization.currency).with_columns(
        month=pl.lit(month.first_day), through_date=pl.lit(through_date), currency=pl.lit(organization.currency)
    )
    keyed = valued.rename({"scope_kind": "dimension", "scope_id": "member_id"})
    named = with_names(keyed, member_names(directories, organization, through_date)).rename(
        {"dimension": "scope_kind", "member_id": "scope_id", "member_name": "scope_name"}
    )
    return MART_OUTCOMES.validate(MART_OUTCOMES.conform(named.lazy()).collect().sort(*MART_OUTCOMES.sort_by))


def _of_scope(days: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    member = pl.col(MEMBER_COLUMNS[kind]).cast(pl.String)
    sums = days.group_by(scope_kind=pl.lit(kind), scope_id=member).agg(merged())
    return sums.select(*_SCOPE, "requests_count", "unpriced_requests_count", known_cost().alias("effective_cost"))


def _valued(rows: pl.DataFrame, currency: str) -> pl.DataFrame:
    is_comparable = pl.col("value_currency") == currency
    with_value = rows.with_columns(
        cost_by(pl.col("outcomes_count")).alias("cost_per_outcome"),
        (pl.col("outcomes_count").cast(MONEY) * pl.col("value_per_outcome")).cast(MONEY).alias("outcomes_value"),
    )
    return with_value.with_columns(
        pl.when(is_comparable).then(pl.col("outcomes_value") - pl.col("effective_cost")).alias("net_value"),
        pl.when(is_comparable).then(ratio_of("outcomes_value", "effective_cost")).alias("return_ratio"),
    )
