"""The body of the report mail: subject that carries the answer, HTML of tables and inlined styles, and full text.

No image, no script, no remote address: it reads the same with images blocked, on a phone and in a dark mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import css_inline

from usage_etl.reports.formatting import NBSP, day_label
from usage_etl.reports.html import safe_url
from usage_etl.reports.model import Bar, ExecutiveReport
from usage_etl.reports.plain_text import render_text
from usage_etl.reports.templates import Templates

_CHART_HEIGHT = 84


@dataclass(frozen=True)
class EmailContent:
    """What a message needs from a report. Subject and preheader are single lines of text."""

    subject: str
    preheader: str
    html: str
    text: str


@dataclass(frozen=True)
class _Column:
    """One day of the chart: height in pixels, and how it is painted."""

    height: int
    kind: str


@dataclass(frozen=True)
class _Row:
    """One team bar: filled share of the full width in whole percent."""

    bar: Bar
    filled: int


def render_email(
    report: ExecutiveReport,
    *,
    report_url: str | None = None,
    attachments: tuple[str, ...] = (),
    templates: Templates | None = None,
) -> EmailContent:
    """Subject, preheader, HTML and text. ``attachments`` are file names to mention; attaching is the mailer's work."""
    chosen = templates or Templates()
    url = safe_url(report_url)
    html = (
        chosen.environment()
        .get_template("executive/email.html.j2")
        .render(
            report=report,
            style=chosen.read_text("executive/email.css"),
            preheader=_preheader(report),
            columns=_columns(report),
            first_day=day_label(report.daily.days[0]),
            last_day=day_label(report.daily.days[-1]),
            rows=_rows(report),
            report_url=url,
            attachments=attachments,
        )
    )
    inliner = css_inline.CSSInliner(keep_style_tags=False, keep_at_rules=True, load_remote_stylesheets=False)
    return EmailContent(
        subject=_subject(report),
        preheader=_preheader(report),
        html=inliner.inline(html),
        text=render_text(report, report_url=url, attachments=attachments),
    )


def _subject(report: ExecutiveReport) -> str:
    """``AI cost, November: $13,742 so far, likely 5 % over budget``."""
    cost, requests = report.cards[0].figure, report.cards[3].figure
    if cost.value is None:
        text = f"AI usage, {report.period.name}: {requests.text} requests, no priced cost"
    else:
        so_far = "" if report.period.is_complete else " so far"
        status = report.status.text[0].lower() + report.status.text[1:]
        text = f"AI cost, {report.period.name}: {cost.text}{so_far}, {status}"
    return text.replace(NBSP, " ")


def _preheader(report: ExecutiveReport) -> str:
    return report.headline.replace(NBSP, " ")


def _columns(report: ExecutiveReport) -> list[_Column]:
    chart = report.daily
    marked = {mark.day for mark in chart.marks}
    sums = [
        sum((series.daily_costs[index] or Decimal(0) for series in chart.series), Decimal(0)) for index in range(len(chart.days))
    ]
    highest = max([*sums, Decimal(0)])
    columns = []
    for index, day in enumerate(chart.days):
        height = int(sums[index] / highest * _CHART_HEIGHT) if highest > 0 and sums[index] > 0 else 0
        kind = "gap" if not chart.has_data[index] else "marked" if day in marked else "pale" if chart.is_partial[index] else "day"
        columns.append(_Column(height=max(height, 1), kind=kind))
    return columns


def _rows(report: ExecutiveReport) -> list[_Row]:
    largest = max([Decimal(bar.cost.value or 0) for bar in report.teams.bars], default=Decimal(0))
    return [
        _Row(bar=bar, filled=max(1, int(Decimal(bar.cost.value or 0) / largest * 100)) if largest > 0 else 1)
        for bar in report.teams.bars
    ]
