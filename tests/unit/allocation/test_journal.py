"""The journal: debits of invoice lines, credits of who pays, zero in every currency, and nothing of a closed month moves."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.allocation.frames import NOVEMBER, UNOWNED, Row, allocate, build, directories, invoices, lines, paid, rates, usage
from usage_etl.allocation import journal as journal_module
from usage_etl.allocation import journal_month
from usage_etl.config.finance import JournalSettings
from usage_etl.errors import ConservationError
from usage_etl.schemas import DIM_COST_CENTER, MART_CHARGEBACK_MONTHLY, MART_JOURNAL_MONTHLY

CENTERS = build(
    DIM_COST_CENTER,
    {"cost_center_name": "Labs", "valid_from": dt.date(2026, 1, 1)},
    [
        {"cost_center_id": "cc-100", "gl_account": "6100", "valid_to": dt.date(2026, 11, 30)},
        {"cost_center_id": "cc-100", "gl_account": "6200", "valid_from": dt.date(2026, 11, 30)},
        {"cost_center_id": "cc-200"},
    ],
)
BILL = lines({"billed_cost": Decimal("100.00")}, {"model_id": "o9", "billed_cost": Decimal("50.00")})
USED = (
    {"effective_cost": Decimal(60)},
    {"team_id": "speech", "cost_center_id": "cc-200", "effective_cost": Decimal(30)},
    {**UNOWNED, "effective_cost": Decimal(10)},
)
OCTOBER = dt.date(2026, 10, 1)


def booked(found: pl.DataFrame, *more: Row, status: str = "preliminary") -> pl.DataFrame:
    """Lines of the allocation as they are booked, and further lines that name what a test is about."""
    own = found.with_columns(
        corrects_month=pl.lit(None, pl.Date),
        correction_reason=pl.lit(None, pl.String),
        dispute_id=pl.lit(None, pl.String),
        period_status=pl.lit(status),
    )
    defaults: dict[str, Any] = {
        "month": NOVEMBER.first_day,
        "line_kind": "allocated",
        "charge_basis": "billed",
        "provider_name": "openai",
        "billing_account_id": "org-1",
        "charge_kind": "usage",
        "charge_category": "Usage",
        "billing_currency": "USD",
        "allocated_effective_cost": Decimal(0),
        "rule_name": "r",
        "allocation_rule": "moved",
        "period_status": status,
        **{f"{level}_{part}": "x" for level in ("business_unit", "department", "team") for part in ("id", "name")},
        "cost_center_id": "cc-200",
        "cost_center_name": "Labs",
    }
    numbered = [{"line_id": f"more-{number}", **row} for number, row in enumerate(more)]
    return MART_CHARGEBACK_MONTHLY.validate(pl.concat([own, build(MART_CHARGEBACK_MONTHLY, defaults, numbered)]))


def journal(chargeback: pl.DataFrame, facts: pl.DataFrame = BILL) -> pl.DataFrame:
    found = journal_month(chargeback, facts, CENTERS, month=NOVEMBER, settings=JournalSettings())
    for currency, entries in found.group_by("currency"):
        assert sum(entries["debit_cost"].drop_nulls()) == sum(entries["credit_cost"].drop_nulls()), currency
    assert found.equals(found.sort(*MART_JOURNAL_MONTHLY.sort_by, nulls_last=False))
    return found


def sides(found: pl.DataFrame, *keys: str) -> dict[Any, Decimal]:
    """Debits less credits by columns."""
    net = found.with_columns(net=pl.col("debit_cost").fill_null(0) - pl.col("credit_cost").fill_null(0))
    return paid(net, *keys, column="net")


def test_invoice_lines_are_debited_and_whoever_pays_is_credited() -> None:
    found = journal(booked(allocate(BILL, usage(*USED))))
    assert sides(found, "entry_kind", "gl_account") == {
        ("invoice_line", "AI-CLEARING"): Decimal(150),
        ("owner", "6200"): Decimal(-60),
        ("owner", "AI-EXPENSE"): Decimal(-30),
        ("unallocated", "AI-UNALLOCATED"): Decimal(-10),
        ("unexplained", "AI-UNEXPLAINED"): Decimal(-50),
    }
    debits = found.filter(pl.col("debit_cost").is_not_null())
    assert dict(debits.select("invoice_line_id", "debit_cost").iter_rows()) == dict(
        BILL.select("invoice_line_id", "billed_cost").iter_rows()
    )
    assert debits["memo"].to_list() == ["charge line: usage of api"] * 2
    owner = found.filter(pl.col("cost_center_id") == "cc-100").row(0, named=True)
    assert (owner["cost_center_id"], owner["line_id"] is not None, owner["invoice_line_id"]) == ("cc-100", True, None)


def test_entries_of_equal_content_have_the_same_ids_and_amounts_do_not_matter() -> None:
    first = journal(booked(allocate(BILL, usage(*USED))))
    again = journal(booked(allocate(BILL, usage(*reversed(USED)))))
    assert first.equals(again)
    assert set(first["entry_id"].str.len_chars()) == {32}
    half = lines({"billed_cost": Decimal("99.00")}, {"model_id": "o9", "billed_cost": Decimal("50.00")})
    assert journal(booked(allocate(half, usage(*USED))), half)["entry_id"].equals(first["entry_id"])


def test_an_owner_without_cost_center_goes_to_the_unallocated_account() -> None:
    owners = directories(departments=[{"department_id": "research"}])
    rule = {"name": "mine", "steps": [{"method": "fixed", "level": "department", "shares": {"research": "100"}}]}
    found = journal(booked(allocate(BILL, usage(), owners, rules=[rule])))
    assert sides(found, "entry_kind", "gl_account")["owner", "AI-UNALLOCATED"] == -150


def test_credits_stand_on_the_other_side_and_zero_amounts_nowhere() -> None:
    bill = lines({"charge_category": "Credit", "billed_cost": Decimal(-9)}, {"billed_cost": Decimal(0)})
    found = journal(booked(allocate(bill, usage(*USED))), bill)
    assert found.filter(pl.col("entry_kind") == "invoice_line").select("debit_cost", "credit_cost").rows() == [(None, Decimal(9))]
    assert sum(found["debit_cost"].drop_nulls()) == 9
    assert not set(found["debit_cost"].drop_nulls()) & {Decimal(0)}


def test_an_invoice_beyond_its_lines_is_debited_and_credited_as_rounding() -> None:
    registered = invoices({"invoice_id": "INV-1", "invoice_total": Decimal("150.01")})
    found = journal(booked(allocate(BILL, usage(*USED), registered=registered)))
    assert sides(found, "entry_kind")["rounding"] == Decimal("-0.01")
    debit = found.filter(pl.col("memo") == "invoice beyond its charge lines").row(0, named=True)
    assert (debit["invoice_id"], debit["debit_cost"], debit["gl_account"]) == ("INV-1", Decimal("0.01"), "AI-CLEARING")


def test_an_invoice_without_lines_is_debited_whole() -> None:
    registered = invoices({"invoice_id": "INV-7", "invoice_total": Decimal("8.00")})
    found = journal(booked(allocate(lines(), usage(), registered=registered)), lines())
    assert found.select("entry_kind", "memo", "invoice_id").rows()[0] == ("invoice_line", "invoice without charge lines", "INV-7")
    assert sides(found, "entry_kind") == {"invoice_line": 8, "unexplained": -8}


def test_a_converted_invoice_balances_in_both_currencies() -> None:
    found = journal(booked(allocate(BILL, usage(*USED), fx=rates({"rate": Decimal("0.91")}), currency="EUR")))
    assert sides(found, "currency", "entry_kind") == {
        ("USD", "invoice_line"): Decimal(150),
        ("USD", "fx"): Decimal(-150),
        ("EUR", "fx"): Decimal("136.50"),
        ("EUR", "owner"): Decimal("-81.90"),
        ("EUR", "unallocated"): Decimal("-9.10"),
        ("EUR", "unexplained"): Decimal("-45.50"),
    }
    legs = found.filter(pl.col("entry_kind") == "fx")
    assert set(legs["memo"]) == {"converted from USD to EUR at 0.91 of 2026-11-30"}
    assert set(legs["gl_account"]) == {"AI-FX"}
    assert legs.select("provider_name", "billing_account_id").unique().rows() == [("openai", "org-1")]


def test_estimates_are_not_booked() -> None:
    found = journal(booked(allocate(lines(), usage(*USED))), lines())
    assert found.is_empty()


def test_corrections_are_debited_once_per_account_and_month() -> None:
    correction = {"corrects_month": OCTOBER, "charge_class": "Correction", "correction_reason": "late file"}
    found = journal(
        booked(
            allocate(BILL, usage(*USED)),
            {**correction, "allocated_cost": Decimal(12)},
            {**correction, "allocated_cost": Decimal(-5), "line_kind": "unallocated", "cost_center_id": "unallocated"},
            {**correction, "allocated_cost": Decimal(3), "corrects_month": dt.date(2026, 9, 1)},
            {**correction, "allocated_cost": Decimal(4), "provider_name": "azure"},
            {**correction, "allocated_cost": Decimal(-4), "provider_name": "azure"},
        )
    ).filter(pl.col("entry_kind") == "correction")
    clearing = found.filter(pl.col("gl_account") == "AI-CLEARING")
    assert sides(clearing, "provider_name", "corrects_month") == {
        ("openai", OCTOBER): Decimal(7),
        ("openai", dt.date(2026, 9, 1)): Decimal(3),
    }
    assert sides(found, "gl_account")["AI-UNALLOCATED"] == 5
    assert set(found.filter(pl.col("gl_account") != "AI-CLEARING")["memo"]) == {"late file"}


def test_disputes_move_money_among_owners() -> None:
    dispute = {"line_kind": "dispute", "dispute_id": "D-1", "corrects_month": OCTOBER}
    found = journal(
        booked(
            allocate(BILL, usage(*USED)),
            {**dispute, "allocated_cost": Decimal(-6)},
            {**dispute, "allocated_cost": Decimal(6), "cost_center_id": "unallocated"},
        )
    )
    assert sides(found.filter(pl.col("entry_kind") == "dispute"), "gl_account") == {"AI-EXPENSE": 6, "AI-UNALLOCATED": -6}


def test_a_dispute_that_makes_money_is_refused() -> None:
    dispute = {"line_kind": "dispute", "dispute_id": "D-1", "allocated_cost": Decimal(-6)}
    with pytest.raises(ConservationError, match="dispute D-1"):
        journal(booked(allocate(BILL, usage(*USED)), dispute))


def test_lines_that_are_not_the_charge_lines_are_refused_until_the_month_is_closed() -> None:
    later = lines({"billed_cost": Decimal("101.00")}, {"model_id": "o9", "billed_cost": Decimal("50.00")})
    found = allocate(BILL, usage(*USED))
    with pytest.raises(ConservationError, match="invoice lines of"):
        journal(booked(found), later)
    with pytest.raises(ConservationError, match="invoice lines of"):
        journal(booked(found.filter(pl.col("model_id") == "o9")), BILL)
    closed = journal(booked(found, status="closed"), later)
    assert closed.equals(journal(booked(found, status="closed"), BILL))


def test_a_line_that_lost_a_cent_is_refused() -> None:
    found = allocate(BILL, usage(*USED))
    is_first = pl.int_range(pl.len()) == 0
    lost = found.with_columns(pl.when(is_first).then(pl.col("allocated_cost") + Decimal("0.01")).otherwise("allocated_cost"))
    with pytest.raises(ConservationError):
        journal(booked(lost))


def test_both_sides_name_the_invoice() -> None:
    bill = lines({"invoice_id": "INV-1", "billed_cost": Decimal("100.00")})
    found = journal(booked(allocate(bill, usage(*USED))), bill)
    assert found["invoice_id"].unique().to_list() == ["INV-1"]


def test_a_journal_that_does_not_balance_is_never_returned(monkeypatch) -> None:
    whole = journal_module._owner_side
    monkeypatch.setattr(journal_module, "_owner_side", lambda *lines: whole(*lines).slice(1))
    with pytest.raises(ConservationError):
        journal_month(booked(allocate(BILL, usage(*USED))), BILL, CENTERS, month=NOVEMBER, settings=JournalSettings())


def test_an_empty_month_has_an_empty_journal() -> None:
    assert journal(booked(allocate(lines(), usage())), lines()).equals(MART_JOURNAL_MONTHLY.empty())
