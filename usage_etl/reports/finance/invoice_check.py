"""Charges add up to the invoice of their account, exactly: the referee of every FOCUS file."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import exact_sum, minor_unit
from usage_etl.periods import Month
from usage_etl.reports.finance.charges import registered_invoices

_ACCOUNT = ("provider_name", "billing_account_id", "document_currency")


def check_invoices(charges: pl.DataFrame, invoice_lines: pl.DataFrame, invoices: pl.DataFrame, *, month: Month) -> None:
    """Own charges of every account that is not closed are its registered invoices, else its rounded bill, once converted.

    Closed accounts are as their closing left them, which checked the same; what came later is a correction of another month.
    Where one invoice is registered for an account, all its own charges carry it, so this is the sum by invoice.
    Raises ConservationError naming provider, account and currency.
    """
    bills = {
        key: exact_sum(group.get_column("billed_cost"))
        for key, group in invoice_lines.group_by("provider_name", "billing_account_id", "billing_currency")
    }
    registered = registered_invoices(invoices, month)
    totals = {row[:3]: row[3] for row in registered.select(*_ACCOUNT, "invoice_total").iter_rows()}
    own = charges.filter(pl.col("is_own") & (pl.col("period_status") != "closed"))
    for key, group in own.sort("line_id").group_by(_ACCOUNT, maintain_order=True):
        currency = group.item(0, "billing_currency")
        found = exact_sum(group.get_column("allocated_cost"))
        wanted = _payable(totals.get(key), bills.get(key, Decimal(0)), str(key[2]))
        rate = _one(group.filter(pl.col("invoice_currency").is_not_null()).get_column("fx_rate"))
        if found not in {_converted(amount, rate, currency) for amount in wanted}:
            raise ConservationError(f"charges of {key[0]} {key[1]} in {currency} and the invoice", found, min(wanted))


def _payable(registered: Decimal | None, bill: Decimal, currency: str) -> set[Decimal]:
    """The total to allocate; without an invoice the bill, which a conversion may start from rounded or as it is."""
    return {registered} if registered is not None else {_rounded(bill, currency), bill}


def _converted(amount: Decimal, rate: Decimal | None, currency: str) -> Decimal:
    with localcontext() as context:
        context.prec = 76
        return _rounded(amount if rate is None else amount * rate, currency)


def _rounded(amount: Decimal, currency: str) -> Decimal:
    with localcontext() as context:
        context.prec = 76
        return amount.quantize(minor_unit(currency), rounding=ROUND_HALF_EVEN)


def _one(rates: Iterable[Any]) -> Decimal | None:
    """The account's rate; None where nothing was converted. Raises ConservationError for more than one."""
    found = sorted({rate for rate in rates if rate is not None})
    if len(found) > 1:
        raise ConservationError("rates of one account's invoice", found[0], found[-1])
    return found[0] if found else None
