"""The cube of usage: one row for each window, dimension and member, with the period before beside it."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from usage_etl.schemas.contract import Table, count, day, flag, instant, label, money, one_of, ratio, text, tokens
from usage_etl.schemas.contract import quantity as exact

SUMMARY_WINDOWS = ("day_24h", "days_7", "days_14", "days_30", "month", "months_3", "months_12", "all")
"""Windows of mart_summary. All end with the row's month, in the running month with its last day with data."""

CUSTOM_WINDOW = "custom"
"""Window of days that somebody asked for; never stored."""

SUMMARY_DIMENSIONS = (
    "organization",
    "business_unit",
    "department",
    "team",
    "cost_center",
    "user",
    "api_key",
    "project",
    "investigation",
    "product",
    "feature",
    "provider",
    "model",
    "primitive",
    "token_kind",
    "status",
    "tag",
    "tag_set",
    "day",
)
"""Dimensions of mart_summary; organization has one member, day one per UTC day of the month."""

OVERLAPPING_DIMENSIONS = ("tag",)
"""Dimensions whose members overlap: usage with three tags stands under each of them. All others add up."""


class MartSummary(dy.Schema):
    """One (month, window, dimension, member): usage and cost, with the period before beside them.

    Every dimension adds up to the organization, in every window, but for ``tag``: usage with several tags stands under each;
    ``tag_set`` has each combination once, and adds up. The dimension ``day`` stands in the window ``month`` only. Distinct
    users, sessions and investigations are counted anew in every row, never added. Percentiles come from merged histograms:
    they are within 5 % of the exact ones, and null where an earlier version of the program kept no histogram.
    """

    month = day("first day of the month")
    through_date = day("last day with data that the row covers")
    window = label("how far back", nullable=False, check=one_of(*SUMMARY_WINDOWS, CUSTOM_WINDOW))
    window_start = day("first day of the window, wholly or in part")
    window_start_at = instant("first instant of the window")
    window_end_at = instant("first instant after the window")
    first_covered_date = day("first day of the window from which on the lake has data; later than window_start in a young lake")
    dimension = label("what the member is of", nullable=False, check=one_of(*SUMMARY_DIMENSIONS))
    member_id = text("member", nullable=False)
    member_name = text("for people", nullable=False)
    requests_count = count("requests")
    errors_count = count("failed requests")
    cache_hits_count = count("requests answered by the gateway's cache")
    active_users_count = count("distinct users with a request, recomputed here, never added up")
    sessions_count = count("distinct sessions; null where request-level records are not kept", nullable=True)
    investigations_count = count("distinct investigations")
    models_count = count("distinct models")
    input_tokens = tokens("all input classes")
    input_uncached_tokens = tokens("of input_tokens, neither read from nor written to a provider cache")
    cache_read_tokens = tokens("of input_tokens, read from a provider cache")
    cache_write_5m_tokens = tokens("of input_tokens, written to the cache for five minutes or an unstated time")
    cache_write_1h_tokens = tokens("of input_tokens, written to the cache for an hour")
    output_tokens = tokens("output, reasoning included")
    reasoning_tokens = tokens("of output_tokens, thinking")
    total_tokens = tokens("input_tokens plus output_tokens")
    inference_tokens = tokens("of total_tokens, of every primitive but ai.embed")
    embedding_tokens = tokens("of total_tokens, of ai.embed")
    quantity = exact(
        "what was used beside tokens, in quantity_unit; null where units differ", nullable=True, unit="quantity_unit"
    )
    quantity_unit = text("unit of the primitive")
    unpriced_requests_count = count("requests whose price is unknown")
    unpriced_tokens = tokens("tokens whose price is unknown")
    latency_ms_sum = count("sum of known durations", unit="ms")
    latency_count = count("requests with a known duration")
    latency_average_ms = ratio("mean of known durations, exact", unit="ms")
    latency_p50_ms = ratio("half of the known durations are no longer; within 5 %", unit="ms")
    latency_p95_ms = ratio("95 % of the known durations are no longer; within 5 %", unit="ms")
    latency_p99_ms = ratio("99 % of the known durations are no longer; within 5 %", unit="ms")
    effective_cost = money("priced usage; null when nothing in the row has a price", nullable=True)
    currency = text("ISO 4217", nullable=False)
    cost_per_request = money("effective_cost by the requests that have a price; cut at 18 decimals", nullable=True)
    cost_per_user = money("effective_cost by active users; cut at 18 decimals", nullable=True)
    error_ratio = ratio("errors_count by requests_count")
    cache_hit_ratio = ratio("cache_hits_count by requests_count")
    cache_read_ratio = ratio("cache_read_tokens by input_tokens")
    tokens_per_request_ratio = ratio("total_tokens by requests_count", unit="tokens per request")
    input_output_ratio = ratio("input_tokens by output_tokens")
    requests_per_user_ratio = ratio("requests of known users by active_users_count", unit="requests per user")
    requests_per_cost_ratio = ratio("requests that have a price by effective_cost", unit="requests per unit of currency")
    cost_share_ratio = ratio("effective_cost by the organization's")
    top_feature_id = text("feature with most tokens, else with most requests; null where no request names one")
    most_used_feature_id = text("feature with most requests; null where no request names one")
    top_model_id = text("provider/model with most tokens, else with most requests")
    model_ids = text("provider/model of every model used, most requests first, separated by a comma and a space")
    primary_provider = text("provider with most requests")
    primary_provider_ratio = ratio("its share of requests_count")
    last_active_date = day("last UTC day of the window with a request", nullable=True)
    first_seen_date = day("first UTC day in the whole lake with a request, up to through_date", nullable=True)
    previous_has_data = flag("whether data covers the period before")
    previous_start_date = day("first day of the period before, as long and on the same weekdays; null for all", nullable=True)
    previous_end_date = day("last day of the period before, wholly or in part", nullable=True)
    previous_requests_count = count("requests of the period before", nullable=True)
    previous_errors_count = count("failed requests of the period before", nullable=True)
    previous_total_tokens = tokens("tokens of the period before", nullable=True)
    previous_active_users_count = count("distinct users of the period before", nullable=True)
    previous_effective_cost = money("priced usage of the period before", nullable=True)


MART_SUMMARY = Table(
    name="mart_summary",
    schema=MartSummary,
    grain="one month, window, dimension and member: usage and cost beside the period before",
    partition="month",
    sort_by=("window", "dimension", "member_id"),
    group="4_insights",
    owner="team:finops",
)


def of_window(summary: pl.DataFrame, window: str = "month") -> pl.DataFrame:
    """Rows of one window. Versions that were stored before there were windows have null there, and hold the month."""
    return summary.filter(pl.col("window").cast(pl.String).fill_null("month") == window)
