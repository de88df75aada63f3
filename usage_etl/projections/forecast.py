"""What the days to come will add: simple lines through the past, for many series at once.

Each line carries one view of the past on: memories of different length, the last week again, the last 28 days, the running
period. How far each is to be believed is measured on replayed projections (``fit``). Rates are drawn through the weekday
profile as far as the past proves one, so that a month whose last days are a weekend is not projected as if they were not;
without a proven rhythm they are plain rates. Statistics are floats; money becomes exact again where rows are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usage_etl.projections.panel import Counts, Floats

WEEK = 7
PROFILE_WEEKS = 8
PROFILE_DAYS = WEEK * PROFILE_WEEKS
LEVEL_DAYS = 28
WINDOW_DAYS = 112
"""As far back as any line looks."""
HALF_LIVES = (4, 6, 9, 13, 19, 28, 40, 60)
"""Days after which a memory believes a day half as much."""
LINES_COUNT = len(HALF_LIVES) + 3
UNEVEN_RATIO = 0.5
"""Change from week to week beside a mean week, where nothing is known of it."""


@dataclass(frozen=True)
class Horizon:
    """Where in a period the last settled day stands."""

    elapsed: int
    """Settled days of the period."""
    skipped: int
    """Days to come before the period begins."""
    ahead: int
    """All days to come up to the period's end, skipped ones included."""

    @property
    def days_count(self) -> int:
        """Days to come that belong to the period."""
        return self.ahead - self.skipped


def period_lines(past: Floats, ages: Counts, horizon: Horizon) -> Floats:
    """What each line adds over the days to come of the period: one row per series, one column per line.

    ``past`` has one column a day, the newest last; ``ages`` says how many of them a series has lived.
    """
    past = window(past, WINDOW_DAYS)
    profile = proven_profile(past, ages)
    back = np.arange(WINDOW_DAYS, 0, -1)
    lived = back <= ages[:, None]
    weights = np.where(lived, np.take(profile, -back % WEEK, axis=1), 0.0)
    ahead = ahead_days(profile, horizon).sum(axis=1, keepdims=True)
    memory = np.stack(
        [0.5 ** ((back - 1) / half_life) for half_life in HALF_LIVES]
        + [(back <= days).astype(np.float64) for days in (LEVEL_DAYS, min(horizon.elapsed or LEVEL_DAYS, WINDOW_DAYS))],
        axis=1,
    )
    seen, weighed = np.where(lived, past, 0.0) @ memory, weights @ memory
    rates = np.divide(seen, weighed, out=np.zeros_like(seen), where=weighed > 0)
    again = ahead_days(past[:, -WEEK:], horizon).sum(axis=1, keepdims=True)
    return np.concatenate([rates * ahead, again], axis=1)


def ahead_days(week: Floats, horizon: Horizon) -> Floats:
    """A week's seven numbers, tomorrow's weekday first, repeated over the days to come of the period."""
    return np.take(week, np.arange(horizon.skipped, horizon.ahead) % WEEK, axis=1)


def proven_profile(past: Floats, ages: Counts) -> Floats:
    """Seven factors around 1 per series, tomorrow's weekday first, each as far from 1 as the past proves it."""
    profile, belief = weekday_profile(past, ages)
    proven: Floats = 1 + belief[:, None] * (profile - 1)
    return proven


def weekday_profile(past: Floats, ages: Counts) -> tuple[Floats, Floats]:
    """Seven factors around 1 per series, tomorrow's weekday first, and how far to believe them: 0 (noise) to 1.

    Made of the last eight full weeks that a series has lived; one without a full week, or silent, has factors of 1.
    """
    weeks = np.clip(ages // WEEK, 0, PROFILE_WEEKS)
    grid = window(past, PROFILE_DAYS).reshape(-1, PROFILE_WEEKS, WEEK)
    lived = (np.arange(PROFILE_WEEKS) >= PROFILE_WEEKS - weeks[:, None])[:, :, None]
    count = np.maximum(weeks, 1)[:, None]
    middles = np.where(lived, grid, 0.0).sum(axis=1) / count
    mean = middles.mean(axis=1, keepdims=True)
    profile = np.divide(middles, mean, out=np.ones_like(middles), where=mean > 0)
    within = np.where(lived, (grid - middles[:, None, :]) ** 2, 0.0).sum(axis=(1, 2))
    within = within / (WEEK * np.maximum(weeks - 1, 1) * count[:, 0])
    between = ((middles - mean) ** 2).sum(axis=1) / (WEEK - 1)
    belief = 1 - np.divide(within, between, out=np.ones_like(within), where=between > 0)
    return profile, np.where(weeks >= 2, np.maximum(0.0, belief), 0.0)


def mean_week(past: Floats, ages: Counts) -> Floats:
    """Seven times the mean day of the last eight weeks lived."""
    sums: Floats = window(past, PROFILE_DAYS).sum(axis=1) / np.clip(ages, 1, PROFILE_DAYS) * WEEK
    return sums


def weekly_variability(past: Floats, ages: Counts, *, usual_ratio: float = UNEVEN_RATIO) -> Floats:
    """How much a week of each series differs from the next: the scale in which errors of different series compare.

    The mean absolute change between neighbouring weeks of the last eight, with one more that is ``usual_ratio`` of a mean
    week, so that a series of few weeks has a scale as well; never below a twentieth of a mean week. 0 for a silent series.
    """
    changes, count = _changes(past, ages)
    mean = mean_week(past, ages)
    variability: Floats = np.maximum((changes + usual_ratio * mean) / (count + 1), mean / 20)
    return variability


def usual_variability(past: Floats, ages: Counts) -> float:
    """Median over series of the change from week to week beside a mean week."""
    changes, count = _changes(past, ages)
    mean = mean_week(past, ages)
    known = (count >= 4) & (mean > 0)
    return float(np.median(changes[known] / count[known] / mean[known])) if known.any() else UNEVEN_RATIO


def window(past: Floats, days: int) -> Floats:
    """The last ``days`` columns; zeros stand before the first where there are fewer."""
    missing = days - past.shape[1]
    return np.pad(past, ((0, 0), (missing, 0))) if missing > 0 else past[:, past.shape[1] - days :]


def _changes(past: Floats, ages: Counts) -> tuple[Floats, Counts]:
    """Absolute changes between neighbouring weeks of the last eight lived, added up, and their number."""
    weeks = np.clip(ages // WEEK, 0, PROFILE_WEEKS)
    sums = window(past, PROFILE_DAYS).reshape(-1, PROFILE_WEEKS, WEEK).sum(axis=2)
    lived = np.arange(PROFILE_WEEKS) >= PROFILE_WEEKS - weeks[:, None]
    return np.where(lived[:, :-1], np.abs(np.diff(sums, axis=1)), 0.0).sum(axis=1), np.maximum(weeks - 1, 0)
