"""Reports rendered anew as the tables stood: equal to what was published then, and nothing published is touched."""

import datetime as dt
import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from assets.as_of import AsOfEdition, AsOfWorkspace, parse_instant, render_as_of
from assets.resources import now
from tests.assets.story import Story
from usage_etl.cli.report import report as report_command
from usage_etl.delivery.ledger import Send
from usage_etl.delivery.versions import published_versions
from usage_etl.errors import DeliveryError, LakeError
from usage_etl.keys import sha256_hex
from usage_etl.periods import Month
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY

OCTOBER, OCTOBER_KEY = Month(2026, 10), "2026-10-01"


def test_the_reports_of_then_equal_what_was_published_then(story: Story, tmp_path: Path) -> None:
    workspace = story.installation.workspace
    published = story.installation.fingerprints("out", "lake")
    made = render_as_of(workspace, story.first, month=OCTOBER, folder=tmp_path / "then")
    assert story.installation.fingerprints("out", "lake") == published
    for report in ("executive", "chargeback"):
        versions = published_versions(workspace.out, report, "2026-10")
        assert len(versions) == 2
        comparison = next(one for one in made.comparisons if one.report == report)
        assert (comparison.version, comparison.is_equal) == ("2026-10@v1", True), comparison.text
        for name, sha256 in versions[0].files.items():
            assert sha256_hex((tmp_path / "then" / report / "2026-10" / name).read_bytes()) == sha256
    names = {name for name, _, _ in made.files}
    assert {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()} == names
    first = published_versions(workspace.out, "chargeback", "2026-10")[0]
    assert first.manifest["inputs"].items() <= made.versions.items()


def test_the_reports_of_now_equal_the_newest_edition(story: Story, tmp_path: Path) -> None:
    made = render_as_of(story.installation.workspace, now(), month=OCTOBER, folder=tmp_path)
    assert {(one.version, one.is_equal) for one in made.comparisons} == {("2026-10@v2", True)}


def test_before_anything_was_built_there_is_nothing_to_report(story: Story, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="did not exist yet"):
        render_as_of(story.installation.workspace, story.before, month=OCTOBER, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_difference_is_said_plainly(story: Story, tmp_path: Path) -> None:
    copy = story.installation.copied_to(tmp_path / "copy")
    folder = copy.folder / "out" / "chargeback" / "2026-10"
    latest = json.loads((folder / "latest.json").read_bytes())
    manifest = json.loads((folder.parent.parent / latest["manifest_key"]).read_bytes())
    manifest |= {"versions": {"code": "0.0.1"}, "restates": None}
    entry = next(one for one in manifest["files"] if one["control_totals"])
    entry["control_totals"]["USD"]["allocated_cost"] = "999999.00"
    data = json.dumps(manifest).encode()
    forged = folder / f"v-{sha256_hex(data)[:12]}"
    forged.mkdir()
    (forged / "manifest.json").write_bytes(data)
    (folder / "latest.json").write_text(json.dumps({"manifest_sha256": sha256_hex(data)}), encoding="utf-8")
    made = render_as_of(copy.workspace, now(), month=OCTOBER, folder=tmp_path / "then")
    by_report = {one.report: one for one in made.comparisons}
    assert by_report["executive"].is_equal
    assert by_report["chargeback"].is_equal is False
    assert "DIFFERENT" in by_report["chargeback"].text
    assert "999999.00" in by_report["chargeback"].text


def test_an_edition_of_other_code_is_compared_by_control_totals(story: Story, tmp_path: Path) -> None:
    copy = story.installation.copied_to(tmp_path / "copy")
    for report in ("executive", "chargeback"):
        folder = copy.folder / "out" / report / "2026-10"
        latest = json.loads((folder / "latest.json").read_bytes())
        manifest = json.loads((folder.parent.parent / latest["manifest_key"]).read_bytes())
        data = json.dumps(manifest | {"versions": {"code": "0.0.1"}, "restates": None}).encode()
        (folder / f"v-{sha256_hex(data)[:12]}").mkdir()
        (folder / f"v-{sha256_hex(data)[:12]}" / "manifest.json").write_bytes(data)
        (folder / "latest.json").write_text(json.dumps({"manifest_sha256": sha256_hex(data)}), encoding="utf-8")
    made = render_as_of(copy.workspace, now(), month=OCTOBER, folder=tmp_path / "then")
    by_report = {one.report: one for one in made.comparisons}
    assert by_report["chargeback"].is_equal is True
    assert "control totals" in by_report["chargeback"].text
    assert by_report["executive"].is_equal is None, "its manifest holds no totals"
    assert "not comparable" in by_report["executive"].text


def test_nothing_is_written_into_the_published_location_or_sent(story: Story, tmp_path: Path) -> None:
    workspace = story.installation.workspace
    for folder in (story.installation.folder / "out", story.installation.folder / "out" / "then"):
        with pytest.raises(DeliveryError, match="published location"):
            render_as_of(workspace, story.first, month=OCTOBER, folder=folder)
    view = AsOfEdition(workspace.settings, story.first, tmp_path)
    with pytest.raises(DeliveryError, match="never sent"):
        view.ledger.claim(Send("executive", "2026-10", "email", "cfo@example.com", "0" * 64))
    with pytest.raises(DeliveryError, match="nothing is published"):
        AsOfWorkspace(workspace.settings, story.first).ledger.exclusive("chargeback/2026-10")
    with pytest.raises(LakeError, match="cannot be changed"):
        view.lake.commit(MART_CHARGEBACK_MONTHLY, OCTOBER_KEY, MART_CHARGEBACK_MONTHLY.empty())


def test_the_command_prints_files_versions_and_whether_they_equal(story: Story, tmp_path: Path) -> None:
    app = Typer()
    app.command()(report_command)
    config, instant = str(story.installation.config), story.first.isoformat()
    common = ["--as-of", instant, "--month", "2026-10", "--out", str(tmp_path / "then"), "--config", config]
    text = CliRunner().invoke(app, common)
    assert text.exit_code == 0, text.output
    assert "chargeback: equal, file by file, to chargeback 2026-10@v1" in text.output
    assert "mart_chargeback_monthly/2026-10-01" in text.output
    document = json.loads(CliRunner().invoke(app, [*common, "--json"]).output)
    assert [one["is_equal"] for one in document["published"]] == [True, True]
    for file in document["files"]:
        assert sha256_hex((tmp_path / "then" / file["name"]).read_bytes()) == file["sha256"]
    for wrong in ("yesterday", "2026-09-03T18:00:00", "2026-13-01"):
        assert CliRunner().invoke(app, ["--as-of", wrong, "--config", config]).exit_code == 2


def test_a_day_means_its_end_and_today_means_now() -> None:
    assert parse_instant("2026-09-03") == dt.datetime(2026, 9, 3, 23, 59, 59, 999999, tzinfo=dt.UTC)
    assert parse_instant("2026-09-03T20:00:00+02:00") == dt.datetime(2026, 9, 3, 18, tzinfo=dt.UTC)
    present = now()
    assert abs(parse_instant(f"{present.date()}") - present) < dt.timedelta(minutes=1)
