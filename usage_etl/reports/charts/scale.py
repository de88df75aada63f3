"""Axes: round ticks, and labels moved apart until none overlaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

_STEPS = (1.0, 2.0, 2.5, 5.0)
_SMALLEST = 1e-9


def ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round values from at or below ``low`` to at or above ``high``, zero among them: two to ``most`` intervals.

    Of the round steps that fit, the one that leaves least room unused; of equals, the one with fewest lines.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < _SMALLEST:
        return [0.0, 1.0]
    power = math.floor(math.log10(high - low))
    found = []
    for step in (factor * 10.0**exponent for exponent in (power - 1, power, power + 1) for factor in _STEPS):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if 2 <= last - first <= most:
            found.append(((last - first) * step, last - first, [index * step for index in range(first, last + 1)]))
    return min(found)[2] if found else [low, high]


def spread(wanted: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Positions close to ``wanted``, at least ``gap`` apart where ``low`` to ``high`` has the room, in the same order."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed: list[float] = []
    for index in order:
        placed.append(max(wanted[index], placed[-1] + gap if placed else low))
    limit = high
    for position in range(len(placed) - 1, -1, -1):
        placed[position] = min(placed[position], limit)
        limit = placed[position] - gap
    result = [0.0] * len(wanted)
    for position, index in enumerate(order):
        result[index] = placed[position]
    return result
