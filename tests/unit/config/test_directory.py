"""Directories are dated tables; cells, overlaps, shares, gaps, circles and unknown owners are named, all of them at once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from usage_etl.config.contract_files import read_contract
from usage_etl.config.directory import read_directories, unknown_files
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.errors import DirectoryError
from usage_etl.schemas import DIM_BUDGET, DIM_DEPARTMENT, DIM_OUTCOME, DIM_TEAM, DIM_USER

TEAMS = """team_id,team_name,department_id,department_name,cost_center_id,cost_center_name,owner_email,valid_from,valid_to
platform,Platform,eng,Engineering,cc-1,Core,lead@example.com,2026-01-01,
"""
USERS = """user_id,user_name,user_email,team_id,valid_from,valid_to
ada,"Lovelace, Ada",ada@example.com,platform,2026-01-01,2026-10-15
ada,"Lovelace, Ada",ada@example.com,platform,2026-10-15,
"""


SHARED = USERS.replace("team_id,", "team_id,split_pct,").replace("platform,", "platform,,")
TWO_TEAMS = TEAMS + "search,Search,eng,Engineering,cc-2,Find,,2026-01-01,\n"
UNITS = "business_unit_id,business_unit_name,parent_id,valid_from,valid_to\n"
DEPARTMENTS = "department_id,department_name,business_unit_id,valid_from,valid_to\n"
COST_CENTERS = "cost_center_id,cost_center_name,gl_account,valid_from,valid_to\n"
PROJECTS = "project_id,team_id,split_pct,valid_from,valid_to\n"
CASES = "investigation_id,investigation_name,team_id,valid_from,valid_to\n"
KEYS = "api_key_id,api_key_name,team_id,valid_from,valid_to\n"
FEATURES = "feature_id,feature_name,product_id,product_name,valid_from,valid_to\n"
BUDGETS = "scope_kind,scope_id,monthly_budget,currency,valid_from,valid_to\n"


NO_DATE = "is not a date as YYYY-MM-DD"
UNKNOWN_TEAM = "team gone is not in teams.csv from 2026-01-01 on; named by"


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in {"teams": TEAMS, "users": USERS, **files}.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


def problems_of(tmp_path: Path, **files: str) -> tuple[str, ...]:
    with pytest.raises(DirectoryError) as error:
        read_directories(folder(tmp_path, **files))
    return error.value.problems


def test_spans_that_meet_do_not_overlap_and_missing_files_are_empty(tmp_path: Path) -> None:
    frames = read_directories(folder(tmp_path, users="\ufeff" + USERS))
    assert frames[DIM_USER.name]["valid_to"].to_list() == [dt.date(2026, 10, 15), None]
    assert frames[DIM_TEAM.name].height == 1
    assert frames[DIM_BUDGET.name].is_empty()


def test_money_is_exact(tmp_path: Path) -> None:
    budgets = "scope_kind,scope_id,monthly_budget,currency,valid_from,valid_to\nteam,platform,1000.10,USD,2026-01-01,\n"
    assert read_directories(folder(tmp_path, budgets=budgets))[DIM_BUDGET.name]["monthly_budget"].to_list() == [
        Decimal("1000.10")
    ]


def test_nothing_is_left_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    frames = read_directories(tmp_path / "nowhere")
    assert {name: frame.height for name, frame in frames.items()} == {
        table.name: 0 for table in (*(file.table for file in DIRECTORY_FILES.values()), DIM_OUTCOME)
    }


CELL_FAULTS = [
    (
        {"users": USERS + "bob,x,y,platform,01.02.2026,\n"},
        "users.csv line 4: valid_from: '01.02.2026' " + NO_DATE,
    ),
    ({"users": USERS + "bob,x,y,platform,20260102,\n"}, "users.csv line 4: valid_from: '20260102' " + NO_DATE),
    ({"users": USERS + "bob,x,y\n"}, "users.csv line 4: 3 cells, the header has 6"),
    ({"users": USERS + "bob,x,y,platform,,\n"}, "users.csv line 4: valid_from is empty"),
    ({"users": USERS + " ,x,y,platform,2026-01-01,\n"}, "users.csv line 4: user_id is empty"),
    ({"users": USERS + '"bob,x,y,platform,2026-01-01,\n'}, "users.csv line 4: not CSV (unexpected end of data)"),
    (
        {"users": USERS + '"b\nob",x,y,platform,2026-01-01,\nann,x,y,platform,?,\n'},
        "users.csv line 6: valid_from: '?' " + NO_DATE,
    ),
    ({"users": USERS.replace("user_email", "user_name")}, "users.csv: column user_name stands twice"),
    (
        {"budgets": BUDGETS + "team,platform,1e99,USD,2026-01-01,\n"},
        "budgets.csv line 2: monthly_budget: amount out of range: '1e99'",
    ),
    ({"budgets": BUDGETS + "team,platform,-1,USD,2026-01-01,\n"}, "budgets.csv line 2: monthly_budget '-1' is below 0"),
    ({"budgets": BUDGETS + "team,platform,1,usd,2026-01-01,\n"}, "budgets.csv line 2: currency 'usd' does not match ^[A-Z]{3}$"),
    (
        {"budgets": BUDGETS + "squad,platform,1,USD,2026-01-01,\n"},
        "budgets.csv line 2: scope_kind 'squad' is not known; allowed are organization, department, team",
    ),
]
SPAN_FAULTS = [
    ({"users": USERS + "ada,\"Lovelace, Ada\",,platform,2026-10-14,\n"},
     "users.csv: ada has 2 rows in force, not all with a split_pct, from 2026-10-14 on"),
    ({"users": USERS + "bob,x,y,platform,2026-01-02,2026-01-02\n"},
     "users.csv line 4: bob ends on 2026-01-02, not after its start 2026-01-02"),
    ({"users": USERS.replace("2026-10-15,\n", "2026-10-17,\n")},
     "users.csv: ada has no row on 2026-10-15 to 2026-10-16; for days that belong to nobody, add a row to team unallocated"),
    ({"users": USERS.replace("2026-10-15,\n", "2026-10-16,\n")},
     "users.csv: ada has no row on 2026-10-15; for days that belong to nobody, add a row to team unallocated"),
    ({"features": FEATURES + "f,F,p,P,2026-01-01,\nf,F,q,Q,2026-05-01,2026-06-01\n"},
     "features.csv: f has 2 rows in force on 2026-05-01 to 2026-05-31"),
    ({"budgets": BUDGETS + "team,platform,1,USD,2026-01-01,\nteam,platform,2,USD,2026-05-01,\n"},
     "budgets.csv: team/platform has 2 rows in force from 2026-05-01 on"),
]  # fmt: skip
SHARE_FAULTS = [
    (["platform,60", "search,39"], "users.csv: eve has shares that add up to 99 %, not to 100 %, from 2026-03-01 on"),
    (["platform,60", "search,41"], "users.csv: eve has shares that add up to 101 %, not to 100 %, from 2026-03-01 on"),
    (["platform,99.999999999999999999"],
     "users.csv: eve has shares that add up to 99.999999999999999999 %, not to 100 %, from 2026-03-01 on"),
    (["platform,50", "platform,50"], "users.csv: eve has more than one row in force that names platform from 2026-03-01 on"),
    (["platform,50", "search,"], "users.csv: eve has 2 rows in force, not all with a split_pct, from 2026-03-01 on"),
    (["platform,0", "search,100"], "users.csv line 4: eve has a split_pct of 0; a share is above 0 and at most 100"),
    (["platform,-10", "search,110"], "users.csv line 5: eve has a split_pct of 110; a share is above 0 and at most 100"),
    (["platform,50 %", "search,50"], "users.csv line 4: split_pct: not a decimal number: '50 %'"),
    (["platform,50", "unallocated,50"],
     "users.csv: eve shares with unallocated, which takes a member wholly or not at all, from 2026-03-01 on"),
]  # fmt: skip
OWNER_FAULTS = [
    ({"users": USERS + "bob,x,y,nowhere,2026-01-01,\n"},
     "users.csv: team nowhere is not in teams.csv from 2026-01-01 on; named by bob"),
    ({"users": USERS + "bob,x,y,platform,2025-12-30,\n"},
     "users.csv: team platform is not in teams.csv on 2025-12-30 to 2025-12-31; named by bob"),
    ({"teams": TEAMS.replace("2026-01-01,", "2026-01-01,2026-12-31")},
     "users.csv: team platform is not in teams.csv from 2026-12-31 on; named by ada"),
    ({"api_keys": KEYS + "k,,gone,2026-01-01,\n"}, f"api_keys.csv: {UNKNOWN_TEAM} k"),
    ({"projects": PROJECTS + "p,gone,,2026-01-01,\n"}, f"projects.csv: {UNKNOWN_TEAM} p"),
    ({"investigations": CASES + "c,,gone,2026-01-01,\n"},
     f"investigations.csv: {UNKNOWN_TEAM} c"),
    ({"departments": DEPARTMENTS + "ops,Operations,,2026-01-01,\n"},
     "teams.csv: department eng is not in departments.csv from 2026-01-01 on; named by platform"),
    ({"cost_centers": COST_CENTERS + "cc-1,Core,6100,2026-02-01,\n"},
     "teams.csv: cost center cc-1 is not in cost_centers.csv on 2026-01-01 to 2026-01-31; named by platform"),
    ({"departments": DEPARTMENTS + "eng,Engineering,tech,2026-01-01,\n"},
     "departments.csv: business unit tech is not in business_units.csv from 2026-01-01 on; named by eng"),
    ({"business_units": UNITS + "tech,Tech,top,2026-01-01,\n"},
     "business_units.csv: business unit top is not in business_units.csv from 2026-01-01 on; named by tech"),
    ({"teams": TEAMS + "unallocated,N,eng,Engineering,cc-1,Core,,2026-01-01,\n"},
     "teams.csv line 3: unallocated names unallocated as team_id, which is kept for what belongs to nobody"),
    ({"teams": TEAMS + "t,T,eng,Engineering,unexplained,U,,2026-01-01,\n"},
     "teams.csv line 3: t names unexplained as cost_center_id, which is kept for billed money that no usage explains"),
    ({"business_units": UNITS + "a,A,b,2026-01-01,\nb,B,c,2026-01-01,2026-04-01\nb,B,,2026-04-01,\nc,C,a,2026-03-01,\n"},
     "business_units.csv: a > b > c > a is a circle on 2026-03-01 to 2026-03-31"),
    ({"business_units": UNITS + "a,A,c,2026-01-01,\nc,C,b,2026-01-01,\nb,B,c,2026-01-01,\n"},
     "business_units.csv: b > c > b is a circle from 2026-01-01 on"),
    ({"business_units": UNITS + "a,A,a,2026-01-01,\n"}, "business_units.csv: a > a is a circle from 2026-01-01 on"),
]  # fmt: skip
NAME_FAULTS = [
    ({"teams": TEAMS + "search,Search,eng,Engines,cc-2,Find,,2026-03-01,2026-04-01\n"},
     "teams.csv and departments.csv: the name of department eng is 'Engineering' and 'Engines' on 2026-03-01 to 2026-03-31"),
    ({"cost_centers": COST_CENTERS + "cc-1,Kern,6100,2026-01-01,\n"},
     "teams.csv and cost_centers.csv: the name of cost center cc-1 is 'Core' and 'Kern' from 2026-01-01 on"),
    ({"features": FEATURES + "f,F,p,P,2026-01-01,\ng,G,p,Q,2026-01-01,\n"},
     "features.csv: the name of product p is 'P' and 'Q' from 2026-01-01 on"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "message"), [*CELL_FAULTS, *SPAN_FAULTS, *OWNER_FAULTS, *NAME_FAULTS])
def test_each_fault_is_named_with_its_place_and_days(tmp_path: Path, files: dict[str, str], message: str) -> None:
    assert message in problems_of(tmp_path, **files)


@pytest.mark.parametrize(("shares", "message"), SHARE_FAULTS)
def test_shares_that_are_no_whole_are_named(tmp_path: Path, shares: list[str], message: str) -> None:
    rows = "".join(f"eve,Eve,,{share},2026-03-01,\n" for share in shares)
    assert message in problems_of(tmp_path, users=SHARED + rows, teams=TWO_TEAMS)


def test_a_header_that_is_wrong_names_what_is_missing_and_what_is_unknown(tmp_path: Path) -> None:
    found = problems_of(tmp_path, users=USERS.replace("user_email", "mail"))
    assert found[0] == "users.csv: column user_email is missing"
    assert found[1].startswith("users.csv: column 'mail' is not known; allowed are user_id, user_name")
    assert len(found) == 2


def test_every_fault_of_every_file_is_named_at_once(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path,
        users=USERS + "bob,x,y,nowhere,2026-01-01,\n,,,,,x\n",
        budgets=BUDGETS + "team,platform,1,usd,2026-01-01,\n",
        business_units=UNITS + "a,A,b,2026-01-01,\nb,B,a,2026-01-01,\n",
    )
    assert len(found) == 7
    assert [fault.partition(" ")[0] for fault in found[:4]] == ["users.csv"] * 4
    assert found[-1] == "business_units.csv: a > b > a is a circle from 2026-01-01 on"


def test_what_could_not_be_read_of_a_member_is_not_called_a_gap_or_an_unknown_owner(tmp_path: Path) -> None:
    teams = TWO_TEAMS.replace("Find,,2026-01-01,", "Find,,soon,")
    users = USERS + "bob,,,search,2026-01-01,2026-02-01\nbob,,,search,2026-02-31,2026-03-01\nbob,,,search,2026-03-01,\n"
    found = problems_of(tmp_path, users=users, teams=teams)
    assert [fault.partition(":")[0] for fault in found] == ["users.csv line 5", "teams.csv line 3"]


def test_many_members_of_one_unknown_team_are_one_fault(tmp_path: Path) -> None:
    users = USERS + "".join(f"bob-{number},,,nowhere,2026-01-01,\n" for number in range(8))
    assert problems_of(tmp_path, users=users) == (
        "users.csv: team nowhere is not in teams.csv from 2026-01-01 on; named by bob-0, bob-1, bob-2, bob-3, bob-4 and 3 more",
    )


def test_shares_may_change_from_day_to_day(tmp_path: Path) -> None:
    rows = (
        "eve,Eve,,platform,33.33,2026-03-01,2026-06-01\neve,Eve,,search,66.67,2026-03-01,2026-05-01\n"
        "eve,Eve,,search,66.67,2026-05-01,2026-06-01\neve,Eve,,search,,2026-06-01,\n"
    )
    frame = read_directories(folder(tmp_path, users=SHARED + rows, teams=TWO_TEAMS))[DIM_USER.name]
    assert frame.filter(user_id="eve")["split_pct"].to_list() == [Decimal("33.33"), Decimal("66.67"), Decimal("66.67"), None]


def test_shares_are_looked_at_day_by_day(tmp_path: Path) -> None:
    rows = "eve,Eve,,platform,40,2026-03-01,2026-06-01\neve,Eve,,search,60,2026-03-01,2026-05-31\n"
    assert problems_of(tmp_path, users=SHARED + rows, teams=TWO_TEAMS) == (
        "users.csv: eve has shares that add up to 40 %, not to 100 %, on 2026-05-31",
    )


def test_a_team_is_shared_by_cost_centers_and_departments(tmp_path: Path) -> None:
    header = TEAMS.splitlines()[0]
    core = "platform,Platform,eng,Engineering,cc-1,Core,,2026-01-01,,40\n"
    find = "platform,Platform,ops,Operations,cc-2,Find,,2026-01-01,,60\n"
    frame = read_directories(folder(tmp_path, teams=f"{header},split_pct\n{core}{find}"))[DIM_TEAM.name]
    assert sorted(frame["cost_center_id"]) == ["cc-1", "cc-2"]
    renamed = find.replace("Platform", "Platforms")
    assert problems_of(tmp_path, teams=f"{header},split_pct\n{core}{renamed}") == (
        "teams.csv: the name of team platform is 'Platform' and 'Platforms' from 2026-01-01 on",
    )


def test_a_person_who_comes_back_says_so(tmp_path: Path) -> None:
    away = 'ada,"Lovelace, Ada",ada@example.com,unallocated,2026-10-15,2026-12-01\n'
    users = USERS.replace("2026-10-15,\n", "2026-12-01,\n") + away
    assert read_directories(folder(tmp_path, users=users))[DIM_USER.name]["team_id"].to_list() == [
        "platform", "unallocated", "platform",
    ]  # fmt: skip


def test_a_budget_may_pause(tmp_path: Path) -> None:
    rows = "team,platform,1,USD,2026-01-01,2026-02-01\nteam,platform,1,USD,2026-03-01,\n"
    assert read_directories(folder(tmp_path, budgets=BUDGETS + rows))[DIM_BUDGET.name].height == 2


def test_a_team_and_a_department_may_have_no_place_above_them(tmp_path: Path) -> None:
    teams = TEAMS + "lab,Lab,unallocated,Unallocated,unallocated,Unallocated,,2026-01-01,\n"
    departments = DEPARTMENTS + "eng,Engineering,unallocated,2026-01-01,2026-02-01\neng,Engineering,,2026-02-01,\n"
    cost_centers = COST_CENTERS + "cc-1,Core,,2026-01-01,\n"
    frames = read_directories(folder(tmp_path, teams=teams, departments=departments, cost_centers=cost_centers))
    assert frames[DIM_DEPARTMENT.name]["business_unit_id"].to_list() == ["unallocated", None]


def test_a_name_may_change_with_a_day(tmp_path: Path) -> None:
    teams = TEAMS.replace("2026-01-01,", "2026-01-01,2026-06-01") + "platform,Platforms,eng,Engines,cc-1,Core,,2026-06-01,\n"
    assert read_directories(folder(tmp_path, teams=teams))[DIM_TEAM.name].height == 2


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    rows = ["eve,Eve,,platform,40,2026-03-01,", "eve,Eve,,search,60,2026-03-01,", "abe,Abe,,search,,2026-03-01,"]
    first = read_directories(folder(tmp_path, users=SHARED + "\n".join(rows), teams=TWO_TEAMS))
    again = read_directories(folder(tmp_path, users=SHARED + "\n".join(reversed(rows)), teams=TWO_TEAMS))
    assert first[DIM_USER.name].equals(again[DIM_USER.name])


def test_a_misspelt_file_is_seen(tmp_path: Path) -> None:
    (folder(tmp_path) / "cost_centres.csv").write_text("x", encoding="utf-8")
    assert unknown_files(tmp_path) == ["cost_centres.csv"]


def test_a_configured_contract_file_must_exist(tmp_path: Path) -> None:
    assert read_contract(None).is_empty()
    with pytest.raises(DirectoryError, match="no such file"):
        read_contract(tmp_path / "contract.csv")
