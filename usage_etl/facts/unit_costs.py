"""What one request, session, investigation or outcome costs, in every scope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl

from usage_etl.facts.measures import cost_by, known_cost, measured, merged
from usage_etl.facts.members import Organization, member_names, member_of, with_names
from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.schemas.economics import MART_UNIT_COSTS, UNIT_SCOPES

_SCOPE = ("scope_kind", "scope_id")
_UNIT = (*_SCOPE, "unit_kind", "outcome_name")
_FIGURES = ("units_count", "requests_count", "unpriced_requests_count", "effective_cost")
_SHAPE: dict[str, Any] = {
    "units_count": pl.Int64,
    "requests_count": pl.Int64,
    "unpriced_requests_count": pl.Int64,
    "effective_cost": MONEY,
}


def unit_costs(
    daily: pl.LazyFrame,
    sessions: pl.LazyFrame | None,
    outcomes: pl.DataFrame,
    *,
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    month: Month,
    through_date: dt.date,
    first_covered: dt.date | None,
) -> pl.DataFrame:
    """MART_UNIT_COSTS of fact_usage_daily and fact_sessions_daily of the month and of the month before.

    ``outcomes`` is DIM_OUTCOME, from which the units ``outcome`` of features and teams come; a month that is compared has the
    outcomes of its whole month, so outcomes are not compared. ``sessions`` is None where request-level records are not kept:
    then there is no row for sessions.
    """
    before = month.previous
    before_last = before.first_day + dt.timedelta(days=min(through_date.day, before.days_count) - 1)
    has_previous = first_covered is not None and first_covered <= before.first_day
    current = _period(daily, sessions, organization, month.first_day, through_date)
    current = pl.concat([current, _of_outcomes(current, outcomes, month)])
    compared = _period(daily, sessions, organization, before.first_day, before_last if has_previous else None)
    previous = _with_unit_cost(compared).select(
        *_UNIT, previous_units_count="units_count", previous_cost_per_unit="cost_per_unit"
    )
    both = _with_unit_cost(current).join(previous, on=_UNIT, how="left", nulls_equal=True)
    is_compared = pl.lit(has_previous) & (pl.col("unit_kind") != "outcome")
    shown = both.with_columns(
        month=pl.lit(month.first_day),
        through_date=pl.lit(through_date),
        currency=pl.lit(organization.currency),
        previous_has_data=is_compared,
        previous_units_count=pl.when(is_compared).then(pl.col("previous_units_count").fill_null(0)),
    )
    named = _named(shown, member_names(directories, organization, through_date))
    return MART_UNIT_COSTS.validate(MART_UNIT_COSTS.conform(named.lazy()).collect().sort(*MART_UNIT_COSTS.sort_by))


def _period(
    daily: pl.LazyFrame, sessions: pl.LazyFrame | None, organization: Organization, first: dt.date, last: dt.date | None
) -> pl.DataFrame:
    """One row per scope and unit of the days ``first`` to ``last``; none without a last day."""
    is_in = pl.col("usage_date").is_between(first, last) if last else pl.lit(value=False)
    usage = measured(daily.filter(is_in), organization.currency)
    parts = [_requests(usage, kind, organization) for kind in UNIT_SCOPES]
    parts += [_distinct(usage, kind, organization, "investigation_id", "investigation") for kind in UNIT_SCOPES]
    if sessions is not None:
        priced = _priced_sessions(sessions.filter(is_in), organization.currency)
        parts += [_distinct(priced, kind, organization, "session_key", "session") for kind in UNIT_SCOPES]
    found = pl.concat(pl.collect_all(parts))
    return found.with_columns(outcome_name=pl.lit(None, pl.String)).select(*_UNIT, *_FIGURES)


def _scoped(rows: pl.LazyFrame, kind: str, organization: Organization) -> pl.LazyFrame:
    return rows.with_columns(scope_kind=pl.lit(kind), scope_id=member_of(kind, organization))


def _requests(usage: pl.LazyFrame, kind: str, organization: Organization) -> pl.LazyFrame:
    """Units are the requests that have a price: others cost something that is not known."""
    merged_rows = _scoped(usage, kind, organization).group_by(_SCOPE).agg(merged())
    return merged_rows.select(
        *_SCOPE,
        pl.lit("request").alias("unit_kind"),
        (pl.col("requests_count") - pl.col("unpriced_requests_count")).alias("units_count"),
        "requests_count",
        "unpriced_requests_count",
        known_cost().alias("effective_cost"),
    )


def _distinct(usage: pl.LazyFrame, kind: str, organization: Organization, column: str, unit: str) -> pl.LazyFrame:
    """Units are the distinct values of ``column`` among rows with a request."""
    rows = _scoped(usage.filter(pl.col(column).is_not_null(), pl.col("requests_count") > 0), kind, organization)
    sums = [pl.col("requests_count", "unpriced_requests_count", "effective_cost").sum(), pl.col("is_priced", "is_unknown").any()]
    grouped = rows.group_by(_SCOPE).agg(pl.col(column).n_unique().cast(pl.Int64).alias("units_count"), *sums)
    return grouped.select(
        *_SCOPE,
        pl.lit(unit).alias("unit_kind"),
        "units_count",
        "requests_count",
        "unpriced_requests_count",
        known_cost().alias("effective_cost"),
    )


def _priced_sessions(sessions: pl.LazyFrame, currency: str) -> pl.LazyFrame:
    """Parts of sessions with what is summed of them; cost in another currency counts as not known."""
    is_foreign = (pl.col("currency").cast(pl.String) != currency).fill_null(value=False)
    cost = pl.when(~is_foreign).then("effective_cost")
    return sessions.with_columns(
        effective_cost=cost,
        unpriced_requests_count=pl.when(is_foreign).then("requests_count").otherwise("unpriced_requests_count"),
        is_priced=cost > 0,
        is_unknown=cost.is_null(),
    ).with_columns(pl.col("is_priced").fill_null(value=False))


def _of_outcomes(current: pl.DataFrame, outcomes: pl.DataFrame, month: Month) -> pl.DataFrame:
    """The requests of a feature or team, by its registered outcomes of the month."""
    wanted = outcomes.filter(pl.col("month") == month.first_day).select(
        pl.when(pl.col("feature_id").is_not_null()).then(pl.lit("feature")).otherwise(pl.lit("team")).alias("scope_kind"),
        pl.coalesce("feature_id", "team_id").alias("scope_id"),
        "outcome_name",
        "outcomes_count",
    )
    requests = current.filter(pl.col("unit_kind") == "request").drop("unit_kind", "outcome_name", "units_count")
    found = wanted.join(requests, on=_SCOPE, how="left")
    return found.with_columns(
        pl.col("requests_count", "unpriced_requests_count").fill_null(0),
        unit_kind=pl.lit("outcome"),
        units_count="outcomes_count",
    ).select(*_UNIT, *(pl.col(name).cast(kind) for name, kind in _SHAPE.items()))


def _with_unit_cost(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(cost_by(pl.col("units_count")).alias("cost_per_unit"))


def _named(rows: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    keyed = rows.rename({"scope_kind": "dimension", "scope_id": "member_id"})
    return with_names(keyed, names).rename({"dimension": "scope_kind", "member_id": "scope_id", "member_name": "scope_name"})
