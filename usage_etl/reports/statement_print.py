"""The files of a statement: its PDF, and the cost center's lines as people open them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import exact_sum
from usage_etl.reports.chargeback_files import FinanceFile, check_printed_totals, control_totals
from usage_etl.reports.csv_dialect import spreadsheet_csv
from usage_etl.reports.pdf import PdfDocument, render_pdf_document
from usage_etl.reports.print_layout import PageSize
from usage_etl.reports.statement_model import Statement
from usage_etl.reports.templates import Templates
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY

Paper = TypeVar("Paper")

PAPER_STYLE = "statement/print.css"
"""Style sheet of statements and change notes."""

_ROOMS = (40, 24, 12, 6)
"""Rows of a table that are tried until the statement fits."""

_PAGES = 3
_EXACT = ("metered_cost", "fx_rate")
_TOTALS = ("allocated_cost", "allocated_effective_cost", "requests_count", "total_tokens")


def render_statement_print_html(statement: Statement, *, page_size: PageSize = "A4", templates: Templates | None = None) -> str:
    """Input of ``pdf.render_pdf_document`` with ``PAPER_STYLE``: one to three pages."""
    environment = (templates or Templates()).environment()
    return environment.get_template("statement/print.html.j2").render(statement=statement, page_size=page_size)


def statement_pdf(statement: Statement, *, page_size: PageSize = "A4", templates: Templates | None = None) -> PdfDocument:
    """The statement as PDF/UA-1; equal statements have equal bytes."""
    html = render_statement_print_html(statement, page_size=page_size, templates=templates)
    return render_pdf_document(html, templates=templates, style=PAPER_STYLE)


def fitted_statement(
    build: Callable[[int], Statement], *, page_size: PageSize = "A4", templates: Templates | None = None
) -> tuple[Statement, PdfDocument]:
    """The statement with as many rows as three pages hold, and its PDF. ``build`` is given the room for rows."""
    return fitted(
        build, lambda paper: statement_pdf(paper, page_size=page_size, templates=templates), rooms=_ROOMS, pages_count=_PAGES
    )


def fitted(
    build: Callable[[int], Paper], render: Callable[[Paper], PdfDocument], *, rooms: Sequence[int], pages_count: int
) -> tuple[Paper, PdfDocument]:
    """The first of the papers built for ``rooms`` that fits on ``pages_count`` pages; the last where none does."""
    for room in rooms:
        paper = build(room)
        document = render(paper)
        if document.pages_count <= pages_count:
            break
    return paper, document


def statement_csv(statement: Statement, lines: pl.DataFrame) -> FinanceFile:
    """The lines of the statement, one row each, with the columns of chargeback.csv.

    Raises ContractError when the lines break the mart's contract, ConservationError when the file does not add up to the
    statement.
    """
    rows = MART_CHARGEBACK_MONTHLY.validate(lines).sort(MART_CHARGEBACK_MONTHLY.sort_by)
    for part in statement.parts:
        found = exact_sum(rows.filter(pl.col("billing_currency") == part.currency)["allocated_cost"])
        if found != part.total.value:
            raise ConservationError(f"{statement.csv_name} in {part.currency}", found, part.total.value)
    if rows.height != statement.lines.value:
        raise ConservationError(f"rows of {statement.csv_name}", rows.height, statement.lines.value or Decimal(0))
    printed = spreadsheet_csv(rows, currency_column="billing_currency", exact_columns=_EXACT)
    check_printed_totals(
        statement.csv_name, printed.content, rows, columns=("allocated_cost",), by=("provider_name", "billing_currency")
    )
    return FinanceFile(
        name=statement.csv_name,
        content=printed.content,
        media_type="text/csv; charset=utf-8",
        columns=tuple(rows.columns),
        rows_count=rows.height,
        control_totals=control_totals(rows, columns=_TOTALS),
        guarded_cells=printed.guarded_cells,
    )
