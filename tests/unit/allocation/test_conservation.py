"""The referee of the allocation: an account that is missing, extra, or out by one minor unit is found."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from tests.unit.allocation.frames import NOVEMBER, allocate, invoices, lines, rates, usage
from usage_etl.allocation.conservation import check_conserved, expected_totals
from usage_etl.errors import ConservationError

BILL = lines({"billed_cost": Decimal("10.00")}, {"billed_cost": Decimal("5.00"), "billing_account_id": "org-2"})
USED = usage({"effective_cost": Decimal(20)})


def found_in(frame: pl.DataFrame, bill: pl.DataFrame = BILL) -> tuple[object, object]:
    with pytest.raises(ConservationError) as caught:
        check_conserved(frame, bill, invoices(), month=NOVEMBER)
    return caught.value.left, caught.value.right


def test_an_account_without_its_lines_is_found() -> None:
    frame = allocate(BILL, USED)
    check_conserved(frame, BILL, invoices(), month=NOVEMBER)
    assert found_in(frame.filter(pl.col("billing_account_id") == "org-1")) == (0, 5 * 10**18)


def test_an_account_that_was_never_billed_is_found() -> None:
    assert found_in(allocate(BILL, USED), BILL.filter(pl.col("billing_account_id") == "org-1")) == (5 * 10**18, 0)


def test_a_cent_too_much_is_found_also_in_the_currency_that_was_converted_to() -> None:
    frame = allocate(BILL, USED, fx=rates({"rate": Decimal("0.9")}), currency="EUR")
    is_first = pl.int_range(pl.len()) == 0
    more = pl.when(is_first).then(pl.col("allocated_cost") + Decimal("0.01")).otherwise("allocated_cost")
    left, right = found_in(frame.with_columns(more.alias("allocated_cost")))
    assert int(str(left)) - int(str(right)) == 10**16
    source = pl.when(is_first).then(pl.col("invoice_cost") + Decimal("0.01")).otherwise("invoice_cost")
    left, right = found_in(frame.with_columns(source.alias("invoice_cost")))
    assert int(str(left)) - int(str(right)) == 10**16


def test_invoices_stand_for_their_lines() -> None:
    papers = invoices({"invoice_id": "I", "invoice_total": Decimal(11)}, {"invoice_id": "J", "invoice_total": Decimal(2)})
    assert expected_totals(BILL, papers, month=NOVEMBER) == {
        ("openai", "org-1", "USD"): 13 * 10**18,
        ("openai", "org-2", "USD"): 5 * 10**18,
    }
    assert expected_totals(BILL, papers, month=NOVEMBER.next) == {}
