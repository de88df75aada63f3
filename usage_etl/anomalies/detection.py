"""Which days of many series stand far from their own past: vectorised over series, causal, one setting for all.

Expected is the mean of the last 28 days at the weekday's proven share: how far the weekday differs from the other days is
believed as far as eight weeks prove it (between 0 and 1). How far a series strays from that is learned from its own last
twelve weeks, in units of what was expected, so that quiet series are held to little and bursty ones to much.
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
UPPER_QUANTILE = 0.985
RECENT_DAYS = 6
"""Flagged days stay out of level and spread this long, so a runaway does not hide its own end; then a new level counts."""
LEAST_RATIO = 0.3
"""Nothing closer to the expectation than this share of it is told."""
FLOOR_SHARE = 0.25
"""Deviations are measured against the expectation, but against no less than this share of the mean day."""


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
    series, days = values.shape
    clean = values.copy()
    floors = np.broadcast_to(np.asarray(floor, dtype=np.float64), values.shape)
    expected, margin, strays = (np.full((series, days), np.nan) for _ in range(3))
    flagged = np.zeros((series, days), dtype=bool)
    known_before = np.cumsum(~np.isnan(values), axis=1)
    for day in range(WARM_UP_DAYS, days):
        level, usual = _expectation(clean, day)
        unit = np.maximum(usual, FLOOR_SHARE * level) + 1e-12
        past = strays[:, max(0, day - MEMORY_DAYS) : day]
        upper, lower = _own_tails(past)
        high = np.maximum.reduce([upper * unit, LEAST_RATIO * usual, floors[:, day]])
        low = np.maximum.reduce([lower * unit, LEAST_RATIO * usual, floors[:, day]])
        excess = values[:, day] - usual
        judged = (known_before[:, day - 1] >= WARM_UP_DAYS) & ~np.isnan(excess)
        expected[judged, day] = usual[judged]
        margin[judged, day] = np.where(excess >= 0, high, low)[judged]
        strays[:, day] = excess / unit
        flagged[:, day] = judged & ((excess > high) | (-excess > low))
        clean[:, day] = np.where(flagged[:, day], usual, values[:, day])
        back = day - RECENT_DAYS
        if back >= 0:
            clean[:, back] = values[:, back]
    return Judged(expected, margin, flagged)


def _expectation(clean: Matrix, day: int) -> tuple[Matrix, Matrix]:
    """Mean of the last 28 known days, and that at the proven share of the weekday."""
    level = _mean(clean[:, day - LEVEL_DAYS : day], axis=1)
    weeks = min(PROFILE_DAYS, day) // WEEK
    by_week = clean[:, day - WEEK * weeks : day].reshape(clean.shape[0], weeks, WEEK)
    weekday_means = _mean(by_week, axis=1)
    mean = _mean(weekday_means, axis=1)
    within = np.nan_to_num((by_week - weekday_means[:, None, :]) ** 2).sum(axis=(1, 2)) / (WEEK * (weeks - 1) * weeks)
    between = ((weekday_means - mean[:, None]) ** 2).sum(axis=1) / (WEEK - 1)
    weight = np.clip(1 - within / (between + 1e-12), 0, 1)
    share = np.where(mean > 0, weekday_means[:, 0] / (mean + 1e-12), 1.0)
    return level, level * (1 + weight * (share - 1))


def _mean(values: Matrix, *, axis: int) -> Matrix:
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(axis=axis) / np.maximum(known.sum(axis=axis), 1)


def _own_tails(past: Matrix) -> tuple[Matrix, Matrix]:
    """How far the series' own days strayed above and below, at the quantile; infinite without four weeks of them."""
    ordered = np.sort(past, axis=1)
    count = (~np.isnan(past)).sum(axis=1)
    place = np.clip(np.ceil(UPPER_QUANTILE * count).astype(int) - 1, 0, max(0, past.shape[1] - 1))
    rows = np.arange(past.shape[0])
    enough = count >= WARM_UP_DAYS
    upper = np.where(enough, ordered[rows, place], np.inf)
    lower = np.where(enough, -ordered[rows, np.clip(count - 1 - place, 0, past.shape[1] - 1)], np.inf)
    return np.maximum(upper, 0), np.maximum(lower, 0)
