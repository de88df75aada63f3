"""Frames of the tie-out: amounts, causes and verdict of every row, by day and by month."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import polars as pl

from usage_etl.allocation.tie_out_bills import RowKey
from usage_etl.allocation.tie_out_causes import Causes
from usage_etl.allocation.tie_out_rows import Entry
from usage_etl.money import minor_unit_digits
from usage_etl.periods import Month
from usage_etl.remainder import ATTOS, from_attos, round_half_even
from usage_etl.schemas.contract import Table
from usage_etl.schemas.tie_out import MART_RECONCILIATION_DAILY, MART_RECONCILIATION_MONTHLY, RESIDUAL_CAUSES

Models = frozenset[tuple[str, str]]
"""(provider, model) that the logs show, priced or not."""


@dataclass(frozen=True)
class TieOutRow:
    """One row of one day (of the month where ``day`` is None); ``causes`` None where no bill has arrived."""

    day: dt.date | None
    key: RowKey
    entry: Entry
    causes: Causes | None


@dataclass
class _Sums:
    """Amounts of one printed row, in attos."""

    key: RowKey
    day: dt.date | None
    billed: int | None = None
    credits: int = 0
    metered: int | None = None
    reported: int | None = None
    billed_quantity: int | None = None
    metered_quantity: int | None = None
    reported_quantity: int | None = None
    has_lines: bool = False
    is_unpriced: bool = False
    causes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, row: TieOutRow) -> None:
        """One more day of the row."""
        entry = row.entry
        if row.causes is not None:
            self.billed = (self.billed or 0) + entry.gross + entry.credits
            for cause, attos in row.causes.items():
                self.causes[cause] += attos
        self.credits += entry.credits
        self.has_lines |= bool(entry.lines)
        self.is_unpriced |= entry.metered.is_unpriced
        self.metered = _plus(self.metered, entry.metered.attos)
        self.reported = _plus(self.reported, entry.reported.attos)
        self.billed_quantity = _plus(self.billed_quantity, entry.billed_quantity)
        self.metered_quantity = _plus(self.metered_quantity, entry.metered.quantity)
        self.reported_quantity = _plus(self.reported_quantity, entry.reported.quantity)

    @property
    def difference(self) -> int | None:
        """Billed minus metered; nothing metered counts as none. None where no bill has arrived."""
        return None if self.billed is None else self.billed - (self.metered or 0)

    @property
    def unexplained(self) -> int:
        """What the causes leave of the difference, by subtraction."""
        return 0 if self.difference is None else self.difference - sum(self.causes.values())


def daily_frame(rows: Iterable[TieOutRow], *, month: Month, tolerance: Fraction, used: Models) -> pl.DataFrame:
    """mart_reconciliation_daily of ``rows``, each of which has a day."""
    sums = []
    for row in rows:
        one = _Sums(row.key, row.day)
        one.add(row)
        sums.append(one)
    return _frame(MART_RECONCILIATION_DAILY, sums, month, _Verdicts(sums, tolerance, used))


def monthly_frame(rows: Iterable[TieOutRow], *, month: Month, tolerance: Fraction, used: Models) -> pl.DataFrame:
    """mart_reconciliation_monthly of all ``rows``."""
    sums: dict[RowKey, _Sums] = {}
    unbilled: defaultdict[RowKey, int] = defaultdict(int)
    for row in rows:
        sums.setdefault(row.key, _Sums(row.key, None)).add(row)
        if row.causes is None:
            unbilled[row.key] += row.entry.metered.attos or 0
    for key, one in sums.items():
        if key.account is not None:
            one.billed = one.billed or 0
            _net_volume(one.causes, unbilled[key])
    return _frame(MART_RECONCILIATION_MONTHLY, list(sums.values()), month, _Verdicts(sums.values(), tolerance, used))


def _net_volume(causes: defaultdict[str, int], unbilled: int) -> None:
    net = causes["bypassed_gateway"] + causes["not_billed"]
    causes["bypassed_gateway"], causes["not_billed"] = max(net, 0), min(net, 0) - unbilled


def _plus(known: int | None, more: int | None) -> int | None:
    return known if more is None else (known or 0) + more


class _Verdicts:
    """Verdict of a row, given what else is known of its model."""

    def __init__(self, sums: Iterable[_Sums], tolerance: Fraction, used: Models) -> None:
        self._tolerance = tolerance
        self._used = used
        self._priced = {self._model(one.key) for one in sums if one.metered is not None}

    def of(self, one: _Sums) -> str:
        """One of TIE_OUT_STATUSES."""
        if one.billed is None:
            return "no_bill_yet"
        gross, metered = one.billed - one.credits, one.metered or 0
        if (one.metered is None and gross) or one.is_unpriced:
            if not self._is_used(one):
                return "no_usage_seen"
            if one.is_unpriced or self._model(one.key) not in self._priced:
                return "usage_not_priced"
        if one.credits and not one.has_lines and one.metered is None:
            return "explained"
        return self._measured(one, gross, metered)

    def _measured(self, one: _Sums, gross: int, metered: int) -> str:
        step = ATTOS // 10 ** minor_unit_digits(one.key.currency)
        if round_half_even(Fraction(gross, step)) == round_half_even(Fraction(metered, step)):
            return "matched"
        if abs(gross - metered) <= self._tolerance * abs(metered):
            return "within_tolerance"
        return "explained" if abs(one.unexplained) <= self._tolerance * max(abs(gross), abs(metered)) else "unexplained"

    def _is_used(self, one: _Sums) -> bool:
        provider, model = one.key.provider, one.key.model
        if model is None:
            return one.metered_quantity is not None or one.is_unpriced or one.metered is not None
        return (provider, model) in self._used

    @staticmethod
    def _model(key: RowKey) -> tuple[str, str | None, str]:
        return key.provider, key.model, key.currency


def _frame(table: Table, sums: Sequence[_Sums], month: Month, verdicts: _Verdicts) -> pl.DataFrame:
    rows = sorted(sums, key=lambda one: (one.day or dt.date.min, *(part or "" for part in one.key)))

    def money(name: str, value: Callable[[_Sums], int | None]) -> pl.Series:
        return from_attos([value(one) for one in rows], name)

    amounts: dict[str, Callable[[_Sums], int | None]] = {
        "billed_cost": lambda one: one.billed,
        "reported_cost": lambda one: one.reported,
        "metered_cost": lambda one: one.metered,
        "billed_quantity": lambda one: one.billed_quantity,
        "reported_quantity": lambda one: one.reported_quantity,
        "metered_quantity": lambda one: one.metered_quantity,
        "difference_cost": lambda one: one.difference,
        "unexplained_cost": lambda one: one.unexplained,
    }
    data: dict[str, Any] = {
        "month": [month.first_day] * len(rows),
        "charge_date": [one.day for one in rows],
        "provider_name": [one.key.provider for one in rows],
        "billing_account_id": [one.key.account for one in rows],
        "model_id": [one.key.model for one in rows],
        "sku_meter": [one.key.meter for one in rows],
        "token_class": [one.key.token_class for one in rows],
        "processing": [one.key.processing for one in rows],
        "billing_currency": [one.key.currency for one in rows],
        "tie_out_status": [verdicts.of(one) for one in rows],
        **{name: money(name, value) for name, value in amounts.items()},
        **{f"{name}_cost": from_attos([one.causes[name] for one in rows], f"{name}_cost") for name in RESIDUAL_CAUSES},
    }
    frame = pl.DataFrame({name: data[name] for name in table.columns}, schema_overrides=dict(table.polars_schema))
    return table.validate(frame)
