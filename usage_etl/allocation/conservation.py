"""The referee: finished lines added up again in Python integers, from the bills as they came."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import polars as pl

from usage_etl.allocation.bills import in_minor_units, step_of
from usage_etl.errors import ConservationError
from usage_etl.periods import Month
from usage_etl.remainder import to_attos

_ACCOUNT = ("provider_name", "billing_account_id")


def check_conserved(frame: pl.DataFrame, invoice_lines: pl.DataFrame, invoices: pl.DataFrame, *, month: Month) -> None:
    """Raises ConservationError unless the billed lines of each account add up to its invoices, or to its charge lines.

    What was converted is compared in both currencies: in the invoice's own, and in the lines' at the printed rate.
    """
    expected = expected_totals(invoice_lines, invoices, month=month)
    billed = frame.filter(pl.col("charge_basis") == "billed")
    own = pl.coalesce("invoice_currency", "billing_currency")
    found = _sums(billed, own, pl.coalesce("invoice_cost", "allocated_cost"))
    for account in expected.keys() | found.keys():
        total = expected.get(account, Fraction(0))
        wanted = in_minor_units(total, account[2]) * step_of(account[2])
        if found.get(account, 0) != wanted:
            raise ConservationError(f"allocation of {account} in {month}, in 1e-18", found.get(account, 0), wanted)
    _check_converted(billed, expected, month)


def expected_totals(invoice_lines: pl.DataFrame, invoices: pl.DataFrame, *, month: Month) -> dict[tuple[str, str, str], Fraction]:
    """(provider, account, currency) to what is to be allocated, in attos: its invoices, else its charge lines."""
    lines = invoice_lines.filter(pl.col("month") == month.first_day)
    papers = invoices.filter(pl.col("billing_month") == month.first_day)
    expected = _sums(lines, pl.col("billing_currency"), pl.col("billed_cost"))
    invoiced = _sums(papers, pl.col("currency"), pl.col("invoice_total"))
    return {account: Fraction(attos) for account, attos in (expected | invoiced).items()}


def _check_converted(billed: pl.DataFrame, expected: dict[tuple[str, str, str], Fraction], month: Month) -> None:
    converted = billed.filter(pl.col("invoice_currency").is_not_null())
    found = _sums(converted, pl.col("invoice_currency"), pl.col("allocated_cost"))
    rates = converted.select(*_ACCOUNT, "invoice_currency", "billing_currency", "fx_rate").unique()
    for provider, account_id, own, currency, rate in rates.iter_rows():
        wanted = in_minor_units(expected[provider, account_id, own] * Fraction(rate), currency) * step_of(currency)
        if found[provider, account_id, own] != wanted:
            raise ConservationError(
                f"conversion of {provider} account {account_id} in {month}, in 1e-18", found[provider, account_id, own], wanted
            )


def _sums(frame: pl.DataFrame, currency: pl.Expr, amount: pl.Expr) -> dict[tuple[str, str, str], int]:
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    keyed = frame.select(*_ACCOUNT, currency.alias("currency"), amount.alias("amount"))
    for part in keyed.partition_by((*_ACCOUNT, "currency")):
        provider, account_id, own = part.select(*_ACCOUNT, "currency").row(0)
        sums[provider, account_id, own] += sum(attos or 0 for attos in to_attos(part["amount"]))
    return dict(sums)
