"""Papers of an installation: one statement for each cost center, mailed to who answers for it, and the change note."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from assets.editions import CHARGEBACK
from assets.mail import mailer
from assets.paper_inputs import lines_of
from assets.papers import change_note_draft, change_note_file, statement_drafts, statement_files
from assets.resources import Workspace
from tests.unit.reports.paper_sample import center_lines, correction_lines, mart
from usage_etl.config import load_settings
from usage_etl.delivery.deliver import deliver_once, send_of
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.manifest import Edition
from usage_etl.delivery.message import compose
from usage_etl.delivery.publish import publish
from usage_etl.errors import MissingObjectError
from usage_etl.lake import WHOLE
from usage_etl.periods import Month
from usage_etl.reports.change_note_model import Versions
from usage_etl.reports.csv_dialect import read_printed
from usage_etl.schemas import DIM_COST_CENTER, DIM_DISPUTE, MART_CHARGEBACK_MONTHLY
from usage_etl.sources.registry import SOURCE_KINDS

OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)
SETTINGS = """\
version: "1"
organization: {id: acme, name: Acme}
start_date: 2026-10-01
as_of_date: 2026-11-30
sources:
  - {name: gateway, kind: litellm, location: landing/gateway}
reports:
  chargeback_recipients: [finance@example.com]
  statements: STATEMENTS
