"""The bill's side of a chargeback line: its invoice line, the charge lines of that, and the records they were delivered as."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from assets.derive import day_keys
from assets.explain_files import Files
from assets.explained import Bill, ChargeLine, Findings
from assets.resources import Workspace
from usage_etl.facts.charge_kinds import charge_kind
from usage_etl.facts.invoice_lines import named_tags
from usage_etl.lake import WHOLE
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.schemas import BILLING_CHARGES, DIM_INVOICE, FACT_INVOICE_LINES_MONTHLY
from usage_etl.schemas.chargeback import INVOICE_LINE_KEYS

_WORKED_OUT = ("charge_kind", "owner_tags", "user_id", "api_key_id")
"""Keys of an invoice line that its charges do not simply hold."""


def explain_bill(
    workspace: Workspace, line: Mapping[str, Any], shares: pl.DataFrame, *, files: Files, findings: Findings, top: int
) -> Bill | None:
    """The invoice line of ``line`` with the largest ``top`` charges; None where the line is a share of none.

    ``shares`` are the lines that share the invoice line. Faults are noted where the charges do not add up to the invoice line.
    """
    if line["invoice_line_id"] is None:
        return None
    lake, month = workspace.lake, Month.of(line["month"])
    key = month.first_day.isoformat()
    lines = lake.scan(FACT_INVOICE_LINES_MONTHLY, [key]).filter(pl.col("invoice_line_id") == line["invoice_line_id"])
    found = lines.collect()
    if found.is_empty():
        findings.note(f"invoice line {line['invoice_line_id']} is in {FACT_INVOICE_LINES_MONTHLY.name}/{key} no more")
        return None
    invoice_line = found.row(0, named=True)
    charges = _charges_behind(workspace, month, invoice_line)
    total = exact_sum(charges["billed_cost"])
    what = f"invoice line {line['invoice_line_id']}"
    findings.check(f"{what}: charge lines in {BILLING_CHARGES.name}", charges.height, invoice_line["charges_count"])
    findings.check(f"{what}: billed_cost of its charge lines", total, invoice_line["billed_cost"])
    head = lake.head(FACT_INVOICE_LINES_MONTHLY, key)
    return Bill(
        invoice_line={name: value for name, value in invoice_line.items() if value is not None},
        table_version=head.sha256 if head else "absent",
        shares_count=shares.height,
        shares_total=exact_sum(shares["allocated_cost"]),
        invoices=tuple(registered_invoices(workspace, line, invoice_line["billing_currency"])),
        charges_count=charges.height,
        charges_total=total,
        charges=_largest(charges, files, top),
    )


def registered_invoices(workspace: Workspace, line: Mapping[str, Any], currency: str) -> list[dict[str, Any]]:
    """Invoices that finance registered for the line's account and month."""
    if line["billing_account_id"] is None:
        return []
    rows = workspace.lake.scan(DIM_INVOICE, [WHOLE]).filter(
        pl.col("provider_name") == line["provider_name"],
        pl.col("billing_account_id") == line["billing_account_id"],
        pl.col("billing_month") == line["month"],
        pl.col("currency") == currency,
    )
    return rows.collect().rows(named=True)


def _charges_behind(workspace: Workspace, month: Month, invoice_line: Mapping[str, Any]) -> pl.DataFrame:
    """The rows of billing_charges that ``facts.invoice_lines`` put into the invoice line."""
    plain = [name for name in INVOICE_LINE_KEYS if name not in _WORKED_OUT]
    in_month = workspace.lake.scan(BILLING_CHARGES, day_keys(month.first_day.isoformat()))
    agreeing = in_month.filter(pl.col(name).eq_missing(pl.lit(invoice_line[name])) for name in plain)
    found = agreeing.filter(charge_kind() == invoice_line["charge_kind"]).collect()
    for name in ("user_id", "api_key_id"):
        found = _of_member(found, name, invoice_line)
    wanted = {key.lower(): key for key in workspace.settings.allocation.tag_keys}
    if wanted and found.height > invoice_line["charges_count"]:
        tags = [named_tags(text, wanted) if text else None for text in found["tags"]]
        found = found.filter(pl.Series(tags, dtype=pl.String).eq_missing(pl.lit(invoice_line["owner_tags"], pl.String)))
    return found


def _of_member(charges: pl.DataFrame, name: str, invoice_line: Mapping[str, Any]) -> pl.DataFrame:
    """Charges of the line's user or API key. A line that names none sums all, unless lines are kept apart by it."""
    member = invoice_line[name]
    if member is not None:
        return charges.filter(pl.col(name) == member)
    has_others = charges.height > invoice_line["charges_count"] and charges[name].null_count()
    return charges.filter(pl.col(name).is_null()) if has_others else charges


def _largest(charges: pl.DataFrame, files: Files, top: int) -> tuple[ChargeLine, ...]:
    ordered = charges.with_columns(size=pl.col("billed_cost").abs())
    rows = ordered.sort("size", "charge_date", "delivery_id", "raw_ordinal", descending=[True, False, False, False]).head(top)
    records = files.records(zip(rows["delivery_id"], rows["raw_ordinal"], strict=True))
    return tuple(
        ChargeLine(
            charge_date=row["charge_date"],
            description=row["charge_description"],
            sku=row["sku_meter"] or row["sku_id"],
            billed_cost=Decimal(row["billed_cost"]),
            billing_currency=row["billing_currency"],
            file=files.of(row["delivery_id"]),
            record=records[row["delivery_id"], row["raw_ordinal"]],
        )
        for row in rows.iter_rows(named=True)
    )
