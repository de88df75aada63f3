"""focus.csv: the chargeback as a FOCUS dataset Cost and Usage, one row per charge."""

from __future__ import annotations

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.reports.chargeback_files import FinanceFile
from usage_etl.reports.csv_dialect import plain_decimal
from usage_etl.reports.finance.charges import charges, is_charge
from usage_etl.reports.finance.focus_columns import FocusVersion, focus_columns
from usage_etl.reports.finance.focus_rows import focus_rows
from usage_etl.reports.finance.invoice_check import check_invoices
from usage_etl.reports.finance.machine_file import machine_file
from usage_etl.reports.finance.services import with_services

_TOTALS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
_DIVIDED = {"list_share": "origin_list_cost", "contracted_share": "origin_contracted_cost"}


def focus_charges(lines: pl.DataFrame, invoice_lines: pl.DataFrame, invoices: pl.DataFrame, *, month: Month) -> pl.DataFrame:
    """All columns of all versions of FOCUS, one row per charge of ``lines`` (of ``month_lines``), checked against the invoices.

    Raises ConservationError when the charges of an account are not its invoice, or parts are not their whole.
    """
    found = charges(lines, invoice_lines, invoices, month=month)
    check_invoices(found, invoice_lines, invoices, month=month)
    _check_parts(found)
    return focus_rows(with_services(found))


def focus_csv(rows: pl.DataFrame, lines: pl.DataFrame, *, version: FocusVersion) -> FinanceFile:
    """Cost and Usage in ``version``, from ``focus_charges`` of the same ``lines``.

    Estimates are no charges and stay out; the control totals count them. Raises ValueError for an unknown version,
    ConservationError when the file does not add up.
    """
    return machine_file(
        "focus.csv",
        rows.select(focus_columns(version)),
        schema_version=f"FOCUS {version}",
        currency_column="BillingCurrency",
        totals=_TOTALS,
        also=left_out(lines.filter(~is_charge), "estimates"),
    )


def left_out(lines: pl.DataFrame, name: str) -> dict[str, dict[str, str]]:
    """Currency to what lines that a file does not show come to: ``<name>_left_out_count`` and ``<name>_left_out_cost``."""
    groups = {key: group for (key,), group in lines.sort("line_id").group_by("billing_currency", maintain_order=True)}
    return {
        str(currency): {
            f"{name}_left_out_count": str(group.height),
            f"{name}_left_out_cost": plain_decimal(exact_sum(group.get_column("allocated_cost"))),
        }
        for currency, group in groups.items()
    }


def _check_parts(found: pl.DataFrame) -> None:
    """Parts of invoice lines that were not converted add up to them, added up a second time."""
    shares = found.filter(pl.col("is_share") & pl.col("invoice_currency").is_null())
    lines = shares.unique("invoice_line_id")
    for part, whole in {**_DIVIDED, "pricing_share": "pricing_total", "consumed_share": "consumed_total"}.items():
        left, right = exact_sum(shares.get_column(part)), exact_sum(lines.get_column(whole))
        if left != right:
            raise ConservationError(f"focus.csv: {part} over all invoice lines", left, right)
