"""Why billed and metered cost differ: each row's difference in named parts that add up to it exactly.

The steps, in their order; each takes its part of the difference and leaves the rest to the next. docs/tie_out.md works an
example of each.

1. credits: the row's credit lines.
2. timezone_cut: usage as the provider cuts days and months, minus usage by UTC days, at our prices.
3. missing_logs: all of the rest on a day of which no source delivered any usage of the provider.
4. unmapped_meter: all of the rest of lines that name no model we know and that no usage stands beside.
5. price_difference: billed minus billed quantity at our price. Our price of a line is the one of the row's usage, or of the
   price book for the model, token class and price class on the day, that comes closest to the line's own; where none explains
   the line, the average of the row's usage.
6. tier_or_batch: within one token class, tokens that one side has more of at one price and the other side at another.
7. cache_semantics: then the same between the classes of input.
8. bypassed_gateway: tokens that are still billed beyond usage, at our price: as far as the provider's own usage report counted
   them too; where it delivered none for the day, as far as the line's price is ours. not_billed: tokens used beyond the bill.
9. rounding: what is left, when it is no more than the lines can have been rounded by. Everything else is unexplained.

Where lines name no quantity, the provider's usage report stands for them in 5 to 8. Without one, costs alone are compared: what
is billed nothing is not_billed, and any other difference is rounding or unexplained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from usage_etl.allocation.tie_out_bills import BilledGroup, RowKey
from usage_etl.allocation.tie_out_rows import Entry
from usage_etl.remainder import round_half_even
from usage_etl.schemas.tie_out import RESIDUAL_CAUSES
from usage_etl.units import INPUT_TOKEN_CLASSES, TOKEN_CLASSES

Causes = dict[str, int]
"""Attos by cause; the rest of the difference is unexplained."""

_ATTOS_LOST = 1000
"""What the division of usage among accounts may leave, far below any digit that a bill shows."""
_OTHER_UNIT = 100
"""A line whose price is a hundred times ours, or a hundredth, counts something else than tokens."""
_LARGEST = 10**34
"""Attos beyond which a quantity at our price is no sum of money that anybody bills."""

BookRates = Callable[[RowKey], list[tuple[bool, Fraction]]]
"""Prices in force for a row: (whether it is the model's base price, the price of a token)."""


@dataclass(frozen=True)
class Period:
    """What is known of one provider's day (or month, where it is compared as a whole)."""

    has_logs: bool
    """Whether any usage of the provider was delivered."""
    has_report: bool
    """Whether its own usage report was."""
    metered_rows: frozenset[RowKey]
    """Rows that usage stands in on some day of the month."""
    book: BookRates


class Cell(NamedTuple):
    """Tokens of one row at one of our prices; ``is_ours`` says that they were billed at it."""

    key: RowKey
    rate: Fraction
    is_ours: bool


@dataclass
class _Family:
    """Rows of one model in one account: what they have more or fewer of, in attos of tokens, by price."""

    excess: defaultdict[Cell, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    effects: defaultdict[RowKey, defaultdict[str, Fraction]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Fraction))
    )

    def move(self, cause: str, classes: Iterable[str]) -> None:
        """Books tokens that stand in other cells on either side under ``cause``, as many as both have."""
        wanted = set(classes)
        cells = [cell for cell in self.excess if cell.key.token_class in wanted]
        more = sum((self.excess[cell] for cell in cells if self.excess[cell] > 0), Fraction(0))
        fewer = -sum((self.excess[cell] for cell in cells if self.excess[cell] < 0), Fraction(0))
        moved = min(more, fewer)
        if not moved:
            return
        for cell in cells:
            quantity = self.excess[cell]
            part = quantity * moved / (more if quantity > 0 else fewer)
            self.effects[cell.key][cause] += part * cell.rate
            self.excess[cell] -= part


def explain(entries: Mapping[RowKey, Entry], period: Period) -> dict[RowKey, Causes]:
    """Causes of the rows of one model in one account and currency; ``entries`` are all of them in the period."""
    causes: dict[RowKey, Causes] = {key: dict.fromkeys(RESIDUAL_CAUSES, 0) for key in entries}
    family = _Family()
    for key, entry in entries.items():
        found = causes[key]
        found["credits"] = entry.credits
        found["timezone_cut"] = (entry.cut.attos or 0) - (entry.metered.attos or 0)
        rest = entry.gross - (entry.cut.attos or 0)
        if key.model is None and key not in period.metered_rows:
            found["unmapped_meter"] = rest
        elif not period.has_logs:
            found["missing_logs"] = rest
        else:
            _compare(key, entry, period, family)
    for token_class in TOKEN_CLASSES:
        family.move("tier_or_batch", [token_class])
    family.move("cache_semantics", INPUT_TOKEN_CLASSES)
    _volume(family, entries, period)
    for key, effects in family.effects.items():
        for cause, attos in effects.items():
            causes[key][cause] += round_half_even(attos)
    for key, entry in entries.items():
        _round_off(causes[key], entry)
    return causes


def unexplained(entry: Entry, causes: Causes) -> int:
    """What is left of billed minus metered, in attos."""
    return entry.gross + entry.credits - (entry.metered.attos or 0) - sum(causes.values())


