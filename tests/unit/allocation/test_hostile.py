"""Awkward months: shuffled rows, odd names, one owner, no rows, minor units of every size, the same line in two months."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.allocation.frames import NOVEMBER, UNOWNED, allocate, directories, invoices, lines, paid, rates, usage
from usage_etl.periods import Month
from usage_etl.schemas import MART_ALLOCATION_MONTHLY

ODD = "O'Brien \"Bob\"\n=cmd|' /C calc'!A0;,\u202e\N{SNOWMAN}"


def test_an_empty_month_has_no_lines() -> None:
    assert allocate(lines(), usage()).equals(MART_ALLOCATION_MONTHLY.empty())


def test_names_with_quotes_newlines_and_formulas_are_kept_as_they_are() -> None:
    owners = directories(teams=[{"team_id": ODD, "team_name": ODD, "cost_center_id": ODD}])
    used = usage({"team_id": ODD, "cost_center_id": ODD, "model_id": ODD, "effective_cost": Decimal(1)})
    found = allocate(lines({"model_id": ODD, "billed_cost": Decimal("1.00")}), used, owners)
    assert found.select("team_id", "team_name", "cost_center_id", "model_id").row(0) == (ODD,) * 4


@pytest.mark.parametrize(
    ("currency", "unit"), [("JPY", "1"), ("KWD", "0.001"), ("USD", "0.01"), ("CLP", "1"), ("ISK", "1"), ("BHD", "0.001")]
)
def test_minor_units_of_the_currency_are_whole(currency, unit) -> None:
    used = usage(*({"team_id": f"t{n}", "currency": currency, "effective_cost": Decimal(1)} for n in range(7)))
    found = allocate(lines({"billed_cost": Decimal(5), "billing_currency": currency}), used)
    assert sum(found["allocated_cost"]) == 5
    assert all(cost % Decimal(unit) == 0 for cost in found["allocated_cost"])


def test_a_single_owner_gets_all_of_it_rounded_once() -> None:
    atto = usage({"effective_cost": Decimal("0.000000000000000001")})
    found = allocate(lines({"billed_cost": Decimal("10.005")}), atto, tolerance="0")
    assert paid(found, "line_kind") == {"allocated": Decimal(0), "unexplained": Decimal(10)}
    whole = allocate(lines({"billed_cost": Decimal("10.015")}), usage({"effective_cost": Decimal(11)}))
    assert whole["allocated_cost"].to_list() == [Decimal("10.02")]


def test_negative_totals_are_divided_by_the_same_function() -> None:
    used = usage(*({"team_id": f"t{n}", "effective_cost": Decimal(n + 1)} for n in range(3)))
    charge = allocate(lines({"charge_category": "Purchase", "billed_cost": Decimal("0.07")}), used)
    credit = allocate(lines({"charge_category": "Purchase", "billed_cost": Decimal("-0.07")}), used)
    assert {team: -cost for team, cost in paid(credit, "team_id").items()} == paid(charge, "team_id")


def test_lines_of_two_months_have_different_ids() -> None:
    def run(month: Month) -> set[str]:
        bill = lines({"billed_cost": Decimal(5), "month": month.first_day})
        used = usage(
            {"effective_cost": Decimal(3), "usage_date": month.first_day},
            {"effective_cost": Decimal(3), "usage_date": month.first_day, "host": "azure"},
        )
        registered = invoices(
            {"invoice_id": "I", "invoice_total": Decimal("5.01"), "billing_month": month.first_day},
            {"invoice_id": "J", "invoice_total": Decimal(9), "billing_month": month.first_day, "billing_account_id": "org-9"},
        )
        return set(allocate(bill, used, registered=registered, month=month)["line_id"])

    november, december = run(NOVEMBER), run(NOVEMBER.next)
    assert len(november) == 5
    assert not november & december


def test_ids_do_not_depend_on_amounts_rates_or_rules() -> None:
    used = ({"effective_cost": Decimal(3)}, {"team_id": "speech", "effective_cost": Decimal(2)})
    bill = lines({"billed_cost": Decimal(4)})
    first = dict(allocate(bill, usage(*used)).select("team_id", "line_id").iter_rows())
    ruled = allocate(bill, usage(*used), rules=[{"name": "mine", "steps": [{"method": "proportional", "weight": "requests"}]}])
    assert dict(ruled.select("team_id", "line_id").iter_rows()) == first


ROWS = st.fixed_dictionaries(
    {
        "team_id": st.sampled_from(["vision", "speech", "field"]),
        "user_id": st.sampled_from(["ada", "bob", None]),
        "project_id": st.sampled_from(["apollo", None]),
        "model_id": st.sampled_from(["gpt-5", "o9"]),
        "host": st.sampled_from(["openai", "azure", "google"]),
        "currency": st.sampled_from(["USD", "EUR"]),
        "usage_date": st.dates(dt.date(2026, 11, 1), dt.date(2026, 11, 30)),
        "effective_cost": st.decimals(0, 1000, places=6),
        "tag_set": st.sampled_from(["owner=vision", "owner=field;speech", None]),
    }
)
BILLS = st.fixed_dictionaries(
    {
        "provider_name": st.sampled_from(["openai", "azure"]),
        "charge_kind": st.sampled_from(["usage", "seat", "overage", "capacity", "support", "tax", "credit", "purchase"]),
        "model_id": st.sampled_from(["gpt-5", None]),
        "user_id": st.sampled_from(["ada", "eve", None]),
        "billed_cost": st.decimals(-1000, 1000, places=4),
        "effective_cost": st.decimals(-1000, 1000, places=4),
    }
)
RULES = st.sampled_from(
    [
        [],
        [{"name": "even", "match": {"model": ["gpt-5"]}, "steps": [{"method": "even"}]}],
        [
            {
                "name": "deep",
                "match": {"charge_kind": ["usage", "capacity"]},
                "steps": [
                    {"method": "fixed", "level": "department", "shares": {"research": "33.3", "sales": "66.7"}},
                    {"method": "headcount", "level": "team"},
                ],
            }
        ],
        [{"name": "tags", "steps": [{"method": "tag", "tag_key": "owner"}]}],
        [{"name": "users", "match": {"provider": ["openai"]}, "steps": [{"method": "proportional", "weight": "users"}]}],
        [{"name": "paid", "match": {"charge_kind": ["credit"]}, "steps": [{"method": "charged", "level": "department"}]}],
    ]
)
OWNERS = directories(
    teams=[
        {"team_id": "vision", "split_pct": Decimal("12.5")},
        {"team_id": "vision", "cost_center_id": "cc-900", "split_pct": Decimal("87.5")},
        {"team_id": "speech"},
        {"team_id": "field", "department_id": "sales", "cost_center_id": "cc-200"},
    ],
    users=[
        {"user_id": "ada", "team_id": "vision", "split_pct": Decimal(30)},
        {"user_id": "ada", "team_id": "field", "split_pct": Decimal(70)},
        {"user_id": "bob", "team_id": "speech"},
    ],
    projects=[{"project_id": "apollo", "team_id": "speech"}],
)


@settings(max_examples=40, deadline=None)
@given(
    used=st.lists(ROWS, max_size=8),
    bills=st.lists(BILLS, max_size=6),
    rules=RULES,
    currency=st.sampled_from([None, "EUR"]),
    data=st.data(),
)
def test_every_month_is_conserved_and_the_order_of_rows_does_not_matter(used, bills, rules, currency, data) -> None:
    numbered = [{**bill, "sub_account_id": f"p{number}"} for number, bill in enumerate(bills)]
    fx = rates({"rate": Decimal("0.9137")})
    settings_ = {"rules": rules, "currency": currency, "tag_keys": ["owner"], "fx": fx}
    found = allocate(lines(*numbered), usage(*used, {**UNOWNED, "effective_cost": Decimal(1)}), OWNERS, **settings_)
    other = [*used, {**UNOWNED, "effective_cost": Decimal(1)}]
    shuffled = allocate(
        lines(*data.draw(st.permutations(numbered))), usage(*data.draw(st.permutations(other))), OWNERS, **settings_
    )
    assert shuffled.equals(found)
    billed = found.filter(pl.col("charge_basis") == "billed")
    own = paid(billed, "provider_name", column="allocated_cost" if currency is None else "invoice_cost")
    for provider in {bill["provider_name"] for bill in bills}:
        total = sum((bill["billed_cost"] for bill in bills if bill["provider_name"] == provider), Decimal(0))
        assert own.get(provider, Decimal(0)) == total.quantize(Decimal("0.01"))
    if currency is None:
        effective = paid(billed, "provider_name", column="allocated_effective_cost")
        for provider in {bill["provider_name"] for bill in bills}:
            total = sum((bill["effective_cost"] for bill in bills if bill["provider_name"] == provider), Decimal(0))
            assert effective.get(provider, Decimal(0)) == total.quantize(Decimal("0.01"))
    assert found.equals(found.sort(*MART_ALLOCATION_MONTHLY.sort_by, nulls_last=False))
