"""Marts: the tables that reports, files and mail read."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, money, one_of, ratio, text, tokens


class MartSpendDaily(dy.Schema):
    """One (UTC day, provider, team): what the charts draw."""

    month = day("first day of the month")
    usage_date = day("UTC day")
    provider = text("who made the model", nullable=False)
    team_id = text("owner", nullable=False)
    requests_count = count("requests")
    errors_count = count("failed requests")
    total_tokens = tokens("input plus output")
    effective_cost = money("priced usage; null when nothing in the row has a price", nullable=True)
    currency = text("ISO 4217", nullable=False)


MART_SPEND_DAILY = Table(
    name="mart_spend_daily",
    schema=MartSpendDaily,
    grain="one UTC day, provider and team: requests, tokens and priced usage",
    partition="month",
    sort_by=("usage_date", "provider", "team_id"),
    group="4_insights",
    owner="team:finops",
    control_totals=("requests_count", "total_tokens", "effective_cost"),
)


SOURCE_COST_REASONS = (
    "agrees",
    "not_reported",
    "cache_hit",
    "failed",
    "usage_missing",
    "not_priced",
    "source_not_priced",
    "other_currency",
    "tier",
    "cache_semantics",
    "margin_or_discount",
    "price_differs",
)
"""not_reported: the source names no cost. cache_hit: it charges an answer of its own cache, which is free. failed: one side
charges a call that failed. usage_missing: the call reported no tokens. not_priced: our book has no price. source_not_priced:
it charges nothing for a call that used tokens. tier: it agrees at another context band or processing class. cache_semantics:
it agrees once cache tokens are counted in another way. margin_or_discount: it agrees up to a configured factor."""


class MartSourceCosts(dy.Schema):
    """One (month, source, provider, model, reason): a gateway's own estimate of its requests beside ours."""

    month = day("first day of the month")
    source = text("configured source", nullable=False)
    provider = text("who made the model", nullable=False)
    model_id = text("canonical model", nullable=False)
    source_cost_reason = text("why the two differ, or agrees", nullable=False, check=one_of(*SOURCE_COST_REASONS))
    requests_count = count("requests")
    effective_cost = money("ours; null where none of the requests has a price", nullable=True)
    source_cost_usd = ratio("the source's own estimates, floats at their origin; shown, never booked", unit="USD")
    source_cost_difference_usd = ratio("theirs minus ours, where both are known", unit="USD")


MART_SOURCE_COSTS = Table(
    name="mart_source_costs",
    schema=MartSourceCosts,
    grain="one month, source, model and reason: what a gateway estimates for its requests beside our price, and why they differ",
    partition="month",
    sort_by=("source", "provider", "model_id", "source_cost_reason"),
    group="4_insights",
    owner="team:finops",
    control_totals=("requests_count", "effective_cost"),
)


class MartDataQuality(dy.Schema):
    """One (month, source): how far to trust its numbers."""

    month = day("first day of the month")
    source = text("configured source", nullable=False)
    source_kind = text("connector", nullable=False)
    deliveries_count = count("deliveries that touch the month")
    held_deliveries_count = count("deliveries held back, not loaded")
    refused_deliveries_count = count("deliveries quarantined whole")
    rows_read_count = count("records read from those deliveries")
    rows_loaded_count = count("records in events or charges")
    rows_duplicate_count = count("records replaced by a newer copy")
    rows_quarantined_count = count("records refused, with reasons")
    rows_out_of_scope_count = count("further records of those deliveries, which the source does not read")
    unmapped_lines_count = count("charge lines of meters that no maintained table knows: no model, no token class")
    days_with_data_count = count("days of the month with at least one row")
    days_missing_count = count("days up to through_date without any row")
    first_date = day("first day with data", nullable=True)
    last_date = day("last day with data", nullable=True)
    last_received_at = text("newest delivery's arrival, UTC ISO 8601", nullable=True)


MART_DATA_QUALITY = Table(
    name="mart_data_quality",
    schema=MartDataQuality,
    grain="one month and source: deliveries, rows in and out, freshness and gaps",
    partition="month",
    sort_by=("source",),
    group="4_insights",
)
