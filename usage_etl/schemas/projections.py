"""Projections: where each month will end, and how far past projections were off."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, one_of, quantity, ratio, text

PROJECTION_SCOPES = ("organization", "department", "team", "user", "api_key", "feature")
"""Kinds of scope that are projected."""
PROJECTION_KEYS = ("scope_kind", "scope_id", "measure")
"""What names a projected series."""
PROJECTION_MONEY = "effective_cost"
PROJECTION_MEASURES = (PROJECTION_MONEY, "total_tokens", "requests_count")
"""Measures that are projected, named like the columns of the facts."""


class MartProjection(dy.Schema):
    """One (month, scope, measure): where the month will end.

    Quantities are money in ``currency`` where the measure is money, else tokens or requests. Days after ``settled_date``
    are still filling: they are projected like days to come.
    """

    month = day("first day of the month")
    through_date = day("last day with data")
    settled_date = day("last day whose feeds are taken as complete")
    scope_kind = text("kind of the scope", nullable=False, check=one_of(*PROJECTION_SCOPES))
    scope_id = text("member", nullable=False, sensitivity="personal")
    measure = text("what is projected", nullable=False, check=one_of(*PROJECTION_MEASURES))
    currency = text("ISO 4217; null unless the measure is money")
    to_date_quantity = quantity("in the month so far", unit="the measure's")
    projected_quantity = quantity("expected month-end total", unit="the measure's")
    projected_lower_quantity = quantity("lower end of the 80 % band", nullable=True, unit="the measure's")
    projected_upper_quantity = quantity("upper end of the 80 % band", nullable=True, unit="the measure's")
    linear_quantity = quantity("straight-line extrapolation, for comparison", unit="the measure's")
    limit_quantity = quantity("budget in force; null where none", nullable=True, unit="the measure's")
    breach_probability_ratio = ratio("chance that the month ends above the limit; null without limit")
    breach_date = day("day on which the expected path passes the limit; null: not in this month", nullable=True)
    band_samples_count = count("past projections the band was measured on; 0 means no band")


MART_PROJECTION = Table(
    name="mart_projection",
    schema=MartProjection,
    grain="one month, scope and measure: so far, projected month-end with its band, budget and chance of passing it",
    partition="month",
    sort_by=("scope_kind", "scope_id", "measure"),
    group="4_insights",
    owner="team:finops",
)


class MartProjectionAccuracy(dy.Schema):
    """One (month, scope kind, measure, day of the month): how far the projections made on that day were off.

    The month is projected again from the days up to that day only, as the facts state them now: rows that arrived late are
    in. A series counts from its first day on, while it added anything in eight weeks.
    """

    month = day("first day of a finished month")
    scope_kind = text("kind of the scopes", nullable=False, check=one_of(*PROJECTION_SCOPES))
    measure = text("what was projected", nullable=False, check=one_of(*PROJECTION_MEASURES))
    currency = text("ISO 4217; null unless the measure is money")
    origin_day = count("day of the month at whose end the projection is made", unit="day of the month")
    series_count = count("scopes that were projected")
    actual_quantity = quantity("what their month came to", unit="the measure's")
    missed_quantity = quantity("by how much the projections were off, without signs", unit="the measure's")
    linear_missed_quantity = quantity("the same of the straight line", unit="the measure's")
    missed_ratio = ratio("missed_quantity to actual_quantity; null where that is nothing")
    linear_missed_ratio = ratio("the same of the straight line")
    banded_count = count("projections that had an 80 % band")
    held_count = count("of those, bands that held the month's end")


MART_PROJECTION_ACCURACY = Table(
    name="mart_projection_accuracy",
    schema=MartProjectionAccuracy,
    grain="one finished month, kind of scope, measure and day of the month: how far projections were off, beside a straight line",
    partition="month",
    sort_by=("scope_kind", "measure", "origin_day"),
    group="4_insights",
    owner="team:finops",
)
