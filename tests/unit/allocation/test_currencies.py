"""Currencies: an invoice is converted once and divided in the target currency; weights cross currencies where a rate exists."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.allocation.frames import NOVEMBER, allocate, invoices, lines, paid, rates, usage
from usage_etl.errors import ConservationError, MissingRateError

USED = (
    {"effective_cost": Decimal(100)},
    {"team_id": "speech", "effective_cost": Decimal(100)},
    {"team_id": "field", "effective_cost": Decimal(100)},
)
EURO = {"rate": Decimal("0.9")}


def test_the_invoice_is_converted_once_and_its_lines_add_up_in_both_currencies() -> None:
    found = allocate(lines({"billed_cost": Decimal("100.00")}), usage(*USED), fx=rates(EURO), currency="EUR")
    assert paid(found, "billing_currency") == {"EUR": Decimal("90.00")}
    assert paid(found, "invoice_currency", column="invoice_cost") == {"USD": Decimal("100.00")}
    row = found.row(0, named=True)
    assert (row["fx_rate"], row["fx_rate_date"], row["fx_rate_source"]) == (Decimal("0.9"), NOVEMBER.last_day, "ECB")
    assert "converted from USD at 0.9 of 2026-11-30 (ECB)" in row["allocation_rule"]
    assert set(found["metered_cost"]) == {Decimal(90)}


def test_the_limit_of_owners_holds_in_the_target_currency() -> None:
    found = allocate(lines({"billed_cost": Decimal("400.00")}), usage(*USED), fx=rates(EURO), currency="EUR", tolerance="0")
    assert paid(found, "line_kind") == {"allocated": Decimal(270), "unexplained": Decimal(90)}


def test_a_registered_invoice_is_what_is_converted() -> None:
    registered = invoices({"invoice_id": "INV-1", "invoice_total": Decimal("100.00")})
    fx = rates({"to_currency": "VND", "rate": Decimal(25000)})
    found = allocate(lines({"billed_cost": Decimal("100.004")}), usage(*USED), registered=registered, fx=fx, currency="VND")
    assert paid(found, "line_kind") == {"allocated": Decimal(2_500_100), "rounding": Decimal(-100)}
    assert sum(found["invoice_cost"]) == Decimal(100)


def test_what_is_in_the_target_currency_already_is_not_converted() -> None:
    found = allocate(lines({"billed_cost": Decimal("10.00")}), usage(*USED), currency="USD")
    assert found["fx_rate"].null_count() == found.height
    assert found["invoice_currency"].null_count() == found.height


def test_the_day_of_the_rate_is_the_last_of_the_month_or_the_date_of_the_invoice() -> None:
    fx = rates(EURO, {"rate": Decimal("0.5"), "rate_date": dt.date(2026, 12, 2)})
    registered = invoices({"invoice_id": "INV-1", "invoice_total": Decimal("100.00"), "issued_date": dt.date(2026, 12, 3)})
    bill = lines({"billed_cost": Decimal("100.00")})
    by_month = allocate(bill, usage(*USED), registered=registered, fx=fx, currency="EUR")
    by_invoice = allocate(bill, usage(*USED), registered=registered, fx=fx, currency="EUR", fx_date="invoice_date")
    assert (sum(by_month["allocated_cost"]), sum(by_invoice["allocated_cost"])) == (90, 50)


def test_missing_and_old_rates_are_named_with_currency_day_and_file() -> None:
    fx = rates({**EURO, "rate_date": dt.date(2026, 11, 1)})
    bill = lines({"billed_cost": Decimal(1)}, {"billed_cost": Decimal(1), "billing_currency": "CHF"})
    with pytest.raises(MissingRateError) as caught:
        allocate(bill, usage(*USED), fx=fx, currency="EUR")
    chf, usd = caught.value.problems
    assert "no rate from CHF to EUR for 2026-11-30; add" in chf
    assert all(problem.startswith("bill of openai account org-1: ") for problem in (chf, usd))
    assert "finance/fx_rates.csv has no rate from USD to EUR for 2026-11-30; the newest is of 2026-11-01, older than 7" in usd


def test_a_rate_of_the_last_day_that_is_allowed_counts() -> None:
    bill = lines({"billed_cost": Decimal(10)})
    fx = rates({**EURO, "rate_date": dt.date(2026, 11, 23)})
    assert sum(allocate(bill, usage(*USED), fx=fx, currency="EUR")["allocated_cost"]) == 9
    with pytest.raises(MissingRateError):
        allocate(bill, usage(*USED), fx=fx, currency="EUR", fx_max_age_days=6)


@pytest.mark.parametrize(
    "fx",
    [
        [{"rate": Decimal("0.5")}],
        [{"from_currency": "EUR", "to_currency": "USD", "rate": Decimal(2)}],
        [{"from_currency": "CHF", "to_currency": "USD", "rate": Decimal(1)}, {"from_currency": "CHF", "rate": Decimal("0.5")}],
    ],
)
def test_usage_priced_in_another_currency_has_weight_where_a_rate_is_known(fx) -> None:
    used = (
        {"effective_cost": Decimal(100), "currency": "CHF" if len(fx) == 2 else "USD"},
        {"team_id": "speech", "currency": "EUR", "effective_cost": Decimal(50)},
    )
    found = allocate(lines({"billed_cost": Decimal("80.00"), "billing_currency": "EUR"}), usage(*used), fx=rates(*fx))
    assert paid(found, "team_id") == {"vision": Decimal(40), "speech": Decimal(40)}
    assert set(found["metered_cost"]) == {Decimal(50)}


def test_estimates_are_converted_too_and_ask_for_their_rate() -> None:
    found = allocate(lines(), usage(*USED), fx=rates(EURO), currency="EUR")
    assert paid(found, "line_kind", "billing_currency", "invoice_currency") == {("estimate", "EUR", "USD"): Decimal(270)}
    assert sum(found["requests_count"]) == 30
    with pytest.raises(MissingRateError, match="estimate of openai"):
        allocate(lines(), usage(*USED), currency="EUR")


def test_an_account_that_nearly_cancels_out_keeps_its_lines() -> None:
    bill = lines({"billed_cost": Decimal("100.00")}, {"charge_category": "Credit", "billed_cost": Decimal("-99.996")})
    found = allocate(bill, usage(*USED), fx=rates({"to_currency": "JPY", "rate": Decimal(150)}), currency="JPY")
    assert paid(found, "charge_category") in ({"Usage": 15000, "Credit": -14999}, {"Usage": 15001, "Credit": -15000})
    assert sum(found["allocated_cost"]) == 1


def test_a_lost_unit_of_the_conversion_is_found(monkeypatch) -> None:
    from usage_etl.allocation import lines as module  # noqa: PLC0415

    rounded = module.round_groups

    def one_too_many(groups, *, tie_keys):
        found = rounded(groups, tie_keys=tie_keys)
        return [found[0] + 1, *found[1:]]

    monkeypatch.setattr(module, "round_groups", one_too_many)
    with pytest.raises(ConservationError):
        allocate(lines({"billed_cost": Decimal("100.00")}), usage(*USED), fx=rates(EURO), currency="EUR")


def test_two_currencies_of_one_account_are_rounded_apart() -> None:
    bill = lines({"billed_cost": Decimal("0.005")}, {"billed_cost": Decimal("0.005"), "billing_currency": "EUR"})
    found = allocate(bill, usage(*USED), fx=rates(EURO))
    assert set(found["allocated_cost"]) == {Decimal(0)}
    assert found.filter(pl.col("billing_currency") == "EUR").height == 3


@pytest.mark.parametrize(
    ("billed", "total", "currency", "rate"),
    [
        ("651.7621", "651.76", "EUR", "0.8457"),
        ("137.6682", "137.67", "JPY", "140.7828"),
        ("100.006", "100.00", "EUR", "0.1"),
    ],
)
def test_an_invoice_beyond_its_lines_adds_up_in_both_currencies(billed, total, currency, rate) -> None:
    registered = invoices({"invoice_id": "INV-1", "invoice_total": Decimal(total)})
    fx = rates({"to_currency": currency, "rate": Decimal(rate)})
    found = allocate(lines({"billed_cost": Decimal(billed)}), usage(*USED), registered=registered, fx=fx, currency=currency)
    assert sum(found["invoice_cost"]) == Decimal(total)
    unit = Decimal(1) if currency == "JPY" else Decimal("0.01")
    assert sum(found["allocated_cost"]) == (Decimal(total) * Decimal(rate)).quantize(unit)


def test_a_difference_that_vanishes_at_the_rate_still_stands_in_the_invoices_currency() -> None:
    registered = invoices({"invoice_id": "INV-1", "invoice_total": Decimal("100.00")})
    bill = lines({"billed_cost": Decimal("100.006")})
    found = allocate(bill, usage(*USED), registered=registered, fx=rates({"rate": Decimal("0.1")}), currency="EUR")
    rounding = found.filter(pl.col("line_kind") == "rounding").row(0, named=True)
    assert (rounding["allocated_cost"], rounding["invoice_cost"]) == (Decimal(0), Decimal("-0.01"))
    assert "rounding: invoice(s) INV-1 0.01 USD below the charge lines" in rounding["allocation_rule"]


def test_a_running_month_is_converted_at_the_newest_rate_up_to_its_last_complete_day() -> None:
    day = dt.date(2026, 11, 10)
    fx = rates({**EURO, "rate_date": day}, {"rate": Decimal("0.5"), "rate_date": dt.date(2026, 11, 12)})
    bill = lines({"billed_cost": Decimal("100.00")})
    found = allocate(bill, usage(*USED), fx=fx, currency="EUR", as_of=day)
    assert paid(found, "fx_rate_date") == {day: Decimal(90)}
    estimated = allocate(lines(), usage(*USED), fx=fx, currency="EUR", as_of=day)
    assert paid(estimated, "line_kind") == {"estimate": Decimal(270)}
    used = ({"effective_cost": Decimal(90), "currency": "EUR"},)
    assert paid(allocate(bill, usage(*used), fx=fx, as_of=day), "line_kind") == {"allocated": Decimal(100)}
    with pytest.raises(MissingRateError, match="2026-11-30"):
        allocate(bill, usage(*USED), fx=fx, currency="EUR", as_of=dt.date(2026, 12, 5))
