"""What a day would have cost by its own past, and how far above that is too far: on plain numbers, causal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WEEK = 7
WEEKS = 8
MIN_WEEKS = 3
MEMORY_DAYS = WEEK * WEEKS
RECENT_DAYS = 6
"""Flagged days stay out of the memory this long: a three-day runaway does not hide its own end, a new level soon counts."""
WARM_UP_DAYS = 14
SPREADS = 4.0
EXCESS_RATIO = 0.3
MARGIN_OVER_DEAREST = 1.1
MAX_GROWTH = 2.0
REGULAR_SPREAD_RATIO = 0.75
"""Up to this relative spread a series has a weekly rhythm, and days are compared in proportion to their weekday."""
_MAD_TO_DEVIATION = 1.4826

Costs = Sequence[float | None]
"""One number a day, None where nothing is known of the day."""


@dataclass(frozen=True)
class Judgement:
    """One day beside its expectation; ``threshold`` is the excess above which it is flagged."""

    expected: float
    threshold: float
    is_flagged: bool


def judge_days(costs: Costs, *, first: int, floor: float) -> dict[int, Judgement]:
    """Judgement of every known day from index ``first`` on, each from the days before it only.

    Expected is the median of the same weekday in the eight weeks before; a day with fewer than three of them is not
    judged. A day is flagged when it costs more than usual (expected, raised by the growth of the last two weeks) by more
    than the ``floor``, 30 % of usual, four times the usual spread, and a tenth above the dearest day of the eight weeks
    before. Days flagged in the last six days are no measure of dear.
    """
    judged: dict[int, Judgement] = {}
    flagged: set[int] = set()
    for index in range(max(0, first - WARM_UP_DAYS), len(costs)):
        judgement = _judge(costs, index, floor, flagged)
        if judgement is None:
            continue
        if judgement.is_flagged:
            flagged.add(index)
        if index >= first:
            judged[index] = judgement
    return judged


def _judge(costs: Costs, index: int, floor: float, flagged: set[int]) -> Judgement | None:
    cost = costs[index]
    if cost is None or len(_peers(costs, index)) < MIN_WEEKS:
        return None
    weekdays = [_Weekday.of(_peers(costs, index, offset=offset)) for offset in range(WEEK)]
    expected = weekdays[0].middle
    regular = [weekday for weekday in weekdays if weekday.middle > 0]
    growth = _growth(regular)
    spread_ratio = statistics.median(weekday.deviation / weekday.middle for weekday in regular) if regular else 0.0
    usual = expected * growth
    spread = max(weekdays[0].deviation, usual * spread_ratio)
    in_proportion = len(regular) == WEEK and spread_ratio <= REGULAR_SPREAD_RATIO
    dearest = 0.0
    for day in range(max(0, index - MEMORY_DAYS), index):
        known = costs[day]
        if known is not None and not (day in flagged and index - day <= RECENT_DAYS):
            dearest = max(dearest, known / weekdays[(day - index) % WEEK].middle * usual if in_proportion else known)
    margin = max(floor, EXCESS_RATIO * usual, SPREADS * spread, MARGIN_OVER_DEAREST * dearest - usual)
    return Judgement(expected, usual - expected + margin, cost > usual + margin)


@dataclass(frozen=True)
class _Weekday:
    """The last eight of one weekday."""

    newest: Sequence[float]
    middle: float
    deviation: float

    @classmethod
    def of(cls, peers: Sequence[float]) -> _Weekday:
        if not peers:
            return cls((), 0.0, 0.0)
        middle = statistics.median(peers)
        return cls(peers[:2], middle, _MAD_TO_DEVIATION * statistics.median(abs(peer - middle) for peer in peers))


def _growth(weekdays: Sequence[_Weekday]) -> float:
    """How far the last two weeks ran above the medians of their weekdays; never below 1, never above 2."""
    ratios = [cost / weekday.middle for weekday in weekdays for cost in weekday.newest]
    return min(MAX_GROWTH, max(1.0, statistics.median(ratios))) if ratios else 1.0


def _peers(costs: Costs, index: int, *, offset: int = 0) -> list[float]:
    """Known costs of one weekday in the eight weeks before ``index``, newest first; offset 1 is the weekday after its own."""
    newest = index - WEEK + offset
    return [known for day in range(newest, newest - MEMORY_DAYS, -WEEK) if day >= 0 and (known := costs[day]) is not None]
