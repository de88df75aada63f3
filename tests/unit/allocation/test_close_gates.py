"""Each gate of closing: what it holds back, what it says, and that it says how to mend it."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.allocation.booking_lines import AT, AUGUST, JULY, SEPTEMBER, Books, allocation_line
from usage_etl.allocation.close_gates import CloseFacts, DoubtfulDelivery, SourceState, close_faults
from usage_etl.config.finance import CloseSettings
from usage_etl.schemas import DIM_INVOICE, FACT_INVOICE_LINES_MONTHLY
from usage_etl.schemas.periods import ALL_OTHERS, Closing, Periods

READY = dt.date(2026, 8, 3)
AFTER = dt.datetime(2026, 8, 1, tzinfo=dt.UTC)


def invoice_line(account="openai-account", *, invoice_id=None, cost="100"):
    return {
        "month": JULY.first_day,
        "invoice_line_id": f"{account}-{invoice_id}-{cost}".ljust(32, "0")[:32],
        "provider_name": "openai",
        "billing_account_id": account,
        "invoice_id": invoice_id,
        "billed_cost": Decimal(cost),
        "effective_cost": Decimal(cost),
    }


def invoice_lines(*rows):
    types = FACT_INVOICE_LINES_MONTHLY.polars_schema
    return pl.DataFrame([dict.fromkeys(types) | row for row in rows], schema=types, orient="row")


def invoices(*rows):
    """DIM_INVOICE of (account, month) rows."""
    data = [
        (f"INV-{number}", "openai", account, month.first_day, month.last_day, None, "USD", Decimal(100), None, None)
        for number, (account, month) in enumerate(rows)
    ]
    return pl.DataFrame(data, schema=DIM_INVOICE.polars_schema, orient="row")


def booked(**others):
    books = Books(as_of=READY)
    books.allocate(JULY, allocation_line("openai", JULY, "red", "100", **others))
    return books.book(JULY)


def facts(**others):
    """What lets July be closed."""
    values = {
        "lines": booked(),
        "invoice_lines": invoice_lines(invoice_line()),
        "invoices": invoices(("openai-account", JULY)),
        "gate_failures": [],
        "sources": [SourceState("openai", True, JULY.first_day, AFTER), SourceState("gateway", False, JULY.last_day, AFTER)],
        "doubtful": [],
        "open_months": [],
        "stale": [],
    }
    return CloseFacts(**(values | others))


def faults(found=None, *, periods=None, as_of=READY, **settings):
    return close_faults(
        "openai", JULY, found or facts(), periods=periods or Periods(), as_of=as_of, settings=CloseSettings(**settings)
    )


def test_month_that_passes_has_no_fault():
    assert faults() == []


def test_month_is_closed_only_after_it_has_settled():
    assert faults(as_of=dt.date(2026, 8, 2)) == [
        "data reaches 2026-08-02 and 2026-07 is closed from 2026-08-03 on; wait, or lower close.settle_days (3)"
    ]
    assert faults(as_of=dt.date(2026, 7, 31), settle_days=0) == []
    assert faults(as_of=dt.date(2026, 7, 30), settle_days=0) != []


def test_closed_month_is_closed_already_and_nothing_else_is_said():
    closing = Closing("openai", JULY, 2, AT, "Ada", 1, "a" * 64)
    found = faults(facts(stale=["x"]), periods=Periods([closing]))
    assert found == ["it was closed on 2026-11-09 by Ada (closing 2); to close it anew, reopen it first with `usage-etl reopen`"]
    sealed = Periods([replace(closing, provider_name=ALL_OTHERS)])
    assert faults(periods=sealed) == ["2026-07 was closed as a whole without openai; what arrived later is booked in 2026-08"]
    assert faults(periods=Periods([closing.reopened(at=AT, by="Ada", reason="late")])) == []


def test_earlier_months_come_first():
    june, may = JULY.previous, JULY.previous.previous
    first, second = faults(facts(open_months=[june, may]))
    assert first.startswith('2026-05 of openai is not closed; close it first: `usage-etl close 2026-05 --provider "openai"`')
    assert second.startswith("2026-06")


def test_allocation_of_older_inputs_is_not_closed():
    (fault,) = faults(facts(stale=[f"fact_usage_daily/2026-07-{day:02d}" for day in range(1, 8)]))
    assert "fact_usage_daily/2026-07-05 and 2 more" in fault
    assert "usage-etl run --from 2026-07-01 --to 2026-07-31 --no-reports" in fault


def test_each_account_needs_its_invoice():
    lines = invoice_lines(invoice_line(), invoice_line("second"), invoice_line("second", cost="1"), invoice_line("third"))
    found = faults(facts(invoice_lines=lines, invoices=invoices(("openai-account", JULY), ("second", AUGUST))))
    assert [fault.partition(";")[0] for fault in found] == [
        "no invoice of account second is registered for 2026-07, and 2 of its invoice lines name none",
        "no invoice of account third is registered for 2026-07, and 1 of its invoice lines name none",
    ]
    assert all("invoices.csv" in fault for fault in found)
    assert faults(facts(invoice_lines=lines, invoices=invoices()), requires_invoice=False) == []


def test_lines_that_all_name_their_invoice_need_none_registered():
    named, unnamed = invoice_line(invoice_id="IN-1"), invoice_line(cost="0")
    assert faults(facts(invoice_lines=invoice_lines(named, unnamed), invoices=invoices())) == []
    for cost in ("0.01", "-5"):
        assert faults(facts(invoice_lines=invoice_lines(named, invoice_line(cost=cost)), invoices=invoices())) != []


def test_estimates_are_not_closed_while_an_invoice_is_required():
    estimate = {"charge_basis": "priced_usage", "line_kind": "estimate"}
    nothing_billed = {"invoice_lines": invoice_lines(), "invoices": invoices()}
    (fault,) = faults(facts(lines=booked(**estimate), **nothing_billed))
    assert fault.startswith("no bill of openai was delivered for 2026-07, its lines are estimates; deliver the bill")
    assert faults(facts(lines=booked(**estimate), **nothing_billed), requires_invoice=False) == []
    assert faults(facts(lines=booked(**estimate), **nothing_billed), estimated_providers=("openai",)) == []
    assert faults(facts(lines=booked(**estimate), **nothing_billed), estimated_providers=("google",)) == [fault]
    free = booked(**estimate).with_columns(pl.lit(0).cast(pl.Decimal(38, 18)).alias("allocated_cost"))
    assert faults(facts(lines=free, **nothing_billed)) == []


def test_failed_gates_are_passed_on_with_what_to_do():
    (fault,) = faults(facts(gate_failures=["openai, account a: 12.00 USD unexplained, over 1 %"]))
    assert fault == (
        "openai, account a: 12.00 USD unexplained, over 1 %; find the cause, or change close.gates with the reason beside it"
    )


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("held", "delivery d1 of openai (bills/may.csv) is held; `usage-etl release` lets it in"),
        ("refused", "delivery d1 of openai (bills/may.csv) was refused whole; deliver it again"),
        ("staged", "4 row(s) of delivery d1 of openai (bills/may.csv) are in quarantine; deliver them mended"),
    ],
)
def test_quarantine_is_explained_first(status, says):
    doubtful = facts(doubtful=[DoubtfulDelivery("openai", "d1", "bills/may.csv", status, 4)])
    (fault,) = faults(doubtful)
    assert fault == f"{says}, or add d1 to close.accepted_quarantine once somebody has looked at it"
    assert faults(doubtful, accepted_quarantine=("d1",)) == []
    assert len(faults(doubtful, accepted_quarantine=("d2",))) == 1


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (SourceState("s", True, JULY.last_day, AFTER - dt.timedelta(seconds=1)), "(the last arrived 2026-07-31)"),
        (SourceState("s", False, None, None), "(nothing arrived)"),
        (SourceState("s", False, dt.date(2026, 7, 30), AFTER), "rows of s reach 2026-07-30, not the end of 2026-07"),
        (SourceState("s", False, None, AFTER), "rows of s reach None, not the end of 2026-07"),
    ],
)
def test_sources_must_have_come_to_the_end_of_the_month(state, says):
    (fault,) = faults(facts(sources=[state]))
    assert says in fault
    assert "take the source out of the settings if it has ended" in fault


def test_bill_whose_lines_are_dated_on_the_first_is_complete_once_it_came_after_the_month():
    assert faults(facts(sources=[SourceState("seats", True, JULY.first_day, AFTER)])) == []
    assert faults(facts(sources=[SourceState("gateway", False, SEPTEMBER.first_day, AFTER)])) == []


def test_all_faults_are_told_at_once():
    found = facts(
        open_months=[JULY.previous],
        stale=["x"],
        gate_failures=["y"],
        invoices=invoices(),
        sources=[SourceState("s", True, None, None)],
    )
    assert len(faults(found, as_of=dt.date(2026, 8, 1))) == 6