mail: {mode: files, sender: reports@example.com}
"""
NOBODY = {
    "line_kind": "unallocated", "cost_center_id": "unallocated", "cost_center_name": "Unallocated", "team_id": "unallocated",
    "team_name": "Unallocated", "allocated_cost": "3.20",
}  # fmt: skip


def center(center_id, name, owner, **columns):
    row = {"cost_center_id": center_id, "cost_center_name": name, "gl_account": None, "owner_email": owner}
    return row | {"valid_from": dt.date(2026, 1, 1), "valid_to": None} | columns


def commit(workspace, table, key, frame):
    workspace.lake.commit(table, key, frame, inputs={})


def workspace_in(folder, *, statements="closed", october=None):
    (folder / "landing" / "gateway").mkdir(parents=True, exist_ok=True)
    (folder / "usage_etl.yaml").write_text(SETTINGS.replace("STATEMENTS", statements))
    workspace = Workspace(load_settings(folder / "usage_etl.yaml", kinds=SOURCE_KINDS))
    centers = [
        center("CC-1100", "Platform (directory)", "lead@example.com", gl_account="6400"),
        center("CC-1200", "Old name", "gone@example.com", valid_to=dt.date(2026, 10, 31)),
        center("CC-1200", "Product", "lead@example.com", valid_from=dt.date(2026, 10, 31)),
        center("CC-1300", "Security", "not an address"),
        center("CC-1400", "Ended", "gone@example.com", valid_to=dt.date(2026, 10, 31)),
    ]
    frame = pl.DataFrame(centers, schema=DIM_COST_CENTER.polars_schema, orient="row")
    commit(workspace, DIM_COST_CENTER, WHOLE, frame)
    lines = [*center_lines(4), NOBODY] if october is None else october
    commit(workspace, MART_CHARGEBACK_MONTHLY, "2026-10-01", mart(*lines))
    return workspace


@pytest.fixture
def workspace(tmp_path):
    return workspace_in(tmp_path)


def publish_statements(workspace, month=OCTOBER, status="closed"):
    files = statement_files(workspace, month, lines_of(workspace, month), version="1")
    edition = Edition(CHARGEBACK, str(month), status, dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    publish(workspace.out, edition, files, lock=workspace.ledger.exclusive("x"))
    return files


def test_every_line_is_on_one_statement(workspace):
    lines = lines_of(workspace, OCTOBER)
    files = statement_files(workspace, OCTOBER, lines, version="1")
    assert [file.name for file in files] == [
        f"statement_{name}.{ending}"
        for name in ("cc-1100_uc", "cc-1200_uc", "cc-1300_uc", "cc-1400_uc", "unallocated")
        for ending in ("pdf", "csv")
    ]
    printed = pl.concat(read_printed(file.content) for file in files if file.name.endswith("csv"))
    assert sorted(printed["line_id"]) == sorted(lines["line_id"])
    assert sum(map(Decimal, printed["allocated_cost"])) == lines["allocated_cost"].sum()
    assert [file.content for file in files] == [file.content for file in statement_files(workspace, OCTOBER, lines, version="1")]


def test_statements_go_to_owners_and_the_rest_to_finance(workspace):
    publish_statements(workspace)
    drafts = statement_drafts(workspace, OCTOBER, version="1")
    assert {draft.report: [mailbox.address for mailbox in recipients] for draft, recipients in drafts} == {
        "statement_cc-1100_uc": ["lead@example.com"],
        "statement_cc-1200_uc": ["lead@example.com"],
        "statement_cc-1300_uc": ["finance@example.com"],
        "statement_cc-1400_uc": ["finance@example.com"],
        "statement_unallocated": ["finance@example.com"],
    }
    for draft, recipients in drafts:
        message = compose(draft, recipients, is_update=False)
        assert draft.report.encode() in message.content
        assert [file.name for file in draft.attachments] == [f"{draft.report}.pdf", f"{draft.report}.csv"]
    first, second = drafts[0][0], drafts[1][0]
    assert "Platform (directory)" in first.subject
    assert "GL account 6400" in first.text
    assert "Product" in second.subject
    assert "GL account AI-EXPENSE" in second.text
    assert "names no owner" in drafts[3][0].text


def test_one_owner_of_two_cost_centers_gets_both_and_each_once(workspace):
    publish_statements(workspace)

    sent = [
        deliver_once(workspace.ledger, mailer(workspace), draft, recipients).outcomes["lead@example.com"].status
        for _ in range(2)
        for draft, recipients in statement_drafts(workspace, OCTOBER, version="1")
        if recipients[0].address == "lead@example.com"
    ]
    assert sent == ["sent", "sent", "already_sent", "already_sent"]


def test_a_change_of_one_cost_center_is_an_update_for_its_owner_alone(workspace):
    publish_statements(workspace, status="preliminary")
    before = {draft.report: draft.content_sha256 for draft, _ in statement_drafts(workspace, OCTOBER, version="1")}
    changed, *others = center_lines(4)
    commit(workspace, MART_CHARGEBACK_MONTHLY, "2026-10-01", mart(changed | {"allocated_cost": "1.00"}, *others, NOBODY))
    publish_statements(workspace, status="preliminary")
    after = {draft.report: draft.content_sha256 for draft, _ in statement_drafts(workspace, OCTOBER, version="1")}
    assert [report for report in before if before[report] != after[report]] == ["statement_cc-1100_uc"]


@pytest.mark.parametrize(
    ("statements", "status", "count"),
    [
        ("closed", "closed", 4),
        ("closed", "preliminary", 0),
        ("preliminary", "preliminary", 4),
        ("preliminary", "open", 0),
        ("never", "closed", 0),
    ],
)
def test_statements_are_mailed_when_the_settings_say(statements, status, count, tmp_path):
    lines = center_lines(4, period_status=status)
    workspace = workspace_in(tmp_path, statements=statements, october=lines)
    publish_statements(workspace)
    assert len(statement_drafts(workspace, OCTOBER)) == count


def test_an_unpublished_statement_is_not_mailed(workspace):
    with pytest.raises(MissingObjectError):
        statement_drafts(workspace, OCTOBER)


def test_the_month_before_and_disputes_are_read(workspace):
    row = {
        "dispute_id": "D-1", "line_id": f"{0:032x}", "disputed_cost": Decimal(5), "reason": "not ours", "raised_by": "x",
        "raised_date": dt.date(2026, 11, 2), "resolution": "open", "accepted_cost": None, "charge_to_team_id": None,
        "resolved_date": None,
    }  # fmt: skip
    commit(workspace, DIM_DISPUTE, WHOLE, pl.DataFrame([row], schema=DIM_DISPUTE.polars_schema, orient="row"))
    commit(workspace, MART_CHARGEBACK_MONTHLY, "2026-11-01", november())
    publish_statements(workspace, NOVEMBER)
    drafts = {draft.report: draft for draft, _ in statement_drafts(workspace, NOVEMBER, status="closed")}
    assert "than for October" in " ".join(drafts["statement_cc-1100_uc"].text.split())
    assert "D-1" in drafts["statement_cc-1100_uc"].text
    assert "D-1" not in drafts["statement_cc-1200_uc"].text


def november():
    own = [line | {"month": dt.date(2026, 11, 1)} for line in center_lines(4)]
    return mart(*own, *correction_lines(3), first=5000)


def test_the_change_note_is_what_november_books_of_october(workspace):
    commit(workspace, MART_CHARGEBACK_MONTHLY, "2026-11-01", november())
    versions = Versions("1", dt.date(2026, 11, 5), booking_status="preliminary")
    draft = change_note_draft(workspace, OCTOBER, NOVEMBER, versions=versions)
    net = november().filter(pl.col("corrects_month").is_not_null())["allocated_cost"].sum()
    assert f"{abs(net):.2f}" in draft.subject.replace(",", "")
    assert (draft.report, draft.period) == ("change_note_2026-11", "2026-10")
    assert draft.attachments[0].content == change_note_file(workspace, OCTOBER, NOVEMBER, versions=versions).content
    recipient = Mailbox("finance@example.com")
    assert send_of(draft, recipient).send_key
    assert b"change_note_2026-10_in_2026-11.pdf" in compose(draft, [recipient], is_update=False).content


def test_what_was_corrected_in_november_is_before_for_december(workspace):
    commit(workspace, MART_CHARGEBACK_MONTHLY, "2026-11-01", november())
    later = [line | {"month": dt.date(2026, 12, 1), "allocated_cost": "1.00"} for line in correction_lines(1, 1)]
    commit(workspace, MART_CHARGEBACK_MONTHLY, "2026-12-01", mart(*later, first=9000))
    october = lines_of(workspace, OCTOBER)["allocated_cost"].sum()
    corrected = november().filter(pl.col("corrects_month").is_not_null())["allocated_cost"].sum()
    text = change_note_draft(workspace, OCTOBER, Month(2026, 12)).text
    assert f"(from ${october + corrected:,.2f} to ${october + corrected + 1:,.2f})" in " ".join(text.split())
