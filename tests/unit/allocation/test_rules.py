"""Configured rules: each method, levels from the top down, what lies below, dates, order, and names that nobody knows."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from tests.unit.allocation.frames import NOVEMBER, UNOWNED, allocate, directories, lines, paid, usage
from usage_etl.allocation.divide import line_tag_values
from usage_etl.allocation.rules import DEFAULT_RULES, levels_of, rule_for, rules_of
from usage_etl.config.finance import AllocationRule, AllocationSettings, RuleMatch
from usage_etl.errors import UnknownOwnerError
from usage_etl.schemas.chargeback import CHARGE_KINDS, INVOICE_LINE_KEYS

OWNERS = directories(
    business_units=[{"business_unit_id": "emea"}, {"business_unit_id": "us"}],
    departments=[
        {"department_id": "research", "business_unit_id": "emea"},
        {"department_id": "sales", "business_unit_id": "us"},
        {"department_id": "law", "business_unit_id": "us"},
    ],
    teams=[
        {"team_id": "vision"},
        {"team_id": "speech"},
        {"team_id": "field", "department_id": "sales", "cost_center_id": "cc-200"},
        {"team_id": "court", "department_id": "law", "cost_center_id": "cc-300"},
    ],
    users=[
        {"user_id": "ada", "team_id": "vision"},
        {"user_id": "bob", "team_id": "vision"},
        {"user_id": "cyd", "team_id": "field"},
        {"user_id": "dan", "team_id": "court", "valid_to": NOVEMBER.last_day},
    ],
    projects=[{"project_id": "apollo", "team_id": "speech"}],
    api_keys=[{"api_key_id": "key-1", "team_id": "field"}],
    cost_centers=[{"cost_center_id": "cc-200"}, {"cost_center_id": "cc-300"}, {"cost_center_id": "cc-100"}],
)
FIELD = {"team_id": "field", "department_id": "sales", "cost_center_id": "cc-200"}
USED = (
    {"effective_cost": Decimal(60), "requests_count": 1, "user_id": "ada"},
    {"team_id": "speech", "effective_cost": Decimal(30), "requests_count": 5, "user_id": "eve"},
    {**FIELD, "effective_cost": Decimal(10), "requests_count": 14, "output_tokens": 700, "user_id": "cyd"},
)


def by_team(*steps: dict[str, Any], used=USED, cost: str = "100.00", line=(), **settings: Any) -> dict[str, Decimal]:
    """What teams pay of one line by a rule of these steps."""
    found = allocate(
        lines({"billed_cost": Decimal(cost), **dict(line)}),
        usage(*used),
        OWNERS,
        rules=[{"name": "mine", "steps": steps}],
        **settings,
    ).filter(pl.col("charge_basis") == "billed")
    assert set(found["rule_name"]) == {"mine"}
    return paid(found, "team_id")


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ("cost", {"vision": 60, "speech": 30, "field": 10}),
        ("requests", {"vision": 5, "speech": 25, "field": 70}),
        ("tokens", {"vision": Decimal("11.11"), "speech": Decimal("11.11"), "field": Decimal("77.78")}),
        ("users", {"vision": Decimal("33.33"), "speech": Decimal("33.33"), "field": Decimal("33.34")}),
    ],
)
def test_proportional_counts_what_it_says(weight, expected) -> None:
    found = by_team({"method": "proportional", "weight": weight})
    if weight == "users":
        assert sorted(found.values()) == sorted(expected.values())
    else:
        assert found == expected


def test_a_user_counts_once_in_a_team_however_many_models_and_days() -> None:
    used = [{**USED[0], "model_id": model, "usage_date": dt.date(2026, 11, day)} for model in ("gpt-5", "o9") for day in (1, 2)]
    assert by_team({"method": "proportional", "weight": "users", "scope": "provider"}, used=[*used, USED[2]]) == {
        "vision": 50,
        "field": 50,
    }


def test_even_gives_all_teams_of_the_directory_the_same() -> None:
    assert by_team({"method": "even"}) == {"vision": 25, "speech": 25, "field": 25, "court": 25}


def test_even_among_named_members() -> None:
    assert by_team({"method": "even", "level": "department", "members": ["sales", "law"]}) == {"field": 50, "unallocated": 50}


def test_fixed_shares_by_department_then_by_metered_cost_below() -> None:
    assert by_team({"method": "fixed", "level": "department", "shares": {"research": "70", "sales": "30"}}) == {
        "vision": Decimal("46.67"),
        "speech": Decimal("23.33"),
        "field": Decimal("30.00"),
    }


def test_a_member_without_usage_below_pays_itself() -> None:
    found = allocate(
        lines({"billed_cost": Decimal(100)}),
        usage(*USED),
        OWNERS,
        rules=[{"name": "mine", "steps": [{"method": "fixed", "level": "department", "shares": {"law": "100"}}]}],
    )
    row = found.row(0, named=True)
    assert (row["business_unit_id"], row["department_id"], row["team_id"]) == ("us", "law", "unallocated")
    assert (row["line_kind"], row["allocated_cost"]) == ("allocated", 100)


def test_headcount_counts_people_on_the_last_day_of_the_month() -> None:
    assert by_team({"method": "headcount"}) == {"vision": Decimal("66.67"), "field": Decimal("33.33")}


def test_steps_go_from_the_top_down() -> None:
    steps = (
        {"method": "fixed", "level": "business_unit", "shares": {"emea": "40", "us": "60"}},
        {"method": "even", "level": "department"},
        {"method": "proportional", "weight": "requests", "level": "team"},
    )
    assert by_team(*steps) == {
        "vision": Decimal("6.67"),
        "speech": Decimal("33.33"),
        "field": Decimal("30.00"),
        "unallocated": Decimal("30.00"),
    }


def test_direct_goes_to_the_owner_of_user_then_key_then_sub_account() -> None:
    direct = {"method": "direct"}
    assert by_team(direct, line={"user_id": "cyd", "api_key_id": "key-1"}) == {"field": 100}
    assert by_team(direct, line={"user_id": "nobody", "api_key_id": "key-1"}) == {"field": 100}
    assert by_team(direct, line={"sub_account_id": "apollo"}) == {"speech": 100}
    assert by_team(direct, line={"sub_account_id": "unknown"}) == {"unallocated": 100}


def test_a_tag_of_several_values_is_shared_in_equal_parts() -> None:
    tag = {"method": "tag", "tag_key": "owner"}
    assert by_team(tag, line={"owner_tags": '{"owner":"vision; field;vision"}'}, tag_keys=["owner"]) == {
        "vision": 50,
        "field": 50,
    }
    assert by_team(tag, line={"owner_tags": '{"owner":["court","field","ghost"]}'}, tag_keys=["owner"], cost="99.00") == {
        "court": 33,
        "field": 33,
        "unallocated": 33,
    }


def test_tags_of_usage_divide_lines_that_have_none() -> None:
    used = (
        {**USED[0], "tag_set": "env=prod,owner=field"},
        {**USED[1], "tag_set": "owner=field;court"},
        {**USED[2]},
    )
    assert by_team({"method": "tag", "tag_key": "owner"}, used=used, tag_keys=["owner"]) == {
        "field": 75,
        "court": 15,
        "unallocated": 10,
    }


def test_tags_of_usage_count_inside_the_member_above_alone() -> None:
    steps = (
        {"method": "fixed", "level": "department", "shares": {"research": "75", "sales": "25"}},
        {"method": "tag", "tag_key": "owner", "level": "team"},
    )
    tagged = [{**row, "tag_set": f"owner={team}"} for row, team in zip(USED, ("vision", "speech", "field"), strict=True)]
    assert by_team(*steps, used=tagged, cost="240.00", tag_keys=["owner"]) == {"vision": 120, "speech": 60, "field": 60}


def test_usage_without_price_or_rate_or_worth_has_no_weight_by_tags() -> None:
    used = (
        {"tag_set": "owner=vision", "effective_cost": Decimal(10)},
        {"tag_set": "owner=field", "effective_cost": Decimal(50), "currency": "JPY"},
        {"tag_set": "owner=field", "effective_cost": Decimal(0)},
        {"tag_set": "owner=court", "effective_cost": None, "currency": None, "price_status": "unpriced"},
        {"tag_set": "owner=speech", "model_id": "o9", "effective_cost": Decimal(70)},
    )
    assert by_team({"method": "tag", "tag_key": "owner"}, used=used, tag_keys=["owner"]) == {"vision": 100}


def test_charged_follows_the_other_lines_of_the_account() -> None:
    found = allocate(
        lines({"billed_cost": Decimal(100)}, {"charge_kind": "support", "model_id": None, "billed_cost": Decimal(50)}),
        usage(*USED),
        OWNERS,
        rules=[
            {
                "name": "mine",
                "match": {"charge_kind": ["support"]},
                "steps": [{"method": "charged", "level": "department"}, {"method": "even", "level": "team"}],
            }
        ],
    )
    support = paid(found.filter(found["rule_name"] == "mine"), "team_id")
    assert support == {"vision": Decimal("22.50"), "speech": Decimal("22.50"), "field": Decimal("5.00")}
    texts = found.filter(pl.col("rule_name") == "mine")["allocation_rule"].unique().to_list()
    assert all("split by what owners pay of the account's other lines; the same for each of" in text for text in texts), texts


def test_usage_is_capped_and_says_so() -> None:
    found = allocate(
        lines({"billed_cost": Decimal(200)}), usage(*USED), OWNERS, rules=[{"name": "mine", "steps": [{"level": "department"}]}]
    )
    assert paid(found, "team_id") == {"vision": 63, "speech": Decimal("31.50"), "field": Decimal("10.50"), "unexplained": 95}


@pytest.mark.parametrize(
    ("scope", "expected"), [("model", {"field": 100}), ("provider", {"vision": 100}), ("all", {"speech": 90, "vision": 10})]
)
def test_a_scope_that_saw_nothing_gives_way_to_the_next_wider(scope, expected) -> None:
    used = (
        {"model_id": "o9", "effective_cost": Decimal(10)},
        {"host": "azure", "team_id": "speech", "effective_cost": Decimal(90)},
    )
    own = ({**FIELD, "effective_cost": Decimal(10)},) if scope == "model" else ()
    asked = "model" if scope == "provider" else scope
    assert by_team({"method": "proportional", "scope": asked}, used=(*used, *own)) == expected


def test_a_rule_that_finds_nothing_leaves_the_line_unallocated() -> None:
    found = allocate(lines({"billed_cost": Decimal(7)}), usage(), rules=[{"name": "mine", "steps": [{"method": "proportional"}]}])
    assert paid(found, "line_kind") == {"unallocated": Decimal(7)}


def test_usage_without_owner_keeps_its_weight() -> None:
    assert by_team({"method": "proportional"}, used=(USED[0], {**UNOWNED, "effective_cost": Decimal(40)})) == {
        "vision": 60,
        "unallocated": 40,
    }


def test_the_first_rule_that_matches_divides_and_dates_decide_which_are_asked() -> None:
    rules = [
        {"name": "old", "valid_to": "2026-11-01"},
        {"name": "next", "valid_from": "2026-12-01"},
        {"name": "azure", "match": {"provider": ["azure*", "opex*", "open", "openai2"]}},
        {"name": "both", "match": {"provider": ["open*"], "model": ["gpt-5"], "charge_kind": ["usage"]}},
        {"name": "late"},
    ]
    settings = AllocationSettings(rules=rules)
    found = [rule.name for rule in rules_of(settings, NOVEMBER)]
    assert found[:3] == ["azure", "both", "late"]
    line = lines({"billed_cost": Decimal(1)}).row(0, named=True)
    assert rule_for(line, rules_of(settings, NOVEMBER)).name == "both"
    assert rule_for({**line, "model_id": None}, rules_of(settings, NOVEMBER)).name == "late"


@pytest.mark.parametrize("key", sorted(RuleMatch.model_fields))
def test_each_key_of_a_match_is_compared_with_its_column(key) -> None:
    columns = {
        "provider": "provider_name",
        "billing_account": "billing_account_id",
        "sub_account": "sub_account_id",
        "service": "service_name",
        "model": "model_id",
        "commitment": "commitment_discount_id",
        "commitment_status": "commitment_discount_status",
    }
    rule = rules_of(AllocationSettings(rules=[{"name": "mine", "match": {key: ["Used"]}}]), NOVEMBER)[0]
    line = dict.fromkeys(INVOICE_LINE_KEYS)
    column = columns.get(key, key)
    assert rule.matches({**line, column: "Used"})
    assert not rule.matches({**line, column: "Unused"})
    assert not rule.matches({**dict.fromkeys(line, "Used"), column: None})
    if key != "commitment_status":
        begins = rules_of(AllocationSettings(rules=[{"name": "mine", "match": {key: ["Us*"]}}]), NOVEMBER)[0]
        assert [begins.matches({**line, column: text}) for text in ("Used", "Unused", None)] == [True, False, False]


def test_default_rules_divide_every_kind() -> None:
    line = lines({"billed_cost": Decimal(1)}).row(0, named=True)
    assert {rule_for({**line, "charge_kind": kind}, DEFAULT_RULES).match.charge_kind for kind in CHARGE_KINDS}


@pytest.mark.parametrize("shares", [{"vision": "99"}, {"vision": "50", "speech": "51"}, {"vision": "101", "speech": "-1"}])
def test_shares_that_are_not_a_hundred_percent_are_refused(shares) -> None:
    with pytest.raises(ValidationError):
        AllocationSettings(rules=[{"name": "mine", "steps": [{"method": "fixed", "shares": shares}]}])


def test_owners_that_no_directory_knows_are_all_named_before_anything_is_divided() -> None:
    rules = [
        {"name": "one", "steps": [{"method": "fixed", "shares": {"ghost": "50", "vision": "50"}}]},
        {
            "name": "two",
            "match": {"provider": ["nobody"]},
            "steps": [{"method": "even", "level": "cost_center", "members": ["cc-9"]}],
        },
        {"name": "old", "valid_to": "2026-01-01", "steps": [{"method": "even", "members": ["gone"]}]},
    ]
    with pytest.raises(UnknownOwnerError) as caught:
        allocate(lines(), usage(), OWNERS, rules=rules)
    assert caught.value.problems == (
        "rule one: team ghost is in no directory in 2026-11; add it, or take it out of the rule",
        "rule two: cost_center cc-9 is in no directory in 2026-11; add it, or take it out of the rule",
    )


def test_a_rule_by_project_names_projects_below_the_team() -> None:
    used = ({**USED[1], "project_id": "apollo"}, {**USED[1], "effective_cost": Decimal(10)})
    found = allocate(
        lines({"billed_cost": Decimal(100)}),
        usage(*used),
        OWNERS,
        detail=[],
        rules=[{"name": "mine", "steps": [{"level": "project", "method": "proportional", "weight": "requests"}]}],
    )
    assert paid(found, "project_id") == {"apollo": 50, None: 50}
    plain = allocate(lines({"billed_cost": Decimal(40)}), usage(*used), OWNERS, detail=[])
    assert plain["project_id"].to_list() == [None]


@pytest.mark.parametrize("level", ["project", "investigation"])
def test_levels_below_the_team_are_told_apart_where_a_rule_in_force_or_a_setting_asks(level) -> None:
    rule = AllocationRule(name="mine", steps=[{"level": level, "method": "even"}])
    assert levels_of([rule], [], NOVEMBER) == (level,)
    assert levels_of([], [level], NOVEMBER) == (level,)
    assert levels_of([rule.model_copy(update={"valid_to": NOVEMBER.first_day})], [], NOVEMBER) == ()


def test_usage_of_all_providers_has_what_the_lines_of_each_left_of_the_limit() -> None:
    used = ({"effective_cost": Decimal(100)}, {"host": "azure", "team_id": "speech", "effective_cost": Decimal(50)})
    bill = lines(
        {"billed_cost": Decimal(90)},
        {"provider_name": "azure", "model_id": None, "billed_cost": Decimal(30)},
        {"service_name": "gateway", "model_id": None, "billed_cost": Decimal(70)},
    )
    rule = {"name": "mine", "match": {"service": ["gateway"]}, "steps": [{"method": "usage", "scope": "all"}]}
    found = allocate(bill, usage(*used), tolerance="0", rules=[rule]).filter(pl.col("rule_name") == "mine")
    assert paid(found, "team_id") == {"vision": 20, "speech": 10, "unexplained": 40}


def test_lines_of_different_people_are_divided_apart_below_a_fixed_share() -> None:
    steps = [
        {"method": "fixed", "level": "business_unit", "shares": {"emea": "30", "us": "70"}},
        {"method": "direct", "level": "team"},
    ]
    bill = [{"user_id": user, "billed_cost": Decimal(cost)} for user, cost in (("ada", 10), ("cyd", 20))]
    found = allocate(lines(*bill), usage(), OWNERS, rules=[{"name": "mine", "steps": steps}])
    assert paid(found, "team_id", "business_unit_id") == {
        ("vision", "emea"): 3,
        ("unallocated", "us"): 7,
        ("unallocated", "emea"): 6,
        ("field", "us"): 14,
    }


@pytest.mark.parametrize(("column", "word"), [("user_id", "user"), ("api_key_id", "API key"), ("sub_account_id", "project")])
def test_lines_of_different_people_keys_and_projects_are_divided_apart(column, word) -> None:
    entity = "project" if column == "sub_account_id" else column.removesuffix("_id")
    rows = [{f"{entity}_id": name, "team_id": team} for name, team in (("one", "vision"), ("two", "speech"))]
    owners = directories(teams=[{"team_id": "vision"}, {"team_id": "speech"}], **{f"{entity}s": rows})
    bill = lines({column: "one", "billed_cost": Decimal(4)}, {column: "two", "billed_cost": Decimal(9)})
    found = allocate(bill, usage(), owners, rules=[{"name": "mine", "steps": [{"method": "direct"}]}])
    assert paid(found, "team_id") == {"vision": 4, "speech": 9}
    assert all(text.startswith(f"usage to the owner of its {word};") for text in found["allocation_rule"])


def test_users_count_inside_the_member_above_alone() -> None:
    steps = (
        {"method": "fixed", "level": "department", "shares": {"research": "75", "sales": "25"}},
        {"method": "proportional", "level": "team", "weight": "users"},
    )
    used = (*USED, {**USED[0], "user_id": "bob"})
    assert by_team(*steps, used=used, cost="120.00") == {"vision": 60, "speech": 30, "field": 30}


@pytest.mark.parametrize(("text", "values"), [(" ; vision;;field; ", ["field", "vision"]), (";", []), ("", [])])
def test_a_tag_has_no_empty_values(text, values) -> None:
    assert line_tag_values(json.dumps({"owner": text}), "owner") == values


def test_lines_of_different_tags_are_divided_apart() -> None:
    costs = {"vision": Decimal(10), "field": Decimal(3)}
    bill = [{"owner_tags": f'{{"owner":"{team}"}}', "billed_cost": cost} for team, cost in costs.items()]
    rule = {"name": "mine", "steps": [{"method": "tag", "tag_key": "owner"}]}
    found = allocate(lines(*bill), usage(), OWNERS, tag_keys=["owner"], rules=[rule])
    assert paid(found, "team_id") == costs


def test_each_line_and_each_level_is_divided_by_its_own_sums() -> None:
    steps = [
        {"method": "proportional", "level": "department"},
        {"method": "proportional", "level": "team"},
    ]
    used = (*USED, {**FIELD, "model_id": "o9", "effective_cost": Decimal(3)}, {"model_id": "o9", "effective_cost": Decimal(1)})
    bill = lines({"billed_cost": Decimal(100)}, {"model_id": "o9", "billed_cost": Decimal(40)})
    found = allocate(bill, usage(*used), OWNERS, rules=[{"name": "mine", "steps": steps}])
    assert paid(found, "model_id", "team_id") == {
        ("gpt-5", "vision"): 60,
        ("gpt-5", "speech"): 30,
        ("gpt-5", "field"): 10,
        ("o9", "vision"): 10,
        ("o9", "field"): 30,
    }


@pytest.mark.parametrize("weight", ["cost", "requests", "users"])
def test_a_line_without_model_is_divided_by_all_models_of_its_provider(weight) -> None:
    step = {"method": "proportional", "level": "team", "weight": weight}
    used = (USED[0], {**FIELD, "model_id": "o9", "effective_cost": Decimal(60), "requests_count": 1, "user_id": "cyd"})
    assert by_team(step, used=used, line={"model_id": None}) == {"vision": 50, "field": 50}
