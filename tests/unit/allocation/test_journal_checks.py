"""The referees of the journal: each finds one atto too much, on either side, and says both sums."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.allocation.frames import NOVEMBER, lines
from usage_etl.allocation.journal_checks import check_balanced, check_disputes, check_facts
from usage_etl.errors import ConservationError
from usage_etl.money import MONEY

ATTO = Decimal("0.000000000000000001")


def entries(*rows: tuple[str, Decimal | None, Decimal | None]) -> pl.DataFrame:
    schema = {"currency": pl.String, "debit_cost": MONEY, "credit_cost": MONEY}
    return pl.DataFrame(rows, schema=schema, orient="row")


def own(*rows: dict[str, Any]) -> pl.DataFrame:
    defaults = {
        "provider_name": "openai",
        "billing_account_id": "org-1",
        "invoice_line_id": "line",
        "invoice_currency": None,
        "billing_currency": "USD",
        "fx_rate": None,
        "period_status": "preliminary",
    }
    kinds = dict.fromkeys(defaults, pl.String) | {"fx_rate": MONEY, "allocated_cost": MONEY}
    full = [{**defaults, **row} for row in rows]
    return pl.DataFrame({name: [row[name] for row in full] for name in kinds}, schema=kinds)


def test_a_journal_that_balances_in_each_currency_passes() -> None:
    check_balanced(entries(("USD", Decimal(3), None), ("USD", None, Decimal(2)), ("USD", None, Decimal(1))), NOVEMBER)
    check_balanced(entries(), NOVEMBER)


@pytest.mark.parametrize(
    ("rows", "left", "right"),
    [
        ([("USD", ATTO, None)], 1, 0),
        ([("USD", None, ATTO)], 0, 1),
        ([("USD", Decimal(1), None), ("USD", None, Decimal(1) + ATTO)], 10**18, 10**18 + 1),
        ([("USD", Decimal(1), None), ("EUR", None, Decimal(1))], None, None),
    ],
)
def test_one_atto_out_of_balance_is_found(rows, left, right) -> None:
    with pytest.raises(ConservationError) as caught:
        check_balanced(entries(*rows), NOVEMBER)
    if left is not None:
        assert (caught.value.left, caught.value.right) == (left, right)
        assert "journal of 2026-11 in USD" in caught.value.what


def test_a_dispute_is_zero_among_owners_in_its_currency() -> None:
    rows = [("D-1", "USD", Decimal(5)), ("D-1", "USD", Decimal(-5)), ("D-2", "USD", Decimal(7)), ("D-2", "EUR", Decimal(-7))]
    schema = {"dispute_id": pl.String, "billing_currency": pl.String, "allocated_cost": MONEY}
    check_disputes(pl.DataFrame(rows[:2], schema=schema, orient="row"), NOVEMBER)
    with pytest.raises(ConservationError) as caught:
        check_disputes(pl.DataFrame(rows, schema=schema, orient="row"), NOVEMBER)
    assert (caught.value.left, caught.value.right) == (7 * 10**18, 0)


def test_lines_that_equal_their_charge_lines_rounded_pass() -> None:
    check_facts(own({"allocated_cost": Decimal("10.00")}), lines({"billed_cost": Decimal("10.004")}), NOVEMBER)
    check_facts(own({"invoice_line_id": None, "allocated_cost": Decimal("0.01")}), lines(), NOVEMBER)
    check_facts(own(), lines({"billed_cost": Decimal("0.004")}), NOVEMBER)


@pytest.mark.parametrize(
    ("booked", "billed", "left", "right"),
    [
        ([{"allocated_cost": Decimal("10.01")}], [{"billed_cost": Decimal(10)}], 1001, 1000),
        ([], [{"billed_cost": Decimal("0.01")}], 0, 1),
        ([{"allocated_cost": Decimal("0.01")}], [], 1, 0),
    ],
)
def test_a_cent_between_lines_and_charge_lines_is_found_on_either_side(booked, billed, left, right) -> None:
    with pytest.raises(ConservationError) as caught:
        check_facts(own(*booked), lines(*billed), NOVEMBER)
    assert (caught.value.left, caught.value.right) == (left * 10**16, right * 10**16)


def test_converted_lines_are_compared_at_their_rate() -> None:
    converted = {"invoice_currency": "USD", "billing_currency": "JPY", "fx_rate": Decimal(150)}
    check_facts(own({**converted, "allocated_cost": Decimal(1501)}), lines({"billed_cost": Decimal("10.004")}), NOVEMBER)
    with pytest.raises(ConservationError):
        check_facts(own({**converted, "allocated_cost": Decimal(1500)}), lines({"billed_cost": Decimal("10.004")}), NOVEMBER)


def test_only_providers_that_are_not_closed_are_compared() -> None:
    closed = {"allocated_cost": Decimal(9), "period_status": "closed"}
    facts = lines({"billed_cost": Decimal(10)}, {"billed_cost": Decimal(4), "provider_name": "azure"})
    azure = {"provider_name": "azure", "allocated_cost": Decimal(4)}
    check_facts(own(closed, azure), facts, NOVEMBER)
    with pytest.raises(ConservationError, match="azure"):
        check_facts(own(closed, {**azure, "allocated_cost": Decimal(5)}), facts, NOVEMBER)
