"""Sizes of the print form, so that both pages are full: text is measured, charts and rows take what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from usage_etl.reports.charts.metrics import lines_count
from usage_etl.reports.drawings import Sizes
from usage_etl.reports.model import ExecutiveReport

PageSize = Literal["A4", "Letter"]

_LINE = 1.42
_HEADING = 27.0
_GAP = 18.0
_MARGINS_MM = {"A4": (180.0, 268.0), "Letter": (185.9, 250.4)}
_PX_PER_MM = 96 / 25.4
_SLACK = 10.0


@dataclass(frozen=True)
class PrintLayout:
    """Chart sizes, the height of a team row in pixels, and whether the feature bars fit."""

    sizes: Sizes
    row_height: float
    shows_features: bool


def print_layout(report: ExecutiveReport, page_size: PageSize) -> PrintLayout:
    """Fills two pages of ``page_size``; more rows or longer names than usual run on to a third page."""
    width, height = (millimetres * _PX_PER_MM for millimetres in _MARGINS_MM[page_size])
    half = (width - 28) / 2
    rows_count = len(report.team_table.rows) + 1
    shows_features = rows_count <= 8 and bool(report.features.bars)
    top, middle = _first_page(report, width, half, height)
    row_height, bar_row = _second_page(report, half, height, shows_features=shows_features)
    sizes = Sizes(daily=(width, top), key_width=132, half=(half, middle), bar_row=bar_row)
    return PrintLayout(sizes=sizes, row_height=row_height, shows_features=shows_features)


def _first_page(report: ExecutiveReport, width: float, half: float, height: float) -> tuple[float, float]:
    """Heights of the daily chart and of the pair of charts below it."""
    masthead = 86.0
    headline = 16 + 18 + lines_count(report.headline, size=16, limit=width) * 16 * 1.45
    cards = 94 + _GAP
    burn_up_note = 4 + lines_count(report.burn_up.note, size=9.5, limit=half) * 9.5 * _LINE if report.burn_up.note else 0
    movers = 11 + _HEADING + 15 + 16.3 * max([len(part.movers) for part in report.movers], default=1)
    rest = masthead + headline + cards + 2 * (_HEADING + _GAP) + burn_up_note + movers
    room = max(height - rest - _SLACK, 330)
    return room * 0.52, room * 0.48


def _second_page(report: ExecutiveReport, half: float, height: float, *, shows_features: bool) -> tuple[float, float]:
    """Heights of a team row and of a bar."""
    items = sum(
        7
        + lines_count(item.title, size=10.5, weight=600, limit=half - 12) * 10.5 * 1.35
        + lines_count(item.detail, size=9.8, limit=half - 12) * 9.8 * 1.38
        for item in report.attention
    )
    bars_count = len(report.models.bars) + (len(report.features.bars) if shows_features else 0)
    extra = _HEADING + 18 if shows_features else 0
    notes = 17.0 if report.models.note else 0.0
    bar_row = min(max((max(items, 120.0) - extra - notes) / max(bars_count, 1), 19.0), 25.0)
    middle = _HEADING + max(items, bars_count * bar_row + extra + notes) + _GAP
    trust = report.trust
    tables = 30 + 16.3 * max(len(trust.bills), len(trust.sources), 1)
    proofs = 18.8 * (2 + bool(trust.manifests))
    closing = 12 + _HEADING + 62 + tables + proofs
    caption = 6 + lines_count(report.team_table.note, size=9, limit=half * 2) * 9 * _LINE
    rows_count = len(report.team_table.rows) + 1
    room = height - middle - closing - caption - _HEADING - 20 - _GAP - _SLACK
    row_height = min(max(room / rows_count, 17.0), 30.0)
    spare = room - row_height * rows_count
    if spare > 0 and bars_count:
        bar_row = min(bar_row + spare / bars_count, 27.0)
    return row_height, bar_row
