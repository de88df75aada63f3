"""Every line of the small installation is walked back to its file and line, and what does not agree is said loudly."""

import datetime as dt
import gzip
import json
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer import Typer
from typer.testing import CliRunner

from assets.as_of import AsOfWorkspace
from assets.explain import explain_line
from assets.explained import Explanation
from assets.resources import now, open_workspace
from tests.assets.installation import DAYS, Installation, costs, request, write_small
from tests.assets.story import LATE_DAY, LATE_FILE, OCTOBER_KEY, Story
from tests.unit.sources.report_pages import save
from usage_etl.cli.explain import explain as explain_command
from usage_etl.errors import UsageEtlError
from usage_etl.keys import sha256_hex
from usage_etl.lake import TableStore
from usage_etl.money import exact_sum
from usage_etl.schemas import FACT_INVOICE_LINES_MONTHLY, FACT_USAGE_DAILY, MART_CHARGEBACK_MONTHLY, USAGE_EVENTS

MANY = 1000


def lines(installation: Installation) -> pl.DataFrame:
    return installation.workspace.lake.scan(MART_CHARGEBACK_MONTHLY).collect()


def line_of(installation: Installation, kind: str, month: str = OCTOBER_KEY) -> str:
    found = lines(installation).filter(pl.col("line_kind") == kind, pl.col("month").cast(pl.String) == month)
    return str(found["line_id"].item())


def invoked(installation: Installation, *arguments: str) -> Any:
    app = Typer()
    app.command()(explain_command)
    open_workspace.cache_clear()
    return CliRunner().invoke(app, [*arguments, "--config", str(installation.config)])


def landed_lines(installation: Installation, key: str) -> list[str]:
    content = installation.workspace.store.read(key)
    return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode().splitlines()


def check_complete(installation: Installation, found: Explanation) -> None:
    """Whatever is said of a billed line can be added up again, and what is quoted stands in the landed file."""
    assert found.all_faults == ()
    assert found.bill
    charges = found.bill.charges
    assert len(charges) == found.bill.charges_count
    assert exact_sum(pl.Series([charge.billed_cost for charge in charges])) == found.bill.charges_total
    assert found.bill.charges_total == found.bill.invoice_line["billed_cost"]
    for charge in charges:
        assert charge.file.matches
        record = json.loads(charge.record.raw_text or "", parse_float=Decimal)
        assert (record["amount"]["value"], record["line_item"]) == (charge.billed_cost, charge.description)
    assert found.usage
    assert found.usage.events_count == len(found.usage.events)
    for event in found.usage.events:
        assert event.file.matches
        text = landed_lines(installation, event.file.landed_key)[event.record.raw_ordinal - 1]
        assert event.record.raw_text == text[:300]
        assert json.loads(text)["request_id"] == event.event_id
    priced = [day.effective_cost for day in found.usage.days if day.effective_cost is not None]
    assert sum(priced, Fraction(0)) == exact_sum(pl.Series([event.effective_cost for event in found.usage.events]))
    if found.usage.own is not None:
        assert sum(priced, Fraction(0)) * 10**18 == found.usage.own
        assert found.usage.own == Fraction(found.line["metered_cost"]) * 10**18


def test_every_line_is_explained_to_file_and_line(story: Story) -> None:
    installation, all_lines = story.installation, lines(story.installation)
    assert {"allocated", "unallocated", "unexplained"} <= set(all_lines["line_kind"])
    for line_id in random.Random(7).sample(all_lines["line_id"].to_list(), all_lines.height):
        found = explain_line(installation.workspace, line_id, events=MANY)
        assert found.line["line_id"] == line_id
        check_complete(installation, found)


def test_the_shares_of_an_invoice_line_add_up(story: Story) -> None:
    of_october = lines(story.installation).filter(pl.col("month").cast(pl.String) == OCTOBER_KEY)
    found = [explain_line(story.installation.workspace, line_id) for line_id in of_october["line_id"]]
    weighed = [one.usage for one in found if one.usage and one.usage.own is not None]
    assert sum((usage.share for usage in weighed if usage.share), Fraction(0)) == 1
    assert {one.bill.shares_total for one in found if one.bill} == {exact_sum(of_october["allocated_cost"])}
    assert {one.bill.shares_count for one in found if one.bill} == {of_october.height}


def test_the_late_file_stands_first_among_the_events(story: Story) -> None:
    found = explain_line(story.installation.workspace, line_of(story.installation, "allocated"), events=1)
    assert found.usage
    assert [(event.file.origin_key, event.record.raw_ordinal) for event in found.usage.events] == [(LATE_FILE, 1)]
    assert LATE_DAY in {day.usage_date for day in found.usage.days}
    assert [one.version for one in found.published] == ["2026-10@v1", "2026-10@v2"]
    assert found.published[0].allocated_cost < found.published[1].allocated_cost == found.line["allocated_cost"]


