"""The report as plain text: the whole message for readers and mail programs without HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from usage_etl.reports.formatting import NBSP
from usage_etl.reports.model import BarList, ExecutiveReport

_WIDTH = 76


def render_text(report: ExecutiveReport, *, report_url: str = "", attachments: tuple[str, ...] = ()) -> str:
    """Lines of at most 76 characters where names allow it; figures in columns."""
    lines = [
        report.organization_name,
        f"{report.title}: {report.period.label}",
        report.status.text,
        "",
        *_wrapped(report.headline),
        "",
        *_heading("Key figures"),
        *_columns([(card.label, card.figure.text, card.note) for card in report.cards] + _straight_line(report)),
        "",
        *_heading(f"{report.daily.title}: {report.daily.total.text}"),
        *_columns([(series.name, series.total.text, series.share.text) for series in report.daily.series]),
        *[f"* {mark.text}" for mark in report.daily.marks if mark.text],
        *([report.daily.note] if report.daily.note else []),
        "",
        *_bars(report.teams),
        *_bars(report.models),
        *_bars(report.features),
        *_movers(report),
        *_heading("Chargeback by team"),
        *_teams(report),
        *_wrapped(report.team_table.note),
        "",
        *_heading("Needs attention"),
        *_attention(report),
        "",
        *_savings(report),
        *_heading("How far to trust these numbers"),
        *_columns([(fact.label, fact.figure.text, fact.note) for fact in report.trust.facts]),
        "",
        *_trust_rows(report),
        *[f"{proof.label}: {proof.text}" for proof in report.trust.proofs],
    ]
    if report.burn_up.note:
        lines += ["", *_wrapped(report.burn_up.note)]
    if attachments:
        lines += ["", f"Attached: {', '.join(attachments)}"]
    if report_url:
        lines += ["", f"Web page: {report_url}"]
    return "\n".join(line.replace(NBSP, " ").rstrip() for line in lines) + "\n"


def _straight_line(report: ExecutiveReport) -> list[tuple[str, str, str]]:
    linear, budget = report.burn_up.linear, report.burn_up.budget
    rows = [("Straight line", linear.text, "for comparison")] if linear else []
    return rows + ([("Monthly budget", budget.text, "")] if budget else [])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _heading(text: str) -> list[str]:
    return [text.upper() if len(text) < 40 else text, "-" * min(len(text), _WIDTH)]


def _columns(rows: Iterable[tuple[str, ...]], *, numbers: range = range(1, 2)) -> list[str]:
    """Aligned columns: those in ``numbers`` to the right, others to the left."""
    table = list(rows)
    if not table:
        return ["(none)"]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def _bars(bars: BarList) -> list[str]:
    rows = [(bar.name, bar.cost.text, bar.share.text) for bar in bars.bars]
    return [*_heading(bars.title), *(_columns(rows, numbers=range(1, 3)) if rows else ["No priced usage."]), ""]


def _movers(report: ExecutiveReport) -> list[str]:
    rows = [(part.title, mover.name, mover.change.text, mover.note) for part in report.movers for mover in part.movers]
    return [*_heading(report.movers_title), *_columns(rows, numbers=range(2, 4)), ""]


def _teams(report: ExecutiveReport) -> list[str]:
    head = ("Team", "Users", "Requests", "Input", "Output", "Cost", f"vs {report.period.previous_name[:3]}", "Budget", "Charged")
    rows = [
        (
            row.name,
            row.users.text,
            row.requests.text,
            row.input_tokens.text,
            row.output_tokens.text,
            row.cost.text,
            row.change.text,
            row.budget_used.text,
            row.charged.text,
        )
        for row in (*report.team_table.rows, report.team_table.total)
    ]
    return _columns([head, *rows], numbers=range(1, 9))


def _attention(report: ExecutiveReport) -> list[str]:
    if not report.attention:
        return ["Nothing stands out."]
    lines = []
    for number, item in enumerate(report.attention, start=1):
        lines += textwrap.wrap(f"{number}. {item.title}", _WIDTH, subsequent_indent="   ", break_on_hyphens=False)
        lines += textwrap.wrap(item.detail, _WIDTH, initial_indent="   ", subsequent_indent="   ", break_on_hyphens=False)
    return lines


def _savings(report: ExecutiveReport) -> list[str]:
    part = report.savings
    if not part.has_content:
        return []
    lines = _heading(part.title)
    for number, one in enumerate(part.advice, start=1):
        title = f"{number}. {one.savings.text} a month, {one.effort}. {one.title}"
        lines += textwrap.wrap(title, _WIDTH, subsequent_indent="   ", break_on_hyphens=False)
        lines += textwrap.wrap(one.detail, _WIDTH, initial_indent="   ", subsequent_indent="   ", break_on_hyphens=False)
    return [*lines, *_wrapped(part.note), *_wrapped(part.verdict), ""]


def _trust_rows(report: ExecutiveReport) -> list[str]:
    bills = [(row.provider, row.billed.text, row.priced.text, row.difference.text, row.verdict) for row in report.trust.bills]
    sources = [
        (
            row.name,
            row.days,
            row.rows_read.text,
            row.rows_loaded.text,
            row.rows_duplicate.text,
            row.rows_quarantined.text,
            row.last_arrival,
        )
        for row in report.trust.sources
    ]
    return [
        *(
            _columns([("Provider", "Billed", "Priced", "Difference", "Finding"), *bills], numbers=range(1, 4))
            if bills
            else ["No bills."]
        ),
        *(line for finding in report.trust.findings for line in _wrapped(finding)),
        "",
        *(
            _columns([("Source", "Days", "Read", "Loaded", "Dupl.", "Quar.", "Last, UTC"), *sources], numbers=range(1, 7))
            if sources
            else ["No deliveries."]
        ),
        "",
    ]
