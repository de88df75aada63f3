"""outcomes.csv: every fault is named by line, and what the file says is read exactly."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from usage_etl.config.directory import read_directories, unknown_files
from usage_etl.config.people import PeopleSettings
from usage_etl.errors import DirectoryError
from usage_etl.schemas.economics import DIM_OUTCOME

HEADER = "feature_id,team_id,month,outcome_name,outcomes_count,value_per_outcome,currency\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "features.csv").write_text(
        "feature_id,feature_name,product_id,product_name,valid_from,valid_to\nhelper,Helper,desk,Desk,2026-01-01,\n"
    )
    (tmp_path / "teams.csv").write_text(
        "team_id,team_name,department_id,department_name,cost_center_id,cost_center_name,owner_email,valid_from,valid_to\n"
        "vision,Vision,r,R,c,C,,2026-01-01,\n"
    )
    return tmp_path


def problems(folder: Path, *lines: str) -> list[str]:
    (folder / "outcomes.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
    with pytest.raises(DirectoryError) as caught:
        read_directories(folder)
    return [problem for problem in caught.value.problems if problem.startswith("outcomes.csv")]


def test_outcomes_are_read_exactly(folder: Path) -> None:
    (folder / "outcomes.csv").write_text(HEADER + "helper,,2026-10,tickets,4,2.505,EUR\n,vision,2026-09-01,reviews,0,,\n")
    rows = read_directories(folder)[DIM_OUTCOME.name].rows()
    assert rows == [
        (None, "vision", dt.date(2026, 9, 1), "reviews", 0, None, None),
        ("helper", None, dt.date(2026, 10, 1), "tickets", 4, Decimal("2.505"), "EUR"),
    ]
    assert unknown_files(folder) == []


def test_a_missing_file_and_missing_value_columns_are_no_fault(folder: Path) -> None:
    assert read_directories(folder)[DIM_OUTCOME.name].is_empty()
    (folder / "outcomes.csv").write_text("team_id,month,outcome_name,outcomes_count\nvision,2026-10,reviews,3\n")
    assert read_directories(folder)[DIM_OUTCOME.name]["outcomes_count"].to_list() == [3]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("nobody,,2026-10,tickets,4,,", "feature nobody is not in features.csv"),
        (",ghosts,2026-10,tickets,4,,", "team ghosts is not in teams.csv"),
        (",unallocated,2026-10,tickets,4,,", "team unallocated is not in teams.csv"),
        ("helper,vision,2026-10,tickets,4,,", "names feature_id and team_id"),
        (",,2026-10,tickets,4,,", "names neither feature_id nor team_id"),
        ("helper,,2026-10,tickets,4,2,", "a value needs its currency"),
        ("helper,,2026-10,tickets,4,,USD", "a value needs its currency"),
        ("helper,,2026-10-02,tickets,4,,", "is not the first day of a month"),
        ("helper,,2026-10,tickets,4.5,,", "'4.5' is not a whole number"),
        ("helper,,2026-10,tickets,-1,,", "'-1' is not a whole number"),
        ("helper,,2026-10,,4,,", "outcome_name is empty"),
        ("helper,,2026-10,tickets,,,", "outcomes_count is empty"),
    ],
)
def test_a_fault_is_named_with_its_line(folder: Path, line: str, fault: str) -> None:
    (found,) = problems(folder, line)
    assert found.startswith("outcomes.csv line 2: ")
    assert fault in found


def test_an_outcome_stands_once_a_month(folder: Path) -> None:
    (found,) = problems(folder, "helper,,2026-10,tickets,4,,", "helper,,2026-10-01,tickets,5,,")
    assert found == "outcomes.csv line 2: tickets of helper in 2026-10 stands again in outcomes.csv line 3"


def test_pseudonyms_need_a_key() -> None:
    with pytest.raises(ValueError, match="needs pseudonym_key"):
        PeopleSettings(pseudonyms=True)
    assert PeopleSettings(pseudonyms=True, pseudonym_key={"env": "KEY"}).minimum_group_size == 5
