"""Every output prints the model: the same figures and sentences in PDF, page, mail and text, whatever the names hold."""

import base64
import datetime as dt
import hashlib
import html
import io
import re
from decimal import Decimal
from functools import cache
from html.parser import HTMLParser

import pypdf
import pytest
from pydantic import BaseModel

from tests.unit.reports.sample import Scenario, sample_report
from usage_etl.reports.email import render_email
from usage_etl.reports.formatting import NBSP
from usage_etl.reports.html import render_executive_html, render_executive_print_html
from usage_etl.reports.model import ExecutiveReport, Figure
from usage_etl.reports.pdf import render_pdf
from usage_etl.reports.plain_text import render_text
from usage_etl.reports.print_layout import print_layout

HOSTILE_NAMES = (
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "x" * 200,
    "فريق الأبحاث",
    "R&D \"q\" 'a'",
    "\u202egnp.exe",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "]]></title></svg><img src=http://127.0.0.1/x>",
)
SCENARIOS = {
    "usual": Scenario(),
    "one team": Scenario(teams=("Engineering",), unallocated_share=0.0, spike_team=0),
    "sixty teams": Scenario(teams=tuple(f"Team {index:02d}" for index in range(60))),
    "nothing priced": Scenario(is_priced=False),
    "no earlier data": Scenario(first_day=dt.date(2026, 11, 1), organization_budget=None),
    "complete month": Scenario(as_of=dt.date(2026, 10, 31), first_day=dt.date(2026, 9, 1), spike_days=(dt.date(2026, 10, 13),)),
    "hostile names": Scenario(
        teams=HOSTILE_NAMES, rename=lambda name: f"{name}</p><b>\n", providers=(("google", "<img src=x onerror=alert(1)>"),)
    ),
    "large money": Scenario(scale=Decimal(9_000), currency="CHF"),
}


def flat(text):
    """Text as a reader's eye takes it: every run of white space is one space, isolating marks are invisible."""
    return " ".join(re.sub("[\u2068\u2069]", "", text).replace(NBSP, " ").split())


@cache
def pdf_text(name):
    reader = pypdf.PdfReader(io.BytesIO(render_pdf(render_executive_print_html(sample_report(SCENARIOS[name])))))
    return flat(" ".join(page.extract_text() for page in reader.pages)), len(reader.pages)


def page_text(name):
    page = render_executive_html(sample_report(SCENARIOS[name]))
    return flat(html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<(style|title)[^>]*>.*?</\1>", " ", page, flags=re.DOTALL))))


def figures(part):
    """Printed form of every Figure in a piece of the model."""
    if isinstance(part, Figure):
        yield flat(part.text)
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from figures(getattr(part, name))
    elif isinstance(part, tuple):
        for one in part:
            yield from figures(one)


def sentences(report):
    """Every sentence and label that all whole outputs print."""
    yield from (
        report.title,
        report.period.label,
        report.status.text,
        report.headline,
        report.team_table.note,
        report.burn_up.note,
    )
    for item in report.attention:
        yield from (item.title, item.detail)
    for card in report.cards:
        yield from (card.label, card.note)
    yield from (mark.text for mark in report.daily.marks if mark.text)


@pytest.mark.parametrize("name", SCENARIOS)
def test_pdf_page_and_text_hold_every_figure_of_the_model(name):
    report = sample_report(SCENARIOS[name])
    layout = print_layout(report, "A4")
    printed = {layout.first_ranking, *layout.second_rankings}
    hidden = {ranking: None for ranking in ("teams", "models", "features") if ranking not in printed}
    on_paper = set(figures(report.model_copy(update=dict.fromkeys(hidden, ()))))
    everywhere = set(figures(report))
    assert not on_paper - set(words_and_phrases(pdf_text(name)[0], on_paper))
    assert not everywhere - set(words_and_phrases(page_text(name), everywhere))
    assert not everywhere - set(words_and_phrases(flat(render_text(report)), everywhere))


def words_and_phrases(text, wanted):
    """Those of ``wanted`` that stand in ``text`` as a whole, not as a part of a longer number."""
    return [one for one in wanted if re.search(rf"(?<![\d.,]){re.escape(one)}(?![\d])", text) or f"{one}" in {"", "–"}]  # noqa: RUF001


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "hostile names"])
def test_pdf_page_and_text_hold_every_sentence_of_the_model(name):
    report = sample_report(SCENARIOS[name])
    texts = {"pdf": pdf_text(name)[0], "page": page_text(name), "text": flat(render_text(report))}
    for kind, text in texts.items():
        # A line may break after a hyphen, and pypdf then reads a space there.
        squeezed = text.replace(" ", "")
        missing = [one for one in sentences(report) if flat(one).replace(" ", "") not in squeezed]
        assert not missing, kind


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_mail_holds_the_answer_and_what_needs_attention(name):
    report = sample_report(SCENARIOS[name])
    mail = render_email(report, report_url="https://reports.example.com/", attachments=("ai-usage.pdf",))
    body = flat(html.unescape(re.sub(r"<[^>]*>", " ", mail.html)))
    for wanted in (report.headline, report.status.text, report.cards[0].figure.text, report.organization_name, "ai-usage.pdf"):
        assert flat(wanted) in body
    for item in report.attention:
        assert flat(item.title) in body
        assert flat(item.detail) in body
    for bar in report.teams.bars:
        assert flat(bar.cost.text) in body
    assert flat(report.headline) in flat(mail.text)
    assert mail.preheader == mail.preheader.replace(NBSP, " ")
    assert "\n" not in mail.subject + mail.preheader
    assert len(mail.html.encode()) < 60_000


