"""Alerts that are over: their period has settled, or their rule was changed or is no longer in force."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from usage_etl.alerts import wording
from usage_etl.alerts.dispatch import Told
from usage_etl.alerts.rule_versions import rule_version
from usage_etl.config.alerts import AlertRule
from usage_etl.schemas.alert_measures import ALERT_MEASURES
from usage_etl.schemas.alert_state import AlertState, LevelState, Over


def ended(
    states: Iterable[AlertState], rules: Sequence[AlertRule], now: dt.datetime
) -> Iterator[tuple[AlertState, tuple[Told, ...]]]:
    """Each state that is over now, with its resolved notice where something was told. It is not evaluated any more."""
    versions = {(rule.name, rule_version(rule)): rule for rule in rules}
    for state in states:
        over, reason = _reason(state, versions, now.date())
        if state.over or not over:
            continue
        rule = versions.get((state.rule_name, state.rule_version))
        after = replace(state, over=over, levels=_rested(state) if over == "rule" else state.levels)
        if state.thread == "open":
            yield replace(after, thread="resolved", told_on=now.date()), wording.resolved(rule, state, now, reason=reason)
        else:
            yield after, ()


def _reason(state: AlertState, versions: Mapping[tuple[str, str], AlertRule], today: dt.date) -> tuple[Over, str]:
    if (state.rule_name, state.rule_version) not in versions:
        return "rule", "Its rule was changed or is no longer in force."
    if state.watch_until is not None and state.watch_until < today:
        end = f"Its period ended on {state.period_end}; a new one starts clean." if state.period_end else ""
        return "period", end or "It is no longer watched."
    return "", ""


def _rested(state: AlertState) -> Mapping[str, LevelState]:
    """Levels to come back with, should the rule come back: what is told once a period stays told, all else begins anew."""
    measure = ALERT_MEASURES.get(state.measure)
    if measure is not None and measure.movement != "rate" and state.period_start is not None:
        return state.levels
    return {name: LevelState(episode=level.episode) for name, level in state.levels.items()}
