"""UTC days, calendar months and half-open windows. Instants are UTC; only display knows other zones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month. ``str(Month(2026, 10)) == "2026-10"``."""

    year: int
    number: int

    @classmethod
    def of(cls, day: dt.date) -> Month:
        """The month that ``day`` is in."""
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text: str) -> Month:
        """From ``YYYY-MM`` or a first-of-month ``YYYY-MM-DD``. Raises ValueError."""
        day = dt.date.fromisoformat(text if len(text) > 7 else f"{text}-01")
        return cls.of(day)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def first_day(self) -> dt.date:
        """First day of the month."""
        return dt.date(self.year, self.number, 1)

    @property
    def end(self) -> dt.date:
        """First day after the month (exclusive end)."""
        return self.next.first_day

    @property
    def last_day(self) -> dt.date:
        """Last day of the month."""
        return self.end - dt.timedelta(days=1)

    @property
    def days_count(self) -> int:
        """Days of the month."""
        return (self.end - self.first_day).days

    @property
    def next(self) -> Month:
        """The month after."""
        return Month(self.year + 1, 1) if self.number == 12 else Month(self.year, self.number + 1)

    @property
    def previous(self) -> Month:
        """The month before."""
        return Month(self.year - 1, 12) if self.number == 1 else Month(self.year, self.number - 1)

    def days(self) -> Iterator[dt.date]:
        """The month's days in order."""
        return days_between(self.first_day, self.end)


def days_between(start: dt.date, end: dt.date) -> Iterator[dt.date]:
    """Days of the half-open window ``[start, end)``."""
    for offset in range((end - start).days):
        yield start + dt.timedelta(days=offset)


def day_start(day: dt.date) -> dt.datetime:
    """Midnight UTC at which ``day`` begins."""
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


def contiguous_ranges(days: set[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Inclusive ``(first, last)`` runs of consecutive days, in order."""
    ranges: list[tuple[dt.date, dt.date]] = []
    for day in sorted(days):
        if ranges and day - ranges[-1][1] == dt.timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges
