"""The machine of alerts: what was remembered, and what is seen now, give what is told and what is remembered next.

It is a pure function. Deciding twice on the same memory gives the same notices under the same ids; deciding on the memory
that it left behind gives none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from usage_etl.alerts import wording
from usage_etl.alerts.dispatch import Policy, Told, dispatch, silence_of
from usage_etl.alerts.ends import ended
from usage_etl.alerts.levels import Advance, Reading, advance, is_beyond
from usage_etl.alerts.observation import Observation, Observations
from usage_etl.alerts.rule_versions import alert_key, rule_version
from usage_etl.config.alerts import AlertRule, level_text
from usage_etl.schemas.alert_state import ActiveSilence, AlertMemory, AlertState, Crossing, Decision, LevelState

__all__ = ["Policy", "step"]

NO_DATA = "no_data"
"""The one level of the alert that says that a rule's data is late."""


@dataclass(frozen=True)
class _Round:
    """What all alerts of one evaluation share."""

    organization_id: str
    instant: dt.datetime
    silences: Sequence[ActiveSilence]
    states: Mapping[str, AlertState]
    covered: frozenset[tuple[str, dt.date | None]]

    @property
    def day(self) -> dt.date:
        return self.instant.date()


@dataclass(frozen=True)
class _Move:
    """One alert after the evaluation, and what is told of it."""

    state: AlertState
    crossings: tuple[Crossing, ...] = ()
    told: tuple[Told, ...] = ()


def step(
    memory: AlertMemory,
    observations: Observations,
    rules: Sequence[AlertRule],
    silences: Sequence[ActiveSilence],
    now: dt.datetime,
    *,
    organization_id: str,
    policy: Policy | None = None,
) -> Decision:
    """One evaluation of an organization at ``now`` (UTC): new states, unique crossings, and notices by channel.

    Only upward crossings are told, the highest of several, each once a period; a figure that falls is corrected once; rates
    fire and clear after days in a row; late data freezes its alerts and is told by itself; what is silenced is recorded and
    summed up when the silence ends; what is over is resolved once.
    """
    here = _Round(organization_id, now, silences, memory.states, observations.covered)
    in_force = [rule for rule in rules if rule.is_in_force(here.day, organization_id)]
    over = {state.alert_key: _Move(state, told=told) for state, told in ended(memory.states.values(), in_force, now)}
    moves = list(over.values())
    for rule in in_force:
        rows = [row for row in observations.rows if row.is_of(rule)]
        moves += [move for move in _moves(rule, rows, here) if move.state.alert_key not in over]
    changed = [move for move in moves if move.state != memory.states.get(move.state.alert_key)]
    sent = dispatch(
        [told for move in moves for told in move.told],
        memory=memory,
        silences=silences,
        now=now,
        organization_id=organization_id,
        policy=policy or Policy(),
    )
    return replace(
        sent,
        states=tuple(move.state for move in changed),
        crossings=tuple(crossing for move in changed for crossing in move.crossings),
    )


def _moves(rule: AlertRule, rows: Sequence[Observation], here: _Round) -> Iterator[_Move]:
    """Every alert of one rule that is seen, gone, or frozen."""
    seen: set[str] = set()
    for row in rows:
        state = _state_of(rule, row, here)
        if state.alert_key in seen:
            continue  # the same member twice would be judged twice; the marts hold it once
        seen.add(state.alert_key)
        if not state.over and (row.watch_until is None or row.watch_until >= here.day):
            yield _looked_at(rule, row, state, here)
    if rule.watched.movement != "rate":
        yield from _gone(rule, seen, here)
    if rule.watched.freezes and rows:
        yield from _late(rule, rows, here)


def _state_of(rule: AlertRule, row: Observation, here: _Round) -> AlertState:
    """The state as remembered, with the newest name and end of its watch, or a new one."""
    key = alert_key(
        organization_id=here.organization_id,
        rule=rule,
        scope_kind=row.scope_kind,
        scope_id=row.scope_id,
        subject=row.subject,
        period_start=row.period_start,
    )
    known = here.states.get(key) or AlertState(
        alert_key=key,
        organization_id=here.organization_id,
        rule_name=rule.name,
        rule_version=rule_version(rule),
        measure=rule.measure,
        scope_kind=row.scope_kind,
        scope_id=row.scope_id,
        scope_name=row.scope_name,
        subject=row.subject,
        period_start=row.period_start,
        period_end=row.period_end,
        watch_until=row.watch_until,
    )
    is_reopened = known.over == "handled" and row.handling in ("open", "acknowledged")
    if known.over == "rule" or is_reopened:
        known = replace(known, over="")  # what was told stays told, where its levels were not set back when it ended
    return replace(known, scope_name=row.scope_name, period_end=row.period_end, watch_until=row.watch_until)


