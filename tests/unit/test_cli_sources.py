"""Sources on the command line: how each does, which kinds there are, and what a file would become, complaints included."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from assets import resources
from assets.resources import open_workspace
from tests.unit.sources.spend_logs import line
from usage_etl.cli import source_states
from usage_etl.cli.doctor import _source_check
from usage_etl.cli.main import app
from usage_etl.config import load_settings
from usage_etl.errors import ConfigError
from usage_etl.lake import StagedDay
from usage_etl.sources.registry import SOURCE_KINDS, SOURCES

ROOT = Path(__file__).parents[2]
SETTINGS = """
version: 1
organization: {id: northwind, name: Northwind}
start_date: 2026-08-01
sources:
  - {kind: litellm, name: gateway, location: logs}
  - {kind: openai, name: bill, account: org-1, location: pages, expected_hours: 24}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "usage_etl.yaml"
    file.write_text(SETTINGS, encoding="utf-8")
    return file


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sources", *arguments], catch_exceptions=False, env={"COLUMNS": "200"})


def states(config: Path) -> dict[str, dict[str, object]]:
    return {state["name"]: state for state in json.loads(run("-c", str(config), "--json").output)}


def land(config: Path, source: str, name: str) -> str:
    delivery = open_workspace(str(config)).landing.land(
        source=source, kind="litellm", dataset="objects", origin_key=name, origin_version="1", content=name.encode()
    )
    assert delivery is not None
    return delivery.delivery_id


def stage(config: Path, delivery_id: str, rows_count: int = 7) -> None:
    day = StagedDay("staged_usage", dt.date(2026, 11, 2), f"staged/{delivery_id}", "0" * 64, rows_count)
    open_workspace(str(config)).index.record_staged(
        delivery_id, [day], rows_read=rows_count + 2, rows_quarantined=2, parser_version="1"
    )


def test_a_source_without_any_delivery_says_so(config: Path) -> None:
    found = states(config)

    assert [state["state"] for state in found.values()] == ["never delivered", "never delivered"]
    assert found["bill"]["last_delivery_at"] is None
    assert "never delivered" in run("-c", str(config)).output


def test_rows_rejects_and_days_are_those_of_the_deliveries_that_count(config: Path) -> None:
    stage(config, land(config, "gateway", "a"))
    stage(config, land(config, "gateway", "b"), rows_count=3)
    workspace = open_workspace(str(config))
    workspace.index.record_held(land(config, "gateway", "c"), "shrank", 9, (), rows_quarantined=1, parser_version="1")

    state = states(config)["gateway"]
    assert (state["rows_staged_count"], state["rows_quarantined_count"], state["held_count"]) == (10, 4, 1)
    assert (state["state"], state["newest_day"], state["deliveries_count"]) == ("held", "2026-11-02", 3)


def test_rows_before_the_first_day_of_the_lake_are_counted_and_said(config: Path) -> None:
    delivery_id = land(config, "gateway", "a")
    rows_by_day = {dt.date(2026, 7, 30): 5, dt.date(2026, 7, 31): 4, dt.date(2026, 8, 1): 7}
    days = [StagedDay("staged_usage", day, f"staged/{delivery_id}/{day}", "0" * 64, rows) for day, rows in rows_by_day.items()]
    open_workspace(str(config)).index.record_staged(delivery_id, days, rows_read=16, rows_quarantined=0, parser_version="1")

    assert states(config)["gateway"]["rows_early_count"] == 9
    assert "gateway: 9 row(s) are of days before start_date" in run("-c", str(config)).output
    assert "bill: " not in run("-c", str(config)).output


def test_a_line_is_whole_however_narrow_the_terminal(config: Path) -> None:
    result = CliRunner().invoke(app, ["sources", "-c", str(config)], catch_exceptions=False, env={"COLUMNS": "40"})

    assert [line.split()[-1] for line in result.output.splitlines()] == ["from", "logs", "pages"]


