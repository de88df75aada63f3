"""What is told, in words. Names from outside stay on one line; figures are printed where they were observed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

from usage_etl.alerts.dispatch import Told
from usage_etl.alerts.levels import Advance, is_beyond
from usage_etl.alerts.observation import Observation
from usage_etl.config.alerts import PROJECTED, AlertRule, Level, Severity, level_text
from usage_etl.schemas.alert_measures import ALERT_MEASURES
from usage_etl.schemas.alert_state import AlertState, LevelState
from usage_etl.schemas.notices import Notice

TITLE_LENGTH = 120
_SHOWN = 10
_UNITS = {"percent": " %", "ms": " ms", "days": " days", "hours": " hours", "tokens": " tokens"}

Messages = tuple[Told, ...]


def fired(rule: AlertRule, state: AlertState, change: Advance, now: dt.datetime, *, row: Observation) -> Messages:
    """A level was crossed upwards; ``change.told`` is the highest."""
    level = change.told
    assert level is not None, "something is told only of a level"
    episode = change.levels[level_text(level)].episode
    passed = [other for other in change.crossed if other != level]
    lines = list(row.lines)
    if passed:
        lines.append(f"Passed at once with it: {_levels_text(rule, passed, row.currency)}.")
    if episode > 1:
        lines.append("It was beyond this level before in this period and had come back.")
    severity = "critical" if row.is_hard and level != PROJECTED and level >= 100 else rule.severity_of(level)
    title = _crossed_title(rule, level, row)
    transition = f"fired:{level_text(level)}:{episode}"
    return _told(
        rule, state, transition, action="fired", severity=severity, title=title, lines=lines, now=now, row=row, level=level
    )


def reminded(rule: AlertRule, state: AlertState, now: dt.datetime, *, row: Observation) -> Messages:
    """The highest threshold still stands, a day later."""
    level = rule.ladder()[-1]
    title = f"Still: {_crossed_title(rule, level, row)}"
    lines = [*row.lines, "This is told once a day while it stands."]
    transition = f"reminder:{now.date()}"
    return _told(
        rule,
        state,
        transition,
        action="fired",
        severity=rule.severity_of(level),
        title=title,
        lines=lines,
        now=now,
        row=row,
        level=level,
    )


def corrected(
    rule: AlertRule,
    state: AlertState,
    fallen: Sequence[Level],
    now: dt.datetime,
    *,
    levels: Mapping[str, LevelState],
    row: Observation | None = None,
) -> Messages:
    """A figure that only grows has fallen: restated, credited, or its limit was raised."""
    highest = fallen[-1]
    text = _level_words(rule, highest, row.currency if row else None)
    if row is not None and row.handling == "suppressed":
        title = f"Corrected: {_scope(state)}, {row.what}: {row.handling_reason or 'no longer taken for an anomaly'}"
        lines = ["It is explained by what is known, and no alert any more."]
    elif row is None or row.observed_quantity is None:
        title = f"Corrected: {_scope(state)}, {_measure_words(rule)}: no longer there"
        lines = ["Its limit was withdrawn, or restated data holds nothing of it any more."]
    elif highest == PROJECTED:
        title = f"Corrected: {_scope(state)}, {row.what}: no longer expected to pass the limit"
        lines = list(row.lines)
    else:
        title = f"Corrected: {_scope(state)}, {row.what} is {row.printed}, not {_beyond(rule)} {text}"
        lines = ["The figure was restated or credited, or its limit was changed.", *row.lines]
    standing = [level for level in rule.ladder() if levels[level_text(level)].standing in ("fired", "passed")]
    if standing:
        lines.append(f"Still beyond {_levels_text(rule, standing, row.currency if row else None)}.")
    if highest != PROJECTED and row is not None and row.handling != "suppressed":
        lines.append(f"A new crossing is told once it was clear of the level ({_clear_words(rule, highest, row.currency)}).")
    episode = levels[level_text(highest)].episode
    transition = f"corrected:{level_text(highest)}:{episode}"
    severity: Severity = "warning" if is_beyond(levels) else "info"
    return _told(
        rule, state, transition, action="corrected", severity=severity, title=title, lines=lines, now=now, row=row, level=highest
    )


def resolved(
    rule: AlertRule | None, state: AlertState, now: dt.datetime, *, reason: str, row: Observation | None = None
) -> Messages:
    """It is over; told once for each thread that was opened."""
    what = row.what if row else ALERT_MEASURES[state.measure].description if state.measure in ALERT_MEASURES else state.measure
    title = f"Resolved: {_scope(state)}, {what}"
    transition = f"resolved:{state.thread_number}"
    return _told(rule, state, transition, action="resolved", severity="info", title=title, lines=[reason], now=now, row=row)


def cleared(rule: AlertRule, row: Observation) -> str:
    """Why a rate is resolved."""
    days = "1 day" if rule.clear_after == 1 else f"{rule.clear_after} days in a row"
    lowest = rule.ladder()[0]
    level, line = _level_words(rule, lowest, row.currency), _clear_words(rule, lowest, row.currency)
    return f"{row.printed}: clear of {level} ({line}) for {days}."


def data_is_late(rule: AlertRule, state: AlertState, late: Sequence[Observation], now: dt.datetime) -> Messages:
    """The rule's data is late: its alerts are frozen until it arrives."""
    title = f"Data late: rule {rule.name} is frozen for {len(late)} {_plural(rule.scope.kind, len(late))}"
    names = [_clean(row.scope_name or row.scope_id) for row in late[:_SHOWN]]
    more = f" and {len(late) - _SHOWN} more" if len(late) > _SHOWN else ""
    lines = [
        f"Feeds are late, so nothing is decided for {', '.join(names)}{more}.",
        f"Newest data: {max(row.as_of for row in late)}. No data is not zero: what was told before stands.",
    ]
    transition = f"no_data:{state.levels['no_data'].episode}"
    return _told(rule, state, transition, action="no_data", severity="warning", title=title, lines=lines, now=now)


