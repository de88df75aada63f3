"""Days that a detector points at, with what they are compared with: own past, failure surges, own ratios, first appearances."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from usage_etl.anomalies.detection import judge
from usage_etl.anomalies.failures import judge_failures
from usage_etl.anomalies.profiles import ZERO
from usage_etl.anomalies.series import Flags, Matrix, Panel
from usage_etl.money import minor_unit
from usage_etl.schemas.anomalies import ALERTING_KINDS

if TYPE_CHECKING:
    from usage_etl.config.anomalies import AnomalySettings

SUM_MEASURES = ("effective_cost", "total_tokens", "requests_count")
RATIOS: Mapping[str, tuple[str, str]] = {
    "error_ratio": ("errors_count", "requests_count"),
    "latency_average_ms": ("latency_ms_sum", "latency_count"),
    "tokens_per_request_ratio": ("total_tokens", "requests_count"),
}
"""Measure to numerator and denominator."""

EPISODE_GAP_DAYS = 3
"""Anomalous days at most this far apart are one episode."""
COMPARED_WEEKS = 8
COMPARED_COUNT = 4
FIRST_DAYS = 7
"""A key or model is new for this long."""
KNOWN_BEFORE_DAYS = 28
"""Days of history without which everything would be new."""
RATIO_UNIT = Decimal("0.000000001")


@dataclass(frozen=True)
class Candidate:
    """One anomalous day of one series."""

    kind: str
    scope_id: str
    measure: str
    detector: str
    day: dt.date
    observed: Decimal
    expected: Decimal
    least_excess: float
    """The excess from which the day is anomalous."""
    episode_start: dt.date
    compared_days: tuple[dt.date, ...]

    @property
    def excess(self) -> Decimal:
        """Observed minus expected."""
        return self.observed - self.expected


@dataclass(frozen=True)
class _Judged:
    measure: str
    detector: str
    expected: Matrix
    margin: Matrix
    is_flagged: Flags


def candidates(panel: Panel, *, settings: AnomalySettings, currency: str) -> Iterator[Candidate]:
    """Anomalous days of the whole calendar; users, keys and models are judged by their cost alone."""
    for judged in _all_judged(panel, settings):
        yield from _of_series(panel, judged, currency)
    if panel.kind in ("api_key", "model"):
        yield from _first_appearances(panel, settings)


def _all_judged(panel: Panel, settings: AnomalySettings) -> Iterator[_Judged]:
    costs, floor = panel.values("effective_cost"), float(settings.minimum_excess)
    found = judge(costs, floor=floor)
    yield _Judged("effective_cost", "own_past", found.expected, found.margin, found.is_flagged)
    if panel.kind not in ALERTING_KINDS:
        return
    for measure in SUM_MEASURES[1:]:
        values = panel.values(measure)
        found = judge(values, floor=_floor_in_units(values, costs, floor))
        yield _Judged(measure, "own_past", found.expected, found.margin, found.is_flagged)
    requests, errors = panel.values("requests_count"), panel.values("errors_count")
    surge = judge_failures(errors, requests, least_failures=settings.minimum_failures, least_requests=settings.minimum_requests)
    yield _Judged("error_ratio", "failure_surge", surge.expected, surge.margin, surge.is_flagged)
    is_material = (costs >= floor) | ((costs == 0) & (np.nancumsum(costs, axis=1) == 0))
    for measure in ("latency_average_ms", "tokens_per_request_ratio"):
        numerator, denominator = (panel.values(column) for column in RATIOS[measure])
        enough = denominator >= settings.minimum_requests
        found = judge(np.where(enough, numerator / np.maximum(denominator, 1), np.nan))
        is_above = found.is_flagged & is_material & (np.where(enough, numerator / np.maximum(denominator, 1), 0) > found.expected)
        yield _Judged(measure, "own_ratio", found.expected, found.margin, is_above)


def _floor_in_units(values: Matrix, costs: Matrix, floor: float) -> Matrix:
    """What ``floor`` buys of a measure at its own average cost so far; nothing where nothing has a price."""
    units, money = np.nancumsum(values, axis=1), np.nancumsum(costs, axis=1)
    return np.where(money > 0, floor * units / np.where(money > 0, money, 1), 0.0)


def _of_series(panel: Panel, judged: _Judged, currency: str) -> Iterator[Candidate]:
    for row in np.flatnonzero(judged.is_flagged.any(axis=1)):
        flags, start, last = judged.is_flagged[row], -1, -EPISODE_GAP_DAYS - 1
        for index in np.flatnonzero(flags):
            start = start if index - last <= EPISODE_GAP_DAYS else int(index)
            last = int(index)
            scope, day = panel.ids[int(row)], panel.day(last)
            candidate = Candidate(
                panel.kind,
                scope,
                judged.measure,
                judged.detector,
                day,
                _exact(panel, scope, day, judged.measure),
                _in_unit(float(judged.expected[row, last]), judged.measure, currency),
                float(judged.margin[row, last]),
                panel.day(start),
                (),
            )
            yield replace(candidate, compared_days=_compared_days(panel, candidate, index=last, flags=flags))


def _first_appearances(panel: Panel, settings: AnomalySettings) -> Iterator[Candidate]:
    """The first day of a new member on which it cost the floor; members of the first weeks of the history are not new."""
    costs = np.nan_to_num(panel.values("effective_cost"), nan=0.0)
    begun = ~np.isnan(panel.values("requests_count"))
    first_known = int(np.argmax(panel.known)) if panel.known.any() else 0
    for row, scope in enumerate(panel.ids):
        first = int(np.argmax(begun[row]))
        dear = np.flatnonzero(costs[row, first : first + FIRST_DAYS] >= max(float(settings.minimum_excess), 1e-9))
        if first - first_known < KNOWN_BEFORE_DAYS or not dear.size:
            continue
        day = panel.day(first + int(dear[0]))
        observed = _exact(panel, scope, day, "effective_cost")
        least = float(settings.minimum_excess)
        yield Candidate(panel.kind, scope, "effective_cost", "first_appearance", day, observed, ZERO, least, panel.day(first), ())


def _exact(panel: Panel, scope: str, day: dt.date, measure: str) -> Decimal:
    sums = panel.exact.get((scope, day), {})
    if measure in RATIOS:
        top, bottom = (sums.get(column) or 0 for column in RATIOS[measure])
        return (Decimal(top) / Decimal(bottom)).quantize(RATIO_UNIT) if bottom else ZERO
    return Decimal(sums.get(measure) or 0)


def _in_unit(expected: float, measure: str, currency: str) -> Decimal:
    """An expectation as it is shown: in minor units, in tenths of a token or request, or as a ratio."""
    unit = minor_unit(currency) if measure == "effective_cost" else RATIO_UNIT if measure in RATIOS else Decimal("0.1")
    return Decimal(repr(expected)).quantize(unit)


def _compared_days(panel: Panel, one: Candidate, *, index: int, flags: Flags) -> tuple[dt.date, ...]:
    """The last four of the same weekday, or the last 28 days, whichever lies nearer to the expectation; ordinary days only."""
    usable = [day for day in range(max(0, index - 7 * COMPARED_WEEKS), index) if panel.known[day] and not flags[day]]
    weekdays = [panel.day(day) for day in usable if (index - day) % 7 == 0][-COMPARED_COUNT:]
    recent = [panel.day(day) for day in usable if index - day <= KNOWN_BEFORE_DAYS]
    ranked = [
        (abs(_level(panel, one.scope_id, one.measure, days) - float(one.expected)), place, tuple(days))
        for place, days in enumerate((weekdays, recent))
        if days
    ]
    return min(ranked)[2] if ranked else ()


def _level(panel: Panel, scope: str, measure: str, days: Sequence[dt.date]) -> float:
    sums = [panel.exact.get((scope, day), {}) for day in days]
    columns = RATIOS.get(measure, (measure,))
    totals = [sum(float(found.get(column) or 0) for found in sums) for column in columns]
    return totals[0] / (totals[1] or 1.0) if len(totals) == 2 else totals[0] / len(days)
