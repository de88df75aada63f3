"""What usage costs per unit of work, and what it brings: outcomes as they are registered, unit costs, return."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, flag, money, one_of, ratio, text

UNIT_KINDS = ("request", "session", "investigation", "outcome")
"""request: one with a price. session: one with a session id. investigation: one that requests name. outcome: as registered."""
UNIT_SCOPES = ("organization", "department", "team", "product", "feature", "model")
OUTCOME_SCOPES = ("feature", "team")


class DimOutcome(dy.Schema):
    """One outcome of one feature or team in one month, as the business counts it."""

    feature_id = text("feature that brought it; null where it is a team's")
    team_id = text("team that brought it; null where it is a feature's")
    month = day("first day of the month")
    outcome_name = text("what was brought about, such as tickets solved", nullable=False)
    outcomes_count = count("how many")
    value_per_outcome = money("what one is worth; null where that is not known", nullable=True)
    currency = text("ISO 4217, of value_per_outcome", regex=r"^[A-Z]{3}$")


DIM_OUTCOME = Table(
    name="dim_outcome",
    schema=DimOutcome,
    grain="one outcome of one feature or team in one month, as the business counts it",
    partition=None,
    sort_by=("month", "outcome_name", "feature_id", "team_id"),
    group="1_land",
    owner="team:finops",
)


class MartUnitCosts(dy.Schema):
    """One (month, scope, unit): what one request, session, investigation or outcome costs.

    Cost is that of usage which belongs to a unit: for sessions, of requests that name one. Units are distinct, counted anew in
    every row. Where some requests have no price, cost is too low by what they cost; ``unpriced_requests_count`` says how many.
    The previous figures are of the same days of the month before, and null where data does not cover them.
    """

    month = day("first day of the month")
    through_date = day("last day with data that the row covers")
    scope_kind = text("what the scope is", nullable=False, check=one_of(*UNIT_SCOPES))
    scope_id = text("member", nullable=False)
    scope_name = text("for people", nullable=False)
    unit_kind = text("what is counted", nullable=False, check=one_of(*UNIT_KINDS))
    outcome_name = text("which outcome; null for other units")
    units_count = count("units; null where an outcome is not registered", nullable=True)
    requests_count = count("requests that belong to units")
    unpriced_requests_count = count("of requests_count, those without a price")
    effective_cost = money("their priced usage; null where nothing has a price", nullable=True)
    cost_per_unit = money("effective_cost by units_count, cut at 18 decimals; null without units or cost", nullable=True)
    currency = text("ISO 4217", nullable=False)
    previous_has_data = flag("whether the same days of the month before are covered by data")
    previous_units_count = count("units, same days of the month before", nullable=True)
    previous_cost_per_unit = money("cost of one, same days of the month before", nullable=True)


MART_UNIT_COSTS = Table(
    name="mart_unit_costs",
    schema=MartUnitCosts,
    grain="one month, scope and unit: what one request, session, investigation or outcome costs",
    partition="month",
    sort_by=("scope_kind", "scope_id", "unit_kind", "outcome_name"),
    group="4_insights",
    owner="team:finops",
)


class MartOutcomes(dy.Schema):
    """One (month, feature or team, outcome): what it cost, what it was worth, and what is left.

    Every outcome that is registered for a scope in any month has a row in every month with usage of that scope; a count that is
    not registered for the month is null, never 0. Value in another currency than cost is shown and not set against it.
    """

    month = day("first day of the month")
    through_date = day("last day with data that the row covers")
    scope_kind = text("what brought it", nullable=False, check=one_of(*OUTCOME_SCOPES))
    scope_id = text("feature or team", nullable=False)
    scope_name = text("for people", nullable=False)
    outcome_name = text("what was brought about", nullable=False)
    outcomes_count = count("how many; null: not registered for the month", nullable=True)
    requests_count = count("requests of the scope")
    unpriced_requests_count = count("of requests_count, those without a price")
    effective_cost = money("priced usage of the scope; null where nothing has a price", nullable=True)
    currency = text("ISO 4217, of effective_cost", nullable=False)
    cost_per_outcome = money("effective_cost by outcomes_count, cut at 18 decimals", nullable=True)
    value_per_outcome = money("as registered, in value_currency", nullable=True)
    value_currency = text("ISO 4217, of value_per_outcome and outcomes_value")
    outcomes_value = money("outcomes_count times value_per_outcome", nullable=True)
    net_value = money("outcomes_value minus effective_cost; null in two currencies", nullable=True)
    return_ratio = ratio("outcomes_value by effective_cost; null in two currencies")


MART_OUTCOMES = Table(
    name="mart_outcomes",
    schema=MartOutcomes,
    grain="one month, feature or team and outcome: what it cost beside what it was worth",
    partition="month",
    sort_by=("scope_kind", "scope_id", "outcome_name"),
    group="4_insights",
    owner="team:finops",
)
