"""Anthropic's report families: which reports each has, how they differ in shape, and which may be read together.

All cost reports replace each other bucket by bucket, and so do all usage reports: of one day and account the family that
came last counts, and families are never added up.

- admin: ``cost_report`` and ``usage_report/messages``, buckets of results.
- enterprise: the older ``analytics/cost_report`` and ``analytics/usage_report``. A bucket lists its hundred largest groups
  and no remainder: one with a hundred rows may lack some and is refused.
- enterprise_users: ``analytics/user_cost_report`` and ``user_usage_report``, flat rows of users only; what no user is
  named for is missing, so they are read only where the settings say so.
- analytics: ``analytics/cost`` and ``analytics/usage``, flat rows, every combination of the dimensions asked for.
- console: downloads of the Console, the same figures as admin, amounts rounded to cents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.anthropic.charges import read_charge, read_console_charge
from usage_etl.sources.anthropic.fields import TAGGED
from usage_etl.sources.anthropic.settings import Family
from usage_etl.sources.anthropic.usage import read_usage
from usage_etl.sources.forms.reports import Report

COST_REPORT = "cost_report"
MESSAGES_USAGE = "usage_messages"
ENTERPRISE_COST = "analytics_cost_report"
ENTERPRISE_USAGE = "analytics_usage_report"
USER_COST = "analytics_user_cost_report"
USER_USAGE = "analytics_user_usage_report"
ANALYTICS_COST = "analytics_cost"
ANALYTICS_USAGE = "analytics_usage"
CONSOLE_COST = "console_cost"
CONSOLE_USAGE = "console_usage"

DOWNLOAD = "download"
"""Field by which rows of a download say which one they are of."""

MOST_GROUPS = 100
"""Groups that a bucket of the enterprise family lists."""

ADMIN_DIMENSIONS = (
    *("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo", "speed"),
    *("account_id", "service_account_id"),
)
"""What the messages report may be grouped by."""

_ENTERPRISE_DIMENSIONS = (
    *("claude_tag_category", "claude_tag_user_id", "context_window", "inference_geo", "model", "product"),
    *("rbac_group_id", "slack_channel_id", "speed"),
)
_ANALYTICS_DIMENSIONS = (
    *("actor", "api_key_id", "context_window", "inference_geo", "model", "product", "rbac_group_id", "service_tier"),
    *("session_id", "speed", "user_profile_id", "workspace_id", *TAGGED),
)
_COUNTS = ("uncached_input_tokens", "cache_read_input_tokens", "cache_creation", "output_tokens", "server_tool_use")
_AMOUNTS = ("amount", "list_amount", "currency", "requests", "cost_type", "token_type")
_PERIOD = ("starting_at", "ending_at")

OWN_FIELDS = frozenset({"list_amount", "requests", *_ENTERPRISE_DIMENSIONS}) - frozenset(ADMIN_DIMENSIONS)
"""Fields that the enterprise family has and the admin family has not."""


def _grouped(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of the analytics family without its nesting."""
    parts = [result.get(name) for name in ("group", "cost", "usage")]
    whole = {name: cell for name, cell in result.items() if name not in ("group", "cost", "usage")}
    return whole | {name: cell for one in parts if isinstance(one, dict) for name, cell in one.items()}


def _may_lack_groups(results: Sequence[Any]) -> str | None:
    return "bucket__may_lack_groups" if len(results) >= MOST_GROUPS else None


def _cost(dataset: str, *fields: str, **options: Any) -> Report:
    options = {"read_row": read_charge, **options}
    return Report(dataset=dataset, table=STAGED_CHARGES, fields=frozenset(fields), unit=COST_REPORT, **options)


def _usage(dataset: str, *fields: str, dimensions: tuple[str, ...], **options: Any) -> Report:
    return Report(
        dataset=dataset,
        table=STAGED_USAGE,
        read_row=read_usage,
        fields=frozenset({*fields, *dimensions}),
        dimensions=dimensions,
        unit=MESSAGES_USAGE,
        **options,
    )


