"""journal.csv: the month as entries that a general ledger imports, debits equal to credits in each currency.

The mart's clearing account is debited by invoices and credited by who pays. The ledger books the other side: what credits the
clearing account is an expense of a cost center (debit), what debits it empties the clearing account that accounts payable
filled with the invoice (credit). Amounts are positive; a credit to a cost center stands on the credit side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import MONEY, exact_sum, minor_unit
from usage_etl.periods import Month
from usage_etl.reports.chargeback_files import FinanceFile
from usage_etl.reports.csv_dialect import plain_decimal
from usage_etl.reports.finance.machine_file import machine_file
from usage_etl.reports.finance.shares import in_whole_units
from usage_etl.schemas.chargeback import MART_JOURNAL_MONTHLY

JOURNAL_FILE_VERSION = "1"

_INVOICE_SIDE = ("invoice_line", "fx")
_ORDER = ("currency", "is_invoice_side", "gl_account", "cost_center_id", "provider_name", "corrects_month", "invoice_id")
_SCHEMA = pl.Schema(
    {
        "journal_id": pl.String(),
        "line_number": pl.Int64(),
        "posting_date": pl.Date(),
        "period": pl.String(),
        "gl_account": pl.String(),
        "cost_center": pl.String(),
        "debit": MONEY,
        "credit": MONEY,
        "currency": pl.String(),
        "description": pl.String(),
        "reference": pl.String(),
    }
)


def journal_csv(journal: pl.DataFrame, *, month: Month) -> FinanceFile:
    """One row per account, cost center, provider, currency and corrected month; on the invoice's side per invoice.

    ``journal`` is one month of ``mart_journal_monthly``. Every ``journal_id`` (one per currency) balances. Rows that come to
    nothing are not written; what a row holds below the minor unit moves to the row that lost most.
    Raises ContractError when the frame breaks the mart's contract, ConservationError when debits are not credits.
    """
    rows = _numbered(_grouped(MART_JOURNAL_MONTHLY.validate(journal)), month)
    file = machine_file(
        "journal.csv",
        pl.DataFrame(rows, schema=_SCHEMA),
        schema_version=JOURNAL_FILE_VERSION,
        currency_column="currency",
        totals=("debit", "credit"),
        minor_columns=("debit", "credit"),
    )
    for currency, totals in file.control_totals.items():
        if totals["debit"] != totals["credit"]:
            raise ConservationError(f"journal.csv: debits and credits in {currency}", totals["debit"], totals["credit"])
    return file


def charged_totals(journal: pl.DataFrame) -> dict[str, str]:
    """Currency to what the journal charges for lines of the chargeback, as text: compared with the chargeback's own total."""
    lines = journal.filter(pl.col("line_id").is_not_null())
    groups = {currency: lines.filter(pl.col("currency") == currency) for currency in sorted(set(lines.get_column("currency")))}
    return {
        currency: plain_decimal(exact_sum(group.get_column("credit_cost")) - exact_sum(group.get_column("debit_cost")))
        for currency, group in groups.items()
    }


def _grouped(journal: pl.DataFrame) -> list[dict[str, Any]]:
    """One row per group with its net amount: what the ledger debits is positive."""
    is_invoice_side = pl.col("entry_kind").is_in(_INVOICE_SIDE)
    prepared = journal.with_columns(
        is_invoice_side=is_invoice_side,
        billing_account_id=pl.when(is_invoice_side).then("billing_account_id"),
        invoice_id=pl.when(is_invoice_side).then("invoice_id"),
        is_fx=pl.col("entry_kind") == "fx",
    )
    keys = (*_ORDER, "billing_account_id", "is_fx")
    ordered = prepared.sort(*keys, "cost_center_name", "entry_id", nulls_last=False)
    groups = []
    for _, group in ordered.group_by(keys, maintain_order=True):
        net = exact_sum(group.get_column("credit_cost")) - exact_sum(group.get_column("debit_cost"))
        groups.append({**group.row(0, named=True), "net": net})
    whole = [found for currency in _unique(groups, "currency") for found in _whole(currency, groups)]
    return [group for group in whole if group["net"]]


def _whole(currency: str, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The currency's groups in whole minor units: what invoice lines and rounding hold below them cancels out."""
    found = [group for group in groups if group["currency"] == currency]
    try:
        nets = in_whole_units(
            [group["net"] for group in found], minor_unit(currency), keys=[group["entry_id"] for group in found]
        )
    except ValueError as error:
        raise ConservationError(f"journal in {currency}: sum of debits and credits", str(error), "0") from error
    return [{**group, "net": net} for group, net in zip(found, nets, strict=True)]


def _unique(groups: list[dict[str, Any]], key: str) -> list[Any]:
    return list(dict.fromkeys(group[key] for group in groups))


def _numbered(groups: list[dict[str, Any]], month: Month) -> list[dict[str, Any]]:
    numbers: dict[str, int] = {}
    rows = []
    for group in groups:
        currency, net = group["currency"], group["net"]
        numbers[currency] = numbers.get(currency, 0) + 1
        rows.append(
            {
                "journal_id": f"AI-{month}-{currency}",
                "line_number": numbers[currency],
                "posting_date": month.last_day,
                "period": str(month),
                "gl_account": group["gl_account"],
                "cost_center": group["cost_center_id"],
                "debit": net if net > 0 else None,
                "credit": -net if net < 0 else None,
                "currency": currency,
                "description": _description(group, month),
                "reference": group["invoice_id"] if group["is_invoice_side"] else _correction(group),
            }
        )
    return rows


def _description(group: Mapping[str, Any], month: Month) -> str:
    if group["is_fx"]:
        what = f"conversion of {group['provider_name']}"
    elif group["is_invoice_side"]:
        what = f"invoice of {group['provider_name']}, {group['billing_account_id'] or 'no account named'}"
    else:
        what = f"{group['provider_name']}, {group['cost_center_name'] or group['entry_kind']}"
    correction = _correction(group)
    return f"AI usage {month}: {what}" + (f", {correction}" if correction else "")


def _correction(group: Mapping[str, Any]) -> str | None:
    corrected = group["corrects_month"]
    return f"correction of {Month.of(corrected)}" if corrected else None
