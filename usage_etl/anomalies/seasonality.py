"""Proven patterns of a scope's days and hours, in words made of the numbers; what is not proven is said to be so.

A pattern is proven when it is larger than what the same days come to in 999 random orders, all but at most 10 of them
(a permutation test at 1 %), and large enough to matter. The orders come from a fixed seed, so the same days say the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from usage_etl.anomalies.series import Matrix, scope_sums
from usage_etl.periods import Month
from usage_etl.schemas.anomalies import MART_SEASONALITY

ORDERS = 999
PROVEN = 0.01
LEAST_WEEKS = 6
LEAST_MONTHS = 3
LEAST_STRENGTH = 0.1
"""A pattern below 10 % of the mean is not told."""
MONTH_END_DAYS = 3
_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NOTHING_PROVEN = "No proven pattern"


@dataclass(frozen=True)
class _Pattern:
    strength: float | None
    chance: float | None
    text: str

    @property
    def is_proven(self) -> bool:
        """Whether it is beyond chance and large enough to tell."""
        return self.chance is not None and self.chance <= PROVEN and (self.strength or 0) >= LEAST_STRENGTH


def seasonality(
    detail: pl.DataFrame, hours: pl.DataFrame, *, month: Month, organization_id: str, names: dict[str, str], zone: str
) -> pl.DataFrame:
    """One (scope, pattern) of the organization and its teams (mart_seasonality), from the days up to the month's end.

    ``detail`` is ``series.detail_rows``; ``hours`` has usage_date, hour (0 to 23 in ``zone``), team_id and requests_count.
    ``names`` holds names of the organization and of teams by id. Weekdays and month ends are of cost, hours of requests.
    """
    rows = []
    for kind in ("organization", "team"):
        sums = scope_sums(detail, kind=kind, organization_id=organization_id)
        for (scope,), days in sums.sort("scope_id", "usage_date").group_by("scope_id", maintain_order=True):
            mine = hours if kind == "organization" else hours.filter(pl.col("team_id") == scope)
            for name, pattern, count in _patterns(days, mine, detail, zone):
                proven = pattern.is_proven
                rows.append(
                    {
                        "month": month.first_day,
                        "scope_kind": kind,
                        "scope_id": str(scope),
                        "scope_name": names.get(str(scope), str(scope)),
                        "pattern": name,
                        "is_proven": proven,
                        "strength_ratio": pattern.strength,
                        "chance_ratio": pattern.chance,
                        "days_count": count,
                        "pattern_text": pattern.text if proven else NOTHING_PROVEN,
                    }
                )
    frame = pl.DataFrame(rows, schema=MART_SEASONALITY.polars_schema, orient="row")
    return MART_SEASONALITY.validate(frame.sort(MART_SEASONALITY.sort_by))


def local_hours(hourly: pl.LazyFrame, *, zone: str) -> pl.DataFrame:
    """Requests per local day, hour and team of fact_usage_hourly: usage_date, hour, team_id, requests_count."""
    local = pl.col("hour_start_at").dt.convert_time_zone(zone)
    return (
        hourly.group_by(usage_date=local.dt.date(), hour=local.dt.hour(), team_id=pl.col("team_id").cast(pl.String))
        .agg(pl.col("requests_count").sum())
        .sort("usage_date", "hour", "team_id")
        .collect()
    )


def _patterns(days: pl.DataFrame, hours: pl.DataFrame, detail: pl.DataFrame, zone: str) -> Iterator[tuple[str, _Pattern, int]]:
    known = detail["usage_date"].unique().sort()
    first = days["usage_date"].min()
    dates = [day for day in known if day >= first]
    costs = dict(days.select("usage_date", pl.col("effective_cost").cast(pl.Float64).fill_null(0)).iter_rows())
    values = np.array([costs.get(day, 0.0) for day in dates])
    yield "weekday", _weekdays(values, dates), len(dates)
    yield "month_end", _month_ends(values, dates), len(dates)
    by_hour = _by_hour(hours)
    yield "hour_of_day", _hours(by_hour, zone), by_hour.shape[0]


def _weekdays(values: Matrix, dates: Sequence[dt.date]) -> _Pattern:
    if len(dates) < 7 * LEAST_WEEKS or values.sum() <= 0:
        return _Pattern(None, None, NOTHING_PROVEN)
    places = np.array([day.weekday() for day in dates])
    usual = np.array([np.median(values[places == place]) for place in range(7)])  # one runaway makes no weekday
    if usual.mean() <= 0:
        return _Pattern(None, None, NOTHING_PROVEN)
    means = usual / usual.mean()
    highest = int(np.argmax(means))
    weekend = places >= 5
    share = values[~weekend].sum() / values.sum()
    text = (
        f"Weekdays carry {_percent(share)} of cost; {_NAMES[highest]} is highest, {_percent(means[highest] - 1)} above the mean"
        f" of a usual week, {_NAMES[int(np.argmin(means))]} lowest, {_percent(1 - means.min())} below it"
    )
    return _Pattern(float(means.max() - means.min()), _chance(values, places, 7), text)


def _month_ends(values: Matrix, dates: Sequence[dt.date]) -> _Pattern:
    """The last three days of months against other days, each measured against its own weekday."""
    places = np.array([int((Month.of(day).last_day - day).days < MONTH_END_DAYS) for day in dates])
    ends = {Month.of(day) for day, is_end in zip(dates, places, strict=True) if is_end}
    if len(ends) < LEAST_MONTHS or values.sum() <= 0:
        return _Pattern(None, None, NOTHING_PROVEN)
    weekdays = np.array([day.weekday() for day in dates])
    usual = _means(values, weekdays, 7)[weekdays]
    against = np.divide(values, usual, out=np.ones_like(values), where=usual > 0)
    others, last = _means(against, places, 2)
    change = last / others - 1 if others > 0 else 0.0
    word = "above" if change > 0 else "below"
    text = f"The last {MONTH_END_DAYS} days of months are {_percent(abs(change))} {word} other days of the same weekday"
    return _Pattern(abs(float(change)), _chance(against, places, 2), text)


def _hours(by_hour: Matrix, zone: str) -> _Pattern:
    if by_hour.shape[0] < 7 * LEAST_WEEKS or by_hour.sum() <= 0:
        return _Pattern(None, None, NOTHING_PROVEN)
    shares = by_hour.sum(axis=0) / by_hour.sum()
    length = 8
    windows = [sum(shares[(start + offset) % 24] for offset in range(length)) for start in range(24)]
    start = int(np.argmax(windows))
    text = (
        f"The eight hours from {start:02d}:00 to {(start + length) % 24:02d}:00 ({zone}) carry {_percent(windows[start])}"
        f" of requests; {int(np.argmax(shares)):02d}:00 is the busiest hour"
    )
    places = np.tile(np.arange(24), by_hour.shape[0])
    return _Pattern(float(windows[start] - length / 24), _chance(by_hour.ravel(), places, 24), text)


def _by_hour(hours: pl.DataFrame) -> Matrix:
    """Requests per day and hour."""
    days = hours["usage_date"].unique().sort().to_list()
    matrix = np.zeros((len(days), 24))
    rows = {day: row for row, day in enumerate(days)}
    grouped = hours.group_by("usage_date", "hour").agg(pl.col("requests_count").sum())
    for day, hour, count in grouped.iter_rows():
        matrix[rows[day], hour] = count
    return matrix


def _means(values: Matrix, places: np.ndarray[tuple[int], np.dtype[np.int64]], groups: int) -> Matrix:
    counts = np.bincount(places, minlength=groups)
    means: Matrix = np.bincount(places, weights=values, minlength=groups) / np.maximum(counts, 1)
    return means


def _chance(values: Matrix, places: np.ndarray[tuple[int], np.dtype[np.int64]], groups: int) -> float:
    """Share of random orders of the values that spread the groups at least as far as the real one; ranks, so no day rules."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    random = np.random.default_rng(len(values))
    real = _spread(ranks, places, groups)
    wider = sum(_spread(random.permutation(ranks), places, groups) >= real for _ in range(ORDERS))
    return (wider + 1) / (ORDERS + 1)


def _spread(values: Matrix, places: np.ndarray[tuple[int], np.dtype[np.int64]], groups: int) -> float:
    means, counts = _means(values, places, groups), np.bincount(places, minlength=groups)
    return float((counts * (means - values.mean()) ** 2).sum())


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
