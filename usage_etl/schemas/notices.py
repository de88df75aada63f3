"""What an alert says, for any channel: the value that the machine of alerts writes and every channel reads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Notice:
    """One thing to tell through one channel."""

    notice_id: str
    """Stable hex of alert key, episode, transition and channel: the idempotency key of every channel."""
    alert_key: str
    """Stable hex of organization, rule, scope, measure and period: dedup key and thread of fired, raised, corrected, resolved."""
    action: Literal["fired", "corrected", "resolved", "no_data", "digest"]
    severity: Literal["info", "warning", "critical"]
    channel: str
    """Name of a configured channel."""
    organization_id: str
    title: str
    """One line, no markup, at most 120 characters."""
    lines: tuple[str, ...]
    """Plain sentences."""
    facts: Mapping[str, str]
    """Label to printed value: scope, measure, used, limit, level, period, projected, data as of."""
    happened_at: dt.datetime
    """UTC."""
    members: tuple[Notice, ...] = ()
    """What a digest groups."""
