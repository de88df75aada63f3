"""Month-end projection of the organization, its departments and teams, with an 80 % band measured on their own past."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.money import minor_unit
from usage_etl.periods import Month
from usage_etl.projections.forecast import LEVEL_DAYS, PROFILE_WEEKS, WEEK, forecast_rest, weekly_variability
from usage_etl.schemas.marts import MART_PROJECTION

REPLAY_DAYS = 180
"""How far back past projections are replayed."""
ACTIVE_DAYS = 56
"""A scope without any cost in this many days is not projected."""
MIN_ERRORS = 10
"""Fewer replayed projections than this are no measure of anything: no band."""
ENOUGH_ERRORS = 40
"""With this many errors of origins on the as-of day's weekday, others are left out."""

Scope = tuple[str, str]
"""(scope_kind, scope_id)."""


def project_month(
    daily: pl.DataFrame, budgets: pl.DataFrame, *, month: Month, through_date: dt.date, currency: str
) -> pl.DataFrame:
    """One (month, scope) per row (mart_projection) for every scope with cost in the last eight weeks.

    ``daily`` has usage_date, scope_kind, scope_id and effective_cost in ``currency`` (null counts as nothing), of the
    month and of as much past as there is; rows after ``through_date`` are never read. A day without a row is a day
    without cost. ``budgets`` is dim_budget: the row in force on ``through_date``, in the same currency.

    ``cost_to_date`` is exact; what is expected for the rest of the month is rounded to the minor unit. The band: the
    same method is replayed on past days of every scope with as many days elapsed and remaining as now; each error is
    divided by how much the scope varied from week to week at the time. The 10 % and 90 % quantiles of all these errors,
    times the scope's variability now, are the ends of the band, which never lies below cost to date and always holds the
    projection. Errors are pooled over scopes because few scopes have enough months of their own
    (measured on seven kinds of simulated series: pooled bands hold in 71-88 % of months, own-past bands in 62-80 %).
    ``band_samples_count`` counts the errors; 0 means that there was no past to measure on, and no band.

    A finished month is what it is: all amounts equal cost to date. Raises ValueError when ``through_date`` is before it.
    """
    if through_date < month.first_day:
        raise ValueError(f"{through_date} is before {month}: nothing to project from")
    last_day = min(through_date, month.last_day)
    elapsed, remaining = last_day.day, month.days_count - last_day.day
    scopes = _series(daily, last_day, elapsed)
    errors = _replayed_errors([series.history for series in scopes.values()], elapsed=elapsed, remaining=remaining)
    band = _quantiles(errors) if remaining and len(errors) >= MIN_ERRORS else None
    limits = _budgets_on(budgets, last_day, currency)
    unit = minor_unit(currency)
    rows = []
    for (kind, scope_id), series in sorted(scopes.items()):
        lower, rest, upper = _expected_rest(series.history, band, elapsed=elapsed, remaining=remaining)
        to_date, has_band = series.cost_to_date, band is not None or not remaining
        rows.append(
            {
                "month": month.first_day,
                "through_date": last_day,
                "scope_kind": kind,
                "scope_id": scope_id,
                "cost_to_date": to_date,
                "projected_cost": to_date + _rounded(rest, unit),
                "projected_lower_cost": to_date + _rounded(lower, unit) if has_band else None,
                "projected_upper_cost": to_date + _rounded(upper, unit) if has_band else None,
                "linear_cost": to_date + (to_date * remaining / elapsed).quantize(unit),
                "monthly_budget": limits.get((kind, scope_id)),
                "currency": currency,
                "band_samples_count": len(errors) if band else 0,
            }
        )
    return MART_PROJECTION.validate(pl.DataFrame(rows, schema=MART_PROJECTION.polars_schema))


@dataclass(frozen=True)
class _Series:
    """A scope's exact cost in the month so far, and its daily costs up to the as-of day as plain numbers."""

    cost_to_date: Decimal
    history: Sequence[float]