_REPORTS = (
    _cost(
        COST_REPORT,
        *("amount", "currency", "description", "cost_type", "token_type", "context_window", "model", "service_tier"),
        *("workspace_id", "inference_geo", "speed"),
    ),
    _usage(MESSAGES_USAGE, *_COUNTS, dimensions=ADMIN_DIMENSIONS),
    _cost(ENTERPRISE_COST, *_AMOUNTS, *_ENTERPRISE_DIMENSIONS, bucket_rule=_may_lack_groups),
    _usage(ENTERPRISE_USAGE, *_COUNTS, "requests", dimensions=_ENTERPRISE_DIMENSIONS, bucket_rule=_may_lack_groups),
    _cost(USER_COST, *_AMOUNTS, *_PERIOD, "actor", *_ENTERPRISE_DIMENSIONS, is_flat=True),
    _usage(
        USER_USAGE, *_COUNTS, *_PERIOD, "requests", "total_tokens", dimensions=("actor", *_ENTERPRISE_DIMENSIONS), is_flat=True
    ),
    _cost(ANALYTICS_COST, *_AMOUNTS, *_PERIOD, *_ANALYTICS_DIMENSIONS, flatten=_grouped, is_flat=True),
    _usage(
        ANALYTICS_USAGE,
        *_COUNTS,
        *_PERIOD,
        "requests",
        "total_tokens",
        dimensions=_ANALYTICS_DIMENSIONS,
        flatten=_grouped,
        is_flat=True,
    ),
    _cost(
        CONSOLE_COST,
        *("amount", "list_amount", "description", "cost_type", "token_type", "context_window", "model", "service_tier"),
        *("workspace", "api_key_id", "inference_geo", "speed", "api_key_status", DOWNLOAD),
        read_row=read_console_charge,
    ),
    _usage(
        CONSOLE_USAGE,
        *(*_COUNTS, "api_key_status", DOWNLOAD),
        dimensions=("api_key_id", "workspace", "model", "service_tier", "context_window", "inference_geo", "speed"),
    ),
)

REPORTS = {report.dataset: report for report in _REPORTS}
"""Reports that are read, by dataset."""

_WHOLE = frozenset({COST_REPORT, MESSAGES_USAGE, CONSOLE_COST, CONSOLE_USAGE})

ALLOWED: Mapping[Family, frozenset[str]] = {
    "auto": frozenset(REPORTS) - {USER_COST, USER_USAGE},
    "admin": _WHOLE,
    "enterprise": frozenset({ENTERPRISE_COST, ENTERPRISE_USAGE}),
    "enterprise_users": frozenset({USER_COST, USER_USAGE}),
    "analytics": frozenset({ANALYTICS_COST, ANALYTICS_USAGE, *_WHOLE}),
}
"""Family of the settings to the reports that it reads."""


def dataset_of(result: Mapping[str, Any]) -> str | None:
    """Report that a result belongs to by its shape, null where it does not tell; ValueError for one that is not read."""
    if DOWNLOAD in result:
        return str(result[DOWNLOAD])
    group = result.get("group")
    if result.get("rbac_group_id") is not None or (isinstance(group, dict) and group.get("rbac_group_id") is not None):
        raise ValueError(
            "an analytics report grouped by rbac_group_id: a user in several groups counts in each, so its sums are not the "
            "organization's; save it without that dimension"
        )
    if "group" in result:
        return _nested(result)
    if "amount" in result and "uncached_input_tokens" in result:
        raise ValueError("a result has both an amount and token counts")
    is_enterprise = bool(OWN_FIELDS & result.keys())
    if "amount" in result:
        return USER_COST if "actor" in result else ENTERPRISE_COST if is_enterprise else COST_REPORT
    if "uncached_input_tokens" in result:
        return USER_USAGE if "actor" in result else ENTERPRISE_USAGE if is_enterprise else MESSAGES_USAGE
    return None


def _nested(result: Mapping[str, Any]) -> str | None:
    if "cost" in result and "usage" in result:
        raise ValueError("a row has both a cost and usage")
    return ANALYTICS_COST if "cost" in result else ANALYTICS_USAGE if "usage" in result else None
