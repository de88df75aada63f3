"""``usage-etl directory``: what is wrong with directory files, and whose money new ones would move, before they ship."""

import json
from decimal import Decimal
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.what_if import what_if
from tests.assets.installation import DAYS, REQUESTS_A_DAY, TEAMS, Installation, request, write_small
from usage_etl.cli.directory import app
from usage_etl.config.directory import read_directories
from usage_etl.errors import DirectoryError, LakeError
from usage_etl.lake import WHOLE
from usage_etl.periods import Month
from usage_etl.schemas import FACT_INVOICE_LINES_MONTHLY, FACT_USAGE_DAILY, TABLES

OCTOBER = Month(2026, 10)
TOKENS = 10_000_000
BILLED = Decimal("140.04")
"""Close to eight requests of ten million input tokens at 1.75 USD a million, and their output."""
USERS = "user_id,user_name,user_email,team_id,split_pct,valid_from,valid_to\n"
TWO_TEAMS = TEAMS + "team-2,Team Two,dep-1,Department One,cc-2,Cost Center Two,two@example.com,2026-01-01,\n"


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Landed requests of four users a day, and October's invoice lines. Tests change nothing of it."""
    installation = write_small(tmp_path_factory.mktemp("billed"))
    for day in DAYS:
        lines = (request(day, number, prompt_tokens=TOKENS) for number in range(REQUESTS_A_DAY))
        installation.deliver(f"{day}.jsonl", lines)
    with dg.DagsterInstance.ephemeral() as instance:
        assert installation.run("land", instance).success
    line = {
        "month": OCTOBER.first_day, "invoice_line_id": "0" * 32, "provider_name": "openai", "billing_account_id": "org-1",
        "service_name": "API", "charge_kind": "usage", "charge_category": "Usage", "model_id": "gpt-5.2",
        "billing_currency": "USD", "charges_count": 1, "is_list_cost_estimated": False,
        **dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), BILLED),
    }  # fmt: skip
    schema = FACT_INVOICE_LINES_MONTHLY.polars_schema
    frame = pl.DataFrame([{name: line.get(name) for name in schema}], schema=schema, orient="row")
    installation.workspace.lake.commit(FACT_INVOICE_LINES_MONTHLY, OCTOBER.first_day.isoformat(), frame)
    return installation


def new_files(folder: Path, users: str, teams: str = TWO_TEAMS, **others: str) -> Path:
    for name, text in {"users": USERS + users, "teams": teams, **others}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows(frame: pl.DataFrame) -> list[tuple[str, str, str]]:
    return [(giver, taker, str(cost.normalize())) for giver, taker, cost, _ in frame.iter_rows()]


def test_what_a_person_costs_moves_with_the_person_and_nothing_is_stored(billed: Installation, tmp_path: Path) -> None:
    stored = billed.fingerprints("lake", "out")
    new = new_files(tmp_path, "user-1,One,,team-2,,2026-01-01,\n")
    found = what_if(billed.workspace, read_directories(new), OCTOBER)
    assert rows(found.moves("team")) == [("team-1", "team-2", "35.01")]
    assert rows(found.moves("cost_center")) == [("cc-1", "cc-2", "35.01")]
    assert rows(found.moves("business_unit")) == []
    assert found.before["allocated_cost"].sum() == found.after["allocated_cost"].sum() == BILLED
    assert billed.fingerprints("lake", "out") == stored
    assert billed.workspace.lake.partitions(FACT_USAGE_DAILY) == []


def test_shares_and_days_move_their_part_only(billed: Installation, tmp_path: Path) -> None:
    shares = "user-1,One,,team-1,60,2026-10-31,\nuser-1,One,,team-2,40,2026-10-31,\n"
    found = what_if(billed.workspace, read_directories(new_files(tmp_path, shares)), OCTOBER)
    moved = sum(cost for _, _, cost, _ in found.moves("team").iter_rows())
    quarter_of_a_day = BILLED / 8 * 40 / 100
    assert abs(moved - quarter_of_a_day) < Decimal("0.02")
    assert found.changes("team")["change_cost"].sum() == 0


