"""Stable names: of a rule as it stands, of an alert, of a notice. All are hex SHA-256."""

from __future__ import annotations

import datetime as dt

from usage_etl.config.alerts import AlertRule, level_text
from usage_etl.keys import fingerprint


def rule_version(rule: AlertRule) -> str:
    """Version of what a rule decides. Channels, severity, reminders and validity do not change it."""
    return fingerprint(
        {
            "measure": rule.measure,
            "scope_kind": rule.scope.kind,
            "scope_ids": sorted(rule.scope.ids),
            "levels": [level_text(level) for level in rule.levels],
            "direction": rule.side,
            "fire_after": rule.fire_after,
            "clear_after": rule.clear_after,
            "clear_pct": level_text(rule.clear_pct),
            "window": rule.window,
            "limit_measures": sorted(rule.limit_measures),
            "period_kinds": sorted(rule.period_kinds),
        }
    )


def alert_key(
    *, organization_id: str, rule: AlertRule, scope_kind: str, scope_id: str, subject: str, period_start: dt.date | None
) -> str:
    """Name of one alert: organization, rule with its version, scope, measure and period."""
    return fingerprint(
        {
            "organization": organization_id,
            "rule": rule.name,
            "version": rule_version(rule),
            "scope_kind": scope_kind,
            "scope_id": scope_id,
            "subject": subject,
            "measure": rule.measure,
            "period": period_start.isoformat() if period_start else "",
        }
    )


def notice_id(key: str, transition: str, channel: str) -> str:
    """Name of one notice: the alert, what happened to it (with its episode) and the channel."""
    return fingerprint({"alert": key, "transition": transition, "channel": channel})
