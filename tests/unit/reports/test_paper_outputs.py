"""What people see of statements and change notes: PDF and mail print the model, whatever the names are."""

import datetime as dt
import hashlib
import io
import os
import re
import subprocess
import sys

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reports.paper_sample import (
    CENTER,
    center_lines,
    change_note,
    correction_lines,
    mart,
    statement,
    usage_lines,
    usual_lines,
)
from tests.unit.reports.test_report_pdf import structure
from usage_etl.delivery.ledger import Send
from usage_etl.delivery.manifest import Document, Edition, manifest_bytes
from usage_etl.keys import is_slug
from usage_etl.reports.change_note_print import one_page_note, render_change_note_email
from usage_etl.reports.csv_dialect import read_printed
from usage_etl.reports.paper_names import paper_slug, statement_report
from usage_etl.reports.pdf import render_pdf_document
from usage_etl.reports.statement_email import render_statement_email
from usage_etl.reports.statement_model import CostCenter
from usage_etl.reports.statement_print import (
    PAPER_STYLE,
    fitted_statement,
    render_statement_print_html,
    statement_csv,
    statement_pdf,
)
from usage_etl.reports.templates import Templates

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "X" * 200,
    "שלום עולם",
    "研究開発部",
    'a & b "c" {{ 7*7 }}',
    "",
)


def text_of(content: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages).replace("\u00a0", " "))


