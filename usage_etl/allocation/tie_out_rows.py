"""Rows of the tie-out: which lines of a bill a piece of usage stands beside, and in which parts."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from usage_etl.allocation.tie_out_bills import BilledGroup, RowKey
from usage_etl.allocation.tie_out_usage import Used
from usage_etl.remainder import ATTOS, round_shares


@dataclass
class Side:
    """Usage that stands in one row on one day, in attos. None is absent, never zero."""

    attos: int | None = None
    quantity: int | None = None
    cells: defaultdict[Fraction, int] = field(default_factory=lambda: defaultdict(int))
    """Price of a token in currency units to how many (in attos) were used at it."""
    is_unpriced: bool = False
    """Whether some of the usage has no price."""

    def add(self, used: Used, attos: int | None, quantity: int) -> None:
        """One more piece of usage, or one account's part of it."""
        if attos is None:
            self.is_unpriced = True
        else:
            self.attos = (self.attos or 0) + attos
        if used.tokens:
            self.quantity = (self.quantity or 0) + quantity
        if used.rate is not None:
            self.cells[used.rate] += quantity

    def merge(self, other: Side) -> None:
        """Adds another day."""
        if other.attos is not None:
            self.attos = (self.attos or 0) + other.attos
        if other.quantity is not None:
            self.quantity = (self.quantity or 0) + other.quantity
        for rate, quantity in other.cells.items():
            self.cells[rate] += quantity
        self.is_unpriced |= other.is_unpriced


@dataclass
class Entry:
    """One row on one day, or in a month that is compared as a whole."""

    lines: list[BilledGroup] = field(default_factory=list)
    """Usage lines of the bill."""
    credits: int = 0
    metered: Side = field(default_factory=Side)
    """The gateway's log by UTC days."""
    cut: Side = field(default_factory=Side)
    """The same as the provider cuts days and months; equal to ``metered`` where that is UTC."""
    reported: Side = field(default_factory=Side)
    """The provider's own usage report."""

    @property
    def gross(self) -> int:
        """Billed usage in attos, credits apart."""
        return sum(line.attos for line in self.lines)

    @property
    def billed_quantity(self) -> int | None:
        """Tokens that the lines name, in attos; None where they name none."""
        known = [line.quantity for line in self.lines if line.quantity is not None]
        return sum(known) if known else None

    def merge(self, other: Entry) -> None:
        """Adds another day."""
        self.lines.extend(other.lines)
        self.credits += other.credits
        self.metered.merge(other.metered)
        self.cut.merge(other.cut)
        self.reported.merge(other.reported)


Kind = tuple[str | None, str | None]
"""(token class, price class) as a bill names them."""
Slot = tuple[str, str | None]
"""(account, meter): who billed a kind."""


@dataclass
class _Bill:
    """What one provider billed for usage in one currency."""

    models: defaultdict[str | None, dict[Kind, dict[Slot, dict[dt.date, int]]]] = field(default_factory=lambda: defaultdict(dict))
    accounts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, line: BilledGroup) -> None:
        self.accounts[line.account] += abs(line.attos)
        if not line.is_tool:
            kind = self.models[line.model].setdefault((line.token_class, line.processing), {})
            days = kind.setdefault((line.account, line.meter), {})
            days[line.day] = days.get(line.day, 0) + abs(line.attos)


class Places:
    """Where usage stands beside the bill.

    Usage belongs to the lines that name its model, token class and price class; where the bill is coarser, to those that name
    no price class, else no token class, else no model. What no line is for has a row of its own, billed 0. Where a row has
    several accounts, usage whose source account is one of them is that account's; other usage is divided in proportion to
    what each billed for the row on the day, else in the month, else evenly.
    """

    def __init__(self, groups: Iterable[BilledGroup], organization_currency: str) -> None:
        self._bills: defaultdict[tuple[str, str], _Bill] = defaultdict(_Bill)
        self._currency = organization_currency
        for group in groups:
            if not group.is_credit:
                self._bills[group.provider, group.currency].add(group)

    def parts(self, used: Used) -> list[tuple[RowKey, int | None, int]]:
        """(row, attos, tokens in attos) for each row that a piece of usage stands in; the parts add up to the whole."""
        currency = used.currency or self._bill_currency(used)
        bill = self._bills.get((used.host, currency))
        if bill is None:
            key = RowKey(used.host, None, used.model, None, used.token_class, used.processing, currency)
            return [(key, used.attos, used.tokens * ATTOS)]
        model, kind, slots = self._slots(bill, used)
        keys = [RowKey(used.host, account, model, meter, *kind, currency) for account, meter in slots]
        return list(_divided(used, keys, list(slots.values())))

    def _bill_currency(self, used: Used) -> str:
        """Currency of usage without a price: the one in which its provider bills its model, where that is only one."""
        of_host = {code: bill for (host, code), bill in self._bills.items() if host == used.host}
        naming = [code for code, bill in of_host.items() if used.model in bill.models]
        for found in (naming, list(of_host)):
            if len(found) == 1:
                return found[0]
        return self._currency

    def _slots(self, bill: _Bill, used: Used) -> tuple[str | None, Kind, dict[Slot, int]]:
        for model in (used.model, None):
            kinds = bill.models.get(model)
            if kinds is None:
                continue
            for kind in _coarser(used):
                if kind in kinds:
                    return model, kind, _weights(kinds[kind], used, bill)
            if model is not None:
                break
        own: Kind = (used.token_class, used.processing)
        accounts: defaultdict[str, int] = defaultdict(int)
        for slots in bill.models.get(used.model, {}).values():
            for (account, _), days in slots.items():
                accounts[account] += sum(days.values())
        if used.source_account in bill.accounts:
            accounts = defaultdict(int, {used.source_account: 1})
        return used.model, own, {(account, None): weight for account, weight in (accounts or bill.accounts).items()}


def _coarser(used: Used) -> Sequence[Kind]:
    return (
        (used.token_class, used.processing),
        (used.token_class, None),
        (None, used.processing),
        (None, None),
    )


def _weights(slots: Mapping[Slot, Mapping[dt.date, int]], used: Used, bill: _Bill) -> dict[Slot, int]:
    if used.source_account in bill.accounts:
        own = {slot: days for slot, days in slots.items() if slot[0] == used.source_account}
        slots = own or {(used.source_account, None): {}}
    on_day = {slot: days.get(used.day, 0) for slot, days in slots.items()}
    return on_day if any(on_day.values()) else {slot: sum(days.values()) for slot, days in slots.items()}


def _divided(used: Used, keys: Sequence[RowKey], weights: Sequence[int]) -> Iterable[tuple[RowKey, int | None, int]]:
    if len(keys) == 1:
        yield keys[0], used.attos, used.tokens * ATTOS
        return
    shares = weights if any(weights) else [1] * len(weights)
    names, whole = ["/".join(map(str, key)) for key in keys], sum(shares)
    tokens = round_shares([(used.tokens * ATTOS * share, whole) for share in shares], tie_keys=names)
    amounts: Sequence[int | None] = [None] * len(keys)
    if used.attos is not None:
        amounts = round_shares([(used.attos * share, whole) for share in shares], tie_keys=names)
    yield from zip(keys, amounts, tokens, strict=True)
