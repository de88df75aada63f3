"""The change note as one page, and as a mail."""

from __future__ import annotations

from collections.abc import Callable

from usage_etl.reports.change_note_model import ChangeNote
from usage_etl.reports.email import EmailContent
from usage_etl.reports.formatting import NBSP
from usage_etl.reports.paper_email import columns_text, inlined, wrapped_text
from usage_etl.reports.pdf import PdfDocument, render_pdf_document
from usage_etl.reports.print_layout import PageSize
from usage_etl.reports.statement_print import PAPER_STYLE, fitted
from usage_etl.reports.templates import Templates

_ROOMS = (26, 22, 18, 15, 12, 9, 6, 3, 0)
"""Rows for cost centers that are tried until the note is one page."""


def render_change_note_print_html(note: ChangeNote, *, page_size: PageSize = "A4", templates: Templates | None = None) -> str:
    """Input of ``pdf.render_pdf_document`` with ``PAPER_STYLE``."""
    environment = (templates or Templates()).environment()
    terms = [(term.label, term.text) for term in note.terms]
    return environment.get_template("change_note/print.html.j2").render(note=note, terms=terms, page_size=page_size)


def one_page_note(
    build: Callable[[int], ChangeNote], *, page_size: PageSize = "A4", templates: Templates | None = None
) -> tuple[ChangeNote, PdfDocument]:
    """The note with as many cost centers as one page holds, and its PDF. ``build`` is given the room for rows.

    With more currencies than a page has room for, it runs on.
    """

    def render(note: ChangeNote) -> PdfDocument:
        html = render_change_note_print_html(note, page_size=page_size, templates=templates)
        return render_pdf_document(html, templates=templates, style=PAPER_STYLE)

    return fitted(build, render, rooms=_ROOMS, pages_count=1)


def render_change_note_email(
    note: ChangeNote, *, attachments: tuple[str, ...] = (), why: str = "", templates: Templates | None = None
) -> EmailContent:
    """Subject, preheader, HTML and text of the mail about ``note``."""
    preheader = note.headline.replace(NBSP, " ")
    terms = "; ".join(f"{term.label[0].lower()}{term.label[1:]} {term.text}" for term in note.terms)
    foot = (
        f"{terms[0].upper()}{terms[1:]}." if terms else "",
        f"Attached: {', '.join(attachments)}." if attachments else "",
        why,
    )
    html = inlined("change_note/email.html.j2", templates, note=note, preheader=preheader, foot=foot)
    return EmailContent(subject=note.subject, preheader=preheader, html=html, text=_text(note, foot))


def _text(note: ChangeNote, foot: tuple[str, ...]) -> str:
    lines = [note.organization, note.title, note.since, note.status.text, "", *wrapped_text(note.headline)]
    for change in note.changes:
        centers = [(row.name, row.cost_center_id, row.before.text, row.after.text, row.change.text) for row in change.centers]
        head = ("Cost center", "Id", "Before", "Now", "Change")
        lines += ["", f"Cost centers, {change.currency}", *columns_text([head, *centers], numbers=(2, 3, 4))]
        reasons = [(row.reason, row.provider, row.centers.text, row.moved.text, row.net.text) for row in change.reasons]
        head = ("Reason", "Provider", "Cost centers", "Paid more", "Net")
        lines += ["", f"Why, {change.currency}", *columns_text([head, *reasons], numbers=(2, 3, 4))]
    for sentence in (*note.what_to_do, *foot):
        lines += ["", *wrapped_text(sentence)] if sentence else []
    return "\n".join(line.replace(NBSP, " ").rstrip() for line in lines) + "\n"
