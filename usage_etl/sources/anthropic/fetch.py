"""Pulls Anthropic's cost and usage reports of the settings' family with an Admin key, bytes landed as received.

The analytics family knows the last 365 days and nothing before 2026: older days come from the admin family. What the
analytics family answered for once is not asked of the admin family when it leaves the window, or it would be replaced by
rows with fewer names.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from usage_etl.errors import RefusedRequestError
from usage_etl.sources.anthropic.families import (
    ADMIN_DIMENSIONS,
    ANALYTICS_COST,
    ANALYTICS_USAGE,
    COST_REPORT,
    ENTERPRISE_COST,
    ENTERPRISE_USAGE,
    MESSAGES_USAGE,
    USER_COST,
    USER_USAGE,
)
from usage_etl.sources.anthropic.settings import AnthropicSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.http import DEFAULT_POLICY, JsonApi, RetryPolicy
from usage_etl.sources.fetching.pulls import Endpoint, landed_versions
from usage_etl.sources.fetching.report_api import fetch_reports
from usage_etl.sources.rows.cells import Cells
from usage_etl.sources.source import FetchContext

_log = logging.getLogger(__name__)

ANALYTICS_BETA = (("anthropic-beta", "analytics-usage-cost-2026-08-24"),)
"""Header that the analytics family asks for."""

SPEED_BETA = (("anthropic-beta", "fast-mode-2026-02-01"),)
"""Header without which the messages report is not grouped by speed."""

ANALYTICS_BEGINNING = dt.date(2026, 1, 1)
ANALYTICS_WINDOW_DAYS = 364
"""Whole days before today that are surely within the last 365 days."""

ANALYTICS_COST_PATH = "/v1/organizations/analytics/cost"

_VERSION = "2023-06-01"
_KEY_ADVICE = "an organization admin makes one in the Console under Settings, Admin keys; accounts without organization have none"
_ADVICE = {
    401: f"api_key is not accepted; it must be an Admin key (sk-ant-admin...): {_KEY_ADVICE}",
    403: f"api_key may not read usage and cost reports; it must be an Admin key (sk-ant-admin...): {_KEY_ADVICE}",
    404: "there is no such report at base_url; it must be https://api.anthropic.com or a gateway that passes its paths on",
}
_NOT_THERE = frozenset({400, 403, 404})
"""Answers of a server that does not have the analytics family for this key: HIPAA organizations get 400."""


def fetch(settings: AnthropicSettings, context: FetchContext, *, policy: RetryPolicy = DEFAULT_POLICY) -> Iterator[FetchedObject]:
    """Saved files, or answers that changed since they were last landed. Raises SourceError, or TransientSourceError."""
    return fetch_reports(
        settings,
        context,
        headers=lambda key: {"x-api-key": key, "anthropic-version": _VERSION},
        advice=_ADVICE,
        endpoints=lambda api: endpoints(settings, context, api),
        policy=policy,
    )


def endpoints(settings: AnthropicSettings, context: FetchContext, api: JsonApi) -> tuple[Endpoint, ...]:
    """What to ask. ``auto`` asks the API first whether the key may read the analytics family."""
    beginning = max(ANALYTICS_BEGINNING, context.today - dt.timedelta(days=ANALYTICS_WINDOW_DAYS))
    if settings.family == "enterprise":
        return _enterprise(beginning)
    if settings.family == "enterprise_users":
        return _enterprise_users(beginning)
    if settings.family == "admin" or (settings.family == "auto" and not _has_analytics(api, settings.name, context.today)):
        return _admin(dt.date.max, dt.date.max)
    older = [_last_older_day(dataset, beginning, context) for dataset in (ANALYTICS_COST, ANALYTICS_USAGE)]
    return *_admin(*older), *_analytics(beginning, settings.group_by)


def _has_analytics(api: JsonApi, source: str, today: dt.date) -> bool:
    """Whether the key may read the analytics family. Raises SourceError for a key that is not accepted at all."""
    asked = (("limit", "1"), *_window(today - dt.timedelta(days=2), today - dt.timedelta(days=1)))
    try:
        api.get(ANALYTICS_COST_PATH, asked, ANALYTICS_BETA)
    except RefusedRequestError as error:
        if error.status not in _NOT_THERE:
            raise
        _log.warning("source=%s family=admin analytics_refused=%r", source, str(error))
        return False
    return True


def _last_older_day(dataset: str, beginning: dt.date, context: FetchContext) -> dt.date:
    """The day before the first one that the analytics family answered for, or will."""
    answered = [chunk.first_day for chunk in landed_versions(dataset, context.known)]
    first = min([beginning, *(max(day, ANALYTICS_BEGINNING) for day in answered)])
    return first - dt.timedelta(days=1)


def _admin(last_cost_day: dt.date, last_usage_day: dt.date) -> tuple[Endpoint, ...]:
    usage = _daily(31, *ADMIN_DIMENSIONS)
    return (
        _endpoint(COST_REPORT, "cost_report", _daily(31, "description", "workspace_id"), last_day=last_cost_day),
        _endpoint(MESSAGES_USAGE, "usage_report/messages", usage, last_day=last_usage_day, headers=SPEED_BETA),
    )


def _enterprise(first_day: dt.date) -> tuple[Endpoint, ...]:
    """Few dimensions, so that a bucket stays below the hundred groups that it may list."""
    cost, usage = _daily(31, "model", "cost_type", "token_type"), _daily(31, "model", "product")
    return (
        _endpoint(ENTERPRISE_COST, "analytics/cost_report", cost, first_day=first_day),
        _endpoint(ENTERPRISE_USAGE, "analytics/usage_report", usage, first_day=first_day),
    )


def _enterprise_users(first_day: dt.date) -> tuple[Endpoint, ...]:
    cost, usage = _daily(1000, "model", "product", "cost_type", "token_type"), _daily(1000, "model", "product")
    flat: dict[str, Any] = {"first_day": first_day, "has_empty_buckets": False}
    return (
        _endpoint(USER_COST, "analytics/user_cost_report", cost, **flat),
        _endpoint(USER_USAGE, "analytics/user_usage_report", usage, **flat),
    )


def _analytics(first_day: dt.date, group_by: tuple[str, ...]) -> tuple[Endpoint, ...]:
    ordered = (("time_bucket_width", "1d"), ("limit", "1000"), ("order_by", "time"), ("order", "asc"))
    flat: dict[str, Any] = {"first_day": first_day, "has_empty_buckets": False, "headers": ANALYTICS_BETA}
    cost, usage = (*ordered, *_grouped(*group_by, "cost_type", "token_type")), (*ordered, *_grouped(*group_by))
    return (
        _endpoint(ANALYTICS_COST, "analytics/cost", cost, **flat),
        _endpoint(ANALYTICS_USAGE, "analytics/usage", usage, **flat),
    )


def _endpoint(dataset: str, path: str, parameters: tuple[tuple[str, str], ...], **options: Any) -> Endpoint:
    return Endpoint(
        dataset=dataset,
        path=f"/v1/organizations/{path}",
        parameters=parameters,
        window=_window,
        bucket_day=_bucket_day,
        **options,
    )


def _daily(limit: int, *group_by: str) -> tuple[tuple[str, str], ...]:
    return (("bucket_width", "1d"), ("limit", str(limit)), *_grouped(*group_by))


def _grouped(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(("group_by[]", name) for name in names)


def _window(first_day: dt.date, end_day: dt.date) -> tuple[tuple[str, str], ...]:
    return ("starting_at", f"{first_day}T00:00:00Z"), ("ending_at", f"{end_day}T00:00:00Z")


def _bucket_day(bucket: Mapping[str, Any]) -> dt.date | None:
    started_at = (cells := Cells()).rfc3339_instant(bucket.get("starting_at"), "starting_at")
    return None if cells.faults else started_at.date()
