"""Registered invoices: their total goes out, differences are one line or an error, and nothing of them is dropped."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.allocation.frames import allocate, invoices, lines, paid, usage
from usage_etl.errors import InvoiceMismatchError

USED = ({"effective_cost": Decimal(50)}, {"team_id": "speech", "effective_cost": Decimal(50)})


def invoice(total: str, **row: object) -> dict[str, object]:
    return {"invoice_id": "INV-1", "invoice_total": Decimal(total), **row}


def test_an_invoice_that_equals_its_lines_changes_nothing() -> None:
    bill = lines({"billed_cost": Decimal("100.004")})
    with_invoice = allocate(bill, usage(*USED), registered=invoices(invoice("100.00")))
    assert with_invoice.equals(allocate(bill, usage(*USED)))


@pytest.mark.parametrize(("total", "difference"), [("100.01", "0.01"), ("99.99", "-0.01")])
def test_a_small_difference_is_one_line_and_owners_do_not_feel_it(total, difference) -> None:
    found = allocate(lines({"billed_cost": Decimal(100)}), usage(*USED), registered=invoices(invoice(total)))
    assert paid(found, "line_kind") == {"allocated": Decimal(100), "rounding": Decimal(difference)}
    row = found.filter(pl.col("line_kind") == "rounding").row(0, named=True)
    assert (row["team_id"], row["invoice_id"], row["invoice_line_id"]) == ("unallocated", "INV-1", None)
    assert "invoice(s) INV-1 0.01 USD" in row["allocation_rule"]
    assert row["allocated_effective_cost"] == 0


def test_a_larger_difference_is_refused_and_says_which_and_how_much() -> None:
    registered = invoices(
        invoice("120.00"), invoice("7.00", invoice_id="INV-2"), invoice("1.00", invoice_id="INV-3", provider_name="anthropic")
    )
    bill = lines(
        {"billed_cost": Decimal("100.50"), "invoice_id": "INV-9"}, {"billed_cost": Decimal(3), "provider_name": "anthropic"}
    )
    with pytest.raises(InvoiceMismatchError) as caught:
        allocate(bill, usage(*USED), registered=registered)
    assert len(caught.value.problems) == 4
    text = str(caught.value)
    assert "anthropic account org-1: invoice(s) INV-3 say 1 USD, the charge lines add up to 3 USD, a difference of -2" in text
    assert "INV-1, INV-2 say 127 USD, the charge lines add up to 100.5 USD, a difference of 26.5" in text
    assert "lines name invoice(s) INV-9, which finance/invoices.csv does not hold" in text


def test_lines_that_name_their_invoices_are_compared_invoice_by_invoice() -> None:
    registered = invoices(invoice("60.00"), invoice("40.00", invoice_id="INV-2"))
    bill = [
        {"billed_cost": Decimal(50), "invoice_id": "INV-1"},
        {"billed_cost": Decimal(50), "invoice_id": "INV-2"},
    ]
    with pytest.raises(InvoiceMismatchError, match="INV-1 say 60 USD, the charge lines add up to 50"):
        allocate(lines(*bill), usage(*USED), registered=registered)
    unnamed = [bill[0], {"billed_cost": Decimal(50)}]
    assert paid(allocate(lines(*unnamed), usage(*USED), registered=registered), "provider_name") == {"openai": Decimal(100)}


def test_an_invoice_without_any_charge_line_is_unexplained_whole_and_no_estimate_stands_beside_it() -> None:
    found = allocate(lines(), usage(*USED), registered=invoices(invoice("80.00"), invoice("5.00", invoice_id="INV-2")))
    row = found.row(0, named=True)
    assert found.height == 1
    assert (row["line_kind"], row["allocated_cost"], row["invoice_id"]) == ("unexplained", 85, None)
    assert row["allocation_rule"].startswith("unexplained: invoice(s) INV-1, INV-2 without charge lines")


def test_invoices_of_other_months_and_accounts_are_left_alone() -> None:
    bill = lines({"billed_cost": Decimal(100)})
    others = invoices(
        invoice("9.00", billing_month=dt.date(2026, 12, 1)),
        invoice("9.00", invoice_id="INV-2", billing_account_id="org-2"),
    )
    found = allocate(bill, usage(*USED), registered=others)
    assert paid(found, "billing_account_id", "billing_currency") == {
        ("org-1", "USD"): Decimal(100),
        ("org-2", "USD"): Decimal(9),
    }


def test_an_account_is_not_charged_in_one_currency_and_invoiced_in_another() -> None:
    with pytest.raises(
        InvoiceMismatchError, match=r"openai account org-1: invoice\(s\) INV-3 are in EUR, the charge lines in USD"
    ):
        allocate(
            lines({"billed_cost": Decimal(100)}),
            usage(*USED),
            registered=invoices(invoice("100.00"), invoice("9.00", invoice_id="INV-3", currency="EUR")),
        )


@pytest.mark.parametrize(("billed", "total"), [("12.345", "12.35"), ("-12.345", "-12.35"), ("12.335", "12.33")])
def test_lines_that_end_in_half_a_cent_may_be_invoiced_with_either_cent(billed, total) -> None:
    found = allocate(lines({"billed_cost": Decimal(billed)}), usage(*USED), registered=invoices(invoice(total)))
    assert sum(found["allocated_cost"]) == Decimal(total)
    assert abs(paid(found, "line_kind")["rounding"]) == Decimal("0.01")
