"""Sizes of the print form, so that both pages are full: text is measured, charts and rows take what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from usage_etl.reports.charts.metrics import lines_count, text_width
from usage_etl.reports.drawings import Sizes
from usage_etl.reports.model import ExecutiveReport

PageSize = Literal["A4", "Letter"]

_LINE = 1.42
_HEADING = 27.0
_GAP = 18.0
_MARGINS_MM = {"A4": (180.0, 268.0), "Letter": (185.9, 250.4)}
_PX_PER_MM = 96 / 25.4
_SLACK = 10.0
_GUTTER = 28.0
_KEY = 132.0
_NAME = 122.0
_COST = 60.0
_SHARE = 40.0
_MOVER = 58.0
_FEW = 3


@dataclass(frozen=True)
class PrintLayout:
    """Chart sizes, row heights in pixels, and which rankings stand on which page."""

    sizes: Sizes
    team_row: float
    first_bar_row: float
    second_bar_row: float
    first_ranking: str
    """Name of the report's ranking beside the burn-up."""
    second_rankings: tuple[str, ...]
    """Names of the rankings beside what needs attention."""
    cost_width: float
    """Of the amounts beside bars."""
    mover_width: float
    """Of the amounts of what changed."""


def print_layout(report: ExecutiveReport, page_size: PageSize) -> PrintLayout:
    """Fills two pages of ``page_size``; more rows or longer names than usual run on to a third page."""
    width, height = (millimetres * _PX_PER_MM for millimetres in _MARGINS_MM[page_size])
    half = (width - _GUTTER) / 2
    first, second = _placed(report)
    top, middle = _first_page(report, width, half, height)
    amounts = [bar.cost.text for name in (first, *second) for bar in getattr(report, name).bars]
    cost_width = max([_COST, *(text_width(text, size=10.5, weight=600) + 6 for text in amounts)])
    bars_count = sum(max(len(getattr(report, name).bars), 1) for name in second)
    team_row, second_bar_row = _second_page(report, half, height, bars_count=bars_count, lists_count=len(second))
    return PrintLayout(
        sizes=Sizes(daily=(width - _KEY, top), burn_up=(half, middle), bar=(half - _NAME - cost_width - _SHARE, 16)),
        team_row=team_row,
        first_bar_row=min(max(middle / max(len(getattr(report, first).bars), 1), 16.0), 32.0),
        second_bar_row=second_bar_row,
        first_ranking=first,
        second_rankings=second,
        cost_width=cost_width,
        mover_width=max(
            [_MOVER, *(text_width(one.change.text, size=10.5, weight=600) + 4 for part in report.movers for one in part.movers)]
        ),
    )


def _placed(report: ExecutiveReport) -> tuple[str, tuple[str, ...]]:
    """Few teams leave room: models move to the first page, and features fill the second."""
    if len(report.teams.bars) <= _FEW:
        return "models", ("teams", "features")
    has_room = len(report.team_table.rows) + 1 <= 8 and report.features.bars
    return "teams", ("models", "features") if has_room else ("models",)


def _first_page(report: ExecutiveReport, width: float, half: float, height: float) -> tuple[float, float]:
    """Heights of the daily chart and of the pair of charts below it."""
    headline = 16 + 18 + lines_count(report.headline, size=16, limit=width) * 16 * 1.45
    masthead, cards = 86.0, 94 + _GAP
    burn_up_note = 4 + lines_count(report.burn_up.note, size=9.5, limit=half) * 9.5 * _LINE if report.burn_up.note else 0
    daily_title = text_width(report.daily.title, size=13, weight=600) + text_width(report.daily.note, size=9.5) + 60
    daily_heading = _HEADING + 13 * _LINE * int(daily_title // width)
    movers = 11 + _HEADING + 15 + 16.3 * max([len(part.movers) for part in report.movers] + [1])
    rest = masthead + headline + cards + daily_heading + _HEADING + 2 * _GAP + burn_up_note + movers
    room = max(height - rest - _SLACK, 330)
    return room * 0.52, room * 0.48


def _second_page(
    report: ExecutiveReport, half: float, height: float, *, bars_count: int, lists_count: int
) -> tuple[float, float]:
    """Heights of a team row and of a bar's row."""
    items = sum(
        7
        + lines_count(item.title, size=10.5, weight=600, limit=half - 12) * 10.5 * 1.35
        + lines_count(item.detail, size=9.8, limit=half - 12) * 9.8 * 1.38
        for item in report.attention
    )
    extra = (lists_count - 1) * (_HEADING + 18) + 17.0
    bar_row = min(max((max(items, 120.0) - extra) / bars_count, 19.0), 26.0)
    middle = _HEADING + max(items, bars_count * bar_row + extra) + _GAP
    trust = report.trust
    tables = 30 + 16.3 * max(len(trust.bills), len(trust.sources), 1)
    findings = 6 + lines_count(" ".join(trust.findings), size=9, limit=half * 2) * 9 * _LINE if trust.findings else 0.0
    closing = 12 + _HEADING + 62 + tables + findings + 18.8 * (2 + bool(trust.manifests))
    caption = 6 + lines_count(report.team_table.note, size=9, limit=half * 2) * 9 * _LINE
    rows_count = len(report.team_table.rows) + 1
    room = height - middle - closing - caption - _HEADING - 20 - _GAP - _SLACK
    team_row = min(max(room / rows_count, 17.0), 30.0)
    spare = room - team_row * rows_count
    return team_row, min(bar_row + max(spare, 0) / bars_count, 34.0)
