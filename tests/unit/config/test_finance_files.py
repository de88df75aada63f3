"""Invoices, rates and disputes are read exactly; what contradicts itself or another row is named by file and line."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from usage_etl.config.finance_files import read_finance_files, unknown_finance_files
from usage_etl.errors import FinanceFileError
from usage_etl.schemas import DIM_DISPUTE, DIM_FX_RATE, DIM_INVOICE

INVOICES = (
    "invoice_id,provider_name,billing_account_id,billing_month,issued_date,due_date,currency,invoice_total,tax_total\n"
    "INV-1,openai,org-1,2026-10,2026-11-02,2026-12-02,USD,1234.50,\n"
    "INV-2,anthropic,org-2,2026-10-01,2026-11-03,,EUR,-20,-3.19\n"
)
RATES = "from_currency,to_currency,rate_date,rate,rate_source\nUSD,EUR,2026-10-31,0.912345678901234567,ECB\n"
DISPUTES = (
    "dispute_id,line_id,disputed_cost,reason,raised_by,raised_date,resolution,accepted_cost,charge_to_team_id,resolved_date\n"
)
OPEN = "D-1,line-1,-50.00,not ours,ana,2026-11-10,open,,,\n"


def folder(tmp_path: Path, *, invoices: str = INVOICES, rates: str = RATES, **disputes: str) -> Path:
    (tmp_path / "disputes").mkdir()
    (tmp_path / "invoices.csv").write_text(invoices, encoding="utf-8")
    (tmp_path / "fx_rates.csv").write_text(rates, encoding="utf-8")
    for name, rows in disputes.items():
        (tmp_path / "disputes" / f"{name}.csv").write_text(DISPUTES + rows, encoding="utf-8")
    return tmp_path


def problems_of(place: Path) -> tuple[str, ...]:
    with pytest.raises(FinanceFileError) as error:
        read_finance_files(place)
    return error.value.problems


def test_both_ways_to_write_a_month_and_every_digit_are_kept(tmp_path: Path) -> None:
    frames = read_finance_files(folder(tmp_path, search=OPEN))
    invoices = frames[DIM_INVOICE.name]
    assert invoices["billing_month"].to_list() == [dt.date(2026, 10, 1)] * 2
    assert dict(invoices.select("invoice_id", "invoice_total").iter_rows()) == {
        "INV-1": Decimal("1234.50"), "INV-2": Decimal(-20),
    }  # fmt: skip
    assert invoices["purchase_order"].to_list() == [None, None]
    assert frames[DIM_FX_RATE.name]["rate"].to_list() == [Decimal("0.912345678901234567")]
    for table in (DIM_INVOICE, DIM_FX_RATE, DIM_DISPUTE):
        table.validate(frames[table.name])


def test_missing_files_hold_no_rows(tmp_path: Path) -> None:
    assert [frame.height for frame in read_finance_files(tmp_path / "nowhere").values()] == [0, 0, 0]


def test_disputes_of_all_owners_are_one_table(tmp_path: Path) -> None:
    accepted = "D-2,line-2,80,wrong team,ben,2026-11-10,accepted,80,search,2026-11-20\n"
    frame = read_finance_files(folder(tmp_path, search=OPEN, support=accepted))[DIM_DISPUTE.name]
    assert frame["dispute_id"].to_list() == ["D-1", "D-2"]
    assert frame["charge_to_team_id"].to_list() == [None, "search"]


NO_MONTH = "is not a month as YYYY-MM or its first day"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("INV-1,openai,org-1,2026-09,2026-10-02,,USD,1,", "line 2: INV-1 stands again in invoices.csv line 4"),
        ("INV-3,openai,org-1,2026-10-02,2026-11-02,,USD,1,",
         "line 4: billing_month: '2026-10-02' is not the first day of a month"),
        ("INV-3,openai,org-1,10/2026,2026-11-02,,USD,1,", "line 4: billing_month: '10/2026' " + NO_MONTH),
        ("INV-3,openai,org-1,2026-13,2026-11-02,,USD,1,", "line 4: billing_month: '2026-13' " + NO_MONTH),
        ("INV-3,openai,org-1,2026-10,2026-11-02,,usd,1,", "line 4: currency 'usd' does not match ^[A-Z]{3}$"),
        ("INV-3,openai,org-1,2026-10,2026-11-02,,USD,,", "line 4: invoice_total is empty"),
        ("INV-3,openai,org-1,2026-10,2026-11-02,,USD,\"1,234.50\",", "line 4: invoice_total: not a decimal number: '1,234.50'"),
        ("INV-3,openai,org-1,2026-10,2026-11-02,,USD,1.005,",
         "line 4: INV-3 invoice_total 1.005 is not a whole number of 0.01 USD"),
        ("INV-3,openai,org-1,2026-10,2026-11-02,,JPY,10.5,", "line 4: INV-3 invoice_total 10.5 is not a whole number of 1 JPY"),
        ("INV-3,openai,org-1,2026-10,2026-11-02,,USD,1,0.001", "line 4: INV-3 tax_total 0.001 is not a whole number of 0.01 USD"),
        (
            "INV-3,openai,org-1,2026-10,2026-11-02,2026-11-01,USD,1,",
            "line 4: INV-3 is due on 2026-11-01, before it was issued on 2026-11-02",
        ),
    ],
)  # fmt: skip
def test_each_fault_of_an_invoice_is_named(tmp_path: Path, row: str, fault: str) -> None:
    assert problems_of(folder(tmp_path, invoices=f"{INVOICES}{row}\n")) == (f"invoices.csv {fault}",)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("USD,EUR,2026-10-31,0.9,ECB", "line 2: USD EUR 2026-10-31 stands again in fx_rates.csv line 3"),
        ("USD,GBP,2026-10-31,0,ECB", "line 3: USD GBP 2026-10-31 has the rate 0; a rate is above 0"),
        ("USD,GBP,2026-10-31,-0.8,ECB", "line 3: USD GBP 2026-10-31 has the rate -0.8; a rate is above 0"),
        ("USD,USD,2026-10-31,1,ECB", "line 3: USD USD 2026-10-31 has the same currency on both sides, USD"),
        ("USD,GBP,2026-10-31,0.8,", "line 3: rate_source is empty"),
        ("USD,GBP,2026-10-31,NaN,ECB", "line 3: rate: not a decimal number: 'NaN'"),
        ("USD,GBP,2026-10-31,0.1234567890123456789,ECB", "line 3: rate: more than 18 decimals: '0.1234567890123456789'"),
    ],
)
def test_each_fault_of_a_rate_is_named(tmp_path: Path, row: str, fault: str) -> None:
    assert problems_of(folder(tmp_path, rates=f"{RATES}{row}\n")) == (f"fx_rates.csv {fault}",)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("D-2,l,80,r,ben,2026-11-10,accepted,80,,", "line 3: D-2 is accepted and has no resolved_date"),
        ("D-2,l,80,r,ben,2026-11-10,rejected,,,", "line 3: D-2 is rejected and has no resolved_date"),
        ("D-2,l,80,r,ben,2026-11-10,open,,,2026-11-12", "line 3: D-2 is open and has a resolved_date, 2026-11-12"),
        ("D-2,l,80,r,ben,2026-11-10,open,10,,", "line 3: D-2 is open and has an accepted_cost of 10"),
        (
            "D-2,l,80,r,ben,2026-11-10,accepted,,,2026-11-09",
            "line 3: D-2 was resolved on 2026-11-09, before it was raised on 2026-11-10",
        ),
        (
            "D-2,l,80,r,ben,2026-11-10,accepted,80.01,,2026-11-12",
            "line 3: D-2 has an accepted_cost of 80.01, which is more than the 80 in dispute",
        ),
        (
            "D-2,l,-80,r,ben,2026-11-10,accepted,-81,,2026-11-12",
            "line 3: D-2 has an accepted_cost of -81, which is more than the -80 in dispute",
        ),
        (
            "D-2,l,-80,r,ben,2026-11-10,accepted,80,,2026-11-12",
            "line 3: D-2 has an accepted_cost of 80 with another sign than the -80 in dispute",
        ),
        ("D-2,l,80,r,ben,2026-11-10,accepted,0,,2026-11-12", "line 3: D-2 has an accepted_cost of 0; write rejected"),
        ("D-2,l,0,r,ben,2026-11-10,open,,,", "line 3: D-2 disputes an amount of 0"),
        ("D-2,l,80,r,ben,2026-11-10,maybe,,,", "line 3: resolution 'maybe' is not known; allowed are open, accepted, rejected"),
    ],
)
def test_each_fault_of_a_dispute_is_named(tmp_path: Path, row: str, fault: str) -> None:
    assert problems_of(folder(tmp_path, search=f"{OPEN}{row}\n")) == (f"disputes/search.csv {fault}",)


def test_a_dispute_that_two_owners_file_is_named_with_both_files(tmp_path: Path) -> None:
    assert problems_of(folder(tmp_path, search=OPEN, support=OPEN)) == (
        "disputes/search.csv line 2: D-1 stands again in disputes/support.csv line 2",
    )


def test_faults_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    found = problems_of(folder(tmp_path, invoices="x\n", rates=RATES + "USD,EUR,2026-10-31,0.9,ECB\n", search="D-1\n"))
    assert {fault.partition(".csv")[0] for fault in found} == {"invoices", "fx_rates", "disputes/search"}


def test_files_that_nothing_reads_are_seen(tmp_path: Path) -> None:
    place = folder(tmp_path, search=OPEN)
    (place / "fx_rate.csv").write_text("x", encoding="utf-8")
    (place / "disputes" / "support.xlsx").write_bytes(b"x")
    assert unknown_finance_files(place) == ["disputes/support.xlsx", "fx_rate.csv"]