def test_what_is_unexplained_shows_all_that_was_used(story: Story) -> None:
    found = explain_line(story.installation.workspace, line_of(story.installation, "unexplained"), events=MANY)
    assert found.usage
    assert (found.usage.own, found.usage.share) == (None, None)
    workspace = story.installation.workspace
    used = workspace.lake.scan(USAGE_EVENTS, [str(day) for day in DAYS[:2]]).select(pl.col("effective_cost").sum()).collect()
    assert found.usage.all == Fraction(used.item()) * 10**18


def test_a_line_is_found_by_its_beginning_and_never_guessed(story: Story) -> None:
    workspace, ids = story.installation.workspace, lines(story.installation)["line_id"].to_list()
    beginning = next(ids[0][:size] for size in range(1, 33) if sum(one.startswith(ids[0][:size]) for one in ids) == 1)
    assert explain_line(workspace, beginning).line["line_id"] == ids[0]
    for wrong, message in (("", "no line is named"), ("zz", "no line of the chargeback has the id")):
        with pytest.raises(UsageEtlError, match=message):
            explain_line(workspace, wrong)
    twin = ids[0][:-1] + ("0" if ids[0][-1] != "0" else "1")
    with pytest.raises(UsageEtlError, match="no line"):
        explain_line(workspace, twin)


def test_a_beginning_of_several_lines_lists_them(story: Story, tmp_path: Path) -> None:
    copy = story.installation.copied_to(tmp_path)
    frame = copy.workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [OCTOBER_KEY]).collect()
    ids = [f"abc{number}{'0' * 28}" for number in range(frame.height)]
    copy.workspace.lake.commit(MART_CHARGEBACK_MONTHLY, OCTOBER_KEY, frame.with_columns(line_id=pl.Series(ids)))
    with pytest.raises(UsageEtlError, match=f"{frame.height} lines begin with 'abc': {ids[0]} of 2026-10, {ids[1]}"):
        explain_line(copy.workspace, "abc")


def test_a_line_as_it_was_booked_is_explained_by_the_tables_of_then(story: Story) -> None:
    workspace, line_id = story.installation.workspace, line_of(story.installation, "allocated")
    then = explain_line(AsOfWorkspace(workspace.settings, story.first), line_id, events=MANY)
    now = explain_line(workspace, line_id, events=MANY)
    assert (then.all_faults, now.all_faults) == ((), ())
    assert then.line["allocated_cost"] < now.line["allocated_cost"]
    assert then.usage
    assert now.usage
    assert LATE_FILE not in {event.file.origin_key for event in then.usage.events}
    assert then.usage.events_count == (now.usage.events_count or 0) - 1
    said = [note for note in then.notes if "the newest published version" in note and "says 1." in note]
    assert said, "the newest published version says another amount"
    assert "00000" not in said[0], "without the zeros of the table's scale"


def test_a_line_that_is_gone_says_when_it_was_published(story: Story, tmp_path: Path) -> None:
    copy, line_id = story.installation.copied_to(tmp_path), line_of(story.installation, "allocated")
    lake = copy.workspace.lake
    for table in ("mart_chargeback_monthly", "mart_allocation_monthly"):
        for path in (copy.folder / "lake" / "_manifests" / table).iterdir():
            path.unlink()
    with pytest.raises(UsageEtlError, match="2026-10@v2 was the last to hold it: explain it as of then, with --as-of 2026-"):
        explain_line(copy.workspace, line_id)
    assert lake.partitions(MART_CHARGEBACK_MONTHLY) == []


def test_a_changed_source_file_is_a_loud_fault(story: Story, tmp_path: Path) -> None:
    copy, line_id = story.installation.copied_to(tmp_path), line_of(story.installation, "allocated")
    delivery = copy.delivery(LATE_FILE)
    path = copy.folder / "lake" / delivery.landed_key
    path.unlink()
    path.write_text(request(LATE_DAY, 9, prompt_tokens=1) + "\n", encoding="utf-8")
    found = explain_line(copy.workspace, line_id)
    assert found.usage
    event = found.usage.events[0]
    assert not event.file.matches
    assert event.record.raw_text is None, "a changed file is not quoted"
    assert found.faults == (
        f"{delivery.landed_key}: sha256 is {sha256_hex(path.read_bytes())}, it was landed with {delivery.sha256}",
    )
    path.unlink()
    assert "there is no such object" in explain_line(copy.workspace, line_id).faults[0]
    result = invoked(copy, line_id)
    assert result.exit_code == 1
    assert f"FAULT: {delivery.landed_key}: there is no such object" in result.stderr
    assert "DOES NOT MATCH: found no object" in result.stdout


