"""Gates name the account, the worst lines and how much is over which limit."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from tests.unit.allocation.tie_out_samples import NOVEMBER, charges, invoices, line, tie_out, usage
from usage_etl.allocation import failed_gates, invoice_tie_out
from usage_etl.config.finance import ReconciliationSettings, ToleranceGate
from usage_etl.schemas.tie_out import MART_INVOICE_TIE_OUT

CENT = Decimal("0.01")
NO_INVOICES = MART_INVOICE_TIE_OUT.empty()


def month(*lines: dict, logs: pl.DataFrame | None = None) -> pl.DataFrame:
    return tie_out(charges(*lines), usage({"output": 1}) if logs is None else logs)[1]


def failed(tie_out_month: pl.DataFrame, *gates: ToleranceGate) -> list[str]:
    return failed_gates(tie_out_month, NO_INVOICES, gates, invoice_tolerance=CENT)


UNEXPLAINED = month({"billed_cost": 100}, {"billed_cost": 30, "model_id": "o9"}, {"billed_cost": -5, "model_id": "o8"})
"""100 billed for gpt-5 with 40 metered; 30 for a model and a refund of 5 for another that nobody logged: 60 + 30 + 5."""


def test_the_worst_lines_are_named_with_amount_and_limit() -> None:
    assert failed(UNEXPLAINED, ToleranceGate(unexplained_cost=Decimal(50))) == [
        (
            "openai, account org-1: no cause explains 95.00 USD, the limit is 50.00 USD; "
            "most of it: gpt-5 60.00 USD, o9 30.00 USD, o8 -5.00 USD"
        )
    ]
    assert failed(UNEXPLAINED, ToleranceGate(unexplained_pct=Decimal("70.3"))) == [
        (
            "openai, account org-1: no cause explains 95.00 USD, 70.38 % of 135.00 USD billed usage, the limit is 70.3 %; "
            "most of it: gpt-5 60.00 USD, o9 30.00 USD, o8 -5.00 USD"
        )
    ]


def test_a_limit_that_is_just_kept_holds_nothing() -> None:
    assert failed(UNEXPLAINED, ToleranceGate(unexplained_cost=Decimal(95))) == []
    exact = month({"billed_cost": 80})
    assert failed(exact, ToleranceGate(unexplained_pct=Decimal(50))) == []
    assert len(failed(exact, ToleranceGate(unexplained_pct=Decimal("49.999999")))) == 1


def test_opposite_signs_are_not_netted() -> None:
    rows = month(
        {"billed_cost": 50}, {"billed_cost": 30, "model_id": "o9"}, logs=usage({"output": 1}, {"output": 1, "model_id": "o9"})
    )
    assert rows["unexplained_cost"].sum() == 0
    assert len(failed(rows, ToleranceGate(unexplained_cost=Decimal(19)))) == 1


def test_what_a_cause_explains_passes_one_gate_and_not_the_other() -> None:
    rows = month(line("output", 3, 120))
    assert failed(rows, ToleranceGate(unexplained_pct=Decimal(0), unexplained_cost=Decimal(0))) == []
    assert failed(rows, ToleranceGate(difference_pct=Decimal(10))) == [
        (
            "openai, account org-1: billed and metered cost differ by 80.00 USD, 66.67 % of 120.00 USD billed usage, "
            "the limit is 10 %; most of it: gpt-5 output_tokens standard 80.00 USD"
        )
    ]


def test_credits_are_no_difference() -> None:
    rows = month(line("output", 1, 40), {"charge_category": "Credit", "billed_cost": -30, "model_id": None})
    assert failed(rows, ToleranceGate(difference_pct=Decimal(0))) == []


def test_a_provider_with_a_gate_of_its_own_does_not_meet_the_common_one() -> None:
    common, own = ToleranceGate(unexplained_cost=Decimal(0)), ToleranceGate(provider="openai", unexplained_cost=Decimal(1000))
    assert failed(UNEXPLAINED, common, own) == []
    assert len(failed(UNEXPLAINED, common, ToleranceGate(provider="anthropic"))) == 1


def test_accounts_and_currencies_are_judged_apart() -> None:
    rows = month(
        {"billed_cost": 100}, {"billed_cost": 100, "billing_account_id": "org-2"}, {"billed_cost": 9, "billing_currency": "EUR"}
    )
    texts = failed(rows, ToleranceGate(unexplained_cost=Decimal(5)))
    assert [text.partition(":")[0] for text in texts] == ["openai, account org-1"] * 2 + ["openai, account org-2"]
    assert "9.00 EUR" in texts[0]


def test_usage_that_waits_for_its_bill_is_not_judged() -> None:
    rows = month(logs=usage({"output": 1}))
    assert failed(rows, ToleranceGate(unexplained_cost=Decimal(0), unexplained_pct=Decimal(0), difference_pct=Decimal(0))) == []


def test_an_unexplained_amount_of_a_bill_of_nothing_is_over_any_share() -> None:
    unpriced = {"effective_cost": None, "currency": None, "price_status": "unpriced", "price_id": None}
    refund = month({"billed_cost": 5}, {"billed_cost": -5}, logs=usage(unpriced | {"output": 1}))
    assert failed(refund, ToleranceGate(unexplained_pct=Decimal(0))) == []


def settings(**more: object) -> ReconciliationSettings:
    return ReconciliationSettings.model_validate(more)


def test_an_invoice_stands_beside_its_lines() -> None:
    bill = charges(
        line("output", 1, 40),
        {"charge_category": "Credit", "billed_cost": -3},
        {"charge_category": "Tax", "billed_cost": 7, "model_id": None},
        {"charge_category": "Purchase", "billed_cost": 20, "model_id": None},
        {"charge_category": "Adjustment", "billed_cost": 1, "model_id": None},
        line("output", 1, 40, day=31),
    )
    _, rows = tie_out(bill, usage({"output": 1}))
    paid = invoices(
        {"invoice_id": "B", "invoice_total": Decimal(25)},
        {"invoice_id": "A", "invoice_total": Decimal(40)},
        {"invoice_id": "C", "invoice_total": Decimal(9), "billing_month": NOVEMBER.next.first_day},
    )
    row = invoice_tie_out(bill, rows, paid, month=NOVEMBER, settings=settings()).row(0, named=True)
    assert row["invoice_ids"] == "A, B"
    names = ("invoice_cost", "billed_cost", "usage_cost", "credits_cost", "tax_cost", "other_cost", "metered_cost")
    assert [row[name] for name in names] == [65, 65, 40, -3, 7, 21, 40]
    assert (row["invoice_difference_cost"], row["unexplained_cost"], row["gate"]) == (0, 0, "passed")


@pytest.mark.parametrize(("total", "gap"), [("40.01", None), ("40.011", "0.02"), ("39.98", "-0.02")])
def test_an_invoice_apart_from_its_lines_holds_the_month(total: str, gap: str | None) -> None:
    bill = charges(line("output", 1, 40))
    _, rows = tie_out(bill, usage({"output": 1}))
    paid = invoices({"invoice_id": "A", "invoice_total": Decimal(total)})
    found = invoice_tie_out(bill, rows, paid, month=NOVEMBER, settings=settings())
    texts = failed_gates(rows, found, (), invoice_tolerance=CENT)
    assert found["gate"].to_list() == (texts or ["passed"])
    assert bool(texts) == (gap is not None)
    if gap:
        assert f"the invoice (A) is 40.02 USD and its charge lines 40.00 USD, {gap} USD apart" in texts[0] or gap == "-0.02"
        assert texts[0].endswith("the limit is 0.01 USD")


def test_an_account_without_an_invoice_or_without_lines_is_a_row() -> None:
    bill = charges(line("output", 1, 40))
    _, rows = tie_out(bill, usage({"output": 1}))
    paid = invoices({"invoice_id": "A", "invoice_total": Decimal(5), "billing_account_id": "org-9", "currency": "EUR"})
    found = invoice_tie_out(bill, rows, paid, month=NOVEMBER, settings=settings())
    names = ("billing_account_id", "billing_currency", "invoice_cost", "billed_cost", "metered_cost", "invoice_difference_cost")
    assert found.select(names).rows() == [("org-1", "USD", None, 40, 40, None), ("org-9", "EUR", 5, 0, None, 5)]
    assert found["gate"].to_list()[0] == "passed"


def test_the_gate_column_says_what_publication_would() -> None:
    bill = charges({"billed_cost": 100})
    _, rows = tie_out(bill, usage({"output": 1}))
    gates = (ToleranceGate(unexplained_pct=Decimal(1)), ToleranceGate(unexplained_cost=Decimal(1)))
    found = invoice_tie_out(bill, rows, invoices(), month=NOVEMBER, settings=settings(publish_gates=gates))
    texts = failed_gates(rows, found, gates, invoice_tolerance=CENT)
    assert len(texts) == 2
    assert found["gate"].to_list() == ["; ".join(texts)]


def test_an_empty_month_has_no_rows() -> None:
    _, rows = tie_out(charges(), usage())
    assert invoice_tie_out(charges(), rows, invoices(), month=NOVEMBER, settings=settings()).is_empty()
    assert failed_gates(rows, NO_INVOICES, (ToleranceGate(unexplained_pct=Decimal(0)),), invoice_tolerance=CENT) == []
