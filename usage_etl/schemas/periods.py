"""Periods: which provider's month is closed, by which closing, and where what arrives later is booked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from usage_etl.periods import Month

ALL_OTHERS = "*"
"""Provider of the closing that ends a month as a whole: every provider without a closing of its own has no line in the month,
whatever arrives later."""

CLOSED, REOPENED = "closed", "reopened"


@dataclass(frozen=True)
class Closing:
    """One closing of one provider's month, as the period book says it now."""

    provider_name: str
    month: Month
    number: int
    """1 for the first closing of the provider's month."""
    closed_at: dt.datetime
    closed_by: str
    lines_count: int
    lines_sha256: str
    """Of the closing's lines in mart_chargeback_closed; see ``booking.lines_sha256``."""
    totals: Mapping[str, str] = field(default_factory=dict)
    """Currency to exact sum of ``allocated_cost``."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What the lines were made from: name to sha256."""
    gates: tuple[str, ...] = ()
    """What held when it was closed, one sentence each."""
    status: str = CLOSED
    reopened_at: dt.datetime | None = None
    reopened_by: str | None = None
    reopened_reason: str | None = None

    @property
    def is_in_force(self) -> bool:
        """Whether it was not reopened."""
        return self.status == CLOSED

    def reopened(self, *, at: dt.datetime, by: str, reason: str) -> Closing:
        """The same closing after it was reopened."""
        return replace(self, status=REOPENED, reopened_at=at, reopened_by=by, reopened_reason=reason)


class Periods:
    """The closings as they stand: a pure view that booking, gates and publications ask."""

    def __init__(self, closings: Iterable[Closing] = ()) -> None:
        self.closings = tuple(closings)
        """All of them, reopened ones too."""
        self._last: dict[tuple[str, Month], Closing] = {}
        for closing in self.closings:
            key = (closing.provider_name, closing.month)
            if key not in self._last or self._last[key].number < closing.number:
                self._last[key] = closing

    def __iter__(self) -> Iterator[Closing]:
        """Closings in force, by month and provider."""
        standing = (closing for closing in self._last.values() if closing.is_in_force)
        return iter(sorted(standing, key=lambda closing: (closing.month, closing.provider_name)))

    def last(self, provider_name: str, month: Month) -> Closing | None:
        """The newest closing of a provider's month, reopened or not."""
        return self._last.get((provider_name, month))

    def in_force(self, provider_name: str, month: Month) -> Closing | None:
        """The closing whose lines are the provider's month; None where there is none."""
        found = self.last(provider_name, month)
        return found if found is not None and found.is_in_force else None

    def is_sealed(self, month: Month) -> bool:
        """Whether the month was ended as a whole: providers without a closing of their own have no line in it."""
        return self.in_force(ALL_OTHERS, month) is not None

    def is_closed(self, provider_name: str, month: Month) -> bool:
        """Whether nothing can be booked for the provider in the month any more."""
        own = self.last(provider_name, month)
        return own.is_in_force if own is not None else self.is_sealed(month)

    def is_month_closed(self, month: Month) -> bool:
        """Whether the month as a whole is closed: its published files never change."""
        reopened = any(found.month == month and not found.is_in_force for found in self._last.values())
        return self.is_sealed(month) and not reopened

    def first_open_after(self, provider_name: str, month: Month) -> Month:
        """The first month after ``month`` in which something can be booked for the provider."""
        later = month.next
        while self.is_closed(provider_name, later):
            later = later.next
        return later

    def closed_run_before(self, provider_name: str, month: Month) -> list[Month]:
        """Closed months whose corrections are booked in ``month``: those right before it, the oldest first."""
        run: list[Month] = []
        earlier = month.previous
        while self.is_closed(provider_name, earlier):
            run.append(earlier)
            earlier = earlier.previous
        return run[::-1]

    def status_of(self, provider_name: str, month: Month, *, as_of: dt.date) -> str:
        """Open, preliminary or closed. ``as_of`` is the last complete day."""
        if self.is_closed(provider_name, month):
            return CLOSED
        return running_status(month, as_of=as_of)

    def month_status(self, month: Month, *, as_of: dt.date) -> str:
        """Status of the month as a whole, as its files say it."""
        return CLOSED if self.is_month_closed(month) else running_status(month, as_of=as_of)

    def of_month(self, month: Month) -> dict[str, dict[str, str | int]]:
        """Provider to status and number of its newest closing: what a manifest says under ``periods``."""
        found = {provider: closing for (provider, of_month), closing in self._last.items() if of_month == month}
        return {
            provider: {"status": found[provider].status, "closing_number": found[provider].number} for provider in sorted(found)
        }


def running_status(month: Month, *, as_of: dt.date) -> str:
    """Open while days of the month are still to come, preliminary after that. ``as_of`` is the last complete day."""
    return "open" if as_of < month.last_day else "preliminary"
