"""How far each line was to be believed, and how far the projection was off: measured on replays of the past.

Projections are replayed at past days with as many days to come as now, for series of the same kind: as young as the series
is now, and as uneven from week to week. So one method serves a new user, a bursty team and a steady organization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usage_etl.projections.forecast import (
    LINES_COUNT,
    PROFILE_DAYS,
    WEEK,
    WINDOW_DAYS,
    Horizon,
    mean_week,
    period_lines,
    usual_variability,
    weekly_variability,
)
from usage_etl.projections.panel import Counts, Floats, Panel

REPLAY_DAYS = 400
"""How far back projections are replayed: a year, so that holidays are in it."""
ORIGINS_COUNT = 40
"""Most past days at which projections are replayed, evenly spread."""
SERIES_COUNT = 2000
"""Most series that are replayed: of more, an even sample."""
AGES = (7, 14, 21, 28, 42, PROFILE_DAYS)
"""Days of history at which a series counts as older; from the last on it is grown up."""
GROWN = len(AGES) - 1
MIN_AGE_DAYS = 28
"""A replayed series has lived this long, or as long as the age it stands for."""
UNEVENNESS = (0.2, 0.6)
"""Change from week to week beside a mean week that parts steady, uneven and bursty series."""
MIN_ERRORS = 10
"""Fewer replayed projections than this are no measure of anything: no band."""
ENOUGH_ERRORS = 100
"""With this many errors of the same unevenness, others are left out."""
SHRINKS = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05)
"""The middle of bursty series lies below their mean."""
SHARPNESS = 30.0
PRIOR_ERRORS = 20.0
WORST_ERROR = 3.0
"""In levels of the series; what is further off weighs no more."""


@dataclass(frozen=True)
class Fit:
    """What replays taught about one kind of series."""

    weights: Floats
    """Share of each line; together the share of their mean that was the middle of what came."""
    errors: Floats
    """Errors of the weighted lines in ``error_unit``, in rising order; empty where there are too few."""


NO_FIT = Fit(np.full(LINES_COUNT, 1 / LINES_COUNT), np.zeros(0))
"""Without a past all lines are believed alike, and nothing is known of their errors."""


@dataclass(frozen=True)
class Replays:
    """Past projections of series cut to one age: one row each."""

    lines: Floats
    actual: Floats
    levels: Floats
    """What an even past would have added."""
    scales: Floats
    unevenness: Counts

    def where(self, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Replays:
        """Those that ``mask`` marks."""
        return Replays(self.lines[mask], self.actual[mask], self.levels[mask], self.scales[mask], self.unevenness[mask])


def error_unit(middle: Floats, variability: Floats) -> Floats:
    """In which errors of series alike compare: what was projected, and a tenth of what a week differs from the next.

    Units of the variability alone hold as often, but state chances that are off by a third where much or little is projected
    beside it.
    """
    unit: Floats = np.maximum(middle, 0.0) + variability / 10
    return unit


def age_class(ages: Counts) -> Counts:
    """Index into AGES of the history that each series has; 0 for less than a week as well."""
    return np.clip(np.searchsorted(AGES, ages, side="right") - 1, 0, GROWN)


def unevenness(panel: Panel, scales: Floats) -> Counts:
    """0 steady, 1 uneven, 2 bursty."""
    mean = mean_week(panel.days, panel.ages)
    return np.searchsorted(UNEVENNESS, np.divide(scales, mean, out=np.full_like(scales, 1.0), where=mean > 0)).astype(np.int64)


def fits_of(panel: Panel, horizon: Horizon, *, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], Fit]:
    """The fit of each wanted kind (age class, unevenness)."""
    usual = usual_variability(panel.days, panel.ages)
    sample = panel.where(np.arange(panel.ages.size) % -(-max(panel.ages.size, 1) // SERIES_COUNT) == 0)
    found = {}
    for age in sorted({age for age, _ in wanted}):
        replays = _replays(sample, horizon, age=age, usual=usual)
        for kind in sorted(kind for one, kind in wanted if one == age):
            alike = replays.where(replays.unevenness == kind)
            found[age, kind] = _fit(alike if alike.actual.size >= ENOUGH_ERRORS else replays)
    return found


def _fit(replays: Replays) -> Fit:
    count = replays.actual.size
    if count < MIN_ERRORS:
        return NO_FIT
    lines, actual = replays.lines / replays.levels[:, None], replays.actual / replays.levels
    misses = np.minimum(np.abs(lines - actual[:, None]), WORST_ERROR).mean(axis=0)
    best = max(float(misses.min()), 1e-9)
    weights = np.exp(-SHARPNESS * np.minimum((misses - best) / best, 10.0))
    weights = (count * weights / weights.sum() + PRIOR_ERRORS / LINES_COUNT) / (count + PRIOR_ERRORS)
    mean = lines @ weights
    off = [float(np.minimum(np.abs(shrink * mean - actual), WORST_ERROR).mean()) for shrink in SHRINKS]
    plain = SHRINKS.index(1.0)
    shrink = SHRINKS[int(np.argmin(off))] if count >= ENOUGH_ERRORS and min(off) < off[plain] else 1.0
    middle = replays.lines @ weights * shrink
    return Fit(weights * shrink, np.sort((replays.actual - middle) / error_unit(middle, replays.scales)))


def _replays(panel: Panel, horizon: Horizon, *, age: int, usual: float) -> Replays:
    """Replays on today's weekday, so that the same weekdays are to come; on any day where those are few."""
    parts: list[Replays] = []
    for step in (WEEK, 1):
        first = -(-horizon.ahead // step) * step
        cuts = range(max(first, step), min(int(panel.ages.max(initial=0)), REPLAY_DAYS), step)
        chosen = list(cuts)[:: max(1, -(-len(cuts) // ORIGINS_COUNT))]
        parts = [_replay(panel, horizon, cut, age=age, usual=usual) for cut in chosen]
        if sum(part.actual.size for part in parts) >= ENOUGH_ERRORS:
            break
    empty = np.zeros(0)
    nothing = Replays(np.zeros((0, LINES_COUNT)), empty, empty, empty, np.zeros(0, np.int64))
    columns = zip(*((one.lines, one.actual, one.levels, one.scales, one.unevenness) for one in [nothing, *parts]), strict=True)
    return Replays(*(np.concatenate(column) for column in columns))


def _replay(panel: Panel, horizon: Horizon, cut: int, *, age: int, usual: float) -> Replays:
    """Projections made ``cut`` days ago of series with as little history as ``age`` says, and what came."""
    end = panel.days.shape[1] - cut
    lived = panel.ages - cut >= (min(AGES[age], MIN_AGE_DAYS))
    past = panel.days[lived, max(0, end - WINDOW_DAYS) : end]
    ages = panel.ages[lived] - cut
    if age < GROWN:
        ages = np.minimum(ages, AGES[age])
        past = np.where(np.arange(past.shape[1], 0, -1) <= ages[:, None], past, 0.0)
    mean = mean_week(past, ages)
    scales = weekly_variability(past, ages, usual_ratio=usual)
    actual = panel.days[lived, end + horizon.skipped : end + horizon.ahead].sum(axis=1)
    spoken = mean > 0
    kinds = unevenness(Panel(panel.keys, past, ages, panel.last_day), scales)
    replays = Replays(
        lines=period_lines(past, ages, horizon),
        actual=actual,
        levels=mean / WEEK * max(horizon.days_count, 1),
        scales=scales,
        unevenness=kinds,
    )
    return replays.where(spoken)
