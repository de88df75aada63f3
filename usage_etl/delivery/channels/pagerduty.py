"""PagerDuty's Events API v2: one incident for each alert, opened and resolved under the alert's key."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from usage_etl.delivery.channels.channel import Told, called
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.texts import clipped, one_line
from usage_etl.schemas.notices import Notice

_SUMMARY_LIMIT, _DETAIL_LIMIT, _DETAILS = 1024, 1000, 40
_OVER = frozenset({"resolved", "corrected"})


@dataclass(frozen=True)
class PagerDutyChannel:
    """A service of PagerDuty. ``severities`` gives PagerDuty's word for ours."""

    name: str
    pace: dt.timedelta
    http: GuardedHttp
    url: str
    severities: Mapping[str, str]
    routing_key: str = field(repr=False)

    def tell(self, notice: Notice, recipient: str, now: dt.datetime) -> Told:  # noqa: ARG002 - there is one recipient
        """One event. The same event again changes nothing: its key is the alert's. 202 means queued, not seen."""
        content = json.dumps({"routing_key": self.routing_key, **event(notice, self.severities)}).encode("ascii")
        headers = {"Content-Type": "application/json"}
        return called(self.http, "POST", self.url, headers=headers, content=content, now=now)[0]


def event(notice: Notice, severities: Mapping[str, str]) -> dict[str, Any]:
    """The event without its routing key; resolved and corrected alerts resolve their incident."""
    document: dict[str, Any] = {
        "event_action": "resolve" if notice.action in _OVER else "trigger",
        "dedup_key": notice.alert_key,
        "client": "usage-etl",
    }
    if document["event_action"] == "trigger":
        document["payload"] = {
            "summary": clipped(one_line(notice.title), _SUMMARY_LIMIT),
            "source": notice.organization_id,
            "severity": severities[notice.severity],
            "timestamp": notice.happened_at.astimezone(dt.UTC).isoformat(),
            "class": notice.action,
            "custom_details": _details(notice),
        }
    return document


def _details(notice: Notice) -> dict[str, str]:
    lines = {f"line {number}": line for number, line in enumerate(notice.lines, start=1)}
    shown = [*notice.facts.items(), *lines.items()][:_DETAILS]
    return {clipped(one_line(label), 100): clipped(one_line(text), _DETAIL_LIMIT) for label, text in shown}
