"""What is to be divided: a month's invoice lines by account, the invoices that they belong to, and their currency."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from usage_etl.allocation.rates import SAME, Rate, Rates
from usage_etl.config.finance import AllocationSettings
from usage_etl.errors import InvoiceMismatchError, MissingRateError
from usage_etl.money import minor_unit_digits
from usage_etl.periods import Month
from usage_etl.remainder import ATTOS, from_attos, round_half_even, to_attos

Account = tuple[str, str, str]
"""(provider, billing account, currency of the invoice)."""


@dataclass(frozen=True, eq=False)
class InvoiceLine:
    """One invoice line with its exact amounts in attos of the currency in which it is divided."""

    keys: Mapping[str, Any]
    """The line's columns in fact_invoice_lines_monthly."""
    billed: Fraction
    effective: Fraction

    @property
    def provider_name(self) -> str:
        """Who bills."""
        return str(self.keys["provider_name"])

    @property
    def model_id(self) -> str | None:
        """Canonical model, where the line names one."""
        found: str | None = self.keys["model_id"]
        return found


@dataclass(frozen=True, eq=False)
class Bill:
    """One account's month: its lines, what its invoices say, and the rate that turns them into the currency of the lines."""

    account: Account
    currency: str
    """Currency in which the bill is divided."""
    rate: Rate
    lines: Sequence[InvoiceLine]
    invoice_ids: tuple[str, ...]
    invoiced: int | None
    """Sum of the registered invoices in attos of the invoice's currency; None where none is registered."""
    summed: int
    """Sum of the lines in attos of the invoice's currency."""
    summed_effective: int

    @property
    def is_converted(self) -> bool:
        """Whether the invoice is in another currency than its lines."""
        return self.rate is not SAME

    @property
    def total(self) -> Fraction:
        """What is divided, in attos of ``currency``, before it is rounded to the minor unit."""
        return (self.summed if self.invoiced is None else self.invoiced) * self.rate.factor


