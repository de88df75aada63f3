"""Which days of many series stand far from their own past: vectorised over series, causal, one setting for all.

Expected is the mean of the last 28 days at the weekday's proven share: how far a weekday differs from the others is believed
as far as eight weeks prove it (a weight between 0 and 1). What is far is learned from the series' own last twelve weeks: a
day is flagged when its excess is above

    1.25 x the 98 % quantile of the excesses of the last 84 days, and
    2.7 x their root mean square, and
    30 % of the expectation, and the floor,

and a day that falls short likewise, beyond 1.2 x the 99 % quantile of its shortfalls and half of the expectation. What grows
day by day or doubles for good hides from both in a bursty series: after a week without a flag, a day above 30 % and the floor
is flagged too when the seven days that end with it came to more than any seven of the sixteen weeks before. So quiet series
are held to little, bursty ones to much, and neither needs a setting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from usage_etl.anomalies.series import Flags, Matrix

WEEK = 7
PROFILE_DAYS = 56
LEVEL_DAYS = 28
MEMORY_DAYS = 84
WARM_UP_DAYS = 28
"""Known days that a series must have before a day of it is judged."""
HIGH_QUANTILE, HIGH_MARGIN, HIGH_RATIO = 0.98, 1.25, 0.3
LOW_QUANTILE, LOW_MARGIN, LOW_RATIO = 0.99, 1.2, 0.5
DEVIATIONS = 2.7
WEEKLY_MEMORY_DAYS = 112
WEEKLY_WARM_UP_DAYS = 56
RECENT_DAYS = 6
"""Flagged days stay out of level and spread this long, so a runaway does not hide its own end; then a new level counts."""
_NOTHING = 1e-12


@dataclass(frozen=True)
class Judged:
    """Every series and day beside its expectation; NaN where the day was not judged."""

    expected: Matrix
    margin: Matrix
    """Least excess that is told, above or below."""
    is_flagged: Flags


def judge(values: Matrix, *, floor: Matrix | float = 0.0) -> Judged:
    """Judges every day of ``values`` (series x days, NaN where unknown) from the days before it.

    ``floor`` is the least excess worth telling, in the unit of the values.
    """
    clean = values.copy()
    floors = np.broadcast_to(np.asarray(floor, dtype=np.float64), values.shape)
    expected, margin, excesses, memory = (np.full(values.shape, np.nan) for _ in range(4))
    flagged = np.zeros(values.shape, dtype=bool)
    known_before = np.cumsum(~np.isnan(values), axis=1)
    weeks = _sums_of_seven(values)
    for day in range(WARM_UP_DAYS, values.shape[1]):
        usual = _expectation(clean, day)
        excess = values[:, day] - usual
        least = _least(memory[:, max(0, day - MEMORY_DAYS) : day], usual, floors[:, day], excess)
        judged = (known_before[:, day - 1] >= WARM_UP_DAYS) & ~np.isnan(excess) & np.isfinite(least)
        expected[judged, day], margin[judged, day] = usual[judged], least[judged]
        excesses[:, day] = np.where(known_before[:, day - 1] > 0, excess, np.nan)
        worth_telling = judged & (excess > np.maximum(HIGH_RATIO * usual, floors[:, day]))
        is_week = (known_before[:, day - 1] >= WEEKLY_WARM_UP_DAYS) & _is_largest_week(weeks, flagged, day)
        flagged[:, day] = judged & (np.abs(excess) > least) | worth_telling & is_week
        margin[:, day] = np.where(flagged[:, day], np.minimum(margin[:, day], np.abs(excess)), margin[:, day])
        clean[:, day] = np.where(flagged[:, day], usual, values[:, day])
        memory[:, day] = np.where(flagged[:, day], np.nan, excesses[:, day])
        if day >= RECENT_DAYS:
            clean[:, day - RECENT_DAYS] = values[:, day - RECENT_DAYS]
            memory[:, day - RECENT_DAYS] = excesses[:, day - RECENT_DAYS]
    return Judged(expected, margin, flagged)


def _sums_of_seven(values: Matrix) -> Matrix:
    """Sum of the seven days that end with each day; unknown days count as nothing."""
    summed = np.cumsum(np.nan_to_num(values), axis=1)
    earlier = np.zeros_like(summed)
    earlier[:, WEEK:] = summed[:, :-WEEK]
    return summed - earlier


def _is_largest_week(weeks: Matrix, flagged: Flags, day: int) -> Flags:
    """Whether no flag fell in the last week and the seven days to ``day`` are above any seven that ended before them."""
    before = weeks[:, max(0, day - WEEKLY_MEMORY_DAYS) : max(1, day - WEEK + 1)]
    largest: Flags = (weeks[:, day] > before.max(axis=1)) & ~flagged[:, max(0, day - WEEK) : day].any(axis=1)
    return largest


def _least(past: Matrix, usual: Matrix, floor: Matrix, excess: Matrix) -> Matrix:
    """The least excess that is told, on the side of each series' ``excess``; infinite without four weeks of past."""
    ordered, count = np.sort(past, axis=1), (~np.isnan(past)).sum(axis=1)
    spread = DEVIATIONS * np.sqrt(np.where(np.isnan(past), 0, past * past).sum(axis=1) / np.maximum(count, 1))
    high = HIGH_MARGIN * _at(ordered, np.ceil(HIGH_QUANTILE * count) - 1)
    low = -LOW_MARGIN * _at(ordered, count - np.ceil(LOW_QUANTILE * count))
    told = np.where(
        excess >= 0,
        np.maximum.reduce([high, spread, HIGH_RATIO * usual, floor]),
        np.maximum.reduce([low, spread, LOW_RATIO * usual, floor]),
    )
    return np.where(count >= WARM_UP_DAYS, told, np.inf)


def _at(ordered: Matrix, places: Matrix) -> Matrix:
    """One value of each row, by its place among the known ones."""
    if not ordered.shape[1]:
        return np.full(ordered.shape[0], np.nan)
    chosen = np.clip(places, 0, ordered.shape[1] - 1).astype(int)
    values: Matrix = np.nan_to_num(ordered[np.arange(ordered.shape[0]), chosen])
    return values


def _expectation(clean: Matrix, day: int) -> Matrix:
    """Mean of the last 28 known days at the proven share of the weekday."""
    level = _mean(clean[:, day - LEVEL_DAYS : day], axis=1)
    weeks = min(PROFILE_DAYS, day) // WEEK
    by_week = clean[:, day - WEEK * weeks : day].reshape(clean.shape[0], weeks, WEEK)
    weekday_means = np.where(np.isnan(by_week).all(axis=1), np.nan, _mean(by_week, axis=1))
    mean = _mean(weekday_means, axis=1)
    within = np.nan_to_num((by_week - weekday_means[:, None, :]) ** 2).sum(axis=(1, 2)) / (WEEK * (weeks - 1) * weeks)
    between = np.nan_to_num((weekday_means - mean[:, None]) ** 2).sum(axis=1) / (WEEK - 1)
    weight = np.clip(1 - within / (between + _NOTHING), 0, 1)
    share = np.where((mean > 0) & ~np.isnan(weekday_means[:, 0]), weekday_means[:, 0] / (mean + _NOTHING), 1.0)
    expected: Matrix = level * (1 + weight * (share - 1))
    return expected


def _mean(values: Matrix, *, axis: int) -> Matrix:
    known = ~np.isnan(values)
    mean: Matrix = np.where(known, values, 0).sum(axis=axis) / np.maximum(known.sum(axis=axis), 1)
    return mean