def _round_off(causes: Causes, entry: Entry) -> None:
    left = unexplained(entry, causes)
    if abs(left) <= sum(line.rounding for line in entry.lines) + _ATTOS_LOST:
        causes["rounding"] += left


def _compare(key: RowKey, entry: Entry, period: Period, family: _Family) -> None:
    """Prices of one row, and its excess of tokens over usage."""
    names_tokens = key.model is not None and key.token_class in TOKEN_CLASSES
    cells = _billed_cells(key, entry, period) if names_tokens and not entry.cut.is_unpriced else None
    if cells is None:
        _compare_costs(key, entry, family)
        return
    for cell, quantity in cells.quantities.items():
        family.excess[cell] += quantity
    for rate, used in entry.cut.cells.items():
        family.excess[Cell(key, rate, is_ours=True)] -= used
    if abs(cells.price_effect) > cells.rounding:
        family.effects[key]["price_difference"] += cells.price_effect


@dataclass
class _Billed:
    """A row's billed tokens by our price, what they were billed beyond it, and how much of that may be rounding."""

    quantities: defaultdict[Cell, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    price_effect: Fraction = Fraction(0)
    rounding: int = 0


def _billed_cells(key: RowKey, entry: Entry, period: Period) -> _Billed | None:
    """From the lines, else from the provider's report; None where neither names tokens that have a price of ours."""
    found = _Billed()
    if all(line.quantity is not None for line in entry.lines):
        for line in entry.lines:
            priced = _our_price(key, line, entry, period)
            if priced is None:
                return None
            rate, is_ours = priced
            found.quantities[Cell(key, rate, is_ours)] += line.quantity or 0
            if not is_ours:
                found.price_effect += line.attos - rate * (line.quantity or 0)
        return found
    if entry.reported.attos is None or entry.reported.is_unpriced:
        return None
    for rate, quantity in entry.reported.cells.items():
        found.quantities[Cell(key, rate, is_ours=True)] += quantity
    found.price_effect = Fraction(entry.gross - entry.reported.attos)
    found.rounding = sum(line.rounding for line in entry.lines)
    return found


def _our_price(key: RowKey, line: BilledGroup, entry: Entry, period: Period) -> tuple[Fraction, bool] | None:
    """(Price of a token, whether the line was billed at it); None where we have no price, or the line counts something else."""
    if not line.quantity:
        return (Fraction(0), True) if not line.attos else None
    own = Fraction(line.attos, line.quantity)
    book = period.book(key)
    known = [rate for side in (entry.cut, entry.reported) for rate in side.cells] + [rate for _, rate in book]
    closest = min(known, key=lambda rate: abs(rate - own), default=None)
    if closest is not None and abs(line.attos - closest * line.quantity) <= line.rounding:
        return closest, True
    rate = _average(entry) or min((rate for is_base, rate in book if is_base), default=closest)
    if rate is None or abs(rate * line.quantity) > _LARGEST:
        return None
    is_token_price = own == 0 or rate / _OTHER_UNIT < own < rate * _OTHER_UNIT
    return (rate, False) if is_token_price else None


def _average(entry: Entry) -> Fraction | None:
    """Average price of the row's usage, or of the provider's report of it."""
    for side in (entry.cut, entry.reported):
        tokens = sum(side.cells.values())
        if tokens:
            return sum((rate * quantity for rate, quantity in side.cells.items()), Fraction(0)) / tokens
    return None


def _compare_costs(key: RowKey, entry: Entry, family: _Family) -> None:
    """A row without comparable tokens: what the bill does not charge, and what the provider's report says of the rest."""
    effects, cut = family.effects[key], entry.cut.attos or 0
    rest = entry.gross - cut
    if not entry.gross:
        effects["not_billed"] += rest
    elif entry.reported.attos is not None and not (entry.reported.is_unpriced or entry.cut.is_unpriced):
        price = entry.gross - entry.reported.attos
        if abs(price) > sum(line.rounding for line in entry.lines):
            effects["price_difference"] += price
        volume = entry.reported.attos - cut
        effects["bypassed_gateway" if volume > 0 else "not_billed"] += volume


def _volume(family: _Family, entries: Mapping[RowKey, Entry], period: Period) -> None:
    """Tokens billed beyond usage, and used beyond the bill."""
    confirmed = {name: _confirmed_ratio(name, family, entries) for name in TOKEN_CLASSES} if period.has_report else {}
    for cell, quantity in family.excess.items():
        effects = family.effects[cell.key]
        if quantity < 0:
            effects["not_billed"] += quantity * cell.rate
        elif quantity > 0:
            ratio = confirmed.get(cell.key.token_class or "", Fraction(int(cell.is_ours)))
            effects["bypassed_gateway"] += quantity * cell.rate * ratio


def _confirmed_ratio(token_class: str, family: _Family, entries: Mapping[RowKey, Entry]) -> Fraction:
    """How much of a class's surplus the provider's own report counted beyond the gateway, 0 to 1."""
    of_class = (quantity for cell, quantity in family.excess.items() if cell.key.token_class == token_class)
    surplus = sum((quantity for quantity in of_class if quantity > 0), Fraction(0))
    if not surplus:
        return Fraction(0)
    beyond = sum(
        (entry.reported.quantity or 0) - (entry.cut.quantity or 0)
        for key, entry in entries.items()
        if key.token_class == token_class
    )
    return min(Fraction(1), max(Fraction(0), beyond / surplus))
