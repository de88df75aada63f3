"""Invoice Detail has a row per invoice line and adds up to the invoice; Billing Period says what is settled."""

import csv
import datetime as dt
import io
import json
from decimal import Decimal

import polars as pl

from tests.unit.reports.finance_months import awkward_month
from tests.unit.reports.finance_rows import AS_OF, MONTH, D, allocated, chargeback, cost, invoice_lines, invoices
from usage_etl.reports.chargeback_files import month_lines
from usage_etl.reports.finance.focus_file import focus_charges
from usage_etl.reports.finance.invoice_files import billing_period_csv, invoice_detail_csv

DETAIL_MANDATORY = {
    **dict.fromkeys(("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart"), False),
    **dict.fromkeys(("ChargeCategory", "InvoiceDetailCreated", "InvoiceDetailId", "InvoiceDetailLastUpdated"), False),
    **dict.fromkeys(("InvoiceId", "InvoiceIssueStatus", "InvoiceIssuerName", "ReferenceInvoiceId"), False),
    **dict.fromkeys(("InvoiceDetailDescription", "InvoiceDetailGrain", "InvoiceIssueDate", "PaymentDueDate"), True),
}
"""Columns that FOCUS 1.4 wants in Invoice Detail, to whether they may be null. PaymentTerms may not, and is unknown at times."""
PERIOD_COLUMNS = (
    *("BillingPeriodCreated", "BillingPeriodEnd", "BillingPeriodLastUpdated", "BillingPeriodStart"),
    *("BillingPeriodStatus", "InvoiceIssuerName", "x_BillingAccountsCount", "x_PeriodStatus"),
)


def detail(lines, bill, papers):
    rows = focus_charges(month_lines(lines), bill, papers, month=MONTH)
    return invoice_detail_csv(rows, bill, papers, month=MONTH, as_of=AS_OF)


def read(file):
    return list(csv.DictReader(io.StringIO(file.content.decode(), newline="")))


def total(rows, column):
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def test_a_row_per_invoice_line_and_rounding_that_add_up_to_the_invoice():
    file = detail(*awkward_month())
    rows = [row for row in read(file) if row["InvoiceId"] == "INV-1"]
    assert sorted(row["InvoiceDetailId"] for row in rows) == [
        *(f"il-{number:05d}" for number in range(5)),
        "openai|org-1|USD-rounding",
    ]
    assert total(rows, "BilledCost") == total(rows, "PaymentCurrencyBilledCost") == D("1177.36")
    exact = {row["InvoiceDetailId"]: row["x_ChargesBilledCost"] for row in rows}
    assert (exact["il-00000"], exact["openai|org-1|USD-rounding"]) == ("812.3456", "")


def test_mandatory_columns_are_filled():
    file = detail(*awkward_month())
    focus = [name for name in file.columns if not name.startswith("x_")]
    assert set(DETAIL_MANDATORY) <= set(focus)
    assert focus == sorted(focus)
    for row in read(file):
        assert all(row[name] for name, may_be_null in DETAIL_MANDATORY.items() if not may_be_null)
        assert row["InvoiceIssueStatus"] in ("Open", "Issued", "Voided")
        assert all(isinstance(text, str) for text in json.loads(row["InvoiceDetailGrain"]).values())


def test_only_registered_invoices_are_issued_and_tell_what_they_say():
    rows = {row["InvoiceId"]: row for row in read(detail(*awkward_month()))}
    paper = ("InvoiceIssueStatus", "InvoiceIssueDate", "PaymentDueDate", "PaymentTerms", "PurchaseOrderNumber")
    assert [rows["INV-1"][name] for name in paper] == ["Issued", "2026-11-03T00:00:00Z", "2026-12-03T00:00:00Z", "Net 30", "PO-9"]
    assert [rows["E-7"][name] for name in paper] == ["Open", "", "", "", ""]
    lines, bill, papers = awkward_month()
    undated = papers.with_columns(due_date=pl.lit(None, pl.Date))
    assert {row["PaymentTerms"] for row in read(detail(lines, bill, undated))} == {""}


def test_lines_without_an_invoice_stay_out_and_are_counted():
    file = detail(*awkward_month())
    assert {row["x_ProviderName"] for row in read(file)} == {"openai", "azure"}
    assert file.control_totals["USD"] == {
        "BilledCost": "1177.36",
        "no_invoice_left_out_count": "2",
        "no_invoice_left_out_cost": "1000.00",
    }


def test_corrections_and_disputes_are_on_no_invoice():
    rows = read(detail(*awkward_month()))
    assert "OLD" not in {row["InvoiceId"] for row in rows}


def test_payment_amounts_of_a_converted_invoice_are_the_invoice():
    bill = invoice_lines({"billed_cost": D("66.667")}, {"billed_cost": D("33.3349"), "charge_category": "Tax"})
    papers = invoices({"invoice_total": D("100.00")})
    for totals in ({("openai", "org-1", "USD"): D("100.00")}, None):
        wanted = papers if totals else papers.clear()
        rate = ("EUR", D("0.9"), dt.date(2026, 10, 30))
        lines = allocated(bill, [[("ads", None, 1), ("ops", None, 1)], [("ads", None, 1)]], totals=totals, rate=rate)
        named = lines.with_columns(invoice_id=pl.lit("INV-1"))
        rows = read(detail(named, bill, wanted))
        assert {(row["BillingCurrency"], row["PaymentCurrency"]) for row in rows} == {("EUR", "USD")}
        assert total(rows, "BilledCost") == D("90.00")
        assert total(rows, "PaymentCurrencyBilledCost") == (D("100.00") if totals else D("100.0019"))


def test_billing_period_is_closed_once_all_of_its_issuer_is():
    lines = chargeback(
        cost("1.00") | {"period_status": "closed"},
        cost("1.00") | {"period_status": "closed", "provider_name": "azure", "billing_account_id": "a"},
        cost("1.00") | {"period_status": "preliminary", "provider_name": "azure", "billing_account_id": "b"},
        cost("9.00") | {"period_status": "open", "corrects_month": dt.date(2026, 9, 1), "provider_name": "google"},
    )
    bill = invoice_lines({"provider_name": "azure", "billing_account_id": "b", "billed_cost": D("1.00")})
    file = billing_period_csv(focus_charges(month_lines(lines), bill, invoices(), month=MONTH), as_of=AS_OF)
    assert file.columns == PERIOD_COLUMNS
    rows = [(row["InvoiceIssuerName"], row["BillingPeriodStatus"], row["x_BillingAccountsCount"]) for row in read(file)]
    assert rows == [("azure", "Open", "2"), ("openai", "Closed", "1")]
    (start,) = {row["BillingPeriodStart"] for row in read(file)}
    assert start == "2026-10-01T00:00:00Z"
    assert {row["BillingPeriodLastUpdated"] for row in read(file)} == {"2026-11-01T00:00:00Z"}
