"""Pulls OpenAI's organization costs and usage with an Admin key, bytes landed as received."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from usage_etl.periods import day_start
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.http import DEFAULT_POLICY, RetryPolicy
from usage_etl.sources.fetching.pulls import Endpoint
from usage_etl.sources.fetching.report_api import fetch_reports
from usage_etl.sources.openai.costs import COST_DIMENSIONS, COSTS
from usage_etl.sources.openai.settings import OpenAISettings
from usage_etl.sources.openai.usage import USAGE_REPORTS
from usage_etl.sources.rows.cells import Cells
from usage_etl.sources.source import FetchContext

_KEY_ADVICE = "an organization owner makes one under Settings, Admin keys; it needs the scope api.usage.read"
_ADVICE = {
    401: f"api_key is not accepted; it must be an Admin key (sk-admin-...): {_KEY_ADVICE}",
    403: f"api_key may not read usage and costs; it must be an Admin key (sk-admin-...): {_KEY_ADVICE}",
    404: "there is no such report at base_url; it must be https://api.openai.com or a gateway that passes its paths on",
}


def fetch(settings: OpenAISettings, context: FetchContext, *, policy: RetryPolicy = DEFAULT_POLICY) -> Iterator[FetchedObject]:
    """Saved pages, or answers that changed since they were last landed. Raises SourceError, or TransientSourceError."""
    return fetch_reports(
        settings,
        context,
        headers=lambda key: {"authorization": f"Bearer {key}"},
        advice=_ADVICE,
        endpoints=lambda _: [endpoint for endpoint in ENDPOINTS if endpoint.dataset not in settings.leave_out],
        policy=policy,
    )


def _window(first_day: dt.date, end_day: dt.date) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(int(day_start(day).timestamp()))) for name, day in (("start_time", first_day), ("end_time", end_day)))


def _bucket_day(bucket: Mapping[str, Any]) -> dt.date | None:
    started_at = (cells := Cells()).unix_instant(bucket.get("start_time"), "start_time")
    return None if cells.faults else started_at.date()


def _endpoint(dataset: str, path: str, limit: int, group_by: tuple[str, ...], *, may_be_absent: bool = False) -> Endpoint:
    return Endpoint(
        dataset=dataset,
        path=f"/v1/organization/{path}",
        parameters=(("bucket_width", "1d"), ("limit", str(limit)), *(("group_by[]", name) for name in group_by)),
        window=_window,
        bucket_day=_bucket_day,
        may_be_absent=may_be_absent,
    )


ENDPOINTS = (
    _endpoint(COSTS, "costs", 180, COST_DIMENSIONS),
    *(
        _endpoint(kind.dataset, f"usage/{kind.name}", 31, kind.dimensions, may_be_absent=kind.may_be_absent)
        for kind in USAGE_REPORTS
    ),
)
"""Every report of the API, costs first."""
