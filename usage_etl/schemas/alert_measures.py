"""What an alert rule may watch: each measure with the mart and column it reads, its unit and how it moves."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Movement = Literal["cumulative", "rate", "event"]
"""cumulative: grows within its period and falls only when it is restated or its limit is raised. rate: rises and falls by
itself. event: happened once."""
Unit = Literal["percent", "currency", "tokens", "count", "ms", "days", "hours", "ratio"]

MEMBER_SCOPES = ("organization", "department", "team", "user", "api_key", "feature", "product", "project", "provider", "model")
QUOTA_SCOPES = ("organization", "department", "team", "user", "api_key", "feature")
ANOMALY_SCOPES = ("organization", "department", "team", "user", "api_key", "feature", "model")
SCOPE_KINDS = (*MEMBER_SCOPES, "pool", "source")
"""Everything that a rule may be about; pool is a pool of purchased tokens, source a configured source."""


@dataclass(frozen=True)
class AlertMeasure:
    """One thing that rules can watch."""

    name: str
    table: str
    """Mart that is read."""
    column: str
    """Column, or the columns that it is made of."""
    unit: Unit
    """Unit of thresholds. Shares are percent: a threshold of 80 is 80 %."""
    movement: Movement
    description: str
    scope_kinds: tuple[str, ...] = MEMBER_SCOPES
    direction: Literal["above", "below"] = "above"
    """On which side of a threshold the alert is, unless the rule says otherwise."""
    has_projection: bool = False
    """Whether the level ``projected`` exists: whether the period is expected to end beyond its limit."""
    is_day: bool = False
    """Whether the period is one day; else it is what the mart says, or there is none."""
    freezes: bool = True
    """Whether late data freezes its alerts."""


_MEASURES = (
    AlertMeasure(
        "quota_used_ratio", "mart_quota_status", "used_ratio", "percent", "cumulative",
        "used share of a quota or budget, in its period", scope_kinds=QUOTA_SCOPES, has_projection=True,
    ),
    AlertMeasure(
        "budget_used_ratio", "mart_projection", "to_date_quantity / limit_quantity", "percent", "cumulative",
        "spend of the month as a share of the budget in force", scope_kinds=QUOTA_SCOPES, has_projection=True,
    ),
    AlertMeasure("projected_cost", "mart_projection", "projected_quantity", "currency", "rate",
                 "spend expected at the end of the month", scope_kinds=QUOTA_SCOPES),
    AlertMeasure("effective_cost", "mart_summary", "effective_cost", "currency", "cumulative", "spend of the month so far"),
    AlertMeasure("total_tokens", "mart_summary", "total_tokens", "tokens", "cumulative", "tokens of the month so far"),
    AlertMeasure("requests_count", "mart_summary", "requests_count", "count", "cumulative", "requests of the month so far"),
    AlertMeasure("errors_count", "mart_summary", "errors_count", "count", "cumulative", "failed requests of the month so far"),
    AlertMeasure("daily_effective_cost", "mart_summary", "effective_cost", "currency", "cumulative", "spend of one UTC day",
                 is_day=True),
    AlertMeasure("daily_total_tokens", "mart_summary", "total_tokens", "tokens", "cumulative", "tokens of one UTC day",
                 is_day=True),
    AlertMeasure("daily_requests_count", "mart_summary", "requests_count", "count", "cumulative", "requests of one UTC day",
                 is_day=True),
    AlertMeasure("error_ratio", "mart_summary", "errors_count / requests_count", "percent", "rate",
                 "failed share of requests in the window"),
    AlertMeasure("latency_p95_ms", "mart_summary", "latency_p95_ms", "ms", "rate",
                 "duration that 95 % of requests in the window keep below"),
    AlertMeasure("latency_average_ms", "mart_summary", "latency_ms_sum / latency_count", "ms", "rate",
                 "average duration of requests in the window"),
    AlertMeasure("tokens_per_request_ratio", "mart_summary", "total_tokens / requests_count", "ratio", "rate",
                 "average tokens of a request in the window"),
    AlertMeasure("cache_read_ratio", "mart_summary", "cache_read_tokens / input_tokens", "percent", "rate",
                 "share of input read from a provider cache in the window", direction="below"),
    AlertMeasure("active_users_count", "mart_summary", "active_users_count", "count", "rate", "distinct users in the window"),
    AlertMeasure("unpriced_requests_ratio", "mart_summary", "unpriced_requests_count / requests_count", "percent", "rate",
                 "share of requests in the window whose price is unknown"),
    AlertMeasure("pool_used_ratio", "mart_pools", "used_tokens / purchased_tokens", "percent", "cumulative",
                 "used share of a pool of purchased tokens", scope_kinds=("pool",)),
    AlertMeasure("pool_assigned_ratio", "mart_pools", "assigned_tokens / purchased_tokens", "percent", "cumulative",
                 "share of a pool's purchased tokens that is assigned; over 100 is over-assigned", scope_kinds=("pool",)),
    AlertMeasure("pool_runway_days", "mart_pools", "runway_date", "days", "rate",
                 "days until a pool is expected to be empty; unknown where that is not within a year",
                 scope_kinds=("pool",), direction="below"),
    AlertMeasure("anomaly", "mart_anomalies", "excess_cost", "currency", "event",
                 "an anomaly that alerts, by the money above expectation; 0 tells of each, also where no money is known",
                 scope_kinds=ANOMALY_SCOPES),
    AlertMeasure("data_late_hours", "mart_data_quality", "last_received_at", "hours", "rate",
                 "hours since the newest delivery of a source", scope_kinds=("source",), freezes=False),
    AlertMeasure("days_missing_count", "mart_data_quality", "days_missing_count", "count", "rate",
                 "days of the month without any row of a source", scope_kinds=("source",), freezes=False),
)  # fmt: skip

ALERT_MEASURES: Mapping[str, AlertMeasure] = MappingProxyType({measure.name: measure for measure in _MEASURES})
"""By name."""


def near_names(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """What somebody who wrote ``name`` may have meant: the nearest known names, else all of them."""
    near = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.55)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known) or 'none'}"
