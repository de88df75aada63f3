"""How a period will end for many series: expected path, band and chance of passing a limit, measured on replayed errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usage_etl.projections.forecast import LEVEL_DAYS, PROFILE_DAYS, WEEK, expected_days, weekly_variability
from usage_etl.projections.panel import Floats, Panel

REPLAY_DAYS = 180
"""How far back past projections are replayed."""
ACTIVE_DAYS = 56
"""A series that added nothing in this many days is not projected."""
MIN_ERRORS = 10
"""Fewer replayed projections than this are no measure of anything: no band."""
ENOUGH_ERRORS = 40
"""With this many errors of origins on the as-of day's weekday, others are left out."""


@dataclass(frozen=True)
class Horizon:
    """Where in a period the last settled day stands."""

    elapsed: int
    """Settled days of the period."""
    skipped: int
    """Days to come before the period begins."""
    ahead: int
    """All days to come up to the period's end, skipped ones included."""


@dataclass(frozen=True)
class Outlook:
    """What the days to come of a period will add, one row per series."""

    path: Floats
    """Expected quantity of each day to come that counts."""
    scales: Floats
    """Weekly variability: one unit of ``errors``."""
    errors: Floats
    """Scaled errors of replayed projections, in rising order; empty where there are too few."""

    @property
    def middle(self) -> Floats:
        """Expected quantity of all days to come."""
        expected: Floats = self.path.sum(axis=1)
        return expected

    @property
    def has_band(self) -> bool:
        """Whether there is a measure of uncertainty."""
        return bool(self.errors.size) or not self.path.shape[1]

    def band(self) -> tuple[Floats, Floats]:
        """Ends of the 80 % band of ``middle``: never below nothing, always around it."""
        middle = self.middle
        if not self.errors.size:
            return middle, middle
        tenth = self.errors.size // 10
        low, high = self.errors[tenth], self.errors[-1 - tenth]
        return (
            np.minimum(middle, np.maximum(0.0, middle + low * self.scales)),
            np.maximum(middle, middle + high * self.scales),
        )

    def exceedance(self, room: Floats, rows: Floats | None = None) -> Floats:
        """Share of replayed errors with which the days to come add more than ``room``; nan where nothing measures it."""
        index = np.arange(room.size) if rows is None else rows.astype(np.int64)
        if not self.path.shape[1]:
            return np.where(room < 0, 1.0, 0.0)
        if not self.errors.size:
            return np.where(room < 0, 1.0, np.nan)
        middle, scales = self.middle[index], self.scales[index]
        needed = np.divide(room - middle, scales, out=np.where(room < middle, -np.inf, np.inf), where=scales > 0)
        above = self.errors.size - np.searchsorted(self.errors, needed, side="right")
        return np.where(room < 0, 1.0, above / self.errors.size)


def outlook(panel: Panel, horizon: Horizon) -> Outlook:
    """The outlook of every series of ``panel``, whose last day is the last settled one."""
    path = expected_days(panel.days, panel.ages, elapsed=horizon.elapsed, ahead=horizon.ahead)[:, horizon.skipped :]
    scales = weekly_variability(panel.days, panel.ages)
    return Outlook(path, scales, _replayed_errors(panel, horizon) if path.shape[1] else np.zeros(0))


def _replayed_errors(panel: Panel, horizon: Horizon) -> Floats:
    """(actual - expected) / variability of past origins that leave ``ahead`` known days, in rising order.

    Origins on today's weekday leave the same weekdays to come, so they are preferred where they are many.
    """
    if horizon.ahead < 1:
        return np.zeros(0)
    known = np.zeros(0)
    for step in (WEEK, 1):
        shortest = -(-horizon.ahead // step) * step
        parts = [_errors_at(panel, cut, horizon) for cut in range(shortest, int(panel.ages.max(initial=0)), step)]
        known = np.concatenate(parts) if parts else known
        if known.size >= ENOUGH_ERRORS:
            break
    return np.sort(known) if known.size >= MIN_ERRORS else np.zeros(0)


def _errors_at(panel: Panel, cut: int, horizon: Horizon) -> Floats:
    """Scaled errors of the projections made ``cut`` days ago, of series that were old enough and not silent."""
    end = panel.days.shape[1] - cut
    ages = panel.ages - cut
    lived = ages >= max(LEVEL_DAYS, horizon.elapsed)
    past = panel.days[lived, max(0, end - max(PROFILE_DAYS, horizon.elapsed)) : end]
    scales = weekly_variability(past, ages[lived])
    expected = expected_days(past, ages[lived], elapsed=horizon.elapsed, ahead=horizon.ahead)[:, horizon.skipped :]
    actual = panel.days[lived, end + horizon.skipped : end + horizon.ahead]
    errors = actual.sum(axis=1) - expected.sum(axis=1)
    scaled: Floats = errors[scales > 0] / scales[scales > 0]
    return scaled
