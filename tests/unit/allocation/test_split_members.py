"""Members that the directories divide: money follows the percentages of each day, counts stay whole and nothing is lost."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.allocation.frames import allocate, directories, lines, paid, usage

TEAMS = (
    {"team_id": "vision"},
    {"team_id": "speech", "department_id": "sales", "cost_center_id": "cc-200"},
)


def shares(member: str, *parts: tuple[str, str], **row: object) -> list[dict[str, object]]:
    """Rows of a member, given as column=id, for (team, percent)."""
    column, _, name = member.partition("=")
    return [{column: name, "team_id": team, "split_pct": Decimal(pct), **row} for team, pct in parts]


def test_the_usage_of_a_divided_user_goes_to_both_teams() -> None:
    owners = directories(teams=TEAMS, users=shares("user_id=ada", ("vision", "60"), ("speech", "40")))
    found = allocate(
        lines({"billed_cost": Decimal("100.00")}),
        usage({"user_id": "ada", "effective_cost": Decimal(100), "requests_count": 7, "output_tokens": 11}),
        owners,
    )
    assert paid(found, "team_id", "cost_center_id") == {("vision", "cc-100"): 60, ("speech", "cc-200"): 40}
    assert (found["requests_count"].sum(), found["total_tokens"].sum()) == (7, 11)
    assert sorted(found["requests_count"]) == [3, 4]
    assert dict(found.select("team_id", "metered_cost").iter_rows()) == {"vision": 60, "speech": 40}


def test_a_split_holds_on_the_days_on_which_it_is_in_force() -> None:
    users = [
        {"user_id": "ada", "team_id": "vision", "valid_to": dt.date(2026, 11, 11)},
        *shares("user_id=ada", ("vision", "50"), ("speech", "50"), valid_from=dt.date(2026, 11, 11)),
    ]
    found = allocate(
        lines({"billed_cost": Decimal("60.00")}),
        usage(
            {"user_id": "ada", "usage_date": dt.date(2026, 11, 10), "effective_cost": Decimal(20)},
            {"user_id": "ada", "usage_date": dt.date(2026, 11, 11), "effective_cost": Decimal(40)},
        ),
        directories(teams=TEAMS, users=users),
    )
    assert paid(found, "team_id") == {"vision": Decimal(40), "speech": Decimal(20)}


def test_only_rows_that_the_member_owns_are_divided() -> None:
    owners = directories(
        teams=TEAMS,
        api_keys=shares("api_key_id=key", ("vision", "25"), ("speech", "75")),
        projects=shares("project_id=apollo", ("vision", "10"), ("speech", "90")),
    )
    found = allocate(
        lines({"billed_cost": Decimal("300.00")}),
        usage(
            {"api_key_id": "key", "owner_basis": "api_key", "project_id": "apollo", "effective_cost": Decimal(100)},
            {"api_key_id": "key", "owner_basis": "user", "user_id": "bob", "effective_cost": Decimal(200)},
        ),
        owners,
        detail=[],
    )
    assert paid(found, "team_id") == {"vision": Decimal(225), "speech": Decimal(75)}


def test_a_team_of_two_cost_centers_divides_what_its_members_leave_it() -> None:
    teams = [
        TEAMS[0],
        {**TEAMS[1], "split_pct": Decimal(70)},
        {**TEAMS[1], "cost_center_id": "cc-300", "department_id": "law", "split_pct": Decimal(30)},
    ]
    owners = directories(
        teams=teams,
        users=shares("user_id=ada", ("vision", "50"), ("speech", "50")),
        departments=[{"department_id": "law", "business_unit_id": "us"}],
    )
    found = allocate(
        lines({"billed_cost": Decimal("300.00")}),
        usage(
            {"user_id": "ada", "effective_cost": Decimal(200)},
            {"team_id": "speech", "cost_center_id": "cc-200", "department_id": "sales", "effective_cost": Decimal(100)},
        ),
        owners,
    )
    assert paid(found, "cost_center_id") == {"cc-100": Decimal(100), "cc-200": Decimal(140), "cc-300": Decimal(60)}
    assert paid(found, "business_unit_id") == {"us": Decimal(60), "unallocated": Decimal(240)}


def test_a_part_whose_team_no_directory_knows_on_the_day_is_unallocated() -> None:
    owners = directories(teams=TEAMS[:1], users=shares("user_id=ada", ("vision", "50"), ("ghost", "50")))
    found = allocate(lines({"billed_cost": Decimal("10.00")}), usage({"user_id": "ada", "effective_cost": Decimal(10)}), owners)
    assert paid(found, "line_kind") == {"allocated": Decimal(5), "unallocated": Decimal(5)}


def test_a_seat_of_a_divided_user_is_divided() -> None:
    owners = directories(teams=TEAMS, users=shares("user_id=ada", ("vision", "33.333"), ("speech", "66.667")))
    seat = {"charge_kind": "seat", "charge_category": "Purchase", "model_id": None, "user_id": "ada"}
    found = allocate(lines({**seat, "billed_cost": Decimal("30.00")}), usage(), owners)
    assert paid(found, "team_id") == {"vision": Decimal("10.00"), "speech": Decimal("20.00")}


def test_business_units_are_those_of_the_day() -> None:
    owners = directories(
        departments=[
            {"department_id": "research", "business_unit_id": "old", "valid_to": dt.date(2026, 11, 16)},
            {"department_id": "research", "business_unit_id": "new", "valid_from": dt.date(2026, 11, 16)},
        ],
        business_units=[{"business_unit_id": "new", "business_unit_name": "New Unit"}],
    )
    rows = ({"usage_date": dt.date(2026, 11, day), "effective_cost": Decimal(15)} for day in (15, 16))
    found = allocate(lines({"billed_cost": Decimal("30.00")}), usage(*rows), owners)
    assert paid(found, "business_unit_id", "business_unit_name") == {("old", "old"): 15, ("new", "New Unit"): 15}


@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(st.integers(1, 10**6), min_size=2, max_size=5),
    rows=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 50), st.integers(1, 10**15)), min_size=1, max_size=6),
)
def test_nothing_is_lost_in_a_split(parts, rows) -> None:
    total = sum(parts)
    percents = [Decimal(part * 100 * 10**12 // total).scaleb(-12) for part in parts]
    percents[0] += 100 - sum(percents)
    names = [f"team-{number}" for number in range(len(parts))]
    owners = directories(
        teams=[{"team_id": name} for name in names],
        users=[row for name, pct in zip(names, percents, strict=True) for row in shares("user_id=ada", (name, str(pct)))],
    )
    used = usage(
        *(
            {
                "user_id": "ada",
                "usage_date": dt.date(2026, 11, day),
                "requests_count": count,
                "output_tokens": count * 3,
                "effective_cost": Decimal(cost).scaleb(-18),
            }
            for day, count, cost in rows
        )
    )
    found = allocate(lines({"billed_cost": Decimal("1.00")}), used, owners, tolerance="100")
    kept = found.filter(pl.col("line_kind") == "allocated")
    assert kept["requests_count"].sum() == sum(count for _, count, _ in rows)
    assert kept["total_tokens"].sum() == 3 * sum(count for _, count, _ in rows)
    assert sum(kept["metered_cost"]) == sum(Decimal(cost).scaleb(-18) for _, _, cost in rows)
    assert sum(found["allocated_cost"]) == 1