def texts(part, *, keys=("text", "label", "name", "reason", "headline", "title", "decision")):
    """Every printed text of a model, wherever it stands."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in keys and isinstance(value, str) and value:
                yield value
            else:
                yield from texts(value, keys=keys)
    elif isinstance(part, list | tuple):
        for one in part:
            yield from texts(one, keys=keys)


@pytest.fixture(scope="module")
def pdf():
    return statement_pdf(statement())


@pytest.fixture(scope="module")
def note_pdf():
    return one_page_note(lambda room: change_note(rows_limit=room))


def test_the_pdf_prints_every_figure_and_sentence_of_the_model(pdf):
    printed = text_of(pdf.content).replace(" ", "")
    missing = [text for text in texts(statement().model_dump()) if re.sub(r"\s", "", text) not in printed]
    assert missing == []


def test_the_pdf_the_csv_and_the_mart_say_the_same_total(pdf):
    lines = mart(*usual_lines())
    csv = read_printed(statement_csv(statement(), lines).content)
    total = sum(int(cell.replace(".", "")) for cell in csv["allocated_cost"])
    assert total == int(lines["allocated_cost"].sum() * 100)
    assert f"Total due, estimate included ${total // 100:,}.{total % 100:02d}" in text_of(pdf.content)


def test_the_note_prints_every_figure_and_sentence_of_the_model(note_pdf):
    note, document = note_pdf
    printed = text_of(document.content).replace(" ", "")
    missing = [text for text in texts(note.model_dump()) if re.sub(r"\s", "", text) not in printed]
    assert missing == []


@pytest.mark.parametrize("which", ["statement", "note"])
def test_papers_are_tagged_titled_dated_and_carry_their_fonts(which, pdf, note_pdf):
    content = pdf.content if which == "statement" else note_pdf[1].content
    reader = pypdf.PdfReader(io.BytesIO(content))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()
    assert reader.metadata.creation_date.date() in {dt.date(2026, 10, 31), dt.date(2026, 11, 30)}
    assert "October 2026" in reader.metadata.title
    kinds, _ = structure(root["/StructTreeRoot"])
    assert kinds.count("/Table") >= (6 if which == "statement" else 2)  # a table on two pages counts twice
    assert kinds.count("/TH") >= kinds.count("/TR")
    assert kinds.count("/H1") == 1
    fonts = {
        font.get_object()["/BaseFont"].split("+")[1] for page in reader.pages for font in page["/Resources"]["/Font"].values()
    }
    assert fonts == {"Inter", "Inter-Semi-Bold"}
    assert not reader.attachments
    assert len(content) < 100_000


def test_two_processes_with_other_hash_seeds_make_the_same_papers(pdf, note_pdf):
    code = (
        "import hashlib; from tests.unit.reports.paper_sample import *; "
        "from usage_etl.reports.statement_print import statement_pdf; "
        "from usage_etl.reports.change_note_print import one_page_note; "
        "statement_pdf(statement(usage_lines())); "  # another document first: shared style and fonts must not tell
        "print(hashlib.sha256(statement_pdf(statement()).content).hexdigest(), "
        "hashlib.sha256(one_page_note(lambda room: change_note(rows_limit=room))[1].content).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Pacific/Kiritimati"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert other == [hashlib.sha256(content).hexdigest() for content in (pdf.content, note_pdf[1].content)]


def hostile_lines():
    return [line | {"team_id": f"t-{line['team_name']}"} for line in usage_lines(HOSTILE)]


def worst_lines():
    """More of everything than a statement lists, each as long as it may be."""
    words = "w " * 200
    day, many = dt.date(2026, 9, 1), range(60)
    return [
        *usage_lines(tuple(f"Team {place}" for place in range(60))),
        *({"model_id": f"model-{place}", "allocated_cost": "9"} for place in many),
        *({"corrects_month": day, "correction_reason": f"{place} {words}", "allocated_cost": "9"} for place in many),
        *({"dispute_id": f"D-{place:090d}", "correction_reason": words, "allocated_cost": "9"} for place in many),
        *({"rule_name": f"rule-{place}", "allocation_rule": f"{place} {words}", "allocated_cost": "9"} for place in many),
        {"charge_basis": "priced_usage", "allocated_cost": "1"},
    ]


CASES = {
    "worst": {"lines": worst_lines()},
    "usual": {},
    "hostile": {"lines": hostile_lines(), "center": CostCenter(HOSTILE[0], HOSTILE[1] + HOSTILE[2], "6" * 90, "a@b.c")},
    "nothing": {"lines": [], "previous": []},
    "sixty teams": {"lines": [*usage_lines(tuple(f"Team {place}" for place in range(60))), *usual_lines()]},
    "two currencies": {"lines": [*usual_lines(), *(line | {"billing_currency": "EUR"} for line in usual_lines())]},
    "yen": {"lines": usage_lines(billing_currency="JPY", allocated_cost="1234567890")},
    "only a correction": {
        "lines": [{"corrects_month": dt.date(2026, 9, 1), "correction_reason": "r " * 300, "allocated_cost": "-3.10"}]
    },
    "negative": {"lines": [{"charge_kind": "credit", "charge_category": "Credit", "allocated_cost": "-99999999999.99"}]},
}


@pytest.mark.parametrize("page_size", ["A4", "Letter"])
@pytest.mark.parametrize("case", CASES)
def test_any_statement_has_one_to_three_pages(case, page_size):
    _, document = fitted_statement(lambda room: statement(rows_limit=room, **CASES[case]), page_size=page_size)
    assert 1 <= document.pages_count <= 3
    assert set(document.missing_characters) <= set("研究開発部")
    width = float(pypdf.PdfReader(io.BytesIO(document.content)).pages[0].mediabox.width)
    assert round(width) == (595 if page_size == "A4" else 612)


def currencies(lines, *names):
    return [line | {"billing_currency": name, "allocated_cost": "10"} for name in names for line in lines]


NOTES = {
    "usual": (center_lines(), correction_lines()),
    "many": (center_lines(300), correction_lines(300, 9)),
    "four currencies": (
        currencies(center_lines(60), "USD", "EUR", "JPY", "GBP"),
        currencies(correction_lines(60, 7), "USD", "EUR", "JPY", "GBP"),
    ),
    "hostile": (
        [line | {"cost_center_name": HOSTILE[place % len(HOSTILE)]} for place, line in enumerate(center_lines(40))],
        [line | {"correction_reason": HOSTILE[2]} for line in correction_lines(40, 4)],
    ),
    "nothing": (center_lines(), []),
    "nobody before": ([], correction_lines()),
}


@pytest.mark.parametrize("page_size", ["A4", "Letter"])
@pytest.mark.parametrize("case", NOTES)
def test_a_change_note_is_one_page(case, page_size):
    before, corrections = NOTES[case]
    note, document = one_page_note(lambda room: change_note(before, corrections, rows_limit=room), page_size=page_size)
    assert document.pages_count == len(pypdf.PdfReader(io.BytesIO(document.content)).pages) == 1
    assert [change.centers[-1].kind for change in note.changes] == ["total"] * len(note.changes)


def hostile_mail(which):
    if which == "statement":
        center = CostCenter("=cmd", HOSTILE[1], "6", "a@b.c")
        sheet = statement(hostile_lines(), center=center, organization_name=HOSTILE[1])
        return render_statement_email(sheet, attachments=("a.pdf",), why="<b>why</b>")
    note = change_note(*NOTES["hostile"], organization_name=HOSTILE[1])
    return render_change_note_email(note, attachments=("a.pdf",), why="<b>why</b>")


@pytest.mark.parametrize("which", ["statement", "note"])
def test_mails_escape_names_load_nothing_and_are_small(which):
    mail = hostile_mail(which)
    assert "<script" not in mail.html
    assert "&lt;script&gt;" in mail.html
    assert "<b>why" not in mail.html
    assert not re.search(r"""(src|href|background)\s*=\s*["']|url\(|@import""", mail.html.replace("urn:", ""))
    assert "{{" not in mail.html.replace("{{ 7*7 }}", "")
    assert len(mail.html.encode()) < 60_000
    assert all(char.isprintable() for char in mail.subject)
    assert "\u00a0" not in mail.subject + mail.text


