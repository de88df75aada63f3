"""Lines of closed months, their corrections and disputes are walked back to the closing and to what the rules give now."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.as_of import render_as_of
from assets.explain import explain_line
from assets.explained import Explanation
from assets.resources import now, open_workspace
from tests.assets.installation import DAYS, Installation, costs, failures, request, write_small
from tests.assets.story import LATE_DAY, LATE_FILE, OCTOBER_KEY
from tests.unit.sources.report_pages import save
from usage_etl.cli.periods import run_config
from usage_etl.periods import Month
from usage_etl.schemas import MART_CHARGEBACK_CLOSED, MART_CHARGEBACK_MONTHLY

NOVEMBER_KEY = "2026-11-01"
SETTINGS = """
close: {requires_invoice: false, settle_days: 0, gates: []}
finance: finance
"""
DISPUTE_HEADER = (
    "dispute_id,line_id,disputed_cost,reason,raised_by,raised_date,resolution,accepted_cost,charge_to_team_id,resolved_date\n"
)
INVOICE = (
    "invoice_id,provider_name,billing_account_id,billing_month,issued_date,due_date,currency,invoice_total,tax_total,"
    "purchase_order\nINV-10,openai,default,2026-10-01,2026-11-01,,USD,2.20,,PO-1\n"
)


@dataclass(frozen=True)
class ClosedStory:
    """October closed with its invoice, then a late file and an accepted dispute, both booked in November."""

    installation: Installation
    open_at: dt.datetime
    """October is built and published, not closed."""
    closed_at: dt.datetime
    """October is closed and published."""

    @property
    def lines(self) -> pl.DataFrame:
        return self.installation.workspace.lake.scan(MART_CHARGEBACK_MONTHLY).collect()

    def explained(self, **of: object) -> list[Explanation]:
        """Explanations of the lines with these values; there is at least one."""
        found = self.lines.filter(pl.col(name).eq_missing(pl.lit(value)) for name, value in of.items())
        assert found.height
        return [explain_line(self.installation.workspace, line_id, events=50) for line_id in found["line_id"]]


def run_all(installation: Installation, instance: dg.DagsterInstance) -> None:
    for job, span in (
        ("land", ()),
        ("daily", (DAYS[0], DAYS[-1])),
        ("monthly", (OCTOBER_KEY, NOVEMBER_KEY)),
    ):
        assert failures(installation.run(job, instance, *span)) == {}
    reports = ["report_executive", "report_chargeback"]
    for report in reports:
        assert installation.run("reports", instance, OCTOBER_KEY, NOVEMBER_KEY, only=[report]).success


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> ClosedStory:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("closed")
    installation = write_small(folder)
    installation.config.write_text(installation.config.read_text(encoding="utf-8") + SETTINGS, encoding="utf-8")
    (folder / "finance" / "disputes").mkdir(parents=True)
    (folder / "finance" / "invoices.csv").write_text(INVOICE, encoding="utf-8")
    save(folder / "landing" / "openai", costs({LATE_DAY: ("1.50", "0.70")}), name="costs2.json")
    with dg.DagsterInstance.ephemeral() as instance:
        run_all(installation, instance)
        open_at = now()
        closing = installation.definitions.resolve_job_def("close").execute_in_process(
            run_config=run_config(provider_name="", by="Ada"), instance=instance, tags={"dagster/partition": OCTOBER_KEY}
        )
        assert closing.success
        closed_at = now()
        lines = installation.workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [OCTOBER_KEY]).collect()
        assert set(lines["period_status"]) == {"closed"}
        disputed = lines.filter(pl.col("line_kind") == "allocated")["line_id"].item()
        row = f"D-1,{disputed},0.01,not ours,Bo,2026-11-02,accepted,,,2026-11-02\n"
        (folder / "finance" / "disputes" / "cc-1.csv").write_text(DISPUTE_HEADER + row, encoding="utf-8")
        installation.deliver(LATE_FILE, [request(LATE_DAY, 9, prompt_tokens=900_000)])
        open_workspace.cache_clear()
        run_all(installation, instance)
    return ClosedStory(installation, open_at, closed_at)


def test_every_line_is_explained_without_a_fault(closed: ClosedStory) -> None:
    lines = closed.lines
    assert {"allocated", "unallocated", "unexplained", "rounding", "dispute"} <= set(lines["line_kind"])
    assert lines.filter(pl.col("corrects_month").is_not_null()).height
    for line_id in lines["line_id"]:
        found = explain_line(closed.installation.workspace, line_id, events=50)
        assert found.all_faults == (), line_id
        assert found.bill or found.related or found.line["line_kind"] == "rounding"


def test_a_closed_line_is_explained_by_the_tables_of_its_closing(closed: ClosedStory) -> None:
    for found in closed.explained(month=dt.date(2026, 10, 1), line_kind="allocated"):
        assert found.as_of
        assert found.as_of <= closed.closed_at
        assert found.usage
        assert {event.file.origin_key for event in found.usage.events} == {f"{day}.jsonl" for day in DAYS[:2]}
        assert {one.period_status for one in found.published} == {"preliminary", "closed"}


def test_a_correction_walks_to_the_closing_and_to_now(closed: ClosedStory) -> None:
    corrections = [one for one in closed.explained(corrects_month=dt.date(2026, 10, 1)) if not one.line["dispute_id"]]
    owners = {one.line["team_id"] for one in corrections}
    assert {"team-1", "unexplained"} <= owners
    for found in corrections:
        roles: dict[str, list[Mapping[str, object]]] = {}
        for related in found.related:
            roles.setdefault(related.role, []).append(related.explanation.line)
        amounts = {role: sum(line["allocated_cost"] for line in lines) for role, lines in roles.items()}  # type: ignore[misc]
        change = amounts.get("2026-10 by the rules of now", 0) - amounts.get("booked of 2026-10", 0)
        assert change == found.line["allocated_cost"]
        assert (found.bill, found.usage) == (None, None)
    mine = next(one for one in corrections if one.line["team_id"] == "team-1")
    files = {
        related.role: {event.file.origin_key for event in related.explanation.usage.events}
        for related in mine.related
        if related.explanation.usage
    }
    assert LATE_FILE in files["2026-10 by the rules of now"]
    assert LATE_FILE not in files["booked of 2026-10"]
    assert mine.line["correction_reason"]


def test_a_dispute_walks_to_the_disputed_line(closed: ClosedStory) -> None:
    pair = closed.explained(dispute_id="D-1")
    assert sum(one.line["allocated_cost"] for one in pair) == 0
    for found in pair:
        assert [related.role for related in found.related] == ["disputed in D-1"]
        disputed = found.related[0].explanation
        assert (disputed.line["line_kind"], disputed.line["team_id"]) == ("allocated", "team-1")
        assert disputed.usage
        assert any("dispute D-1: not ours; accepted, 0.01" in note for note in found.notes)


def test_a_rounding_names_its_invoice(closed: ClosedStory) -> None:
    (found,) = [one for one in closed.explained(line_kind="rounding") if one.line["month"] == dt.date(2026, 10, 1)]
    assert (found.bill, found.usage) == (None, None)
    assert any(note.startswith("invoice INV-10 says 2.20") for note in found.notes)


def test_a_line_of_a_closing_stays_explained_whatever_the_month_holds(closed: ClosedStory) -> None:
    lake = closed.installation.workspace.lake
    ids = set(lake.scan(MART_CHARGEBACK_CLOSED).select("line_id").collect()["line_id"])
    booked = closed.lines.filter(pl.col("month") == dt.date(2026, 10, 1))
    assert set(booked["line_id"]) == ids


def test_reports_before_and_after_the_closing_say_its_status(closed: ClosedStory, tmp_path: Path) -> None:
    workspace = closed.installation.workspace
    for instant, version in ((closed.open_at, "2026-10@v1"), (closed.closed_at, "2026-10@v2")):
        made = render_as_of(workspace, instant, month=Month(2026, 10), folder=tmp_path / version)
        chargeback = next(one for one in made.comparisons if one.report == "chargeback")
        assert (chargeback.version, chargeback.is_equal) == (version, True), chargeback.text
