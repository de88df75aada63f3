"""Where an alert stands at each of its levels after one more look. Pure arithmetic; nothing here knows messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from usage_etl.config.alerts import PROJECTED, AlertRule, Level, level_text
from usage_etl.schemas.alert_state import LevelState

_HUNDRED = Decimal(100)
_BEYOND = ("fired", "passed")


@dataclass(frozen=True)
class Reading:
    """What one look saw. A quantity that is not known leaves its levels as they are."""

    observed_quantity: Decimal | None
    projected_percent: Decimal | None = None
    is_gone: bool = False
    """Whether there is nothing any more that could be beyond a level."""
    is_next_day: bool = True
    """For rates: whether it covers a later day than the look before."""
    is_quiet: bool = False
    """Whether crossings are recorded and not told: somebody is at it already."""


@dataclass(frozen=True)
class Advance:
    """What one look changed."""

    levels: Mapping[str, LevelState]
    crossed: tuple[Level, ...] = ()
    """Levels crossed now, from the lowest to the highest."""
    told: Level | None = None
    """The one of them that is told; the others are recorded as passed."""
    fallen: tuple[Level, ...] = ()
    """Levels that were told and are not met any more."""


def is_beyond(levels: Mapping[str, LevelState]) -> bool:
    """Whether any level is crossed and still met, as far as is known."""
    return any(level.standing in _BEYOND for level in levels.values())


def advance(levels: Mapping[str, LevelState], rule: AlertRule, reading: Reading) -> Advance:
    """The levels after one more look.

    A level is crossed when it is met and was idle; for rates, met on ``fire_after`` days of data in a row. It is idle again
    only once it is clear: for rates, clear on ``clear_after`` days in a row.
    """
    is_rate = rule.watched.movement == "rate"
    after: dict[str, LevelState] = {}
    crossed: list[Level] = []
    fallen: list[Level] = []
    for level in rule.ladder():
        name = level_text(level)
        before = levels.get(name, LevelState())
        seen = _sides(level, rule, reading)
        if seen is None:
            after[name] = before
            continue
        is_met, is_clear = seen
        moved = _rate(before, rule, reading, is_met=is_met, is_clear=is_clear) if is_rate else before
        if _crosses(moved, rule, is_met=is_met):
            crossed.append(level)
            moved = replace(moved, standing="passed", episode=moved.episode + 1)
        elif not is_rate:
            moved = _cumulative(moved, level, is_met=is_met, is_clear=is_clear)
        if before.standing == "fired" and moved.standing not in _BEYOND:
            fallen.append(level)
        after[name] = moved
    told = None if reading.is_quiet else _told(crossed, rule, after)
    if told is not None:
        after[level_text(told)] = replace(after[level_text(told)], standing="fired")
    return Advance(after, tuple(crossed), told, tuple(fallen))


def _sides(level: Level, rule: AlertRule, reading: Reading) -> tuple[bool, bool] | None:
    """Whether the level is met, and whether the reading is clear of it; None where that is not known."""
    if reading.is_gone:
        return False, True
    quantity = reading.projected_percent if level == PROJECTED else reading.observed_quantity
    if quantity is None:
        return None
    threshold = _HUNDRED if isinstance(level, str) else level
    if rule.side == "below":
        return quantity <= threshold, quantity * rule.clear_pct > threshold * _HUNDRED
    return quantity >= threshold, quantity * _HUNDRED < threshold * rule.clear_pct


def _crosses(level: LevelState, rule: AlertRule, *, is_met: bool) -> bool:
    if level.standing != "idle":
        return False
    return level.met_count >= rule.fire_after if rule.watched.movement == "rate" else is_met


def _rate(before: LevelState, rule: AlertRule, reading: Reading, *, is_met: bool, is_clear: bool) -> LevelState:
    """Days in a row are counted by days of data: looking twice at one day counts once, with what it says last."""
    met_before = before.met_count if reading.is_next_day else before.met_before
    clear_before = before.clear_count if reading.is_next_day else before.clear_before
    counted = replace(
        before,
        met_before=met_before,
        met_count=met_before + 1 if is_met else 0,
        clear_before=clear_before,
        clear_count=clear_before + 1 if is_clear else 0,
    )
    is_cleared = counted.standing in _BEYOND and counted.clear_count >= rule.clear_after
    return replace(counted, standing="idle") if is_cleared else counted


def _cumulative(before: LevelState, level: Level, *, is_met: bool, is_clear: bool) -> LevelState:
    if is_clear:
        return replace(before, standing="idle")
    if is_met:
        return replace(before, standing="passed") if before.standing == "dropped" else before
    if level != PROJECTED and before.standing in _BEYOND:  # a projection swings: it has fallen only when it is clear
        return replace(before, standing="dropped")
    return before


def _told(crossed: Sequence[Level], rule: AlertRule, after: Mapping[str, LevelState]) -> Level | None:
    """The highest crossed level, unless it is the projection of a limit that is passed already."""
    if not crossed:
        return None
    limits = [level for level in rule.thresholds if level >= _HUNDRED and level not in crossed]
    if crossed[-1] == PROJECTED and any(after[level_text(level)].standing in _BEYOND for level in limits):
        return crossed[-2] if len(crossed) > 1 else None
    return crossed[-1]
