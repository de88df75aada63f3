"""Surges of failed requests: more failures than the usual rate explains, and enough of them to matter."""

from __future__ import annotations

import numpy as np

from usage_etl.anomalies.detection import RECENT_DAYS, WARM_UP_DAYS, Judged
from usage_etl.anomalies.series import Matrix

RATE_DAYS = 28
SPREAD_DAYS = 56
DEVIATIONS = 5.0
PRIOR_REQUESTS = 100.0
PRIOR_RATE = 0.01
"""Added to what was seen, so that a series without any failure yet does not cry at its first one."""


def judge_failures(errors: Matrix, requests: Matrix, *, least_failures: int, least_requests: int) -> Judged:
    """Every day's failure rate beside the usual one; matrices are series x days, NaN where unknown.

    Expected is the rate of the last 28 days. A day is flagged when it has at least ``least_requests`` requests, its rate is
    at least twice that, and its failures are above what the rate explains by ``least_failures`` and by five deviations,
    which are those of chance or, where the past is wilder than chance, of the series' own last eight weeks.
    """
    series, days = errors.shape
    clean, strays = errors.copy(), np.full((series, days), np.nan)
    expected, margin = np.full((series, days), np.nan), np.full((series, days), np.nan)
    flagged = np.zeros((series, days), dtype=bool)
    known = np.cumsum(~np.isnan(requests), axis=1)
    for day in range(WARM_UP_DAYS, days):
        window = slice(day - RATE_DAYS, day)
        seen = np.nansum(requests[:, window], axis=1)
        rate = (np.nansum(clean[:, window], axis=1) + PRIOR_RATE * PRIOR_REQUESTS) / (seen + PRIOR_REQUESTS)
        asked = np.nan_to_num(requests[:, day])
        chance = np.sqrt(np.maximum(asked * rate * (1 - np.minimum(rate, 0.999)), 1.0))
        excess = np.nan_to_num(errors[:, day]) - asked * rate
        strays[:, day] = np.where(asked > 0, excess / chance, np.nan)
        past = strays[:, max(0, day - SPREAD_DAYS) : day]
        wildness = np.sqrt(np.maximum(1.0, _mean_square(past)))
        least = np.maximum.reduce([np.full(series, float(least_failures)), DEVIATIONS * chance * wildness, asked * rate])
        judged = (known[:, day - 1] >= WARM_UP_DAYS) & (asked >= least_requests)
        expected[judged, day] = rate[judged]
        margin[judged, day] = (least / np.maximum(asked, 1))[judged]
        flagged[:, day] = judged & (excess >= least)
        strays[flagged[:, day], day] = np.nan
        clean[:, day] = np.where(flagged[:, day], asked * rate, errors[:, day])
        if day - RECENT_DAYS >= 0:
            clean[:, day - RECENT_DAYS] = errors[:, day - RECENT_DAYS]
    return Judged(expected, margin, flagged)


def _mean_square(values: Matrix) -> Matrix:
    known = ~np.isnan(values)
    mean: Matrix = (np.where(known, values, 0) ** 2).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean
