"""Exchange rates of a day: the newest published by then, with its date and source."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import polars as pl


@dataclass(frozen=True)
class Rate:
    """How much of one currency a unit of another buys. ``date`` and ``source`` are None where nothing is converted."""

    factor: Fraction
    rate: Decimal | None = None
    date: dt.date | None = None
    source: str | None = None


SAME = Rate(Fraction(1))


class Rates:
    """DIM_FX_RATE rows, asked for by currencies and day."""

    def __init__(self, fx_rates: pl.DataFrame, *, max_age_days: int) -> None:
        self._max_age_days = max_age_days
        self._by_pair: dict[tuple[str, str], list[tuple[dt.date, str, Decimal]]] = {}
        columns = ("from_currency", "to_currency", "rate_date", "rate_source", "rate")
        for from_currency, to_currency, *row in fx_rates.select(columns).sort(columns[:4]).iter_rows():
            self._by_pair.setdefault((from_currency, to_currency), []).append((row[0], row[1], row[2]))

    def newest(self, from_currency: str, to_currency: str, day: dt.date) -> Rate | None:
        """The newest rate on ``day`` that is not too old; of several of one date the first by name of its source."""
        if from_currency == to_currency:
            return SAME
        rows = self._by_pair.get((from_currency, to_currency), [])
        dates = [date for date, _, rate in rows if date <= day and (day - date).days <= self._max_age_days and rate > 0]
        if not dates:
            return None
        date, source, rate = next(row for row in rows if row[0] == max(dates) and row[2] > 0)
        return Rate(Fraction(rate), rate, date, source)

    def factor(self, from_currency: str, to_currency: str, day: dt.date, *, through: str) -> Fraction | None:
        """What weights are converted by: a rate, the inverse of one, or both by way of the currency ``through``."""
        direct = self._either_way(from_currency, to_currency, day)
        if direct is not None:
            return direct
        first, second = self._either_way(from_currency, through, day), self._either_way(through, to_currency, day)
        return None if first is None or second is None else first * second

    def problem(self, from_currency: str, to_currency: str, day: dt.date, what: str) -> str:
        """Why ``what`` cannot be converted, and what to do."""
        known = [date for date, _, _ in self._by_pair.get((from_currency, to_currency), []) if date <= day]
        newest = f"; the newest is of {max(known)}, older than {self._max_age_days} days" if known else ""
        return (
            f"{what}: finance/fx_rates.csv has no rate from {from_currency} to {to_currency} for {day}{newest}; "
            "add the rate, or set allocation.currency to null"
        )

    def _either_way(self, from_currency: str, to_currency: str, day: dt.date) -> Fraction | None:
        found = self.newest(from_currency, to_currency, day)
        if found is not None:
            return found.factor
        inverse = self.newest(to_currency, from_currency, day)
        return None if inverse is None else 1 / inverse.factor
