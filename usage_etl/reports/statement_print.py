"""Print form and CSV of a statement: the PDF's input, and the cost center's lines as people open them."""

from __future__ import annotations

from usage_etl.reports.print_layout import PageSize
from usage_etl.reports.statement_model import Statement
from usage_etl.reports.templates import Templates


def render_statement_print_html(statement: Statement, *, page_size: PageSize = "A4", templates: Templates | None = None) -> str:
    """Input of ``pdf.render_pdf``: one to three pages; its style sheet and fonts are ``app:`` addresses."""
    environment = (templates or Templates()).environment()
    return environment.get_template("statement/print.html.j2").render(statement=statement, page_size=page_size)
