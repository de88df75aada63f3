"""The tree of owners as a month sees it: who is known, what a member is divided into, who counts."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.unit.allocation.frames import NOVEMBER, directories
from usage_etl.allocation.owners import LEVELS, NOBODY_KNOWN, TEAM, Owner, OwnerTree, percent

UNIT, DEPARTMENT, CENTER = (LEVELS.index(level) for level in ("business_unit", "department", "cost_center"))
PARTS = [
    {"team_id": "duo", "department_id": "law", "cost_center_id": "cc-2", "split_pct": Decimal(25)},
    {"team_id": "duo", "department_id": "art", "cost_center_id": "cc-1", "split_pct": Decimal(75)},
    {"team_id": "duo", "department_id": "ops", "cost_center_id": "cc-3", "split_pct": Decimal(0)},
]


def tree(**rows):
    return OwnerTree(directories(**rows), NOVEMBER)


def test_units_and_cost_centers_that_no_team_names_are_known_by_their_own_files() -> None:
    found = tree(business_units=[{"business_unit_id": "emea"}], cost_centers=[{"cost_center_id": "cc-9"}])
    assert (found.members(UNIT, {}), found.members(CENTER, {})) == (["emea"], ["cc-9"])
    assert (found.knows(UNIT, "emea"), found.knows(CENTER, "cc-9")) == (True, True)


def test_members_come_in_the_order_of_their_names() -> None:
    names = [f"cc-{number}" for number in range(9)]
    assert tree(cost_centers=[{"cost_center_id": name} for name in reversed(names)]).members(CENTER, {}) == names


def test_nobody_is_no_member() -> None:
    found = tree(departments=[{"department_id": "law"}])
    assert (found.knows(DEPARTMENT, "law"), found.knows(UNIT, "unallocated"), found.knows(TEAM, "unallocated")) == (
        True,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("span", "is_known"),
    [
        ({"valid_to": NOVEMBER.first_day}, False),
        ({"valid_to": dt.date(2026, 11, 2)}, True),
        ({"valid_from": NOVEMBER.last_day}, True),
        ({"valid_from": NOVEMBER.end}, False),
    ],
)
def test_a_team_belongs_to_the_month_when_one_of_its_days_does(span, is_known) -> None:
    assert tree(teams=[{"team_id": "vision", **span}]).knows(TEAM, "vision") is is_known


@pytest.mark.parametrize(
    ("span", "counts"),
    [
        ({"valid_from": NOVEMBER.end}, False),
        ({"valid_from": NOVEMBER.last_day}, True),
        ({"valid_to": NOVEMBER.last_day}, False),
        ({"valid_to": NOVEMBER.end}, True),
    ],
)
def test_people_count_who_are_there_on_the_last_day(span, counts) -> None:
    found = tree(teams=[{"team_id": "vision"}], users=[{"user_id": "ada", **span}, {"user_id": "bob"}])
    assert found.headcount(TEAM, {}) == {"vision": 1 + counts}


def test_a_person_of_two_teams_counts_once_by_the_split() -> None:
    halves = [{"user_id": "ada", "team_id": team, "split_pct": Decimal(50)} for team in ("vision", "speech")]
    found = tree(teams=[{"team_id": "vision"}, {"team_id": "speech"}], users=[*halves, {"user_id": "bob"}])
    assert found.headcount(TEAM, {}) == {"vision": Fraction(3, 2), "speech": Fraction(1, 2)}


def test_parts_that_are_left_of_a_member_are_the_whole_of_it() -> None:
    found = tree(teams=[PARTS[0], {**PARTS[1], "split_pct": Decimal(25)}]).team_owners["duo"]
    assert [share for _, share in found] == [Fraction(1, 2), Fraction(1, 2)]


def test_an_investigation_goes_to_its_teams_by_their_shares() -> None:
    parts = [{"investigation_id": "case", "team_id": team, "split_pct": Decimal(pct)} for team, pct in (("a", 10), ("b", 90))]
    found = tree(teams=[{"team_id": "a"}, {"team_id": "b"}], investigations=parts)
    assert [(owner.team_id, owner.investigation_id, share) for owner, share in found.investigation_owners["case"]] == [
        ("a", "case", Fraction(1, 10)),
        ("b", "case", Fraction(9, 10)),
    ]


def test_names_are_those_of_the_own_file_else_of_the_rows_of_teams() -> None:
    rows = {"department_name": "By Team", "cost_center_name": "By Team"}
    found = directories(
        business_units=[{"business_unit_id": "emea", "business_unit_name": "Europe"}],
        departments=[{"department_id": "art", "department_name": "Arts"}],
        cost_centers=[{"cost_center_id": "cc-2", "cost_center_name": "Two"}],
        teams=[{**part, **rows} for part in PARTS],
    ).names(NOVEMBER.last_day)
    nobody = {"unallocated": "Unallocated", "unexplained": "Unexplained"}
    assert found == {
        "business_unit": {"emea": "Europe", **nobody},
        "department": {"art": "Arts", "law": "By Team", "ops": "By Team", **nobody},
        "cost_center": {"cc-1": "By Team", "cc-2": "Two", "cc-3": "By Team", **nobody},
        "team": {"duo": "Vision", **nobody},
    }


def test_a_divided_team_has_its_parts_in_one_order_and_none_of_zero() -> None:
    expected = [
        (Owner("unallocated", "art", "cc-1", "duo"), Fraction(3, 4)),
        (Owner("unallocated", "law", "cc-2", "duo"), Fraction(1, 4)),
    ]
    assert tree(teams=PARTS).team_owners["duo"] == expected
    assert tree(teams=PARTS[::-1]).team_owners["duo"] == expected


def test_of_a_divided_team_only_the_part_inside_the_members_above_pays() -> None:
    found = tree(teams=PARTS)
    assert found.own({DEPARTMENT: "law", TEAM: "duo"}) == [(Owner("unallocated", "law", "cc-2", "duo"), Fraction(1))]
    assert [share for _, share in found.own({TEAM: "duo"})] == [Fraction(3, 4), Fraction(1, 4)]


def test_levels_that_are_not_chosen_or_nobody_are_no_part_of_the_path() -> None:
    departments = [{"department_id": "research", "business_unit_id": "emea"}]
    found, project = tree(teams=[{"team_id": "vision"}], departments=departments), LEVELS.index("project")
    alone = [(Owner("emea", "research", "cc-100", "vision"), Fraction(1))]
    assert found.own({TEAM: "vision"}) == alone
    assert found.own({UNIT: "unallocated", TEAM: "vision", project: None}) == alone
    assert found.own({TEAM: "unallocated", project: None}) == [(NOBODY_KNOWN, Fraction(1))]


def test_a_department_pays_itself_with_what_stands_above_it_and_nothing_below() -> None:
    found = tree(teams=[{"team_id": "vision"}], departments=[{"department_id": "research", "business_unit_id": "emea"}])
    assert found.own({DEPARTMENT: "research"}) == [(Owner("emea", "research", "unallocated", "unallocated"), Fraction(1))]


def test_of_a_team_that_moved_in_the_month_its_last_place_counts() -> None:
    middle = dt.date(2026, 11, 15)
    moved = [{"cost_center_id": "cc-old", "valid_to": middle}, {"cost_center_id": "cc-new", "valid_from": middle}]
    for order in (moved, moved[::-1]):
        ((owner, share),) = tree(teams=[{"team_id": "vision", **row} for row in order]).team_owners["vision"]
        assert (owner.cost_center_id, share) == ("cc-new", 1)


def test_a_person_whose_team_nobody_knows_is_unowned_whole() -> None:
    assert tree(users=[{"user_id": "ada", "team_id": "ghost"}]).user_owners["ada"] == [(NOBODY_KNOWN, Fraction(1))]


def test_a_department_of_no_unit_belongs_to_nobody() -> None:
    found = tree(teams=[{"team_id": "vision"}], departments=[{"department_id": "research", "business_unit_id": None}])
    assert found.team_owners["vision"][0][0].business_unit_id == "unallocated"
    assert found.own({UNIT: "unallocated"}) == [(NOBODY_KNOWN, Fraction(1))]


def test_a_part_without_percentage_is_the_whole() -> None:
    assert (percent(None), percent(Decimal("33.5")), percent(Decimal(100))) == (1, Fraction(67, 200), 1)