def test_a_business_unit_takes_over_what_had_none(billed: Installation, tmp_path: Path) -> None:
    new = new_files(
        tmp_path,
        "",
        teams=TEAMS,
        departments="department_id,department_name,business_unit_id,valid_from,valid_to\ndep-1,Department One,tech,2026-01-01,\n",
        business_units="business_unit_id,business_unit_name,valid_from,valid_to\ntech,Technology,2026-01-01,\n",
    )
    found = what_if(billed.workspace, read_directories(new), OCTOBER)
    assert rows(found.moves("business_unit")) == [("unallocated", "tech", "70.02")]
    assert found.moves("team").is_empty()
    assert found.names("business_unit")["tech"] == "Technology"


def test_the_very_directories_that_are_in_force_move_nothing(billed: Installation) -> None:
    directories = billed.workspace.read_directories()
    found = what_if(billed.workspace, directories, OCTOBER)
    assert found.before.equals(found.after)
    assert all(found.moves(level).is_empty() for level in ("team", "cost_center", "business_unit"))


def test_a_month_that_was_not_built_is_named(billed: Installation) -> None:
    with pytest.raises(LakeError, match="2026-11 has no invoice lines yet; `usage-etl run --from 2026-11-01`"):
        what_if(billed.workspace, billed.workspace.read_directories(), Month(2026, 11))


def test_diff_prints_who_pays_instead_of_whom(billed: Installation, tmp_path: Path) -> None:
    new = new_files(tmp_path, "user-1,One,,team-2,,2026-01-01,\n")
    shown = run("diff", new, "--config", billed.config)
    assert shown.exit_code == 0, shown.output
    lines = [line.split("  ") for line in shown.stdout.splitlines()]
    assert ["team-1 (Team One)", "team-2 (Team Two)", "35.01", "USD"] in lines
    assert "35.01 USD moves in all; what owners pay more and less adds up to 0.00" in shown.stdout
    assert "2026-10: nothing moves from one business unit to another" in shown.stdout


def test_diff_says_the_same_to_machines(billed: Installation, tmp_path: Path) -> None:
    new = new_files(tmp_path, "user-1,One,,team-2,,2026-01-01,\n")
    shown = run("diff", new, "--config", billed.config, "--month", "2026-10", "--json")
    (month,) = json.loads(shown.stdout)["months"]
    assert month["month"] == "2026-10"
    team = month["levels"]["team"]
    assert team["moves"] == [{"from_owner": "team-1", "to_owner": "team-2", "moved_cost": "35.01", "currency": "USD"}]
    assert team["totals"] == [{"currency": "USD", "moved_cost": "35.01", "net_cost": "0"}]
    assert [(owner["owner"], owner["change_cost"]) for owner in team["owners"]] == [("team-1", "-35.01"), ("team-2", "35.01")]


def test_diff_refuses_faulty_files_and_odd_months(billed: Installation, tmp_path: Path) -> None:
    new = new_files(tmp_path, "user-1,One,,team-9,,2026-01-01,\n")
    assert isinstance(run("diff", new, "--config", billed.config).exception, DirectoryError)
    assert run("diff", new, "--config", billed.config, "--month", "October").exit_code == 2
    assert run("diff", tmp_path / "nowhere", "--config", billed.config).exit_code == 2


def test_check_counts_rows_or_names_every_fault(billed: Installation, tmp_path: Path) -> None:
    shown = run("check", "--config", billed.config)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[-1].endswith("directory: in order")
    assert ["teams.csv", "1"] in [line.split() for line in shown.stdout.splitlines()]
    faulty = new_files(tmp_path, "user-1,One,,team-9,,2026-01-01,\nuser-2,Two,,team-1,99,2026-01-01,\n", cost_centres="x")
    error = run("check", faulty).exception
    assert isinstance(error, DirectoryError)
    assert len(error.problems) == 2
    answer = run("check", faulty, "--json")
    assert (answer.exit_code, json.loads(answer.stdout)["in_order"]) == (2, False)
    assert json.loads(answer.stdout) | {"folder": ""} == {
        "folder": "", "in_order": False, "problems": list(error.problems), "not_read": ["cost_centres.csv"],
    }  # fmt: skip


def test_all_directories_and_finance_files_are_stored(billed: Installation) -> None:
    named = [table for table in TABLES if table.name.startswith("dim_") and table.name != "dim_price"]
    heads = {table.name: billed.workspace.lake.head(table, WHOLE) for table in named}
    rows = {"dim_team": 1, "dim_quota": 4, "dim_entitlement": 1}
    assert {name: head.rows_count if head else None for name, head in heads.items()} == {
        table.name: rows.get(table.name, 0) for table in named
    }
