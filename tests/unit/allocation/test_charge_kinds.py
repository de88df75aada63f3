"""Default rules of the kinds of charges that are not metered usage: seats, capacity, commitments, tax, support, credits."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from tests.unit.allocation.frames import allocate, directories, lines, paid, usage

SEAT = {"charge_kind": "seat", "charge_category": "Purchase", "model_id": None, "billed_cost": Decimal(19)}
TEAMS = ({"team_id": "vision"}, {"team_id": "speech", "cost_center_id": "cc-200", "department_id": "sales"})
USERS = ({"user_id": "ada", "team_id": "vision"}, {"user_id": "bob", "team_id": "speech"})


def test_a_seat_is_paid_by_the_team_of_its_user_and_says_when_it_was_idle() -> None:
    found = allocate(
        lines({**SEAT, "user_id": "ada"}, {**SEAT, "user_id": "bob"}, {**SEAT, "user_id": "eve"}, {**SEAT}),
        usage({"user_id": "ada", "effective_cost": Decimal(1)}),
        directories(teams=TEAMS, users=USERS),
    )
    assert paid(found, "team_id") == {"vision": Decimal(19), "speech": Decimal(19), "unallocated": Decimal(38)}
    rules = dict(found.select("team_id", "allocation_rule").iter_rows())
    assert "idle" not in rules["vision"]
    assert "seat (idle: no usage in the month) to the owner of its user" in rules["speech"]
    reasons = {rule.split(";")[0] for rule in found.filter(found["team_id"] == "unallocated")["allocation_rule"]}
    assert reasons == {"unallocated: no directory knows who the seat is for", "unallocated: the seat line names nobody"}


def test_a_seat_is_not_called_idle_where_no_log_could_show_it() -> None:
    found = allocate(lines({**SEAT, "user_id": "ada"}), usage(), directories(teams=TEAMS, users=USERS))
    assert "no log says whether it was used" in found["allocation_rule"][0]


def test_overage_follows_its_user_else_the_usage_of_the_provider() -> None:
    overage = {"charge_kind": "overage", "model_id": None, "billed_cost": Decimal(8)}
    found = allocate(
        lines({**overage, "user_id": "ada"}, {**overage, "user_id": "eve"}),
        usage({"team_id": "speech", "cost_center_id": "cc-200", "effective_cost": Decimal(100)}),
        directories(teams=TEAMS, users=USERS),
    )
    assert paid(found, "team_id") == {"vision": Decimal(8), "speech": Decimal(8)}
    assert found["rule_name"].unique().to_list() == ["default-overage"]
    assert not any("idle" in rule for rule in found["allocation_rule"])


@pytest.mark.parametrize(
    ("line", "name", "text"),
    [
        ({"charge_kind": "capacity"}, "default-capacity", "provisioned capacity split by the provider's metered cost"),
        (
            {"charge_kind": "commitment", "commitment_discount_status": "Unused"},
            "default-commitment-unused",
            "unused commitment split by",
        ),
        ({"charge_kind": "commitment", "commitment_discount_status": "Used"}, "default-commitment", "commitment split by"),
        ({"charge_kind": "prepaid", "charge_category": "Purchase"}, "default-prepaid", "prepaid, not yet used split by"),
        ({"charge_kind": "purchase", "charge_category": "Purchase"}, "default-purchase", "purchase split by"),
    ],
)
def test_what_is_no_metered_usage_follows_the_providers_usage_without_a_limit(line, name, text) -> None:
    found = allocate(
        lines({"model_id": None, "billed_cost": Decimal(400), **line}),
        usage({"effective_cost": Decimal(1)}, {"team_id": "speech", "effective_cost": Decimal(3)}),
    )
    assert paid(found, "team_id") == {"vision": Decimal(100), "speech": Decimal(300)}
    assert set(found["rule_name"]) == {name}
    assert all(rule.startswith(text) for rule in found["allocation_rule"])
    assert found["requests_count"].sum() == 0


def test_capacity_of_a_model_follows_the_models_usage() -> None:
    found = allocate(
        lines({"charge_kind": "capacity", "model_id": "o9", "billed_cost": Decimal(10)}),
        usage({"effective_cost": Decimal(1)}, {"model_id": "o9", "team_id": "speech", "effective_cost": Decimal(1)}),
    )
    assert paid(found, "team_id") == {"speech": Decimal(10)}


def test_tax_follows_what_owners_pay_of_the_other_lines_of_the_account() -> None:
    tax = {"charge_category": "Tax", "model_id": None}
    found = allocate(
        lines(
            {"billed_cost": Decimal("150.00")},
            {**tax, "billed_cost": Decimal("15.00")},
            {"charge_kind": "support", "model_id": None, "billed_cost": Decimal("30.00")},
            {"charge_category": "Credit", "billed_cost": Decimal("-30.00")},
        ),
        usage({"effective_cost": Decimal(75)}, {"team_id": "speech", "effective_cost": Decimal(25)}),
        tolerance="0",
    )
    assert paid(found.filter(pl.col("charge_kind") == "tax"), "team_id") == {
        "vision": Decimal("6.56"),
        "speech": Decimal("2.19"),
        "unexplained": Decimal("6.25"),
    }
    support = paid(found.filter(pl.col("charge_kind") == "support"), "team_id")
    assert support["unexplained"] == Decimal("12.50")
    assert sum(support.values()) == 30
    assert set(found.filter(pl.col("team_id") == "unexplained")["line_kind"]) == {"unexplained"}


def test_tax_of_an_account_with_nothing_else_is_unallocated() -> None:
    found = allocate(
        lines({"charge_category": "Tax", "model_id": None, "billed_cost": Decimal(5)}), usage({"effective_cost": Decimal(9)})
    )
    assert paid(found, "line_kind") == {"unallocated": Decimal(5)}
    assert "owners pay nothing else on the account" in found["allocation_rule"][0]


def test_tax_of_a_month_of_credits_follows_the_credits() -> None:
    found = allocate(
        lines({"billed_cost": Decimal(-80)}, {"charge_category": "Tax", "model_id": None, "billed_cost": Decimal(-8)}),
        usage({"effective_cost": Decimal(3)}, {"team_id": "speech", "effective_cost": Decimal(1)}),
    )
    assert paid(found, "charge_category", "team_id")["Tax", "vision"] == Decimal(-6)


def test_credits_larger_than_charges_are_never_netted_before_they_are_divided() -> None:
    found = allocate(
        lines({"billed_cost": Decimal(10)}, {"charge_category": "Credit", "billed_cost": Decimal(-25)}),
        usage({"effective_cost": Decimal(6)}, {"team_id": "speech", "effective_cost": Decimal(4)}),
    )
    assert paid(found, "charge_category", "team_id") == {
        ("Usage", "vision"): Decimal(6),
        ("Usage", "speech"): Decimal(4),
        ("Credit", "vision"): Decimal(-15),
        ("Credit", "speech"): Decimal(-10),
    }


def test_the_amortised_view_divides_the_effective_cost_within_its_own_limit() -> None:
    found = allocate(
        lines({"billed_cost": Decimal(0), "effective_cost": Decimal("30.00")}),
        usage({"effective_cost": Decimal(12)}, {"team_id": "speech", "effective_cost": Decimal(8)}),
        tolerance="0",
    )
    assert set(found["allocated_cost"]) == {Decimal(0)}
    assert paid(found, "team_id", column="allocated_effective_cost") == {
        "vision": Decimal(12),
        "speech": Decimal(8),
        "unexplained": Decimal(10),
    }


def test_requests_behind_a_model_are_counted_once_however_many_lines_bill_it() -> None:
    found = allocate(
        lines(
            {"processing": "batch", "billed_cost": Decimal(1)},
            {"processing": "standard", "sub_account_id": "p", "billed_cost": Decimal(1)},
            {"model_id": None, "billed_cost": Decimal(1)},
        ),
        usage({"effective_cost": Decimal(10)}, {"model_id": "o9", "effective_cost": Decimal(10), "requests_count": 3}),
    )
    assert found["requests_count"].sum() == 13
    assert found["total_tokens"].sum() == 200
    assert found.filter(found["sub_account_id"] == "p")["requests_count"].to_list() == [10]


def test_requests_behind_estimates_in_two_currencies_are_counted_once() -> None:
    found = allocate(lines(), usage({"effective_cost": Decimal(1)}, {"currency": "EUR", "effective_cost": Decimal(1)}))
    assert sorted(found.select("billing_currency", "requests_count").rows()) == [("EUR", 20), ("USD", 0)]


def test_requests_of_an_account_billed_in_two_currencies_are_counted_once() -> None:
    bill = lines({"billed_cost": Decimal(1)}, {"billed_cost": Decimal(1), "billing_currency": "EUR"})
    found = allocate(bill, usage({"effective_cost": Decimal(1)}, {"currency": "EUR", "effective_cost": Decimal(1)}))
    assert found["requests_count"].sum() == 20


def test_a_seat_of_a_project_is_not_asked_whether_a_user_used_it() -> None:
    owners = directories(teams=TEAMS, projects=[{"project_id": "apollo", "team_id": "speech"}])
    found = allocate(lines({**SEAT, "sub_account_id": "apollo"}), usage({"user_id": "ada", "effective_cost": Decimal(1)}), owners)
    assert paid(found, "team_id") == {"speech": Decimal(19)}
    assert found["allocation_rule"][0].startswith("seat to the owner of its project")


def test_a_purchase_that_only_one_view_knows_is_not_lost() -> None:
    bought = {"charge_category": "Purchase", "model_id": None}
    found = allocate(
        lines(
            {**bought, "billed_cost": Decimal(5), "effective_cost": Decimal(0)},
            {**bought, "sub_account_id": "p", "billed_cost": Decimal(0), "effective_cost": Decimal(4)},
        ),
        usage(),
    )
    assert paid(found, "team_id") == {"unallocated": Decimal(5)}
    assert paid(found, "team_id", column="allocated_effective_cost") == {"unallocated": Decimal(4)}


@pytest.mark.parametrize("kind", ["usage", "marketplace"])
def test_metered_charges_count_the_requests_and_tokens_behind_them(kind) -> None:
    used = usage({"effective_cost": Decimal(10), "requests_count": 7, "output_tokens": 11})
    found = allocate(lines({"charge_kind": kind, "billed_cost": Decimal(10)}), used, directories(teams=TEAMS))
    assert found.select("team_id", "requests_count", "total_tokens").rows() == [("vision", 7, 11)]
