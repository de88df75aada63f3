"""What was seen: one figure of one member in one period, ready to be compared with rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

from usage_etl.config.alerts import AlertRule


@dataclass(frozen=True)
class Observation:
    """One measure of one member in one period, as the marts say it now."""

    measure: str
    scope_kind: str
    scope_id: str
    scope_name: str
    as_of: dt.date
    """Last day with data that it covers."""
    observed_quantity: Decimal | None
    """In the measure's unit, percent for shares, never rounded up. Null: not known."""
    what: str
    """The measure in words, for example ``monthly quota of total tokens``."""
    printed: str
    """The observed quantity as people read it, for example ``82.1 %``."""
    subject: str = ""
    """What tells alerts of one scope and period apart: a quota's or an anomaly's id."""
    period_start: dt.date | None = None
    period_end: dt.date | None = None
    """Last day of the period."""
    watch_until: dt.date | None = None
    """Last UTC day on which it is evaluated. Null: always."""
    projected_percent: Decimal | None = None
    """Where the period is expected to end, in percent of its limit."""
    breach_text: str = ""
    """When and how likely the limit is passed, as a sentence."""
    is_stale: bool = False
    """Whether its feeds are late: nothing is decided on it."""
    handling: Literal["open", "acknowledged", "resolved", "suppressed"] = "open"
    """For anomalies: what somebody, or what is known of prices and closes, made of it."""
    handling_reason: str = ""
    currency: str | None = None
    limit_measure: str = ""
    """For quotas: what the limit is on."""
    period_kind: str = ""
    """For quotas: day, calendar_month or billing_month."""
    window: str = ""
    """For rates of usage: the days that are looked at together."""
    is_hard: bool = False
    """Whether passing the limit stops somebody's work."""
    lines: tuple[str, ...] = ()
    """Sentences that explain the figure."""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Label to printed value."""

    def is_of(self, rule: AlertRule) -> bool:
        """Whether ``rule`` is about this."""
        return (
            self.measure == rule.measure
            and self.scope_kind == rule.scope.kind
            and (not rule.scope.ids or self.scope_id in rule.scope.ids)
            and (not rule.limit_measures or self.limit_measure in rule.limit_measures)
            and (not rule.period_kinds or self.period_kind in rule.period_kinds)
            and (not self.window or self.window == rule.window)
        )


@dataclass(frozen=True)
class Observations:
    """Everything that one evaluation looks at."""

    rows: tuple[Observation, ...] = ()
    covered: frozenset[tuple[str, dt.date | None]] = frozenset()
    """(measure, period_start) of which every member was read: one that is not among the rows is gone."""