def _looked_at(rule: AlertRule, row: Observation, state: AlertState, here: _Round) -> _Move:
    """One look at one alert: frozen, finished by hand, or compared with its levels."""
    if row.is_stale and rule.watched.freezes:
        return _Move(here.states.get(state.alert_key, state))
    if row.handling == "resolved":
        reason = row.handling_reason or "Somebody marked it as resolved."
        told = wording.resolved(rule, state, here.instant, reason=reason, row=row)
        return _Move(_over(state, here), told=told if state.thread == "open" else ())
    is_gone = row.handling == "suppressed"
    is_unknown = row.observed_quantity is None and row.projected_percent is None
    is_older = rule.watched.movement == "rate" and state.as_of is not None and row.as_of < state.as_of
    if (is_unknown and not is_gone) or is_older:
        return _Move(here.states.get(state.alert_key, state))
    reading = Reading(
        row.observed_quantity,
        row.projected_percent,
        is_gone=is_gone,
        is_next_day=state.as_of is None or row.as_of > state.as_of,
        is_quiet=row.handling == "acknowledged",
    )
    looked = replace(state, as_of=row.as_of, observed_quantity=row.observed_quantity)
    return _compared(rule, row, looked, advance(state.levels, rule, reading), here)


def _compared(rule: AlertRule, row: Observation, state: AlertState, change: Advance, here: _Round) -> _Move:
    """What follows from the levels crossed and fallen."""
    told: list[Told] = []
    after = replace(state, levels=dict(change.levels))
    if rule.watched.movement != "rate":
        if change.fallen:
            told += wording.corrected(rule, state, change.fallen, here.instant, levels=change.levels, row=row)
    elif state.thread == "open" and not is_beyond(change.levels):
        told += wording.resolved(rule, state, here.instant, reason=wording.cleared(rule, row), row=row)
        after = replace(after, thread="resolved", told_on=here.day)
    if change.told is not None:
        if after.thread != "open":
            after = replace(after, thread="open", thread_number=after.thread_number + 1)
        after = replace(after, channels=rule.channels, told_on=here.day)
        told += wording.fired(rule, after, change, here.instant, row=row)
    elif _is_reminded(rule, row, after, here):
        told += wording.reminded(rule, after, here.instant, row=row)
    if told:
        after = replace(after, told_on=here.day)
    return _Move(after, _crossings(after, change, here), tuple(told))


def _is_reminded(rule: AlertRule, row: Observation, state: AlertState, here: _Round) -> bool:
    """Whether the highest threshold still stands, is told daily, and was not told today. Silences drop reminders."""
    top = level_text(rule.ladder()[-1])
    return (
        rule.repeat == "daily"
        and state.thread == "open"
        and state.levels.get(top, LevelState()).standing in ("fired", "passed")
        and row.handling == "open"
        and state.told_on is not None
        and state.told_on < here.day
        and silence_of(rule.name, state.scope_kind, state.scope_id, here.silences, here.instant) is None
    )


def _crossings(state: AlertState, change: Advance, here: _Round) -> tuple[Crossing, ...]:
    return tuple(
        Crossing(
            alert_key=state.alert_key,
            level=level_text(level),
            episode=change.levels[level_text(level)].episode,
            told="fired" if level == change.told else "passed",
            crossed_at=here.instant,
            observed_quantity=state.observed_quantity,
        )
        for level in change.crossed
    )


def _gone(rule: AlertRule, seen: set[str], here: _Round) -> Iterator[_Move]:
    """Alerts whose member is not in marts that hold every member: a limit was withdrawn, or an anomaly restated away."""
    version = rule_version(rule)
    for key, state in here.states.items():
        is_of_rule = state.rule_name == rule.name and state.rule_version == version and state.subject != NO_DATA
        if key in seen or state.over or not is_of_rule or (rule.measure, state.period_start) not in here.covered:
            continue
        change = advance(state.levels, rule, Reading(None, is_gone=True))
        after = replace(state, levels=dict(change.levels), observed_quantity=None)
        told = wording.corrected(rule, state, change.fallen, here.instant, levels=change.levels) if change.fallen else ()
        yield _Move(replace(after, told_on=here.day) if told else after, told=told)


def _late(rule: AlertRule, rows: Sequence[Observation], here: _Round) -> Iterator[_Move]:
    """The alert that a rule's data is late: one for all its members, told once and resolved once."""
    late = [row for row in rows if row.is_stale and (row.watch_until is None or row.watch_until >= here.day)]
    newest = max(row.as_of for row in rows)
    about = Observation(rule.measure, rule.scope.kind, "", "", newest, None, "", "", subject=NO_DATA)
    state = _state_of(rule, about, here)
    before = state.levels.get(NO_DATA, LevelState())
    if bool(late) == (before.standing == "fired"):
        return
    if not late:
        told = wording.data_is_back(rule, state, here.instant)
        yield _Move(replace(state, levels={NO_DATA: replace(before, standing="idle")}, thread="resolved"), told=told)
        return
    level = LevelState("fired", before.episode + 1)
    after = replace(
        state,
        levels={NO_DATA: level},
        thread="open",
        thread_number=state.thread_number + 1,
        channels=rule.channels,
        told_on=here.day,
    )
    crossing = Crossing(state.alert_key, NO_DATA, level.episode, "fired", here.instant, None)
    yield _Move(after, (crossing,), wording.data_is_late(rule, after, late, here.instant))


def _over(state: AlertState, here: _Round) -> AlertState:
    """Resolved by hand. Should it be opened again, it is told again."""
    rested = {name: LevelState(episode=level.episode) for name, level in state.levels.items()}
    thread = "resolved" if state.thread == "open" else state.thread
    return replace(state, over="handled", levels=rested, thread=thread, told_on=here.day)
