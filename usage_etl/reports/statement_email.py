"""The mail that brings a cost center's owner the statement: the answer in the subject, the ladder in the body."""

from __future__ import annotations

from decimal import Decimal

from usage_etl.money import exact_sum
from usage_etl.reports.email import EmailContent
from usage_etl.reports.formatting import NBSP
from usage_etl.reports.paper_email import columns_text, inlined, wrapped_text
from usage_etl.reports.paper_tables import cell
from usage_etl.reports.statement_model import CurrencyPart, Statement, Table
from usage_etl.reports.templates import Templates

_ROWS = 6


def render_statement_email(
    statement: Statement, *, attachments: tuple[str, ...] = (), why: str = "", templates: Templates | None = None
) -> EmailContent:
    """Subject, preheader, HTML and text. ``attachments`` are file names to mention; ``why`` says why the reader gets it."""
    preheader = statement.headline.replace(NBSP, " ")
    foot = _foot(statement, attachments, why)
    html = inlined(
        "statement/email.html.j2",
        templates,
        statement=statement,
        preheader=preheader,
        tables={part.currency: _tables(part) for part in statement.parts},
        foot=foot,
    )
    return EmailContent(subject=statement.subject, preheader=preheader, html=html, text=_text(statement, foot))


def _foot(statement: Statement, attachments: tuple[str, ...], why: str) -> tuple[str, ...]:
    header = statement.header
    return (
        header.status_note,
        " ".join(statement.how_to_dispute),
        f"Attached: {', '.join(attachments)}." if attachments else "",
        f"Statement {header.number}, GL account {header.gl_account}, data through {header.through}."
        if header.number
        else f"GL account {header.gl_account}, data through {header.through}.",
        why,
    )


def _tables(part: CurrencyPart) -> list[tuple[str, list[tuple[str, str]]]]:
    """The largest teams, the largest models, and every correction that the statement lists."""
    tables = [(table.title, _top(table, part.currency)) for table in (part.owners, part.subjects)]
    corrections = [(f"{row.month}, {row.provider}: {row.reason}" if row.kind == "member" else row.reason, row.amount.text)
                   for row in part.corrections]  # fmt: skip
    return [*tables, ("Corrections of closed months", corrections)] if corrections else tables


def _top(table: Table, currency: str) -> list[tuple[str, str]]:
    """The first rows, and what is left as one row that ties."""
    place = next(index for index, column in enumerate(table.columns) if column.is_strong)
    members = [row for row in table.rows if row.kind != "total"]
    shown = members if len(members) <= _ROWS + 1 else members[:_ROWS]
    rest = members[len(shown) :]
    rows = [(f"{row.name}, {row.second}" if row.second else row.name, row.figures[place].text) for row in shown]
    left = exact_sum(Decimal(row.figures[place].value or 0) for row in rest)
    return [*rows, ("The rest, in the statement", cell(left, currency).text)] if rest else rows


def _text(statement: Statement, foot: tuple[str, ...]) -> str:
    header = statement.header
    lines = [
        header.organization,
        f"{header.title}: {header.cost_center} ({header.cost_center_id}), {header.period}",
        header.status.text,
        "",
        *wrapped_text(statement.headline),
    ]
    for part in statement.parts:
        ladder = [(step.label, step.amount.text, step.note) for step in part.ladder]
        lines += ["", f"In {part.currency}", *columns_text(ladder, numbers=(1,))]
        for title, rows in _tables(part):
            lines += ["", title, *columns_text(rows, numbers=(1,))]
    if statement.disputes:
        disputes = [
            (row.dispute_id, row.disputed.text, row.booked.text, f"{row.decision}. {row.reason}") for row in statement.disputes
        ]
        lines += ["", "Disputes: in dispute, booked here", *columns_text(disputes, numbers=(1, 2)), statement.disputes_rest]
    for sentence in foot:
        lines += ["", *wrapped_text(sentence)] if sentence else []
    return "\n".join(line.replace(NBSP, " ").rstrip() for line in lines) + "\n"
