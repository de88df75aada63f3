"""Rules, observations and a memory for the tests of the machine, with a small book that remembers in plain values."""

import dataclasses
import datetime as dt
from decimal import Decimal

from usage_etl.alerts import Observation, Observations, Policy, step
from usage_etl.config.alerts import AlertRule
from usage_etl.schemas.alert_state import ActiveSilence, AlertMemory, KeptNotice

NOW = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)
MONTH = (dt.date(2026, 11, 1), dt.date(2026, 11, 30))
ORGANIZATION = "acme"


def rule(**changes):
    """80 and 100 % of a quota of teams, told by mail."""
    base = {
        "name": "quota",
        "measure": "quota_used_ratio",
        "scope": {"kind": "team"},
        "levels": ("50", "80", "100", "projected"),
        "channels": ("mail",),
    }
    return AlertRule.model_validate(base | changes)


def rate_rule(**changes):
    """Error rates of teams, told after two days and cleared after two."""
    base = {"name": "errors", "measure": "error_ratio", "levels": ("5", "20"), "fire_after": 2, "clear_after": 2}
    return rule(**base | changes)


def used(percent, *, scope="team-a", **changes):
    """What is used of a team's quota."""
    base = {
        "measure": "quota_used_ratio",
        "scope_kind": "team",
        "scope_id": scope,
        "scope_name": scope.title(),
        "as_of": NOW.date() - dt.timedelta(days=1),
        "observed_quantity": None if percent is None else Decimal(str(percent)),
        "what": "monthly quota of total tokens",
        "printed": f"{percent} %",
        "period_start": MONTH[0],
        "period_end": MONTH[1],
        "watch_until": MONTH[1] + dt.timedelta(days=3),
        "limit_measure": "total_tokens",
        "period_kind": "calendar_month",
    }
    return Observation(**base | changes)


def errors(percent, day, *, scope="team-a", **changes):
    """A team's error rate on a day of November."""
    base = {
        "measure": "error_ratio",
        "as_of": dt.date(2026, 11, day),
        "what": "error rate (24 hours)",
        "period_start": None,
        "period_end": None,
        "watch_until": None,
        "limit_measure": "",
        "period_kind": "",
        "window": "day_24h",
    }
    return used(percent, scope=scope, **base | changes)


def silence(**changes):
    """Everything is silenced until eight in the evening."""
    base = {
        "silence_id": "5" * 64,
        "rule": "*",
        "scope_kind": None,
        "scope_ids": (),
        "owner": "Ada",
        "reason": "migration",
        "starts_at": None,
        "ends_at": NOW + dt.timedelta(hours=8),
    }
    return ActiveSilence(**base | changes)


class Remembering:
    """Evaluates again and again, and remembers as the book of the state database does."""

    def __init__(self, *rules, policy=None, silences=()):
        self.rules, self.silences = rules, list(silences)
        self.policy = policy or Policy(groups=False)
        self.states, self.notices, self.kept, self.crossings = {}, {}, {}, {}
        self.told_in = {}
        self.now = NOW

    def look(self, *rows, covered=(), later=dt.timedelta(minutes=10)):
        """One evaluation, ``later`` than the one before; the notices that went out."""
        self.now += later
        decision = step(
            self.memory(),
            Observations(rows, frozenset(covered)),
            self.rules,
            self.silences,
            self.now,
            organization_id=ORGANIZATION,
            policy=self.policy,
        )
        self.states |= {state.alert_key: state for state in decision.states}
        for crossing in decision.crossings:
            key = (crossing.alert_key, crossing.level, crossing.episode)
            assert key not in self.crossings, "crossed twice"
            self.crossings[key] = crossing
        for notice in decision.notices:
            assert notice.notice_id not in self.notices, "told twice"
            self.notices[notice.notice_id] = notice
        self.kept |= {kept.notice.notice_id: kept for kept in decision.kept}
        self.told_in |= decision.told_in
        return list(decision.notices)

    def memory(self):
        waiting = [kept for key, kept in self.kept.items() if kept.disposition in ("muted", "held") and key not in self.told_in]
        sent_at = {}
        for notice in self.notices.values():
            if notice.happened_at > self.now - dt.timedelta(hours=1):
                sent_at[notice.channel] = (*sent_at.get(notice.channel, ()), notice.happened_at)
        return AlertMemory(self.states, tuple(waiting), sent_at)

    def told(self, *rows, **how):
        """One evaluation; action and level of what went out."""
        return [told(notice) for notice in self.look(*rows, **how)]


def told(notice):
    """Action, level and severity of a notice, in short."""
    level = notice.facts.get("level", "").removesuffix(" %")
    return " ".join(part for part in (notice.action, level) if part)


def without_channel(notice):
    return dataclasses.replace(notice, channel="", notice_id="")


__all__ = ["KeptNotice"]
