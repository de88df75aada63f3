"""Notices for the tests of outbox and channels, and a clock that stands still until told."""

import datetime as dt

from usage_etl.keys import sha256_hex
from usage_etl.schemas.notices import Notice

NOW = dt.datetime(2026, 11, 20, 8, 0, tzinfo=dt.UTC)


class Clock:
    """A clock that stands still until told."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        """The present."""
        return self.now

    def pass_(self, **time_passed):
        """Let time pass."""
        self.now += dt.timedelta(**time_passed)


def notice(number=1, *, alert="alert", action="fired", **changes):
    """A notice whose id is made of number, alert and action."""
    base = {
        "notice_id": sha256_hex(f"{alert}/{action}/{number}".encode()),
        "alert_key": sha256_hex(alert.encode()),
        "action": action,
        "severity": "critical",
        "channel": "ops",
        "organization_id": "northwind",
        "title": "Team Search has used 92 % of its November budget",
        "lines": ("Team Search has used $9,200.00 of $10,000.00.", "At this pace the budget ends on 2026-11-23."),
        "facts": {"Scope": "team Search", "Used": "$9,200.00", "Limit": "$10,000.00", "Data as of": "2026-11-19"},
        "happened_at": NOW,
    }
    return Notice(**base | changes)