def test_doctor_counts_the_objects_that_the_pattern_matches(config: Path) -> None:
    (config.parent / "logs").mkdir()
    (config.parent / "logs" / "a.txt").write_text("{}")
    settings = load_settings(config, kinds=SOURCE_KINDS)
    check = _source_check("gateway")

    assert check(settings)[0].endswith("logs: 0 of 1 object(s) match **/*.json*")
    assert check(settings)[1] == "change pattern, or the names"
    (config.parent / "logs" / "b.jsonl.gz").write_text("")
    assert check(settings)[0].endswith("logs: 1 of 2 object(s) match **/*.json*")
    assert check(settings)[1] == ""


def test_the_state_names_what_a_person_must_look_at_first(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = land(config, "bill", "a")
    assert states(config)["bill"]["state"] == "waits"
    stage(config, first)
    assert states(config)["bill"]["state"] == "fresh"
    open_workspace(str(config)).index.record_refused(land(config, "bill", "b"), "not a page", 0)
    assert states(config)["bill"]["state"] == "refused"
    assert "1 file(s)" in run("-c", str(config)).output
    stage(config, land(config, "bill", "c"))
    later = resources.now() + dt.timedelta(hours=25)
    monkeypatch.setattr(source_states, "now", lambda: later)
    assert states(config)["bill"]["state"] == "late"


def test_kinds_lists_every_kind_with_what_it_reads() -> None:
    output = run("kinds").output

    assert all(f"{kind}  {source.facts.title}" in output for kind, source in SOURCES.items())
    assert all(source.facts.formats in output for source in SOURCES.values())


def test_a_file_is_tried_without_a_lake_and_every_complaint_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(
        "\n".join([line(), "not json", line(request_id="2", prompt_tokens=-1), line(request_id="3", prompt_tokens=-2)])
    )
    result = run("try", "litellm", str(file), "--rows", "1")

    assert result.exit_code == 0
    assert "4 record(s) read: 1 usage row(s), 3 refused" in result.output
    assert "input_uncached_tokens=600" in result.output
    assert "2 record(s): " in result.output
    assert "prompt_tokens__out_of_range" in result.output
    assert "first is record 2: not json" in result.output
    assert not (tmp_path / "lake").exists()


def test_charges_are_summed_per_currency_to_the_last_digit() -> None:
    output = run("try", "openai", str(ROOT / "tests/recorded/openai/costs_page.json"), "--all-columns").output

    assert "billed USD                 -166.567628215362356849" in output
    assert "is_list_cost_estimated=True" in output


def test_a_file_that_is_something_else_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,2\n")
    result = run("try", "litellm", str(file))

    assert result.exit_code == 1
    assert "refused whole" in result.output
    assert "not JSON lines" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "known are anthropic"),
        (["litellm", "--set", "tags.feture=x"], "tags.feture"),
        (["litellm", "--set", "role"], "not key=value"),
        (["litellm", "--set", "role=both"], "role"),
    ],
)
def test_what_cannot_be_tried_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(line())
    with pytest.raises(ConfigError, match=message):
        run("try", arguments[0], str(file), *arguments[1:])


def test_settings_given_on_the_command_line_reach_the_parser(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(line(request_tags=["f=chat"]))
    output = run("try", "litellm", str(file), "--set", "tags.feature=f=", "--set", "account=eu").output

    assert "feature_id=chat" in output


def test_a_folder_is_tried_delivery_by_delivery_as_the_source_finds_them(tmp_path: Path) -> None:
    for name in ("a.jsonl", "deep/b.jsonl", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(line(request_id=name))
    result = run("try", "litellm", str(tmp_path), "--set", "bundle=none")

    assert [text.partition(":")[0] for text in result.output.splitlines() if "record(s) read" in text] == [
        "a.jsonl",
        "deep/b.jsonl",
    ]
    empty = run("try", "litellm", str(tmp_path), "--set", "pattern=*.parquet")
    assert empty.exit_code == 1
    assert "no delivery was found" in empty.output


def test_a_run_of_an_export_is_tried_by_its_folder(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests/recorded/azure_cost", tmp_path / "run")
    alone = run("try", "azure_cost", str(tmp_path / "run/actual_cost_ea.csv"))

    assert alone.exit_code == 1
    assert "give the folder" in alone.output


def test_records_that_a_source_does_not_read_are_counted() -> None:
    output = run("try", "focus", str(ROOT / "tests/recorded/focus/sample_like.csv")).output

    assert "8 record(s) read: 4 charges row(s), 0 refused, 4 out of scope" in output
