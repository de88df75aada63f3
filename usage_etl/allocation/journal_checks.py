"""What must hold of a journal, added up in Python integers."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import polars as pl

from usage_etl.allocation.bills import in_minor_units, step_of
from usage_etl.errors import ConservationError
from usage_etl.periods import Month
from usage_etl.remainder import to_attos


def check_balanced(journal: pl.DataFrame, month: Month) -> None:
    """Raises ConservationError unless debits equal credits in each currency."""
    debits, credits_ = _sums(journal, "currency", amount="debit_cost"), _sums(journal, "currency", amount="credit_cost")
    for (currency,), debit in debits.items():
        credit = credits_[(currency,)]
        if debit != credit:
            raise ConservationError(f"journal of {month} in {currency}, debits and credits in 1e-18", debit, credit)


def check_disputes(lines: pl.DataFrame, month: Month) -> None:
    """Raises ConservationError unless what a dispute takes from one owner goes to another."""
    for (dispute_id, currency), attos in _sums(lines, "dispute_id", "billing_currency", amount="allocated_cost").items():
        if attos:
            raise ConservationError(f"dispute {dispute_id} in {month}, its lines in {currency} in 1e-18", attos, 0)


def check_facts(own: pl.DataFrame, invoice_lines: pl.DataFrame, month: Month) -> None:
    """Raises ConservationError where the lines of an account that is not closed do not add up to its charge lines.

    Compared is what the charge lines say, converted at the printed rate and rounded to the minor unit; what an invoice says
    beyond them is an entry of its own.
    """
    lines = own.filter(pl.col("invoice_line_id").is_not_null()).with_columns(
        own_currency=pl.coalesce("invoice_currency", "billing_currency")
    )
    account = ("provider_name", "billing_account_id", "own_currency")
    found = _sums(lines, *account, amount="allocated_cost")
    facts = invoice_lines.filter(pl.col("month") == month.first_day).rename({"billing_currency": "own_currency"})
    billed = _sums(facts, *account, amount="billed_cost")
    closed = set(own.filter(pl.col("period_status") == "closed")["provider_name"])
    converted = lines.filter(pl.col("fx_rate").is_not_null()).select(*account, "billing_currency", "fx_rate").unique()
    how = {tuple(key): (target, Fraction(rate)) for *key, target, rate in converted.iter_rows()}
    for key in billed.keys() | found.keys():
        if key[0] in closed:
            continue
        target, rate = how.get(key, (key[2], Fraction(1)))
        wanted = in_minor_units(billed.get(key, 0) * rate, target) * step_of(target)
        if found.get(key, 0) != wanted:
            raise ConservationError(f"journal of {month}: invoice lines of {key}, in 1e-18", found.get(key, 0), wanted)


def _sums(frame: pl.DataFrame, *keys: str, amount: str) -> dict[tuple[str, ...], int]:
    sums: dict[tuple[str, ...], int] = defaultdict(int)
    for key, attos in zip(frame.select(keys).iter_rows(), to_attos(frame[amount]), strict=True):
        sums[key] += attos or 0
    return dict(sums)
