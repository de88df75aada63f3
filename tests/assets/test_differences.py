"""Two editions of a month compared: which lines, by how much, and the late file that caused it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer import Typer
from typer.testing import CliRunner

from assets.differences import ReportDiff, diff_published
from tests.assets.story import LATE_DAY, LATE_FILE, OCTOBER_KEY, Story
from usage_etl.cli.diff import diff as diff_command
from usage_etl.delivery.versions import published_versions
from usage_etl.errors import DeliveryError
from usage_etl.reports.version_diff import AMORTISED, BILLED, UNCHANGED
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY


def compared(story: Story, before: str = "2026-10@v1", after: str = "2026-10@v2") -> ReportDiff:
    return diff_published(story.installation.workspace, before, after, report="chargeback", amount=BILLED)


def invoked(story: Story, *arguments: str) -> Any:
    app = Typer()
    app.command()(diff_command)
    return CliRunner().invoke(app, [*arguments, "--config", str(story.installation.config)])


def test_the_changes_are_those_of_the_two_published_files(story: Story) -> None:
    workspace, found = story.installation.workspace, compared(story)
    frames = [
        pl.read_parquet(workspace.out.read(f"{version.prefix}/chargeback.parquet"))
        for version in published_versions(workspace.out, "chargeback", "2026-10")
    ]
    sides = [{row["line_id"]: row[BILLED] for row in frame.iter_rows(named=True)} for frame in frames]
    changed = {name for name in sides[0].keys() | sides[1].keys() if sides[0].get(name) != sides[1].get(name)}
    assert changed, "the late file moves money between owners"
    assert {line.line_id for line in found.lines.lines} == changed
    for line in found.lines.lines:
        assert (line.before, line.after) == (sides[0].get(line.line_id), sides[1].get(line.line_id))
    assert [one.change for one in found.lines.totals] == [sum(sides[1].values()) - sum(sides[0].values())]


def test_the_late_file_is_named_as_the_cause(story: Story) -> None:
    found = compared(story)
    changed = {change.name for change in found.inputs}
    assert {f"mart_chargeback_monthly/{OCTOBER_KEY}", f"fact_usage_daily/{LATE_DAY}", "staged_usage"} <= changed
    assert all(change.before != change.after for change in found.inputs)
    rebuilt = [day for day in found.restated if day.table_name == "fact_usage_hourly"]
    assert {day.usage_date for day in rebuilt} == {LATE_DAY}
    assert {(note.origin_key, note.what) for day in rebuilt for note in day.deliveries} == {(LATE_FILE, "counts now")}
    assert found.notes == ()


def test_the_other_way_round_every_sign_is_turned(story: Story) -> None:
    there, back = compared(story), compared(story, "2026-10@v2", "2026-10@v1")
    assert {line.line_id: line.change for line in there.lines.lines} == {line.line_id: -line.change for line in back.lines.lines}
    assert there.restated == back.restated


def test_a_version_equals_itself(story: Story) -> None:
    found = compared(story, "2026-10@latest", "2026-10@v2")
    assert (found.lines.lines, found.inputs, found.restated, found.versions) == ((), (), (), {})
    assert {one.member_id for one in found.lines.by_reason} == {UNCHANGED}


def test_what_is_not_kept_any_more_is_said(story: Story, tmp_path: Path) -> None:
    copy = story.installation.copied_to(tmp_path)
    for path in (copy.folder / "lake" / "_history" / MART_CHARGEBACK_MONTHLY.name / OCTOBER_KEY).iterdir():
        path.unlink()
    found = diff_published(copy.workspace, "2026-10@v1", "2026-10@v2", report="chargeback", amount=AMORTISED)
    mart = f"mart_chargeback_monthly/{OCTOBER_KEY}"
    assert mart in {change.name for change in found.inputs}
    assert mart not in {reader for change in found.inputs for reader in change.read_by}, "what it was made from is not known"
    assert any(note.startswith(mart) and "is not kept any more" in note for note in found.notes)


@pytest.mark.parametrize(
    ("before", "after", "report", "message"),
    [
        ("2026-10@v1", "2026-11@v1", "chargeback", "two periods"),
        ("2026-10@v1", "2026-10", "chargeback", "names no version"),
        ("2026-10@v1", "2026-10@v9", "chargeback", "names no version"),
        ("2026-10@v1", "2026-10@v2", "executive", "has no file of lines"),
        ("2026-10@closed", "2026-10@v2", "chargeback", "names no version"),
    ],
)
def test_what_cannot_be_compared_is_an_error(story: Story, before: str, after: str, report: str, message: str) -> None:
    with pytest.raises(DeliveryError, match=message):
        diff_published(story.installation.workspace, before, after, report=report, amount=BILLED)


def test_the_command_prints_for_people_and_for_machines(story: Story) -> None:
    found, text = compared(story), invoked(story, "2026-10@v1", "2026-10@v2")
    assert text.exit_code == 0, text.output
    for words in ("By cost center", "By reason", "In all", LATE_FILE, f"fact_usage_hourly {LATE_DAY} restated"):
        assert words in text.output
    document = json.loads(invoked(story, "2026-10@v1", "2026-10@v2", "--json").output)
    assert {(line["line_id"], Decimal(line["change"])) for line in document["lines"]} == {
        (line.line_id, line.change) for line in found.lines.lines
    }
    assert document["why"]["restated_days"][0]["deliveries"][0]["origin_key"] == LATE_FILE
    assert document["before"]["version"] == "2026-10@v1"
