"""The burn-up's data: cost added up day by day, where the month will end, and the budget."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

from usage_etl.money import exact_sum
from usage_etl.periods import days_between
from usage_etl.reports.formatting import NO_DATA, count_full, money_short, percent, plural
from usage_etl.reports.headline import end_cost
from usage_etl.reports.inputs import MonthFacts
from usage_etl.reports.model import BurnUp, Figure, Period

_JUDGED_DAY = 15
_JUDGED_MONTHS = 3


def burn_up(facts: MonthFacts, period: Period) -> BurnUp:
    """One cumulative amount per elapsed day; projection and band only while the month runs."""
    first, currency = facts.month.first_day, facts.currency
    daily: dict[dt.date, Decimal] = {}
    for costs in facts.daily_costs("provider", first).values():
        for day, cost in costs.items():
            daily[day] = daily.get(day, Decimal(0)) + (cost or Decimal(0))
    running, cumulative = Decimal(0), []
    for day in days_between(first, facts.through_date + dt.timedelta(days=1)):
        running += daily.get(day, Decimal(0))
        cumulative.append(running)
    projection = facts.organization_projection
    end = None if period.is_complete else end_cost(facts, period)
    is_ahead = end is not None and projection is not None
    cost, budget = facts.organization.cost, projection.monthly_budget if projection else None

    def figure(amount: Decimal | None) -> Figure | None:
        return None if amount is None else Figure(value=amount, text=money_short(amount, currency))

    return BurnUp(
        month=first,
        days_in_month_count=period.days_in_month_count,
        cumulative_costs=tuple(cumulative),
        spent=figure(cost) or Figure(value=None, text=NO_DATA),
        projected=figure(end),
        lower_cost=projection.lower_cost if projection and is_ahead else None,
        upper_cost=projection.upper_cost if projection and is_ahead else None,
        linear=figure(projection.linear_cost) if projection and is_ahead else None,
        budget=figure(budget),
        note=" ".join(part for part in (_note(facts, is_ahead=is_ahead), _accuracy(facts)) if part),
        alt=_alt(facts, end, budget),
    )


def _note(facts: MonthFacts, *, is_ahead: bool) -> str:
    projection = facts.organization_projection
    if not is_ahead or projection is None:
        return ""
    lower, upper = projection.lower_cost, projection.upper_cost
    if lower is None or upper is None:
        return "No band yet: too few past projections to measure one."
    band = f"{money_short(lower, facts.currency)} to {money_short(upper, facts.currency)}"
    return f"Band: {band}, for four months in five, by {count_full(projection.band_samples_count)} past projections."


def _accuracy(facts: MonthFacts) -> str:
    """How far the projections of teams were off in the last finished months; nothing where none was measured."""
    measured = facts.inputs.accuracy.filter(
        pl.col("scope_kind") == "team",
        pl.col("measure") == "effective_cost",
        pl.col("origin_day") == _JUDGED_DAY,
        pl.col("month") <= facts.month.first_day,
        pl.col("currency") == facts.currency,
    )
    recent = measured.sort("month").tail(_JUDGED_MONTHS)
    actual = exact_sum(recent["actual_quantity"])
    if actual <= 0:
        return ""
    missed, linear = (percent(exact_sum(recent[f"{name}_quantity"]) / actual) for name in ("missed", "linear_missed"))
    months = f"the last {plural(recent.height, 'month')}" if recent.height > 1 else "the last month"
    text = f"Team projections made on day {_JUDGED_DAY} of {months} missed by {missed} (straight line: {linear})"
    banded = int(recent["banded_count"].sum())
    if not banded:
        return f"{text}."
    return f"{text}; {percent(Decimal(int(recent['held_count'].sum())) / banded)} ended inside the band."


def _alt(facts: MonthFacts, end: Decimal | None, budget: Decimal | None) -> str:
    spent = facts.organization.cost
    parts = ["Cumulative cost: " + (NO_DATA if spent is None else f"{money_short(spent, facts.currency)} so far")]
    if end is not None:
        parts.append(f"projected {money_short(end, facts.currency)} at month-end")
    parts.append("no budget set" if budget is None else f"budget {money_short(budget, facts.currency)}")
    return ", ".join(parts) + "."
