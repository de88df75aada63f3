"""Pulls Anthropic's cost report and messages usage report with an Admin key, bytes landed as received."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from usage_etl.sources.anthropic.parse import COST_REPORT, MESSAGES_USAGE
from usage_etl.sources.anthropic.settings import AnthropicSettings
from usage_etl.sources.cells import Cells
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.http import DEFAULT_POLICY, RetryPolicy
from usage_etl.sources.pulls import Endpoint
from usage_etl.sources.report_api import fetch_reports
from usage_etl.sources.source import FetchContext

_VERSION = "2023-06-01"
_KEY_ADVICE = "an organization admin makes one in the Console under Settings, Admin keys; accounts without organization have none"
_ADVICE = {
    401: f"api_key is not accepted; it must be an Admin key (sk-ant-admin...): {_KEY_ADVICE}",
    403: f"api_key may not read usage and cost reports; it must be an Admin key (sk-ant-admin...): {_KEY_ADVICE}",
    404: "there is no such report at base_url; it must be https://api.anthropic.com or a gateway that passes its paths on",
}


def fetch(settings: AnthropicSettings, context: FetchContext, *, policy: RetryPolicy = DEFAULT_POLICY) -> Iterator[FetchedObject]:
    """Saved pages, or answers that changed since they were last landed. Raises SourceError, or TransientSourceError."""
    return fetch_reports(
        settings,
        context,
        headers=lambda key: {"x-api-key": key, "anthropic-version": _VERSION},
        advice=_ADVICE,
        endpoints=lambda _: _ENDPOINTS,
        policy=policy,
    )


def _window(first_day: dt.date, end_day: dt.date) -> tuple[tuple[str, str], ...]:
    return ("starting_at", f"{first_day}T00:00:00Z"), ("ending_at", f"{end_day}T00:00:00Z")


def _bucket_day(bucket: Mapping[str, Any]) -> dt.date | None:
    started_at = (cells := Cells()).rfc3339_instant(bucket.get("starting_at"), "starting_at")
    return None if cells.faults else started_at.date()


def _parameters(*group_by: str) -> tuple[tuple[str, str], ...]:
    return (("bucket_width", "1d"), ("limit", "31"), *(("group_by[]", name) for name in group_by))


_ENDPOINTS = (
    Endpoint(
        dataset=COST_REPORT,
        path="/v1/organizations/cost_report",
        parameters=_parameters("description", "workspace_id"),
        window=_window,
        bucket_day=_bucket_day,
    ),
    Endpoint(
        dataset=MESSAGES_USAGE,
        path="/v1/organizations/usage_report/messages",
        parameters=_parameters("api_key_id", "workspace_id", "model", "service_tier", "context_window"),
        window=_window,
        bucket_day=_bucket_day,
    ),
)