def test_the_subject_carries_the_answer():
    subjects = {name: render_email(sample_report(scenario)).subject for name, scenario in SCENARIOS.items()}
    assert subjects["usual"] == "AI cost, November: $12,414 so far, likely 6 % over budget"
    assert subjects["complete month"] == "AI cost, October: $19,754, 5 % over budget"
    assert subjects["nothing priced"] == "AI usage, November: 581k requests, no priced cost"
    assert subjects["no earlier data"] == "AI cost, November: $11,218 so far, no budget set"


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("kind", ["page", "print", "mail"])
def test_no_name_becomes_markup(name, kind):
    report = sample_report(SCENARIOS[name])
    rendered = {
        "page": lambda: render_executive_html(report),
        "print": lambda: render_executive_print_html(report),
        "mail": lambda: render_email(report).html,
    }[kind]()
    elements = Elements(rendered)
    assert not elements.names & {"script", "img", "iframe", "b", "object", "embed", "form", "base", "image", "use"}
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    addresses = {
        text for name, text in elements.attributes if name in {"href", "src", "xlink:href", "background", "data", "action"}
    }
    assert addresses <= {"app:executive/print.css"}


class Elements(HTMLParser):
    """Names of all elements and all attributes of a document."""

    def __init__(self, document):
        super().__init__()
        self.names, self.attributes = set(), []
        self.feed(document)

    def handle_starttag(self, tag, attrs):  # the parser calls it
        self.names.add(tag)
        self.attributes += attrs


def test_a_name_is_never_a_template():
    page = render_executive_html(sample_report(SCENARIOS["hostile names"]))
    assert "{{ 7*7 }}{% raw %}" in page


def test_hostile_names_are_printed_as_they_are_read():
    text = pdf_text("hostile names")[0]
    assert "=cmd|' /C calc'!A0" in text
    assert "<script>alert(1)</script>" in text
    assert "javascript:alert(1)" in text
    assert "{{ 7*7 }}{% raw %}" in text
    assert "x" * 65 not in text


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "hostile names"])
def test_the_print_form_is_two_pages(name):
    assert pdf_text(name)[1] == 2


def test_letter_paper_is_two_pages_as_well():
    printed = render_executive_print_html(sample_report(), page_size="Letter")
    reader = pypdf.PdfReader(io.BytesIO(render_pdf(printed)))
    assert len(reader.pages) == 2
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [612, 792]


def test_the_page_allows_its_own_style_and_font_and_nothing_else():
    page = render_executive_html(sample_report())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert html.unescape(policy) == (
        f"default-src 'none'; style-src 'sha256-{digest}'; font-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "style=" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert len(page.encode()) < 400_000


def test_only_web_addresses_become_links():
    report = sample_report()
    for bad in ("javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", ""):
        assert "javascript" not in render_executive_html(report, report_url=bad)
        assert "Open the full report" not in render_email(report, report_url=bad).html
        assert "<a " not in render_executive_print_html(report, report_url=bad)
    assert 'href="https://reports.example.com/"' in render_email(report, report_url="https://reports.example.com/").html


def test_the_mail_needs_no_image_and_knows_dark_mode():
    mail = render_email(sample_report()).html
    assert "<img" not in mail
    assert "prefers-color-scheme: dark" in mail
    assert '<!--[if mso]><table role="presentation" width="640"' in mail
    assert "max-width: 640px" in mail
    assert 'class="bar bar-marked"' in mail


def test_the_mail_marks_the_day_that_the_sentence_names():
    mail = render_email(sample_report()).html
    kinds = re.findall(r'class="bar bar-(\w+)"', mail)
    assert sample_report().daily.days[kinds.index("marked")] == dt.date(2026, 11, 10)
    assert kinds.count("marked") == 1


def test_every_chart_has_a_text_alternative():
    page = render_executive_html(sample_report())
    assert page.count("<svg") == page.count("<title>") - 1
    assert "highest on 10" in page


def test_a_stored_model_prints_the_same():
    report = sample_report()
    again = ExecutiveReport.model_validate_json(report.model_dump_json())
    assert render_executive_html(again) == render_executive_html(report)
    assert render_executive_print_html(again) == render_executive_print_html(report)
    assert render_email(again) == render_email(report)