def test_statement_mail_prints_the_ladder_and_says_why():
    sheet = statement()
    mail = render_statement_email(sheet, attachments=("statement_x.pdf",), why="Because.")
    assert mail.subject == sheet.subject
    for row in sheet.parts[0].ladder:
        assert row.amount.text in mail.html
        assert row.amount.text in mail.text
    assert "Because." in mail.html
    assert "Attached: statement_x.pdf." in mail.text


def test_lists_of_the_mail_tie_to_the_total():
    block = render_statement_email(statement()).text.split("By model and kind of charge\n")[1].split("\n\n")[0]
    cells = [line.split()[-1].replace(",", "").replace("\N{MINUS SIGN}", "-") for line in block.splitlines()]
    assert sum(int(cell.replace(".", "")) for cell in cells) == 1_255_702


@pytest.mark.parametrize("name", ["statement/print.html.j2", "statement/email.html.j2", "statement/print.css"])
def test_files_of_the_user_replace_ours(name, tmp_path):
    file = tmp_path / name
    file.parent.mkdir()
    file.write_text("@page { size: 100mm 50mm } main { display: none }" if name.endswith("css") else "<p>mine</p>")
    chosen = Templates(tmp_path)
    if name.endswith("css"):
        html = render_statement_print_html(statement())
        content = render_pdf_document(html, templates=chosen, style=PAPER_STYLE).content
        assert round(float(pypdf.PdfReader(io.BytesIO(content)).pages[0].mediabox.width)) == 283
    elif "print" in name:
        assert render_statement_print_html(statement(), templates=chosen) == "<p>mine</p>"
    else:
        assert "<p>mine</p>" in render_statement_email(statement(), templates=chosen).html


def test_a_changed_template_is_read_again(tmp_path):
    file = tmp_path / "statement" / "print.html.j2"
    file.parent.mkdir()
    for said in ("one", "two!"):
        file.write_text(said)
        os.utime(file, ns=(0, len(said) * 10**9))
        assert render_statement_print_html(statement(), templates=Templates(tmp_path)) == said


@given(st.lists(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{1,30}", fullmatch=True), unique=True, min_size=2))
def test_slugs_are_safe_and_one_for_each_cost_center(ids):
    slugs = [paper_slug(one) for one in ids]
    assert len(set(slugs)) == len(ids)
    assert all(is_slug(slug) and len(f"statement_{slug}") <= 40 for slug in slugs)
    edition = Edition("statements", "2026-10", "closed", dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    manifest_bytes(edition, [Document(f"statement_{slug}.pdf", b"", "application/pdf") for slug in slugs], restates=None)


@pytest.mark.parametrize(
    ("cost_center_id", "slug"),
    [("4100", "4100"), ("cc-100", "cc-100"), ("CC-1100", "cc-1100_uc"), ("unallocated", "unallocated")],
)
def test_usual_ids_stay_readable(cost_center_id, slug):
    assert paper_slug(cost_center_id) == slug


@pytest.mark.parametrize("cost_center_id", ["cc--1", "cc-1100_uc", "Cc-1", "../x", "é", "", "a" * 29, "K"])
def test_unusual_ids_are_told_apart_by_a_hash(cost_center_id):
    assert re.fullmatch(r"[a-z0-9-]{1,16}--[0-9a-f]{12}", paper_slug(cost_center_id)) or cost_center_id == "K"


def test_owners_of_several_cost_centers_get_each_statement_once():
    sends = [Send(statement_report(one), "2026-10", "email", "lead@example.com", "0" * 64) for one in ("CC-1", "cc-1", "CC-2")]
    assert len({send.send_key for send in sends}) == 3
    assert all(len(send.report) <= 40 for send in sends)


def test_the_center_of_the_sample_is_the_one_of_the_file_names():
    assert statement_report(CENTER.cost_center_id) == "statement_cc-1100_uc"