def _series(daily: pl.DataFrame, last_day: dt.date, elapsed: int) -> dict[Scope, _Series]:
    first_day = last_day - dt.timedelta(days=REPLAY_DAYS - 1)
    known = (
        daily.filter(pl.col("usage_date").is_between(first_day, last_day), pl.col("effective_cost").is_not_null())
        .group_by(pl.col("scope_kind", "scope_id").cast(pl.String), "usage_date")
        .agg(pl.col("effective_cost").sum())
        .sort("usage_date")
    )
    days: dict[Scope, dict[dt.date, Decimal]] = {}
    for kind, scope_id, day, cost in known.iter_rows():
        days.setdefault((kind, scope_id), {})[day] = cost
    active_from = last_day - dt.timedelta(days=ACTIVE_DAYS - 1)
    return {
        scope: _dense(costs, last_day, elapsed)
        for scope, costs in days.items()
        if any(cost and day >= active_from for day, cost in costs.items())
    }


def _dense(costs: Mapping[dt.date, Decimal], last_day: dt.date, elapsed: int) -> _Series:
    first_day = min(costs)
    length = (last_day - first_day).days + 1
    history = [costs.get(first_day + dt.timedelta(days=offset), Decimal(0)) for offset in range(length)]
    return _Series(sum(history[-elapsed:], Decimal(0)), [float(cost) for cost in history])


def _replayed_errors(histories: Iterable[Sequence[float]], *, elapsed: int, remaining: int) -> list[float]:
    """(actual - expected) / variability of past origins that leave ``remaining`` known days, in rising order.

    Origins on today's weekday leave the same weekdays to come, so they are preferred where they are many.
    """
    known = list(histories)
    for step in (WEEK, 1):
        errors = [
            error
            for history in known
            for origin in range(len(history) - step * -(-remaining // step), max(LEVEL_DAYS, elapsed) - 1, -step)
            if (error := _replayed_error(history, origin, elapsed=elapsed, remaining=remaining)) is not None
        ]
        if len(errors) >= ENOUGH_ERRORS:
            break
    return sorted(errors)


def _replayed_error(history: Sequence[float], origin: int, *, elapsed: int, remaining: int) -> float | None:
    """Error of the projection made when only the first ``origin`` days were known; None for a scope then silent."""
    past = history[max(0, origin - WEEK * PROFILE_WEEKS) : origin]
    scale = weekly_variability(past)
    if scale == 0:
        return None
    expected = forecast_rest(past, elapsed=elapsed, remaining=remaining)
    return (sum(history[origin : origin + remaining]) - expected) / scale


def _quantiles(errors: Sequence[float]) -> tuple[float, float]:
    """The errors that leave a tenth of all below and a tenth above."""
    tenth = len(errors) // 10
    return errors[tenth], errors[-1 - tenth]


def _expected_rest(
    history: Sequence[float], band: tuple[float, float] | None, *, elapsed: int, remaining: int
) -> tuple[float, float, float]:
    """Lower end, middle and upper end of what the remaining days will cost."""
    rest = max(0.0, forecast_rest(history, elapsed=elapsed, remaining=remaining))
    if band is None:
        return rest, rest, rest
    scale = weekly_variability(history)
    return min(rest, max(0.0, rest + band[0] * scale)), rest, max(rest, rest + band[1] * scale)


def _rounded(statistic: float, unit: Decimal) -> Decimal:
    return Decimal(repr(statistic)).quantize(unit)


def _budgets_on(budgets: pl.DataFrame, day: dt.date, currency: str) -> dict[Scope, Decimal]:
    in_force = budgets.filter(
        pl.col("valid_from") <= day, pl.col("valid_to").is_null() | (pl.col("valid_to") > day), pl.col("currency") == currency
    )
    return {
        (kind, scope): limit for kind, scope, limit in in_force.select("scope_kind", "scope_id", "monthly_budget").iter_rows()
    }
