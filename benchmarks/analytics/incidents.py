"""Incidents written into real series, and how many of them a detector finds at how many false alarms.

Each (series, incident) is one copy of the series with one incident in its last 56 days. A detector judges the untouched
series and every copy. An incident is found when one of its days is flagged that is not flagged without it; false alarms
are flagged days of the untouched last 56 days, per series and 30 days. Excess is what the incident added or took away, in
units of the series' own mean day, so that every series weighs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Matrix = np.ndarray
Detector = Callable[[Matrix], Matrix]
"""Values (series x days, NaN where unknown) to a flag or a score per day."""

LAST_DAYS = 56
BUDGET = 0.5


@dataclass(frozen=True)
class Incident:
    """One kind of incident: how many days it lasts and what it makes of them."""

    name: str
    days: int
    change: Callable[[Matrix, Matrix, float], Matrix]
    """The days' values, their position in the incident and the series' level to the values with the incident."""


def _times(factor: float) -> Callable[[Matrix, Matrix, float], Matrix]:
    return lambda values, _place, level: np.maximum(values, level) * factor


INCIDENTS = (
    Incident("spike x3", 1, _times(3)),
    Incident("spike x6", 1, _times(6)),
    Incident("spike x15", 1, _times(15)),
    Incident("runaway x4", 3, _times(4)),
    Incident("level shift x2", 14, lambda values, _place, _level: values * 2),
    Incident("ramp +20 %/day", 10, lambda values, place, _level: values * 1.2 ** (place + 1)),
    Incident("outage", 2, lambda values, _place, _level: values * 0),
    Incident("weekend work", 2, lambda values, _place, level: np.maximum(values, level)),
)


@dataclass(frozen=True)
class Outcome:
    """What one detector did on one panel."""

    recall: float
    excess_caught: float
    false_alarms: float
    by_incident: dict[str, float]


def injected(values: Matrix, weekdays: Matrix, seed: int = 7) -> Iterator[tuple[Incident, Matrix, Matrix]]:
    """Each kind of incident in every series: the changed panel, and which days of it belong to the incident."""
    rng = np.random.default_rng(seed)
    series, days = values.shape
    for incident in INCIDENTS:
        changed, marks = values.copy(), np.zeros(values.shape, dtype=bool)
        for row in range(series):
            start = days - LAST_DAYS + int(rng.integers(0, LAST_DAYS - incident.days + 1))
            if incident.name == "weekend work":
                start += (5 - (int(weekdays[row]) + start)) % 7
                start -= 7 if start + 2 > days else 0
            span = slice(start, start + incident.days)
            before = values[row, max(0, start - LAST_DAYS) : start]
            level = float(np.nan_to_num(np.nanmean(np.where(before > 0, before, np.nan))))
            changed[row, span] = incident.change(values[row, span], np.arange(incident.days), level)
            marks[row, span] = True
        yield incident, changed, marks


def measured(values: Matrix, weekdays: Matrix, detector: Detector, *, is_score: bool = False) -> Outcome:
    """A detector on one panel. One that scores is cut where its untouched panel has the budget of false alarms."""
    quiet = detector(values)
    cut = 0.5
    if is_score:
        tail = np.sort(np.nan_to_num(quiet[:, -LAST_DAYS:], nan=-np.inf).ravel())[::-1]
        cut = float(tail[int(BUDGET * values.shape[0] * LAST_DAYS / 30)])
    quiet_flags = quiet > cut
    scale = np.nanmean(values[:, :-LAST_DAYS], axis=1) + 1e-9
    found: dict[str, float] = {}
    caught = total = 0.0
    for incident, changed, marks in injected(values, weekdays):
        flags = (detector(changed) > cut) & marks & ~quiet_flags
        size = np.abs(np.nan_to_num(changed - values)).sum(axis=1) / scale
        counts = size > 0
        hits = flags.any(axis=1) & counts
        found[incident.name] = float(hits.sum() / max(1, counts.sum()))
        caught, total = caught + float(size[hits].sum()), total + float(size[counts].sum())
    alarms = float(quiet_flags[:, -LAST_DAYS:].sum() / values.shape[0] / LAST_DAYS * 30)
    return Outcome(float(np.mean(list(found.values()))), caught / total, alarms, found)


def zscore_28(values: Matrix) -> Matrix:
    """Deviation from the mean of 28 days in their standard deviations."""
    return _against_past(values, 28, lambda past, day: np.abs(day - np.nanmean(past, 1)) / (np.nanstd(past, 1) + 1e-9))


def weekday_mad(values: Matrix) -> Matrix:
    """Deviation from the median of the same weekday of eight weeks in their median absolute deviations."""

    def score(past: Matrix, day: Matrix) -> Matrix:
        peers = past[:, ::7]
        middle = np.nanmedian(peers, 1)
        return np.abs(day - middle) / (1.4826 * np.nanmedian(np.abs(peers - middle[:, None]), 1) + 1e-9 + 0.02 * middle)

    return _against_past(values, 56, score)


def long_memory(values: Matrix) -> Matrix:
    """Deviation from the mean of 28 days in the standard deviations of 84."""
    return _against_past(values, 84, lambda past, day: np.abs(day - np.nanmean(past[:, -28:], 1)) / (np.nanstd(past, 1) + 1e-9))


def above_quantile(values: Matrix) -> Matrix:
    """Excess above the 98 % quantile of 84 days, in mean days."""
    return _against_past(values, 84, lambda past, day: (day - np.nanquantile(past, 0.98, axis=1)) / (np.nanmean(past, 1) + 1e-9))


def half_of_week(values: Matrix) -> Matrix:
    """More than 50 % away from the mean of seven days: the rule of many tools; a flag, not a score."""
    return _against_past(values, 7, lambda past, day: (np.abs(day / (np.nanmean(past, 1) + 1e-9) - 1) > 0.5).astype(float))


def half_of_week_score(values: Matrix) -> Matrix:
    """The same with the percentage as its score, so that it can be held to a budget."""
    return _against_past(values, 7, lambda past, day: np.abs(day / (np.nanmean(past, 1) + 1e-9) - 1))


def _against_past(values: Matrix, length: int, score: Callable[[Matrix, Matrix], Matrix]) -> Matrix:
    scores = np.full(values.shape, np.nan)
    for index in range(length, values.shape[1]):
        scores[:, index] = score(values[:, index - length : index], values[:, index])
    return scores
