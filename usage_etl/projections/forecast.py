"""What the days to come will add: four simple forecasts and their median, from the past only, for many series at once.

Measured on public usage panels (docs, projections): the median of straight line, last week again, last 28 days and weekday
profile beats each of them and every model fitted per series. The rates are drawn through the weekday profile as far as the
past proves one, so that a month whose last days are a weekend is not projected as if they were not; without a proven rhythm
they are plain rates. Statistics are floats; money becomes exact again where rows are made.
"""

from __future__ import annotations

import numpy as np

from usage_etl.projections.panel import Counts, Floats

WEEK = 7
PROFILE_WEEKS = 8
PROFILE_DAYS = WEEK * PROFILE_WEEKS
LEVEL_DAYS = 28


def expected_days(past: Floats, ages: Counts, *, elapsed: int, ahead: int) -> Floats:
    """Expected quantity of each of the ``ahead`` days that follow ``past``: one row per series, one column per day.

    ``past`` has one column a day, the newest last; ``ages`` says how many of them a series has lived. The last ``elapsed``
    days belong to the running period as well. Under a week of history only the straight line is drawn.
    """
    window = _window(past, max(PROFILE_DAYS, elapsed))
    profile, belief = weekday_profile(window, ages)
    proven = 1 + belief[:, None] * (profile - 1)
    covered = np.minimum(elapsed if elapsed > 0 else LEVEL_DAYS, ages)
    level = np.minimum(LEVEL_DAYS, ages)
    straight = _at_rate(window, covered, proven, ahead)
    lines = np.stack(
        [
            straight,
            _at_rate(window, level, proven, ahead),
            _at_rate(window, level, profile, ahead),
            _ahead(window[:, -WEEK:], ahead).sum(axis=1),
        ]
    )
    middle = np.median(lines, axis=0)
    total = np.maximum(0.0, np.where(ages < WEEK, straight, middle))
    weights = _ahead(proven, ahead)
    whole = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, whole, out=np.full_like(weights, 1 / max(ahead, 1)), where=whole > 0)
    days: Floats = total[:, None] * shares
    return days


def weekday_profile(past: Floats, ages: Counts) -> tuple[Floats, Floats]:
    """Seven factors around 1 per series, tomorrow's weekday first, and how far to believe them: 0 (noise) to 1.

    Made of the last eight full weeks that a series has lived; one without a full week, or silent, has factors of 1.
    """
    past = _window(past, PROFILE_DAYS)
    weeks = np.clip(ages // WEEK, 0, PROFILE_WEEKS)
    grid = past[:, -PROFILE_DAYS:].reshape(-1, PROFILE_WEEKS, WEEK)
    lived = (np.arange(PROFILE_WEEKS) >= PROFILE_WEEKS - weeks[:, None])[:, :, None]
    known = np.where(lived, grid, 0.0)
    count = np.maximum(weeks, 1)[:, None]
    middles = known.sum(axis=1) / count
    mean = middles.mean(axis=1, keepdims=True)
    profile = np.divide(middles, mean, out=np.ones_like(middles), where=mean > 0)
    within = np.where(lived, (grid - middles[:, None, :]) ** 2, 0.0).sum(axis=(1, 2))
    within = within / (WEEK * np.maximum(weeks - 1, 1) * count[:, 0])
    between = ((middles - mean) ** 2).sum(axis=1) / (WEEK - 1)
    belief = 1 - np.divide(within, between, out=np.ones_like(within), where=between > 0)
    return profile, np.where(weeks >= 2, np.maximum(0.0, belief), 0.0)


def weekly_variability(past: Floats, ages: Counts) -> Floats:
    """How much a week of each series differs from the next: the scale in which errors of different series compare.

    The mean absolute change between neighbouring weeks of the last eight, never below a twentieth of a mean week; 0 for a
    series without a full week, and for a silent one.
    """
    weeks = np.clip(ages // WEEK, 0, PROFILE_WEEKS)
    sums = _window(past, PROFILE_DAYS)[:, -PROFILE_DAYS:].reshape(-1, PROFILE_WEEKS, WEEK).sum(axis=2)
    lived = np.arange(PROFILE_WEEKS) >= PROFILE_WEEKS - weeks[:, None]
    changes = np.where(lived[:, :-1], np.abs(np.diff(sums, axis=1)), 0.0).sum(axis=1) / np.maximum(weeks - 1, 1)
    variability: Floats = np.maximum(changes, np.where(lived, sums, 0.0).sum(axis=1) / np.maximum(weeks, 1) / 20)
    return variability


def _window(past: Floats, days: int) -> Floats:
    """The last ``days`` columns; zeros stand before the first where there are fewer."""
    missing = days - past.shape[1]
    return np.pad(past, ((0, 0), (missing, 0))) if missing > 0 else past[:, -days:]


def _at_rate(past: Floats, days: Counts, profile: Floats, ahead: int) -> Floats:
    """The last ``days`` carried on: their sum, times what the days to come weigh beside what they weighed."""
    counts = np.arange(past.shape[1], 0, -1) <= days[:, None]
    behind = np.where(counts, np.take(profile, np.arange(-past.shape[1], 0) % WEEK, axis=1), 0.0).sum(axis=1)
    total = np.where(counts, past, 0.0).sum(axis=1) * _ahead(profile, ahead).sum(axis=1)
    rate: Floats = np.divide(total, behind, out=np.zeros_like(total), where=behind > 0)
    return rate


def _ahead(week: Floats, ahead: int) -> Floats:
    """A week's seven numbers, repeated over the days to come."""
    return np.take(week, np.arange(ahead) % WEEK, axis=1)
