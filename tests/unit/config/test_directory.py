"""Directories are dated tables; overlaps, gaps in spelling and unknown references are named, all of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from usage_etl.config.directory import read_contract, read_directories
from usage_etl.errors import DirectoryError
from usage_etl.schemas import DIM_BUDGET, DIM_TEAM, DIM_USER

TEAMS = """team_id,team_name,department_id,department_name,cost_center_id,cost_center_name,owner_email,valid_from,valid_to
platform,Platform,eng,Engineering,cc-1,Core,lead@example.com,2026-01-01,
"""
USERS = """user_id,user_name,user_email,team_id,valid_from,valid_to
ada,"Lovelace, Ada",ada@example.com,platform,2026-01-01,2026-10-15
ada,"Lovelace, Ada",ada@example.com,platform,2026-10-15,
"""


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in {"teams": TEAMS, "users": USERS, **files}.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


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


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"users": USERS + "ada,x,y,platform,2026-10-14,\n"}, "ada has two rows in force on 2026-10-15"),
        ({"users": USERS + "bob,x,y,nowhere,2026-01-01,\n"}, "team nowhere is not in teams.csv"),
        ({"users": USERS + "bob,x,y,platform,01.02.2026,\n"}, "line 4"),
        ({"users": USERS + "bob,x,y,platform,2026-01-02,2026-01-02\n"}, "not after its start"),
        ({"users": USERS + "bob,x,y\n"}, "3 cells, the header has 6"),
        ({"users": USERS + "bob,x,y,platform,,\n"}, "bob has no valid_from"),
        ({"users": USERS + ",x,y,platform,2026-01-01,\n"}, "user_id|nullability"),
        ({"users": USERS.replace("user_email", "mail")}, "column user_email is missing"),
        ({"users": USERS.replace("user_email", "mail")}, "'mail' is not known"),
        ({"users": USERS.replace("user_email", "user_name")}, "stands twice"),
        (
            {"budgets": "scope_kind,scope_id,monthly_budget,currency,valid_from,valid_to\nteam,platform,1e99,USD,2026-01-01,\n"},
            "out of range",
        ),
    ],
)
def test_each_fault_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(DirectoryError) as error:
        read_directories(folder(tmp_path, **files))
    assert message in str(error.value)


def test_a_configured_contract_file_must_exist(tmp_path: Path) -> None:
    assert read_contract(None).is_empty()
    with pytest.raises(DirectoryError, match="no such file"):
        read_contract(tmp_path / "contract.csv")
