"""The FOCUS 1.4 datasets Invoice Detail and Billing Period, beside ``focus.csv`` of any version."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.money import MONEY, exact_sum
from usage_etl.periods import Month
from usage_etl.reports.chargeback_files import FinanceFile
from usage_etl.reports.csv_dialect import plain_decimal
from usage_etl.reports.finance.charges import registered_invoices
from usage_etl.reports.finance.machine_file import machine_file
from usage_etl.schemas.chargeback import least_settled

INVOICE_DATASETS_VERSION = "FOCUS 1.4"

_INSTANT = pl.Datetime("us", "UTC")
_DETAIL_SCHEMA = pl.Schema(
    {
        "BilledCost": MONEY,
        "BillingAccountId": pl.String(),
        "BillingCurrency": pl.String(),
        "BillingPeriodEnd": _INSTANT,
        "BillingPeriodStart": _INSTANT,
        "ChargeCategory": pl.String(),
        "InvoiceDetailCreated": _INSTANT,
        "InvoiceDetailDescription": pl.String(),
        "InvoiceDetailGrain": pl.String(),
        "InvoiceDetailId": pl.String(),
        "InvoiceDetailLastUpdated": _INSTANT,
        "InvoiceId": pl.String(),
        "InvoiceIssueDate": _INSTANT,
        "InvoiceIssueStatus": pl.String(),
        "InvoiceIssuerName": pl.String(),
        "PaymentCurrency": pl.String(),
        "PaymentCurrencyBilledCost": MONEY,
        "PaymentDueDate": _INSTANT,
        "PaymentTerms": pl.String(),
        "PurchaseOrderNumber": pl.String(),
        "ReferenceInvoiceId": pl.String(),
        "x_ChargesBilledCost": MONEY,
        "x_ChargesCount": pl.Int64(),
        "x_PeriodStatus": pl.String(),
        "x_ProviderName": pl.String(),
    }
)
_PERIOD_SCHEMA = pl.Schema(
    {
        "BillingPeriodCreated": _INSTANT,
        "BillingPeriodEnd": _INSTANT,
        "BillingPeriodLastUpdated": _INSTANT,
        "BillingPeriodStart": _INSTANT,
        "BillingPeriodStatus": pl.String(),
        "InvoiceIssuerName": pl.String(),
        "x_BillingAccountsCount": pl.Int64(),
        "x_PeriodStatus": pl.String(),
    }
)
_COPIED = (
    *("BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "InvoiceDetailId"),
    *("InvoiceId", "InvoiceIssuerName", "x_PeriodStatus"),
)
_IS_OWN = pl.col("x_CorrectsMonth").is_null() & pl.col("x_DisputeId").is_null() & (pl.col("x_LineKind") != "dispute")
_NO_LINE: Mapping[str, Any] = {"billed_cost": None, "charges_count": None, "processing": None}


def invoice_detail_csv(
    rows: pl.DataFrame, invoice_lines: pl.DataFrame, invoices: pl.DataFrame, *, month: Month, as_of: dt.datetime
) -> FinanceFile:
    """One row per invoice line (or rounding) that stands on an invoice whose id is known, from ``focus_charges``.

    ``BilledCost`` is the sum of its charges in ``focus.csv``; what has no invoice id stays out and is counted in the control
    totals. Raises ConservationError when the file does not add up.
    """
    own = rows.filter(_IS_OWN)
    details = own.filter(pl.col("InvoiceId").is_not_null())
    registered = {row["invoice_id"]: row for row in invoices.filter(pl.col("billing_month") == month.first_day).to_dicts()}
    lines = {row["invoice_line_id"]: row for row in invoice_lines.to_dicts()}
    found = []
    for _, group in details.sort("InvoiceId", "InvoiceDetailId", "x_LineId").group_by(
        "InvoiceId", "InvoiceDetailId", maintain_order=True
    ):
        first = group.row(0, named=True)
        cost = exact_sum(group.get_column("BilledCost"))
        line = lines.get(first["InvoiceDetailId"], _NO_LINE)
        found.append(_detail(first, cost, line, registered.get(first["InvoiceId"]), as_of))
    _tie_payments(found, _only_invoices(invoices, month))
    return machine_file(
        "focus_invoice_detail.csv",
        pl.DataFrame(found, schema=_DETAIL_SCHEMA),
        schema_version=INVOICE_DATASETS_VERSION,
        currency_column="BillingCurrency",
        totals=("BilledCost",),
        also=_without_invoice(own.filter(pl.col("InvoiceId").is_null())),
    )


def billing_period_csv(rows: pl.DataFrame, *, as_of: dt.datetime) -> FinanceFile:
    """One row per invoice issuer: the month, Closed once every charge of the issuer is in a closed period, else Open.

    Raises ConservationError when the file does not read back.
    """
    found = []
    own = rows.filter(_IS_OWN)
    for (issuer,), group in own.sort("InvoiceIssuerName", "x_LineId").group_by("InvoiceIssuerName", maintain_order=True):
        status = least_settled(group.get_column("x_PeriodStatus"))
        found.append(
            {
                "BillingPeriodCreated": as_of,
                "BillingPeriodEnd": group.item(0, "BillingPeriodEnd"),
                "BillingPeriodLastUpdated": as_of,
                "BillingPeriodStart": group.item(0, "BillingPeriodStart"),
                "BillingPeriodStatus": "Closed" if status == "closed" else "Open",
                "InvoiceIssuerName": issuer,
                "x_BillingAccountsCount": group.get_column("BillingAccountId").n_unique(),
                "x_PeriodStatus": status,
            }
        )
    table = pl.DataFrame(found, schema=_PERIOD_SCHEMA)
    return machine_file("focus_billing_period.csv", table, schema_version=INVOICE_DATASETS_VERSION)


def _detail(
    first: Mapping[str, Any], cost: Decimal, line: Mapping[str, Any], invoice: Mapping[str, Any] | None, as_of: dt.datetime
) -> dict[str, Any]:
    is_converted = first["x_InvoiceCurrency"] is not None
    exact = Decimal(0) if line["billed_cost"] is None else line["billed_cost"]
    return {
        **{name: first[name] for name in _COPIED},
        "BilledCost": cost,
        "InvoiceDetailCreated": as_of,
        "InvoiceDetailDescription": _description(first),
        "InvoiceDetailGrain": _grain(first, line),
        "InvoiceDetailLastUpdated": as_of,
        "InvoiceIssueStatus": "Open" if invoice is None else "Issued",
        "PaymentCurrency": first["PricingCurrency"],
        "PaymentCurrencyBilledCost": exact if is_converted else cost,
        "ReferenceInvoiceId": first["InvoiceId"],
        "x_ChargesBilledCost": line["billed_cost"],
        "x_ChargesCount": line["charges_count"],
        "x_ProviderName": first["ServiceProviderName"],
        **_paper(invoice),
    }


def _paper(invoice: Mapping[str, Any] | None) -> dict[str, Any]:
    """What only the invoice itself says; all null where it was not registered."""
    if invoice is None:
        return dict.fromkeys(("InvoiceIssueDate", "PaymentDueDate", "PaymentTerms", "PurchaseOrderNumber"))
    issued, due = invoice["issued_date"], invoice["due_date"]
    return {
        "InvoiceIssueDate": _midnight(issued),
        "PaymentDueDate": None if due is None else _midnight(due),
        "PaymentTerms": None if due is None else f"Net {(due - issued).days}",
        "PurchaseOrderNumber": invoice["purchase_order"],
    }


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


def _description(first: Mapping[str, Any]) -> str:
    parts = [first["ServiceName"], first["x_ModelId"], first["x_ChargeKind"]]
    return ", ".join(part for part in parts if part)


def _grain(first: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    """What tells invoice lines apart, without the users and keys that some are split by."""
    grain = {
        "ServiceName": first["ServiceName"],
        "SubAccountId": first["SubAccountId"],
        "x_ChargeKind": first["x_ChargeKind"],
        "x_InvoiceLineId": first["x_InvoiceLineId"],
        "x_LineKind": "rounding" if first["x_LineKind"] == "rounding" else None,
        "x_ModelId": first["x_ModelId"],
        "x_Processing": line["processing"],
    }
    known = {name: text for name, text in grain.items() if text is not None}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def _tie_payments(details: list[dict[str, Any]], totals: Mapping[str, Decimal]) -> None:
    """Converted invoices: what their exact lines differ from the total goes to rounding, else to the largest line."""
    by_invoice: dict[str, list[dict[str, Any]]] = {}
    for detail in details:
        if detail["PaymentCurrency"] != detail["BillingCurrency"]:
            by_invoice.setdefault(detail["InvoiceId"], []).append(detail)
    for invoice_id, found in by_invoice.items():
        if invoice_id in totals:
            exact = exact_sum(pl.Series([detail["PaymentCurrencyBilledCost"] for detail in found], dtype=MONEY))
            taker = max(found, key=_takes_rounding)
            taker["PaymentCurrencyBilledCost"] += totals[invoice_id] - exact


def _takes_rounding(detail: Mapping[str, Any]) -> tuple[bool, Decimal, str]:
    is_rounding = detail["x_ChargesBilledCost"] is None
    return is_rounding, abs(detail["PaymentCurrencyBilledCost"]), detail["InvoiceDetailId"]


def _only_invoices(invoices: pl.DataFrame, month: Month) -> dict[str, Decimal]:
    """Total of each invoice that is the only one of its account in the month."""
    registered = registered_invoices(invoices, month).filter(pl.col("registered_id").is_not_null())
    return dict(registered.select("registered_id", "invoice_total").iter_rows())


def _without_invoice(rows: pl.DataFrame) -> dict[str, dict[str, str]]:
    groups = rows.sort("x_LineId").group_by("BillingCurrency", maintain_order=True)
    return {
        str(currency): {
            "no_invoice_left_out_count": str(group.height),
            "no_invoice_left_out_cost": plain_decimal(exact_sum(group.get_column("BilledCost"))),
        }
        for (currency,), group in groups
    }
