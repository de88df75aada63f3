"""Booked chargeback lines as plain values, and into which part of a paper each of them falls: statement, note and mail agree."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple, TypeVar

import polars as pl

from usage_etl.money import exact_sum
from usage_etl.reports.formatting import display_name
from usage_etl.reports.inputs import DISPLAY_NAMES
from usage_etl.schemas.chargeback import PERIOD_STATUSES

Part = Literal["charge", "credit", "tax_support", "rounding", "correction", "dispute", "estimate"]
PARTS: tuple[Part, ...] = ("charge", "credit", "tax_support", "rounding", "correction", "dispute", "estimate")
"""In the order of the amount ladder. Every line is in exactly one of them."""

KIND_NAMES = {
    "usage": "Usage, model not named",
    "capacity": "Provisioned capacity",
    "commitment": "Commitments",
    "seat": "Seats",
    "overage": "Use beyond seats",
    "prepaid": "Prepaid credit",
    "support": "Support",
    "marketplace": "Marketplace",
    "purchase": "Purchases",
    "tax": "Taxes",
    "credit": "Credits",
    "adjustment": "Adjustments by the provider",
}
"""Charge kinds as people read them, where a line names no model."""

Key = TypeVar("Key")


class Booked(NamedTuple):
    """What papers need of one line of mart_chargeback_monthly; fields are its columns."""

    line_id: str
    line_kind: str
    charge_basis: str
    provider_name: str
    billing_account_id: str | None
    sub_account_id: str | None
    charge_kind: str
    charge_category: str
    model_id: str | None
    team_id: str
    team_name: str
    cost_center_id: str
    cost_center_name: str
    requests_count: int
    total_tokens: int
    allocated_cost: Decimal
    billing_currency: str
    invoice_currency: str | None
    fx_rate: Decimal | None
    fx_rate_date: dt.date | None
    fx_rate_source: str | None
    rule_name: str
    allocation_rule: str
    corrects_month: dt.date | None
    correction_reason: str | None
    dispute_id: str | None
    period_status: str

    @property
    def part(self) -> Part:
        """Where the line stands. What undoes or changes an earlier month comes before what it was there."""
        if self.line_kind == "dispute" or self.dispute_id is not None:
            return "dispute"
        if self.corrects_month is not None:
            return "correction"
        if self.charge_basis == "priced_usage":
            return "estimate"
        return self._billed_part

    @property
    def _billed_part(self) -> Part:
        if self.line_kind == "rounding":
            return "rounding"
        if self.charge_category == "Credit" or self.charge_kind == "credit":
            return "credit"
        if self.charge_category == "Tax" or self.charge_kind in {"tax", "support"}:
            return "tax_support"
        return "charge"

    @property
    def provider(self) -> str:
        """Who bills, as people write it."""
        return DISPLAY_NAMES.get(self.provider_name, display_name(self.provider_name))

    @property
    def subject(self) -> str:
        """What the line is for: a model, a kind of charge, or the part of the statement that it belongs to."""
        named = {
            "correction": "Corrections of earlier months",
            "dispute": "Disputes",
            "rounding": "Rounding",
            "credit": "Credits",
        }
        if self.part in named:
            return named[self.part]
        kind = KIND_NAMES[self.charge_kind]
        if self.model_id is None:
            return kind
        model = display_name(self.model_id)
        return model if self.charge_kind == "usage" else f"{model}, {kind[0].lower()}{kind[1:]}"

    @property
    def is_metered(self) -> bool:
        """Whether requests and tokens of the line are use of this month that the line charges for."""
        return self.part in {"charge", "estimate"}


def read_lines(frame: pl.DataFrame) -> list[Booked]:
    """The lines of ``frame``, in the order of their ids."""
    columns = [pl.col(name).cast(pl.String) if frame.schema[name] == pl.Categorical else pl.col(name) for name in Booked._fields]
    return [Booked._make(row) for row in frame.select(columns).sort("line_id").iter_rows()]


def total_of(lines: Iterable[Booked]) -> Decimal:
    """Exact sum of what the lines charge. Lines of one currency only."""
    return exact_sum(line.allocated_cost for line in lines)


def grouped(lines: Iterable[Booked], key: Callable[[Booked], Key]) -> dict[Key, list[Booked]]:
    """Lines by ``key``, in the order of first appearance."""
    groups: dict[Key, list[Booked]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    return groups


def by_currency(lines: Iterable[Booked]) -> dict[str, list[Booked]]:
    """Lines by currency, in alphabetical order: amounts of two currencies are never added."""
    groups = grouped(lines, lambda line: line.billing_currency)
    return {currency: groups[currency] for currency in sorted(groups)}


def statuses_of(lines: Sequence[Booked]) -> dict[str, list[str]]:
    """Period status to the providers whose lines have it, least settled first."""
    found = {status: sorted({line.provider for line in lines if line.period_status == status}) for status in PERIOD_STATUSES}
    return {status: providers for status, providers in found.items() if providers}
