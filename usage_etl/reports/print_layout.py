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
_LEAST_CHART = 110.0
_ADVICE_TITLE = 266.0
_ADVICE_BESIDE = 376.0
"""Figure and title of a recommendation, beside which its effort and detail stand."""


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
    movers_count: int
    """Of each list of what changed."""
    advice_count: int
    """Recommendations on the first page."""


@dataclass(frozen=True)
class _Shown:
    """How much of the first page's lower sections there is room for."""

    advice: int
    movers: int


def print_layout(report: ExecutiveReport, page_size: PageSize) -> PrintLayout:
    """Fills two pages of ``page_size``; more rows or longer names than usual run on to a third page."""
    width, height = (millimetres * _PX_PER_MM for millimetres in _MARGINS_MM[page_size])
    half = (width - _GUTTER) / 2
    first, second = _placed(report)
    top, middle, shown = _first_page(report, half, width, height, bars_count=max(len(getattr(report, first).bars), 1))
    amounts = [bar.cost.text for name in (first, *second) for bar in getattr(report, name).bars]
    cost_width = max([_COST, *(text_width(text, size=10.5, weight=600) + 6 for text in amounts)])
    bars_count = sum(max(len(getattr(report, name).bars), 1) for name in second)
    team_row, second_bar_row = _second_page(report, half, height, bars_count=bars_count, lists_count=len(second))
    return PrintLayout(
        sizes=Sizes(daily=(width - _KEY, top), burn_up=(half, middle), bar=(half - _NAME - cost_width - _SHARE, 16)),
        team_row=team_row,
        first_bar_row=min(max(middle / max(len(getattr(report, first).bars), 1), 17.0), 32.0),
        second_bar_row=second_bar_row,
        first_ranking=first,
        second_rankings=second,
        cost_width=cost_width,
        mover_width=max(
            [_MOVER, *(text_width(one.change.text, size=10.5, weight=600) + 4 for part in report.movers for one in part.movers)]
        ),
        movers_count=shown.movers,
        advice_count=shown.advice,
    )


def _placed(report: ExecutiveReport) -> tuple[str, tuple[str, ...]]:
    """Few teams leave room: models move to the first page, and features fill the second."""
    if len(report.teams.bars) <= _FEW:
        return "models", ("teams", "features")
    has_room = len(report.team_table.rows) + 1 <= 8 and report.features.bars
    return "teams", ("models", "features") if has_room else ("models",)


def _first_page(
    report: ExecutiveReport, half: float, width: float, height: float, *, bars_count: int
) -> tuple[float, float, _Shown]:
    """Heights of the daily chart and of the pair of charts below it, and how much of what follows is shown.

    Where the page is short, the last recommendations and the last of what changed give way to the charts.
    """
    headline = 16 + 18 + lines_count(report.headline, size=16, limit=width) * 16 * 1.45
    masthead, cards = 86.0, 94 + _GAP
    burn_up_note = 4 + lines_count(report.burn_up.note, size=9.5, limit=half) * 9.5 * _LINE if report.burn_up.note else 0
    daily_title = text_width(report.daily.title, size=13, weight=600) + text_width(report.daily.note, size=9.5) + 60
    daily_heading = _HEADING + 13 * _LINE * int(daily_title // width)
    above = masthead + headline + cards + daily_heading + _HEADING + 2 * _GAP + burn_up_note
    longest = max([len(part.movers) for part in report.movers] + [1])
    if not report.savings.has_content:
        room = max(height - above - 26 - _HEADING - 16.3 * longest - _SLACK, 330)
        return room * 0.52, room * 0.48, _Shown(advice=0, movers=longest)
    key = 34 + 31.0 * len(report.daily.series)
    pair = max(17.0 * bars_count - burn_up_note, _LEAST_CHART)
    room, shown = 0.0, _Shown(advice=0, movers=longest)
    for shown in (_Shown(3, longest), _Shown(2, longest), _Shown(2, 2), _Shown(1, 2)):
        below = 26 + _HEADING + 16.3 * min(longest, shown.movers) + _savings_height(report, width, shown.advice)
        room = height - above - below - _SLACK
        if room >= key + pair:
            break
    daily = max(room * 0.52, key)
    return daily, max(room - daily, _LEAST_CHART), shown


def _savings_height(report: ExecutiveReport, width: float, count: int) -> float:
    """Height of the first ``count`` recommendations with the verdict and what separates them from the rest."""
    part = report.savings
    lines = [
        max(
            lines_count(one.title, size=10.3, weight=600, limit=_ADVICE_TITLE),
            lines_count(f"{one.effort}. {one.detail}", size=9.6, limit=width - _ADVICE_BESIDE),
        )
        for one in part.advice[:count]
    ]
    promises = 5 + 13.0 * lines_count(part.verdict, size=9.6, limit=width) if part.verdict else 0.0
    return 11 + _HEADING - 3 + sum(4 + 13.0 * count for count in lines) + promises + _GAP + 4


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
