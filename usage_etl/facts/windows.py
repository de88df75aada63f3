"""Windows of the cube: which hours and days each covers, and the period before that it is compared with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from usage_etl.periods import Month, day_start, days_between

DAY = dt.timedelta(days=1)
WEEK = dt.timedelta(days=7)
_DAYS = {"days_7": 7, "days_14": 14, "days_30": 30}
_MONTHS = {"months_3": 3, "months_12": 12}


@dataclass(frozen=True)
class Window:
    """Instants ``[start, end)`` with the compared ones ``[previous_start, previous_end)``; those are None where nothing is."""

    name: str
    start: dt.datetime
    end: dt.datetime
    previous_start: dt.datetime | None = None
    previous_end: dt.datetime | None = None

    def alone(self) -> Window:
        """The same window, compared with nothing."""
        return Window(self.name, self.start, self.end)

    @property
    def is_hourly(self) -> bool:
        """Whether the window is made of hours: it may begin within a day."""
        return self.name == "day_24h"


def month_windows(
    month: Month, *, through_date: dt.date, first_covered: dt.date, ends_at: dt.datetime | None = None
) -> list[Window]:
    """The windows that end with ``through_date``, a day of ``month``; ``all`` begins with ``first_covered``.

    Windows of months begin on the day after the same day three or twelve months before. The 24 hours end at ``ends_at``,
    midnight after ``through_date`` unless given. The month is compared with the same days of the month before; every other
    window with the instants a whole number of weeks before, the fewest with which the two do not overlap. So both have the
    same length and the same weekdays. ``all`` is compared with nothing.
    """
    end = through_date + DAY
    newest = ends_at or day_start(end)
    windows = [_weekly("day_24h", newest - DAY, newest)]
    windows += [_weekly(name, day_start(end - count * DAY), day_start(end)) for name, count in _DAYS.items()]
    windows += [_weekly(name, day_start(_months_before(end, count)), day_start(end)) for name, count in _MONTHS.items()]
    before = month.previous
    before_days = min(through_date.day, before.days_count)
    windows.append(
        Window(
            "month", day_start(month.first_day), day_start(end),
            day_start(before.first_day), day_start(before.first_day + before_days * DAY),
        )
    )  # fmt: skip
    windows.append(Window("all", day_start(min(first_covered, through_date)), day_start(end)))
    return windows


def custom_window(name: str, first: dt.date, last: dt.date) -> Window:
    """The days ``first`` to ``last``, both included. Raises ValueError where ``last`` is before ``first``."""
    if last < first:
        raise ValueError(f"the last day {last} is before the first day {first}")
    return _weekly(name, day_start(first), day_start(last + DAY))


def _weekly(name: str, start: dt.datetime, end: dt.datetime) -> Window:
    shift = -(-(end - start) // WEEK) * WEEK
    return Window(name, start, end, start - shift, end - shift)


def _months_before(day: dt.date, count: int) -> dt.date:
    """The day of the same number ``count`` months before; the month's last day where it has no such day."""
    month = Month.of(day)
    for _ in range(count):
        month = month.previous
    return month.first_day.replace(day=min(day.day, month.days_count))


@dataclass(frozen=True)
class Segments:
    """The pieces of time that windows are made of: usage is summed once per piece, and each window is a set of them."""

    days: pl.DataFrame
    """usage_date to ``segment``."""
    hours: pl.DataFrame
    """hour_start_at to ``segment``, of windows that are made of hours."""
    windows: pl.DataFrame
    """segment, window and is_previous: which pieces a window and the period before it have."""

    def whole_days(self) -> pl.DataFrame:
        """usage_date to ``segment``, also of pieces of hours, where they hold all hours of the day."""
        by_day = self.hours.group_by(pl.col("hour_start_at").dt.date().alias("usage_date"), "segment").agg(pl.len())
        return pl.concat([self.days, by_day.filter(pl.col("len") == 24).select("usage_date", "segment")])


def segments(windows: Sequence[Window]) -> Segments:
    """Pieces of ``windows``: cut wherever one of them, or a period before, begins or ends."""
    daily = [window for window in windows if not window.is_hourly]
    hourly = [window for window in windows if window.is_hourly]
    day_pieces, day_windows = _cut(daily, first_number=0)
    hour_pieces, hour_windows = _cut(hourly, first_number=len(day_pieces))
    days = [(day, number) for number, (start, end) in day_pieces for day in days_between(start.date(), end.date())]
    hours = [
        (start + hour * dt.timedelta(hours=1), number)
        for number, (start, end) in hour_pieces
        for hour in range(_hours(start, end))
    ]
    return Segments(
        pl.DataFrame(days, schema={"usage_date": pl.Date, "segment": pl.Int16}, orient="row"),
        pl.DataFrame(hours, schema={"hour_start_at": pl.Datetime("us", "UTC"), "segment": pl.Int16}, orient="row"),
        pl.DataFrame(
            [*day_windows, *hour_windows],
            schema={"segment": pl.Int16, "window": pl.String, "is_previous": pl.Boolean},
            orient="row",
        ),
    )  # fmt: skip


def _hours(start: dt.datetime, end: dt.datetime) -> int:
    return (end - start) // dt.timedelta(hours=1)


Piece = tuple[int, tuple[dt.datetime, dt.datetime]]


def _cut(windows: Iterable[Window], *, first_number: int) -> tuple[list[Piece], list[tuple[int, str, bool]]]:
    spans = [(window.name, False, window.start, window.end) for window in windows]
    spans += [
        (window.name, True, window.previous_start, window.previous_end)
        for window in windows
        if window.previous_start is not None and window.previous_end is not None
    ]
    cuts = sorted({instant for _, _, start, end in spans for instant in (start, end)})
    pieces: list[Piece] = []
    belongs: list[tuple[int, str, bool]] = []
    for start, end in pairwise(cuts):
        number = first_number + len(pieces)
        owners = [(number, name, is_previous) for name, is_previous, first, last in spans if first <= start and end <= last]
        if owners:
            pieces.append((number, (start, end)))
            belongs += owners
    return pieces, belongs
