"""When the demo's story happens. Every date follows from the first and the last day, so any window tells the same story."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from usage_etl.periods import Month, days_between


@dataclass(frozen=True)
class Scenario:
    """The window of the demo and the dates of its events; an event outside the window simply does not happen."""

    seed: int
    first_day: dt.date
    as_of: dt.date
    """Last day with data."""
    volume: float = 1.0
    """Share of the usual traffic; tests that need every event but not every request take less."""

    @classmethod
    def of(cls, *, seed: int, days: int, as_of: dt.date, volume: float = 1.0) -> Scenario:
        """The scenario of ``days`` days that end with ``as_of``. Raises ValueError for fewer than one day or no volume."""
        if days < 1:
            raise ValueError(f"days must be at least 1 (found {days})")
        if not 0 < volume <= 1:
            raise ValueError(f"volume must be above 0 and at most 1 (found {volume})")
        return cls(seed=seed, first_day=as_of - dt.timedelta(days=days - 1), as_of=as_of, volume=volume)

    def random(self, *purpose: object) -> Random:
        """A source of chance for one purpose, the same in every process; purposes do not disturb each other."""
        return Random("/".join(map(str, (self.seed, *purpose))))  # noqa: S311 - a reproducible story, not a secret

    @property
    def end(self) -> dt.date:
        """First day without data."""
        return self.as_of + dt.timedelta(days=1)

    @property
    def days_count(self) -> int:
        """Days with data."""
        return (self.end - self.first_day).days

    def days(self) -> Iterator[dt.date]:
        """Every day with data, in order."""
        return days_between(self.first_day, self.end)

    def covers(self, day: dt.date) -> bool:
        """Whether ``day`` has data."""
        return self.first_day <= day <= self.as_of

    def back(self, days: int) -> dt.date:
        """The day ``days`` before the last one."""
        return self.as_of - dt.timedelta(days=days)

    @property
    def current_month(self) -> Month:
        """Month of the last day."""
        return Month.of(self.as_of)

    @property
    def previous_month(self) -> Month:
        """The last month that is over."""
        return self.current_month.previous

    @property
    def contract_start(self) -> dt.date:
        """From this day a negotiated price holds for one model."""
        return self.previous_month.first_day

    @property
    def team_move(self) -> dt.date:
        """On this day, mid-month, one person changes team."""
        return self.previous_month.first_day.replace(day=15)

    @property
    def batch_start(self) -> dt.date:
        """From this day nightly work goes through the providers' batch processing."""
        return self.previous_month.first_day.replace(day=19)

    @property
    def late_day(self) -> dt.date:
        """A day of the previous month whose log is not complete when first delivered."""
        return self.previous_month.first_day.replace(day=23)

    @property
    def late_delivery(self) -> dt.date:
        """The day on which the rest of ``late_day`` arrives."""
        return self.current_month.first_day.replace(day=3)

    @property
    def outage(self) -> dt.date:
        """On this afternoon one provider fails a large share of calls."""
        return self.previous_month.first_day.replace(day=27)

    @property
    def outage_credit(self) -> dt.date:
        """The provider says sorry with a credit."""
        return self.current_month.first_day.replace(day=4)

    @property
    def promotional_credit(self) -> dt.date:
        """Another provider grants a credit."""
        return self.previous_month.previous.first_day.replace(day=15)

    @property
    def key_rotation(self) -> dt.date:
        """The old key's first day of silence, and the new key's first day."""
        return self.back(52)

    @property
    def gateway_upgrade(self) -> dt.date:
        """At 10:00 UTC on this day the gateway starts to write metadata as an object instead of a JSON string."""
        return self.back(64)

    @property
    def self_hosted_trial(self) -> dt.date:
        """From this day one team tries a model that no price list knows."""
        return self.back(14)

    @property
    def runaway_days(self) -> tuple[dt.date, ...]:
        """A script with one key calls the dearest model in a loop, overnight."""
        return (self.back(8), self.back(7))
