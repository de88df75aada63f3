"""Lays one set of prices over another: where the stronger one is in force it replaces the weaker from its band on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from usage_etl.pricing.price import RATE_COLUMNS, WHOLE_DAY, Price


def layered(listed: Sequence[Price], agreed: Sequence[Price]) -> Iterator[Price]:
    """Weaker and stronger prices of one model, price class and region as rows that do not overlap.

    Where the stronger is in force it replaces the weaker from its lowest context band on; lower bands stay. A rate that
    the stronger leaves empty is the weaker's rate of the same band.
    """
    for cell in _cells((*listed, *agreed)):
        at_list = [price for price in listed if cell.holds(price)]
        on_top = [price for price in agreed if cell.holds(price)]
        first_band = min((price.context_min_tokens for price in on_top), default=None)
        for price in at_list:
            if first_band is None or price.context_min_tokens < first_band:
                yield cell.cut(price)
        for price in on_top:
            below = _of_band(at_list, price.context_min_tokens)
            rates = tuple(weak if own is None else own for own, weak in zip(price.rates, _rates(below), strict=True))
            assumes = below is not None and below.is_cache_at_input_rate
            yield replace(cell.cut(price), rates=rates, is_cache_at_input_rate=assumes)


def with_units(prices: Sequence[Price], fees: Sequence[Price]) -> Iterator[Price]:
    """``prices`` of one model and price class, then one row more for each unit of ``fees``: the same rates, and the unit's.

    Where a model is billed by units only, their rows have no rates of tokens.
    """
    yield from prices
    for unit in dict.fromkeys(fee.unit for fee in fees):
        own = [fee for fee in fees if fee.unit == unit]
        if not prices:
            yield from own
        for price in prices:
            for cell in _cells((price, *own)):
                fee = next((one for one in own if cell.holds(one)), None)
                if fee is not None and cell.holds(price):
                    yield cell.cut(_with_unit(price, fee))


def _with_unit(price: Price, fee: Price) -> Price:
    provenance = price.provenance
    if fee.price_source != price.price_source:
        provenance = f"{price.provenance or price.price_source}; {fee.unit}: {fee.price_source} {fee.price_source_version}"
    return replace(price, unit=fee.unit, per_unit=fee.per_unit, unit_count=fee.unit_count, provenance=provenance)


class _Cell(NamedTuple):
    """A span of days and of minutes in which no price begins or ends."""

    start: dt.datetime
    end: dt.datetime | None
    from_minute: int
    to_minute: int

    def holds(self, price: Price) -> bool:
        return price.is_in_force(self.start, self.from_minute)

    def cut(self, price: Price) -> Price:
        return replace(price, valid_from=self.start, valid_to=self.end, from_minute=self.from_minute, to_minute=self.to_minute)


def _cells(prices: Iterable[Price]) -> Iterator[_Cell]:
    known = list(prices)
    instants = sorted({edge for price in known for edge in (price.valid_from, price.valid_to) if edge is not None})
    minutes = sorted({0, *(minute for price in known for minute in (price.from_minute, price.to_minute) if minute < WHOLE_DAY)})
    for start, end in zip(instants, [*instants[1:], None], strict=True):
        for from_minute, to_minute in zip(minutes, [*minutes[1:], WHOLE_DAY], strict=True):
            yield _Cell(start, end, from_minute, to_minute)


def _of_band(prices: Sequence[Price], context_min_tokens: int) -> Price | None:
    """The price of requests of the band; None where nothing is listed."""
    reached = [price for price in prices if price.context_min_tokens <= context_min_tokens]
    return max(reached, key=lambda price: price.context_min_tokens, default=None)


def _rates(price: Price | None) -> tuple[Decimal | None, ...]:
    return price.rates if price else (None,) * len(RATE_COLUMNS)
