"""Projections: where each month will end, and how far past projections were off."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, one_of, quantity, ratio, text

PROJECTION_SCOPES = ("organization", "department", "team", "user", "api_key", "feature")
"""Kinds of scope that are projected."""
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
