"""Files that finance pulls: chargeback for people and machines, workbook, ledger journal, FOCUS datasets.

Owns their columns and dialects, and that all of them agree. Does not decide when they are published (``delivery``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.periods import Month
from usage_etl.reports.chargeback_files import FinanceFile, chargeback_files, control_totals, month_lines
from usage_etl.reports.finance.charges import is_charge
from usage_etl.reports.finance.focus_columns import FocusVersion
from usage_etl.reports.finance.focus_file import focus_charges, focus_csv
from usage_etl.reports.finance.invoice_files import billing_period_csv, invoice_detail_csv
from usage_etl.reports.finance.journal_file import charged_totals, journal_csv
from usage_etl.reports.finance.ledger_accounts import gl_accounts
from usage_etl.reports.finance.workbook import Cover, chargeback_xlsx

__all__ = ["finance_files"]


def finance_files(
    chargeback: pl.DataFrame,
    invoice_lines: pl.DataFrame,
    journal: pl.DataFrame,
    invoices: pl.DataFrame,
    cost_centers: pl.DataFrame,
    *,
    month: Month,
    as_of: dt.datetime,
    organization_name: str,
    focus_version: FocusVersion,
    versions: Mapping[str, str],
) -> tuple[FinanceFile, ...]:
    """All files of one month, in the order in which people open them; equal tables have equal bytes.

    ``chargeback``, ``invoice_lines`` and ``journal`` are the month's partitions of the tables of those names, ``invoices`` and
    ``cost_centers`` the whole directories. ``as_of`` is the instant up to which the data reaches, ``versions`` names code,
    price book and rules for the workbook's sheet Trust.
    Raises ContractError when a frame breaks its contract, ConservationError when a file does not add up or two files differ,
    ValueError when the frame holds another month.
    """
    lines = month_lines(chargeback)
    if set(lines.get_column("month")) - {month.first_day}:
        raise ValueError(f"the chargeback is not of {month}")
    accounts = gl_accounts(journal, cost_centers, month=month)
    ledger = journal_csv(journal, month=month)
    rows = focus_charges(lines, invoice_lines, invoices, month=month)
    focus = focus_csv(rows, lines, version=focus_version)
    _check_agreement(lines, journal, focus)
    cover = Cover(organization_name=organization_name, month=month, as_of=as_of, versions=versions)
    return (
        *chargeback_files(lines, gl_accounts=accounts),
        chargeback_xlsx(lines, cover=cover, gl_accounts=accounts),
        ledger,
        focus,
        invoice_detail_csv(rows, invoice_lines, invoices, month=month, as_of=as_of),
        billing_period_csv(rows, as_of=as_of),
    )


def _check_agreement(lines: pl.DataFrame, journal: pl.DataFrame, focus: FinanceFile) -> None:
    """Charges of the chargeback, of the journal and of FOCUS come to the same in every currency."""
    totals = control_totals(lines.filter(is_charge), columns=("allocated_cost",))
    wanted = _without_zero({currency: found["allocated_cost"] for currency, found in totals.items()})
    booked = _without_zero(charged_totals(journal))
    if booked != wanted:
        raise ConservationError("journal.csv: charges by currency, in the chargeback", booked, wanted)
    shown = _without_zero({key: found["BilledCost"] for key, found in focus.control_totals.items() if "BilledCost" in found})
    if shown != wanted:
        raise ConservationError("focus.csv: charges by currency, in the chargeback", shown, wanted)


def _without_zero(totals: Mapping[str, str]) -> dict[str, Decimal]:
    """Currency to amount; a currency in which nothing is left is as good as absent."""
    return {currency: Decimal(text) for currency, text in totals.items() if Decimal(text)}
