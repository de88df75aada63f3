"""How Northwind collects its bills: every two weeks, reaching back a few days, in pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from usage_etl.demo.bill import BillKey, BillLine, Lines
from usage_etl.demo.scenario import Scenario
from usage_etl.periods import days_between

_EVERY_DAYS = 14
_TRAILING_DAYS = 3
_DAYS_PER_PAGE = 10
_IDLE_DAYS_BEFORE = 2


@dataclass(frozen=True)
class Page:
    """One page of one pull: days in order, and whether more pages follow. The last day of a pull may be unfinished."""

    pulled_on: dt.date
    number: int
    days: tuple[dt.date, ...]
    has_more: bool
    unfinished_day: dt.date | None

    def file_name(self, stem: str) -> str:
        """Names sort in the order of the pulls."""
        return f"{stem}_{self.pulled_on}_page_{self.number}.json"

    def next_page(self) -> str | None:
        """The provider's cursor to the following page."""
        return f"page_{self.days[-1]:%Y%m%d}Zx{self.number:02d}" if self.has_more else None

    def lines(self, by_day: dict[dt.date, Lines], day: dt.date) -> list[tuple[BillKey, BillLine]]:
        """The day's lines as known at the time of the pull."""
        found = by_day.get(day, [])
        return [(key, line.half()) for key, line in found] if day == self.unfinished_day else found


def pages(scenario: Scenario) -> Iterator[Page]:
    """Every page of every pull, in the order in which they were saved."""
    start = scenario.first_day - dt.timedelta(days=_IDLE_DAYS_BEFORE)
    while start < scenario.end:
        end = min(start + dt.timedelta(days=_EVERY_DAYS), scenario.end)
        first = max(start - dt.timedelta(days=_TRAILING_DAYS), scenario.first_day - dt.timedelta(days=_IDLE_DAYS_BEFORE))
        days = list(days_between(first, end))
        is_final = end == scenario.end
        pulled_on = end if is_final else end - dt.timedelta(days=1)
        chunks = [tuple(days[at : at + _DAYS_PER_PAGE]) for at in range(0, len(days), _DAYS_PER_PAGE)]
        for number, chunk in enumerate(chunks, start=1):
            yield Page(pulled_on, number, chunk, number < len(chunks), None if is_final else pulled_on)
        start = end
