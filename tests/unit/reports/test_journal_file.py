"""journal.csv balances per currency, has positive amounts on one side, and books what the chargeback charges."""

import csv
import io
from collections import defaultdict
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reports.finance_months import awkward_month
from tests.unit.reports.finance_rows import MONTH, D, chargeback, cost, journal_of, owner
from usage_etl.errors import ConservationError, ContractError
from usage_etl.reports.finance.journal_file import charged_totals, journal_csv
from usage_etl.schemas.chargeback import MART_JOURNAL_MONTHLY


def read(file):
    return list(csv.DictReader(io.StringIO(file.content.decode(), newline="")))


def entries(*rows):
    """Entries of the mart; the first fields that matter, the rest as an owner's."""
    base = {"month": MONTH.first_day, "provider_name": "openai", "gl_account": "6000", "currency": "USD", "memo": "m"}
    found = [base | {"entry_id": f"e{number}"} | row for number, row in enumerate(rows)]
    return pl.DataFrame(found, schema=MART_JOURNAL_MONTHLY.polars_schema, strict=False)


def sums(rows, side):
    found = defaultdict(Decimal)
    for row in rows:
        found[row["journal_id"]] += Decimal(row[side] or "0")
    return dict(found)


def test_every_journal_balances_and_every_row_has_one_positive_side():
    file = journal_csv(journal_of(awkward_month()[0]), month=MONTH)
    rows = read(file)
    assert sums(rows, "debit") == sums(rows, "credit") == {"AI-2026-10-EUR": D("15.10"), "AI-2026-10-USD": D("2180.86")}
    for row in rows:
        assert (row["debit"] == "") != (row["credit"] == "")
        assert Decimal(row["debit"] or row["credit"]) > 0
    assert file.control_totals["USD"] == {"debit": "2180.86", "credit": "2180.86"}


def test_expense_is_a_debit_of_the_cost_center_and_the_invoice_a_credit_of_clearing():
    lines = chargeback(cost("10.00"), cost("-4.00") | owner("ads"))
    file = journal_csv(journal_of(lines, accounts={"cc-100": "6100"}), month=MONTH)
    assert file.content.decode().splitlines()[1:] == [
        'AI-2026-10-USD,1,2026-10-31,2026-10,6000,cc-200,,4.00,USD,"AI usage 2026-10: openai, Sales",',
        'AI-2026-10-USD,2,2026-10-31,2026-10,6100,cc-100,10.00,,USD,"AI usage 2026-10: openai, R&D",',
        'AI-2026-10-USD,3,2026-10-31,2026-10,2000,,,6.00,USD,"AI usage 2026-10: invoice of openai, org-1",INV-openai',
    ]


def test_corrections_are_rows_of_their_own_with_the_month_they_correct():
    rows = [row for row in read(journal_csv(journal_of(awkward_month()[0]), month=MONTH)) if "correction" in row["description"]]
    assert {row["reference"] for row in rows} == {"correction of 2026-09"}
    assert sorted((row["debit"], row["credit"]) for row in rows) == [("", "3.00"), ("3.50", "")]


def test_what_lines_hold_below_the_minor_unit_moves_and_owners_stay():
    journal = entries(
        {"entry_kind": "invoice_line", "gl_account": "2000", "invoice_id": "A", "debit_cost": D("10.004")},
        {"entry_kind": "invoice_line", "gl_account": "2000", "invoice_id": "B", "debit_cost": D("5.003")},
        {"entry_kind": "rounding", "gl_account": "2950", "credit_cost": D("0.007")},
        {"entry_kind": "owner", "line_id": "l", "cost_center_id": "cc", "credit_cost": D("15.00")},
    )
    rows = read(journal_csv(journal, month=MONTH))
    assert [(row["gl_account"], row["debit"], row["credit"]) for row in rows if row["cost_center"]] == [("6000", "15.00", "")]
    assert sums(rows, "debit") == sums(rows, "credit")
    assert all(len((row["debit"] or row["credit"]).partition(".")[2]) == 2 for row in rows)


def test_conversion_passes_through_its_account_and_balances_in_both_currencies():
    rate = {"invoice_currency": "USD", "billing_currency": "EUR", "fx_rate": D("0.9")}
    rows = read(journal_csv(journal_of(chargeback(cost("90.00") | rate)), month=MONTH))
    assert [(row["currency"], row["gl_account"], row["debit"], row["credit"]) for row in rows] == [
        ("EUR", "6000", "90.00", ""),
        ("EUR", "2900", "", "90.00"),
        ("USD", "2000", "", "100.00"),
        ("USD", "2900", "100.00", ""),
    ]
    assert {row["description"] for row in rows if row["gl_account"] == "2900"} == {"AI usage 2026-10: conversion of openai"}


def test_journal_that_does_not_balance_is_refused():
    journal = entries({"entry_kind": "owner", "line_id": "l", "credit_cost": D("1.00")})
    with pytest.raises(ConservationError, match="debits and credits in USD"):
        journal_csv(journal, month=MONTH)
    with pytest.raises(ConservationError, match="journal in USD"):
        journal_csv(entries({"entry_kind": "owner", "line_id": "l", "credit_cost": D("1.005")}), month=MONTH)


def test_contract_is_checked():
    with pytest.raises(ContractError):
        journal_csv(entries({"entry_kind": "guess", "credit_cost": D(1)}), month=MONTH)


def test_yen_have_no_digits_and_nothing_books_nothing():
    lines = chargeback(cost("700") | {"billing_currency": "JPY"}, cost("0"))
    rows = read(journal_csv(journal_of(lines), month=MONTH))
    assert [(row["currency"], row["debit"], row["credit"]) for row in rows] == [("JPY", "700", ""), ("JPY", "", "700")]
    assert journal_csv(entries(), month=MONTH).rows_count == 0


LINES = st.fixed_dictionaries(
    {
        "allocated_cost": st.decimals(min_value=-(10**12), max_value=10**12, places=2, allow_nan=False),
        "provider_name": st.sampled_from(["openai", "azure"]),
        "billing_account_id": st.sampled_from(["a", "b"]),
        "billing_currency": st.sampled_from(["USD", "EUR"]),
        "cost_center_id": st.sampled_from(["cc-1", "cc-2", "unallocated"]),
        "cost_center_name": st.text(max_size=5),
        "corrects_month": st.sampled_from([None, MONTH.previous.first_day]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_any_chargeback_is_booked_to_the_cent(lines):
    frame = chargeback(*lines)
    journal = journal_of(frame)
    rows = read(journal_csv(journal, month=MONTH))
    assert sums(rows, "debit") == sums(rows, "credit")
    for currency in ("USD", "EUR"):
        wanted = sum((line["allocated_cost"] for line in lines if line["billing_currency"] == currency), Decimal(0))
        expense = [row for row in rows if row["currency"] == currency and row["gl_account"] == "6000"]
        assert sum((Decimal(row["debit"] or "0") - Decimal(row["credit"] or "0") for row in expense), Decimal(0)) == wanted
        assert Decimal(charged_totals(journal).get(currency, "0")) == wanted
    assert journal_csv(journal.reverse(), month=MONTH) == journal_csv(journal, month=MONTH)