def step_of(currency: str) -> int:
    """Attos of the currency's minor unit."""
    return int(ATTOS // 10 ** minor_unit_digits(currency))


def in_minor_units(attos: Fraction | int, currency: str) -> int:
    """Attos rounded half-even to whole minor units, counted in minor units."""
    return round_half_even(Fraction(attos) / step_of(currency))


def text_of(attos: Fraction | int) -> str:
    """An amount in attos as a plain decimal number."""
    amount = from_attos([round_half_even(Fraction(attos))], "text")[0]
    return format(Decimal(amount).normalize() + 0, "f")


def bills_of(
    invoice_lines: pl.DataFrame,
    invoices: pl.DataFrame,
    rates: Rates,
    *,
    month: Month,
    allocation: AllocationSettings,
    tolerance: Decimal,
    month_end: dt.date | None = None,
) -> list[Bill]:
    """One bill for each account with charge lines or a registered invoice, in order of the account.

    ``month_end`` is the day of rates of the month's end, its last day unless it is still running.

    Raises InvoiceMismatchError where invoices and lines differ by more than ``tolerance``, MissingRateError where an
    invoice is to be converted and no rate is known; each names every culprit.
    """
    lines = _lines_of(invoice_lines, month)
    registered = _invoices_of(invoices, month)
    _refuse_mismatches(lines, registered, month, tolerance)
    problems: list[str] = []
    bills = []
    for account in sorted(lines.keys() | registered.keys()):
        day = rate_day(month_end or month.last_day, [row["issued_date"] for row in registered.get(account, [])], allocation)
        rate, problem = _rate_of(account, day, rates, allocation)
        if problem:
            problems.append(problem)
        bills.append(_bill(account, lines.get(account, []), registered.get(account, []), rate, allocation))
    if problems:
        raise MissingRateError(str(month), problems)
    return bills


_Line = tuple[dict[str, Any], int, int]
"""Columns of an invoice line, billed and effective attos."""


def _lines_of(invoice_lines: pl.DataFrame, month: Month) -> dict[Account, list[_Line]]:
    ordered = invoice_lines.filter(pl.col("month") == month.first_day).sort("invoice_line_id")
    billed, effective = to_attos(ordered["billed_cost"]), to_attos(ordered["effective_cost"])
    found: dict[Account, list[_Line]] = defaultdict(list)
    for keys, billed_attos, effective_attos in zip(ordered.iter_rows(named=True), billed, effective, strict=True):
        account = (keys["provider_name"], keys["billing_account_id"], keys["billing_currency"])
        found[account].append((keys, billed_attos or 0, effective_attos or 0))
    return dict(found)


def _invoices_of(invoices: pl.DataFrame, month: Month) -> dict[Account, list[dict[str, Any]]]:
    found: dict[Account, list[dict[str, Any]]] = defaultdict(list)
    for row in invoices.filter(pl.col("billing_month") == month.first_day).sort("invoice_id").iter_rows(named=True):
        found[row["provider_name"], row["billing_account_id"], row["currency"]].append(row)
    return dict(found)


def _bill(
    account: Account, lines: Sequence[_Line], registered: Sequence[dict[str, Any]], rate: Rate, allocation: AllocationSettings
) -> Bill:
    return Bill(
        account=account,
        currency=allocation.currency or account[2],
        rate=rate,
        lines=[InvoiceLine(keys, billed * rate.factor, effective * rate.factor) for keys, billed, effective in lines],
        invoice_ids=tuple(row["invoice_id"] for row in registered),
        invoiced=_total(registered) if registered else None,
        summed=sum(billed for _, billed, _ in lines),
        summed_effective=sum(effective for _, _, effective in lines),
    )


def _total(registered: Iterable[dict[str, Any]]) -> int:
    return sum(int(Fraction(row["invoice_total"]) * ATTOS) for row in registered)


def _rate_of(account: Account, day: dt.date, rates: Rates, allocation: AllocationSettings) -> tuple[Rate, str | None]:
    """The account's rate, and what is wrong where none is known."""
    target = allocation.currency or account[2]
    rate = rates.newest(account[2], target, day)
    if rate is not None:
        return rate, None
    return SAME, rates.problem(account[2], target, day, f"bill of {account[0]} account {account[1]}")


def rate_day(month_end: dt.date, issued: Sequence[dt.date], allocation: AllocationSettings) -> dt.date:
    """Day of an invoice's rate: the end of the month, or the date of the newest of its invoices."""
    return max(issued) if issued and allocation.fx_date == "invoice_date" else month_end


def _refuse_mismatches(
    lines: Mapping[Account, Sequence[_Line]],
    registered: Mapping[Account, Sequence[dict[str, Any]]],
    month: Month,
    tolerance: Decimal,
) -> None:
    problems: list[str] = []
    for account, invoices in sorted(registered.items()):
        found = lines.get(account)
        if not found:
            problems += _in_another_currency(account, invoices, lines)
            continue
        billed = sum(attos for _, attos, _ in found)
        ids = ", ".join(row["invoice_id"] for row in invoices)
        named = {keys["invoice_id"] for keys, _, _ in found}
        unknown = sorted(named - {None} - {row["invoice_id"] for row in invoices})
        hint = f"; lines name invoice(s) {', '.join(unknown)}, which finance/invoices.csv does not hold" if unknown else ""
        problems += _mismatch(account, f"invoice(s) {ids}", _total(invoices), billed, tolerance=tolerance, hint=hint)
        if None not in named and len(invoices) > 1:  # every line says which invoice it belongs to
            for row in invoices:
                own = sum(attos for keys, attos, _ in found if keys["invoice_id"] == row["invoice_id"])
                problems += _mismatch(account, f"invoice {row['invoice_id']}", _total([row]), own, tolerance=tolerance)
    if problems:
        raise InvoiceMismatchError(str(month), problems)


def _in_another_currency(
    account: Account, invoices: Sequence[dict[str, Any]], lines: Mapping[Account, Sequence[_Line]]
) -> list[str]:
    """An account that is charged in one currency and invoiced in another: both amounts would be divided."""
    charged = sorted(currency for *parties, currency in lines if tuple(parties) == account[:2])
    if not charged:
        return []
    ids = ", ".join(row["invoice_id"] for row in invoices)
    said = f"invoice(s) {ids} are in {account[2]}, the charge lines in {', '.join(charged)}"
    return [f"{account[0]} account {account[1]}: {said}; register what was invoiced in the currency of the bill"]


def _mismatch(account: Account, what: str, total: int, billed: int, *, tolerance: Decimal, hint: str = "") -> list[str]:
    if abs(total - billed) <= Fraction(tolerance) * ATTOS:
        return []
    provider, account_id, currency = account
    said = f"{what} say {text_of(total)} {currency}, the charge lines add up to {text_of(billed)} {currency}"
    above = f"a difference of {text_of(total - billed)}, above reconciliation.invoice_tolerance_cost {tolerance:f}"
    return [f"{provider} account {account_id}: {said}, {above}{hint}"]
