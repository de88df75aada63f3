"""All files of a month agree to the minor unit: each is added up here by another reader, and compared with the mart."""

import csv
import io
import zipfile
from collections import defaultdict
from decimal import Decimal
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reports.finance_months import awkward_month, late_lines
from tests.unit.reports.finance_rows import (
    AS_OF,
    MONTH,
    D,
    allocated,
    chargeback,
    cost,
    cost_centers,
    invoice_lines,
    invoices,
    journal_of,
)
from tests.unit.reports.test_workbook import table
from usage_etl.delivery.manifest import Edition, manifest_bytes
from usage_etl.errors import ConservationError
from usage_etl.reports.finance import finance_files
from usage_etl.reports.finance.ledger_accounts import gl_accounts

NAMES = (
    *("chargeback.csv", "chargeback_by_cost_center.csv", "chargeback.parquet", "chargeback.xlsx", "journal.csv", "focus.csv"),
    *("focus_invoice_detail.csv", "focus_billing_period.csv"),
)


def made(lines, bill, papers, *, journal=None, version="1.2"):
    return finance_files(
        lines,
        bill,
        journal_of(lines, accounts={"cc-100": "6100"}) if journal is None else journal,
        papers,
        cost_centers(cc_200="6200"),
        month=MONTH,
        as_of=AS_OF,
        organization_name="Northwind",
        focus_version=version,
        versions={"code": "1.2.3"},
    )


def by_name(files):
    return {file.name: file for file in files}


def rows(file):
    return list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"), newline="")))


def sums(found, column, currency="billing_currency"):
    totals = defaultdict(Decimal)
    for row in found:
        totals[row[currency]] += Decimal(row[column] or "0")
    return {key: amount for key, amount in totals.items() if amount}


def mart_totals(lines):
    found = lines.group_by("billing_currency").agg(pl.col("allocated_cost").sum()).iter_rows()
    return {currency: amount for currency, amount in found if amount}


def check_agreement(lines, files):
    found = by_name(files)
    charged = lines.filter(pl.col("charge_basis") == "billed")
    wanted, charges = mart_totals(lines), mart_totals(charged)
    assert sums(rows(found["chargeback.csv"]), "allocated_cost") == wanted
    assert sums(rows(found["chargeback_by_cost_center.csv"]), "allocated_cost") == wanted
    parquet = pl.read_parquet(io.BytesIO(found["chargeback.parquet"].content))
    assert mart_totals(parquet) == wanted
    sheet = [*table(found["chargeback.xlsx"], "Lines"), *table(found["chargeback.xlsx"], "Corrections")]
    cells = [{name: cell[1] if cell else "" for name, cell in row.items()} for row in sheet]
    rounded = {key: amount.quantize(D("0.01")) for key, amount in sums(cells, "allocated_cost").items()}
    assert {key: amount for key, amount in rounded.items() if amount} == wanted
    focus = rows(found["focus.csv"])
    assert sums(focus, "BilledCost", "BillingCurrency") == charges
    effective = charged.group_by("billing_currency").agg(pl.col("allocated_effective_cost").sum()).iter_rows()
    assert sums(focus, "EffectiveCost", "BillingCurrency") == {key: amount for key, amount in effective if amount}
    expense = [row for row in rows(found["journal.csv"]) if row["gl_account"] not in ("2000", "2900")]
    debit, credit = sums(expense, "debit", "currency"), sums(expense, "credit", "currency")
    net = {key: debit.get(key, D(0)) - credit.get(key, D(0)) for key in {*debit, *credit}}
    assert {key: amount for key, amount in net.items() if amount} == charges
    invoiced = [row for row in focus if row["InvoiceId"]]
    assert sums(rows(found["focus_invoice_detail.csv"]), "BilledCost", "BillingCurrency") == sums(
        invoiced, "BilledCost", "BillingCurrency"
    )


def test_all_files_are_made_and_agree():
    lines, bill, papers = awkward_month()
    files = made(lines, bill, papers)
    assert tuple(file.name for file in files) == NAMES
    check_agreement(lines, files)


def test_files_fit_the_manifest():
    edition = Edition(report="chargeback", period=str(MONTH), period_status="preliminary", as_of=AS_OF)
    assert b"estimates_left_out_cost" in manifest_bytes(edition, made(*awkward_month()), restates=None)


@pytest.mark.parametrize("version", ["1.2", "1.4"])
def test_equal_tables_have_equal_bytes(version):
    lines, bill, papers = awkward_month()
    one = made(lines, bill, papers, version=version)
    other = made(lines.reverse(), bill.reverse(), papers.reverse(), version=version)
    assert [file.content for file in one] == [file.content for file in other]


def test_cost_centers_show_the_account_that_the_journal_books():
    found = by_name(made(*awkward_month()))["chargeback_by_cost_center.csv"]
    accounts = {row["cost_center_id"]: row["gl_account"] for row in rows(found)}
    assert (accounts["cc-100"], accounts["cc-200"]) == ("6100", "6000")
    assert gl_accounts(journal_of(chargeback()), cost_centers(cc_200="6200"), month=MONTH) == {"cc-200": "6200"}
    two = pl.concat([journal_of(chargeback({})), journal_of(chargeback({"line_id": "x"}), accounts={"cc-100": "7000"})])
    assert gl_accounts(two, cost_centers(), month=MONTH) == {"cc-100": "6000 + 7000"}


def test_journal_that_books_something_else_is_refused():
    lines, bill, papers = awkward_month()
    with pytest.raises(ConservationError, match=r"journal\.csv: charges by currency"):
        made(lines, bill, papers, journal=journal_of(lines.head(3)))


def test_another_month_is_refused():
    lines = chargeback(cost("1.24") | {"month": MONTH.next.first_day})
    with pytest.raises(ValueError, match="not of 2026-10"):
        made(lines, invoice_lines(), invoices())


def test_a_month_without_lines_has_files_with_headers():
    files = made(chargeback(), invoice_lines(), invoices())
    assert [file.rows_count for file in files] == [0] * len(NAMES)
    with zipfile.ZipFile(io.BytesIO(by_name(files)["chargeback.xlsx"].content)) as package:
        ET.fromstring(package.read("xl/workbook.xml"))


BILL = st.fixed_dictionaries(
    {
        "provider_name": st.sampled_from(["openai", "azure"]),
        "billing_account_id": st.sampled_from(["a", "b"]),
        "invoice_id": st.sampled_from([None, "INV-9"]),
        "billed_cost": st.decimals(min_value=-(10**6), max_value=10**6, places=6, allow_nan=False),
        "charge_category": st.sampled_from(["Usage", "Credit", "Tax"]),
    }
)
OWNERS = st.lists(
    st.tuples(st.sampled_from(["search", "ads", "unallocated"]), st.none(), st.integers(1, 99)), min_size=1, max_size=3
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(BILL, OWNERS), max_size=5))
def test_any_month_agrees(found):
    bill = invoice_lines(*(line for line, _ in found))
    lines = pl.concat([allocated(bill, [owners for _, owners in found]), late_lines()])
    check_agreement(lines, made(lines, bill, invoices()))
