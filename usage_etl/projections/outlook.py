"""How a period will end for many series: expected path, band and chance of passing a limit, measured on replayed errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from usage_etl.projections.fit import NO_FIT, Fit, age_class, error_unit, fits_of, unevenness
from usage_etl.projections.forecast import (
    WEEK,
    Horizon,
    ahead_days,
    period_lines,
    proven_profile,
    usual_variability,
    weekly_variability,
)
from usage_etl.projections.panel import Counts, Floats, Panel

STRAIGHT = -2
"""Column of the line through the running period."""
TAIL_RATIO = 0.075
"""Share of errors beyond either end of the band. The replays chose the lines and know at most a year, so they are kinder than
what comes: a tenth on either side held 74 % of months on public series."""


@dataclass(frozen=True)
class Outlook:
    """What the days to come of a period will add, one row per series."""

    path: Floats
    """Expected quantity of each day to come that counts."""
    units: Floats
    """One unit of the errors."""
    pools: Counts
    """Which of ``errors`` measures the series."""
    errors: Sequence[Floats]
    """Scaled errors of replayed projections of one kind of series, in rising order; empty where there are too few."""

    @property
    def middle(self) -> Floats:
        """Expected quantity of all days to come."""
        expected: Floats = self.path.sum(axis=1)
        return expected

    def samples_count(self, row: int) -> int:
        """Replayed projections that measure a series."""
        return int(self.errors[self.pools[row]].size)

    def has_band(self, row: int) -> bool:
        """Whether there is a measure of uncertainty."""
        return not self.path.shape[1] or self.samples_count(row) > 0

    def band(self) -> tuple[Floats, Floats]:
        """Ends of the 80 % band of ``middle``: never below nothing, always around it; the middle itself without errors."""
        ends = np.array([_ends(errors) for errors in self.errors]).reshape(-1, 2)[self.pools]
        middle = self.middle
        lower, upper = (middle + ends[:, side] * self.units for side in (0, 1))
        return np.minimum(middle, np.maximum(0.0, lower)), np.maximum(middle, upper)

    def exceedance(self, row: int, room: float) -> float | None:
        """Share of replayed errors with which the days to come add more than ``room``; None where nothing measures it."""
        if room < 0 or not self.path.shape[1]:
            return float(room < 0)
        errors = self.errors[self.pools[row]]
        if not errors.size:
            return None
        spare, scale = room - float(self.path[row].sum()), float(self.units[row])
        needed = spare / scale if scale > 0 else math.copysign(math.inf, spare)
        above: int = errors.size - int(np.searchsorted(errors, needed, side="right"))
        return above / float(errors.size)


def outlook(panel: Panel, horizon: Horizon) -> Outlook:
    """The outlook of every series of ``panel``, whose last day is the last settled one.

    Under a week of history only the straight line is drawn.
    """
    usual = usual_variability(panel.days, panel.ages)
    scales = weekly_variability(panel.days, panel.ages, usual_ratio=usual)
    kinds = list(zip(age_class(panel.ages).tolist(), unevenness(panel, scales).tolist(), strict=True))
    fits: dict[tuple[int, int], Fit] = fits_of(panel, horizon, wanted=set(kinds)) if horizon.days_count > 0 else {}
    names = sorted(set(kinds))
    known = [fits.get(name, NO_FIT) for name in names] or [NO_FIT]
    pools = np.array([names.index(kind) for kind in kinds], dtype=np.int64)
    weights = np.stack([fit.weights for fit in known])[pools]
    lines = period_lines(panel.days, panel.ages, horizon)
    total = np.where(panel.ages < WEEK, lines[:, STRAIGHT], (lines * weights).sum(axis=1))
    shape = ahead_days(proven_profile(panel.days, panel.ages), horizon)
    whole = shape.sum(axis=1, keepdims=True)
    shares = np.divide(shape, whole, out=np.full_like(shape, 1 / max(horizon.days_count, 1)), where=whole > 0)
    total = np.maximum(0.0, total)
    return Outlook(total[:, None] * shares, error_unit(total, scales), pools, [fit.errors for fit in known])


def _ends(errors: Floats) -> tuple[float, float]:
    """The errors that leave ``TAIL_RATIO`` of all below and above."""
    tail = int(errors.size * TAIL_RATIO)
    return (float(errors[tail]), float(errors[-1 - tail])) if errors.size else (0.0, 0.0)