def data_is_back(rule: AlertRule, state: AlertState, now: dt.datetime) -> Messages:
    """The rule's data is there again."""
    title = f"Resolved: data of rule {rule.name} is there again"
    lines = ["Its alerts are evaluated again."]
    transition = f"resolved:{state.thread_number}"
    return _told(rule, state, transition, action="resolved", severity="info", title=title, lines=lines, now=now)


def quantity_text(quantity: Decimal, unit: str, currency: str | None = None) -> str:
    """A quantity as people read it: grouped thousands, cut to what can be read, with its unit."""
    if unit == "currency":
        return f"{quantity.quantize(Decimal('0.01')):,f} {currency or ''}".rstrip()
    places = Decimal(1) if unit in ("tokens", "count", "ms", "days", "hours") else Decimal("0.1")
    rounded = quantity.quantize(places, rounding="ROUND_DOWN")
    return f"{_short(rounded)}{_UNITS.get(unit, '')}"


def _told(
    rule: AlertRule | None,
    state: AlertState,
    transition: str,
    *,
    action: Literal["fired", "corrected", "resolved", "no_data"],
    severity: Severity,
    title: str,
    lines: Sequence[str],
    now: dt.datetime,
    row: Observation | None = None,
    level: Level | None = None,
) -> Messages:
    facts = {"scope": f"{state.scope_kind} {_scope(state)}"}
    if row is not None:
        facts |= {label: _clean(text) for label, text in row.facts.items()}
    if rule is not None and level is not None:
        facts["level"] = _level_words(rule, level, row.currency if row else None)
    if state.period_start and state.period_end:
        facts["period"] = f"{state.period_start} to {state.period_end}"
    if row is not None:
        facts["data as of"] = row.as_of.isoformat()
    facts["rule"] = state.rule_name
    notice = Notice(
        notice_id="",
        alert_key=state.alert_key,
        action=action,
        severity=severity,
        channel="",
        organization_id=state.organization_id,
        title=_title(title),
        lines=tuple(_clean(line) for line in lines),
        facts=facts,
        happened_at=now,
    )
    return (Told(state, transition, notice),)


def _crossed_title(rule: AlertRule, level: Level, row: Observation) -> str:
    scope = _clean(row.scope_name or row.scope_id)
    if rule.measure == "anomaly":
        return f"{scope}: {row.what}, {row.printed}"
    if level == PROJECTED:
        return f"{scope}: {row.what} expected to pass its limit, {row.printed} used"
    if rule.watched.has_projection or rule.measure == "pool_used_ratio":
        return f"{scope}: {row.printed} of the {row.what} used"
    return f"{scope}: {row.what} is {row.printed}, {_beyond(rule)} {_level_words(rule, level, row.currency)}"


def _title(text: str) -> str:
    line = _clean(text)
    return line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1].rstrip()}…"


def _clean(text: str) -> str:
    """One line of printable characters: what names from outside may hold beside letters is dropped."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _scope(state: AlertState) -> str:
    return _clean(state.scope_name or state.scope_id) or "all"


def _measure_words(rule: AlertRule) -> str:
    return rule.watched.description


def _beyond(rule: AlertRule) -> str:
    return "above" if rule.side == "above" else "below"


def _level_words(rule: AlertRule, level: Level, currency: str | None) -> str:
    if isinstance(level, str):
        return level
    unit = rule.watched.unit
    return f"{_short(level)} {currency or ''}".rstrip() if unit == "currency" else f"{_short(level)}{_UNITS.get(unit, '')}"


def _short(number: Decimal) -> str:
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _levels_text(rule: AlertRule, levels: Sequence[Level], currency: str | None) -> str:
    return ", ".join(_level_words(rule, level, currency) for level in levels)


def _clear_words(rule: AlertRule, level: Level, currency: str | None) -> str:
    if isinstance(level, str):
        return f"below {level_text(rule.clear_pct)} % of the limit"
    if rule.side == "below":
        return f"above {quantity_text(level * 100 / rule.clear_pct, rule.watched.unit, currency)}"
    return f"below {quantity_text(level * rule.clear_pct / 100, rule.watched.unit, currency)}"


def _plural(kind: str, count: int) -> str:
    words = kind.replace("api_key", "API key")
    return words if count == 1 else f"{words}s"