def test_charges_that_do_not_add_up_are_a_loud_fault(story: Story, tmp_path: Path) -> None:
    copy, line_id = story.installation.copied_to(tmp_path), line_of(story.installation, "allocated")
    lake = copy.workspace.lake
    frame = lake.scan(FACT_INVOICE_LINES_MONTHLY, [OCTOBER_KEY]).collect()
    forged = frame.with_columns(billed_cost=(pl.col("billed_cost") + Decimal(1)).cast(frame.schema["billed_cost"]))
    lake.commit(FACT_INVOICE_LINES_MONTHLY, OCTOBER_KEY, forged, inputs={})
    for path in (copy.folder / "lake" / "_manifests" / "mart_allocation_monthly").iterdir():
        path.unlink()  # without an allocation the tables of now explain the line
    faults = explain_line(copy.workspace, line_id).faults
    assert len(faults) == 1
    assert "billed_cost of its charge lines" in faults[0]


def test_versions_that_are_not_kept_are_said_and_those_of_now_are_shown(story: Story, tmp_path: Path) -> None:
    copy, line_id = story.installation.copied_to(tmp_path), line_of(story.installation, "allocated")
    day = f"fact_usage_daily/{LATE_DAY}"
    lake = copy.workspace.lake
    frame = lake.scan(FACT_USAGE_DAILY, [str(LATE_DAY)]).collect()
    lake.commit(FACT_USAGE_DAILY, str(LATE_DAY), frame.head(1))
    changed = explain_line(copy.workspace, line_id)
    assert (changed.faults, changed.notes) == ((), ()), "the facts of the allocation are kept"
    TableStore(copy.workspace.store, history_days=1, clock=lambda: now() + dt.timedelta(days=2)).prune()
    found = explain_line(copy.workspace, line_id)
    assert "tables of then are not kept any more" in found.notes[0]
    assert day in found.notes[0]
    assert "metered_cost of the line is" in found.faults[0], "and those of now are others"


def test_the_command_prints_for_people_and_for_machines(story: Story) -> None:
    line_id = line_of(story.installation, "allocated")
    text = invoked(story.installation, line_id[:12], "--events", "1")
    assert text.exit_code == 0, text.output
    for words in (f"line {line_id}: 1.61 USD", "rule default-usage", "share 1140/1153 = 98.872507 %", "matches", LATE_FILE):
        assert words in text.stdout
    document = json.loads(invoked(story.installation, line_id, "--json").stdout)
    assert document["line"]["allocated_cost"] == f"{Decimal('1.61'):.18f}"
    assert document["usage"]["share"] == "1140/1153"
    assert document["usage"]["events"][0]["file"]["matches"] is True
    then = invoked(story.installation, line_id, "--as-of", story.first.isoformat())
    assert "0.02 USD" in then.stdout
    assert invoked(story.installation, line_id, "--as-of", "yesterday").exit_code == 2


def test_what_a_log_holds_cannot_command_a_terminal(story: Story, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    copy = story.installation.copied_to(tmp_path)
    wild = json.loads(request(LATE_DAY, 11, prompt_tokens=2_000_000)) | {"request_id": "req-\x1b[2J\u202e-\n-end"}
    copy.deliver("wild.jsonl", [json.dumps(wild, ensure_ascii=False)])
    assert copy.run("land", instance).success
    assert copy.run("daily", instance, LATE_DAY, LATE_DAY).success
    assert copy.run("monthly", instance, OCTOBER_KEY, OCTOBER_KEY).success
    text = invoked(copy, line_of(copy, "allocated"), "--events", "1").stdout
    assert "wild.jsonl" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2J" in text


def test_without_events_the_deliveries_of_the_days_are_named(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    installation = write_small(tmp_path)
    text = installation.config.read_text(encoding="utf-8")
    installation.config.write_text(f"{text}keep_usage_events: false\n", encoding="utf-8")
    for job, span in (("land", ()), ("daily", (DAYS[0], DAYS[-1])), ("monthly", (OCTOBER_KEY, "2026-11-01"))):
        assert installation.run(job, instance, *span).success
    found = explain_line(installation.workspace, line_of(installation, "allocated"))
    assert found.usage
    assert not found.usage.events_kept
    assert any("events are not kept" in note for note in found.notes)
    assert [one.file.origin_key for one in found.usage.deliveries] == [f"{day}.jsonl" for day in DAYS[:2]]
    assert all(one.file.matches for one in found.usage.deliveries)
    assert found.all_faults == ()


def test_an_estimate_is_explained_without_a_bill(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    installation = write_small(tmp_path)
    for path in (tmp_path / "landing" / "openai").iterdir():
        path.unlink()
    save(tmp_path / "landing" / "openai", costs({}), name="costs.json")
    for job, span in (("land", ()), ("daily", (DAYS[0], DAYS[-1])), ("monthly", (OCTOBER_KEY, "2026-11-01"))):
        assert installation.run(job, instance, *span).success
    estimates = lines(installation)
    assert set(estimates["line_kind"]) == {"estimate"}
    for line_id in estimates["line_id"]:
        found = explain_line(installation.workspace, line_id, events=MANY)
        assert (found.all_faults, found.bill) == ((), None)
        assert found.usage
        assert found.usage.own == Fraction(found.line["metered_cost"]) * 10**18
        assert found.usage.share
