"""Chargeback: the invoice amount goes out whole, owners never pay for what they did not use, and every line says why."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.allocation.frames import UNOWNED, allocate, directories, lines, paid, usage
from usage_etl.allocation import lines as lines_module
from usage_etl.errors import ConservationError


def test_a_bill_equal_to_usage_is_split_by_metered_cost() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("30.00")}),
        usage({"team_id": "vision", "effective_cost": Decimal(10)}, {"team_id": "speech", "effective_cost": Decimal(20)}),
        directories(teams=[{"team_id": "vision"}, {"team_id": "speech", "team_name": "Speech"}]),
    )
    assert paid(found, "team_id") == {"vision": Decimal(10), "speech": Decimal(20)}
    assert found["line_kind"].unique().to_list() == ["allocated"]
    assert found["team_name"].to_list() == ["Speech", "Vision"]
    assert found["requests_count"].to_list() == [10, 10]


def test_a_discount_is_shared_in_proportion() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("15.00")}),
        usage({"team_id": "vision", "effective_cost": Decimal(10)}, {"team_id": "speech", "effective_cost": Decimal(20)}),
    )
    assert paid(found, "team_id") == {"vision": Decimal(5), "speech": Decimal(10)}


def test_owners_pay_up_to_the_tolerance_and_the_rest_is_unexplained() -> None:
    found = allocate(lines({"billed_cost": Decimal("120.00")}), usage({"effective_cost": Decimal(100)}))
    assert paid(found, "line_kind") == {"allocated": Decimal(105), "unexplained": Decimal(15)}
    unexplained = found.filter(pl.col("line_kind") == "unexplained").row(0, named=True)
    assert (unexplained["department_id"], unexplained["team_name"]) == ("unexplained", "Unexplained")
    assert unexplained["metered_cost"] is None
    assert "metered cost plus 5 %" in unexplained["allocation_rule"]


def test_an_excess_within_the_tolerance_is_paid_by_owners() -> None:
    found = allocate(lines({"billed_cost": Decimal("104.99")}), usage({"effective_cost": Decimal(100)}))
    assert paid(found, "line_kind") == {"allocated": Decimal("104.99")}


def test_unowned_usage_carries_its_own_weight() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("40.00")}),
        usage({"effective_cost": Decimal(30)}, {**UNOWNED, "effective_cost": Decimal(10)}),
    )
    assert paid(found, "line_kind") == {"allocated": Decimal(30), "unallocated": Decimal(10)}
    assert found.filter(pl.col("line_kind") == "unallocated")["cost_center_name"].to_list() == ["Unallocated"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"model_id": "o9"}, "the logs show no usage of the model"),
        ({"model_id": "gpt-5", "effective_cost": None, "currency": None, "price_status": "unpriced"}, "has no price"),
        ({"model_id": "gpt-5", "currency": "EUR"}, "priced in EUR, the bill is in USD"),
    ],
)
def test_a_charge_without_metered_usage_is_unexplained_and_says_why(row, reason) -> None:
    found = allocate(lines({"billed_cost": Decimal("7.00")}), usage({"effective_cost": Decimal(9)} | row))
    assert paid(found, "line_kind") == {"unexplained": Decimal(7)}
    assert reason in found["allocation_rule"][0]


def test_charges_that_name_no_model_follow_all_usage_of_the_provider() -> None:
    found = allocate(
        lines({"model_id": None, "billed_cost": Decimal("40.00")}),
        usage(
            {"team_id": "vision", "model_id": "gpt-5", "effective_cost": Decimal(10)},
            {"team_id": "speech", "model_id": "o9", "effective_cost": Decimal(30)},
            {"team_id": "other", "host": "anthropic", "effective_cost": Decimal(500)},
        ),
    ).filter(pl.col("charge_basis") == "billed")
    assert paid(found, "team_id") == {"vision": Decimal(10), "speech": Decimal(30)}
    assert found["requests_count"].sum() == 20


def test_unnamed_charges_get_only_the_room_that_named_models_left() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("100.00")}, {"model_id": None, "billed_cost": Decimal("50.00")}),
        usage({"effective_cost": Decimal(100)}),
    )
    assert paid(found, "line_kind") == {"allocated": Decimal(105), "unexplained": Decimal(45)}


def test_credits_follow_their_model_then_the_provider_then_nobody() -> None:
    found = allocate(
        lines(
            {"charge_category": "Credit", "model_id": "o9", "billed_cost": Decimal("-8.00")},
            {"charge_category": "Credit", "model_id": None, "billed_cost": Decimal("-4.00")},
            {"charge_category": "Credit", "model_id": None, "provider_name": "mistral", "billed_cost": Decimal("-3.00")},
        ),
        usage(
            {"team_id": "vision", "model_id": "o9", "effective_cost": Decimal(10)},
            {"team_id": "speech", "model_id": "gpt-5", "effective_cost": Decimal(30)},
        ),
    )
    assert paid(found, "provider_name", "model_id", "team_id") == {
        ("openai", "o9", "vision"): Decimal(-8),
        ("openai", None, "vision"): Decimal(-1),
        ("openai", None, "speech"): Decimal(-3),
        ("mistral", None, "unallocated"): Decimal(-3),
    }
    assert found["requests_count"].sum() == 0


def test_negative_usage_lines_return_to_those_who_used_the_model() -> None:
    found = allocate(lines({"billed_cost": Decimal("-10.00")}), usage({"effective_cost": Decimal(3)}))
    assert paid(found, "line_kind") == {"allocated": Decimal(-10)}


def test_several_accounts_of_one_provider_share_one_limit() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("60.00")}, {"billing_account_id": "org-2", "billed_cost": Decimal("90.00")}),
        usage({"effective_cost": Decimal(100)}),
    )
    assert paid(found, "line_kind") == {"allocated": Decimal(105), "unexplained": Decimal(45)}
    assert paid(found, "billing_account_id") == {"org-1": Decimal(60), "org-2": Decimal(90)}


def test_fractions_of_a_cent_are_rounded_once_per_account() -> None:
    owners = [{"team_id": f"team-{n}", "effective_cost": Decimal(1)} for n in range(3)]
    bills = [
        {"billed_cost": Decimal("0.004")},
        {"billed_cost": Decimal("2.0011"), "model_id": "o9"},
        {"billed_cost": Decimal("0.005"), "billing_account_id": "org-2"},
    ]
    found = allocate(lines(*bills), usage(*owners, *({"model_id": "o9"} | owner for owner in owners)))
    assert paid(found, "billing_account_id") == {"org-1": Decimal("2.01"), "org-2": Decimal("0.00")}
    assert all(cost == cost.quantize(Decimal("0.01")) for cost in found["allocated_cost"])
    rule = found.filter(pl.col("billing_account_id") == "org-1")["allocation_rule"][0]
    assert "account total 2.0051 rounded half-even to 2.01 USD" in rule


def test_yen_have_no_cents() -> None:
    found = allocate(
        lines({"billed_cost": Decimal(1000), "billing_currency": "JPY"}),
        usage(*({"team_id": f"team-{n}", "currency": "JPY", "effective_cost": Decimal(333)} for n in range(3))),
    )
    assert sorted(found["allocated_cost"]) == [333, 333, 334]


def test_two_currencies_are_never_added() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("10.00")}, {"billed_cost": Decimal("20.00"), "billing_currency": "EUR"}),
        usage({"effective_cost": Decimal(10)}),
    )
    assert paid(found, "billing_currency", "line_kind") == {
        ("USD", "allocated"): Decimal(10),
        ("EUR", "unexplained"): Decimal(20),
    }


def test_usage_without_any_bill_becomes_an_estimate_apart_from_bills() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("10.00")}),
        usage(
            {"effective_cost": Decimal(10)},
            {"host": "anthropic", "model_id": "claude", "team_id": "vision", "effective_cost": Decimal("3.333")},
            {"host": "anthropic", "model_id": "claude", "team_id": "speech", "effective_cost": Decimal("3.333")},
            {"host": "anthropic", "model_id": "claude", **UNOWNED, "effective_cost": Decimal("3.333")},
        ),
    )
    assert paid(found, "charge_basis") == {"billed": Decimal(10), "priced_usage": Decimal("10.00")}
    estimates = found.filter(pl.col("charge_basis") == "priced_usage")
    assert estimates["line_kind"].unique().to_list() == ["estimate"]
    assert estimates["billing_account_id"].null_count() == 3
    assert "unallocated" in estimates["team_id"].to_list()


def test_a_model_at_two_hosts_is_divided_by_the_usage_of_each() -> None:
    each = {("openai", "vision"): 30, ("azure", "speech"): 5, ("openai", "speech"): 10, ("azure", "vision"): 15}
    used = [
        {"host": host, "team_id": team, "effective_cost": Decimal(number), "requests_count": number}
        for (host, team), number in each.items()
    ]
    bill = lines({"billed_cost": Decimal(40)}, {"provider_name": "azure", "billed_cost": Decimal(20)})
    found = allocate(bill, usage(*used))
    assert paid(found, "provider_name", "team_id") == each
    counted = found.select("provider_name", "team_id", "requests_count").rows()
    assert {(provider, team): count for provider, team, count in counted} == each


def test_usage_without_price_is_no_weight_and_of_no_price_no_estimate() -> None:
    unpriced = {"team_id": "speech", "effective_cost": None, "price_status": "unpriced"}
    found = allocate(lines({"billed_cost": Decimal(10)}), usage({"effective_cost": Decimal(10)}, unpriced))
    assert paid(found, "team_id") == {"vision": 10}
    assert allocate(lines(), usage(unpriced, {"effective_cost": Decimal(0), "currency": "EUR"})).is_empty()


def test_estimates_keep_the_currencies_of_prices_apart() -> None:
    used = [{"effective_cost": Decimal(cost), "currency": currency} for cost, currency in ((10, "USD"), (8, "EUR"))]
    found = allocate(lines(), usage(*used))
    assert paid(found, "billing_currency", "charge_basis") == {("USD", "priced_usage"): 10, ("EUR", "priced_usage"): 8}


def test_any_charge_line_of_a_provider_is_a_bill() -> None:
    found = allocate(
        lines({"charge_category": "Purchase", "model_id": None, "billed_cost": Decimal("50.00")}),
        usage({"effective_cost": Decimal(40)}),
    )
    assert paid(found, "charge_basis") == {"billed": Decimal(50)}


def test_names_are_those_of_the_last_day_of_the_month() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("10.00")}),
        usage(
            {"effective_cost": Decimal(10)},
            {"team_id": "closed", "effective_cost": Decimal(1)},
            {"team_id": "ghost", "effective_cost": Decimal(1)},
        ),
        directories(
            teams=[
                {"team_id": "vision", "team_name": "Old name", "valid_to": dt.date(2026, 11, 15)},
                {"team_id": "vision", "team_name": "Now", "valid_from": dt.date(2026, 11, 15)},
                {"team_id": "vision", "team_name": "Future", "valid_from": dt.date(2026, 12, 1)},
                {"team_id": "closed", "team_name": "Closed in May", "valid_to": dt.date(2026, 5, 1)},
            ]
        ),
    )
    assert dict(found.select("team_id", "team_name").iter_rows()) == {
        "vision": "Now",
        "closed": "Closed in May",
        "ghost": "ghost",
    }


def test_a_person_who_moved_leaves_both_teams_with_their_part() -> None:
    found = allocate(
        lines({"billed_cost": Decimal("9.00")}),
        usage(
            {"user_id": "ada", "team_id": "vision", "cost_center_id": "cc-100", "effective_cost": Decimal(6)},
            {"user_id": "ada", "team_id": "speech", "cost_center_id": "cc-200", "effective_cost": Decimal(3)},
        ),
    )
    assert paid(found, "cost_center_id") == {"cc-100": Decimal(6), "cc-200": Decimal(3)}


def test_other_months_are_not_looked_at() -> None:
    billed = lines({"billed_cost": Decimal("10.00"), "month": dt.date(2026, 10, 1)})
    used = usage(*({"effective_cost": Decimal(10), "usage_date": dt.date(2026, *day)} for day in ((10, 31), (12, 1))))
    found = allocate(billed, used)
    assert found.is_empty()


def test_line_ids_do_not_depend_on_order_or_on_amounts() -> None:
    owners = [{"team_id": name, "effective_cost": Decimal(cost)} for name, cost in (("a", 1), ("b", 2), ("c", 3))]
    forth = allocate(lines({"billed_cost": Decimal("6.00")}), usage(*owners))
    back = allocate(lines({"billed_cost": Decimal("5.99")}), usage(*reversed(owners)))
    assert forth.select("team_id", "line_id").equals(back.select("team_id", "line_id"))


def test_lines_that_do_not_add_up_are_never_returned(monkeypatch) -> None:
    def forgetful(groups, *, tie_keys):
        return [numerator // denominator for numerators, denominator in groups for numerator in numerators]

    monkeypatch.setattr(lines_module, "round_groups", forgetful)
    thirds = usage(*({"team_id": f"team-{n}", "effective_cost": Decimal(1)} for n in range(3)))
    with pytest.raises(ConservationError):
        allocate(lines({"billed_cost": Decimal("1.00")}), thirds)


MONEY = st.decimals(min_value=-10_000, max_value=10_000, places=6)
COST = st.decimals(min_value=0, max_value=10_000, places=9)
CHARGES = st.lists(
    st.fixed_dictionaries(
        {
            "provider_name": st.sampled_from(["openai", "anthropic"]),
            "billing_account_id": st.sampled_from(["org-1", "org-2"]),
            "charge_category": st.sampled_from(["Usage", "Usage", "Credit", "Tax"]),
            "model_id": st.sampled_from(["gpt-5", "o9", None]),
            "billing_currency": st.sampled_from(["USD", "USD", "JPY"]),
            "billed_cost": MONEY,
        }
    ),
    max_size=12,
)
USAGE = st.lists(
    st.fixed_dictionaries(
        {
            "host": st.sampled_from(["openai", "anthropic", "mistral"]),
            "model_id": st.sampled_from(["gpt-5", "o9"]),
            "team_id": st.sampled_from(["vision", "speech", "unallocated"]),
            "currency": st.sampled_from(["USD", "USD", "JPY"]),
            "effective_cost": COST,
        }
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(month=st.tuples(CHARGES, USAGE), tolerance=st.sampled_from(["0", "0.5", "100"]))
def test_whatever_is_billed_goes_out_whole_and_owners_stay_within_their_limit(month, tolerance) -> None:
    bills, used = month
    numbered = ({**bill, "sub_account_id": f"project-{number}"} for number, bill in enumerate(bills))
    found = allocate(lines(*numbered), usage(*used), tolerance=tolerance)
    billed = found.filter(pl.col("charge_basis") == "billed")
    totals = paid(billed, "provider_name", "billing_account_id", "billing_currency")
    expected: dict[tuple[str, str, str], Decimal] = {}
    for bill in bills:
        key = (bill["provider_name"], bill["billing_account_id"], bill["billing_currency"])
        expected[key] = expected.get(key, Decimal(0)) + bill["billed_cost"]
    for key, total in expected.items():
        assert totals.get(key, Decimal(0)) == total.quantize(Decimal(1) if key[2] == "JPY" else Decimal("0.01"))
    positive = [bill for bill in bills if bill["billed_cost"] > 0]
    if positive == bills:
        owners = billed.filter((pl.col("line_kind") != "unexplained") & (pl.col("charge_category") == "Usage"))
        for (provider, currency), cost in paid(owners, "provider_name", "billing_currency").items():
            metered = sum(
                (row["effective_cost"] for row in used if (row["host"], row["currency"]) == (provider, currency)), Decimal(0)
            )
            slack = (Decimal(1) if currency == "JPY" else Decimal("0.01")) * owners.height
            assert cost <= metered * (1 + Decimal(tolerance) / 100) + slack
