"""The charts of one report in the sizes of one medium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from usage_etl.reports.charts import burn_up_chart, daily_bars, gauge_bar, meter, ranking_rows, sparkline
from usage_etl.reports.model import BarList, Card, ExecutiveReport, TeamRow


@dataclass(frozen=True)
class Sizes:
    """Widths and heights in CSS pixels."""

    daily: tuple[float, float]
    burn_up: tuple[float, float]
    bar: tuple[float, float]
    card: float = 104
    trend: tuple[float, float] = (60, 15)
    meter: tuple[float, float] = (38, 13)


@dataclass(frozen=True)
class Drawings:
    """SVG markup, ready to be placed; rows in the order of the report's own."""

    daily: Markup
    burn_up: Markup
    teams: tuple[Markup, ...]
    models: tuple[Markup, ...]
    features: tuple[Markup, ...]
    cards: tuple[Markup, ...]
    trends: tuple[Markup, ...]
    meters: tuple[Markup, ...]


def draw(report: ExecutiveReport, sizes: Sizes) -> Drawings:
    """Every chart of ``report``. Markup is built by our own escaping, nothing else is marked safe."""
    rows = [*report.team_table.rows, report.team_table.total]
    elapsed = float(report.team_table.elapsed_ratio)
    currency = report.currency
    return Drawings(
        daily=_safe(daily_bars(report.daily, currency=currency, width=sizes.daily[0], height=sizes.daily[1])),
        burn_up=_safe(burn_up_chart(report.burn_up, currency=currency, width=sizes.burn_up[0], height=sizes.burn_up[1])),
        teams=_bars(report.teams, sizes.bar),
        models=_bars(report.models, sizes.bar),
        features=_bars(report.features, sizes.bar),
        cards=tuple(_card(card, sizes.card) for card in report.cards),
        trends=tuple(_trend(row, sizes.trend) for row in rows),
        meters=tuple(_meter(row, elapsed, sizes.meter) for row in rows),
    )


def _safe(svg: str) -> Markup:
    """Our own SVG, whose every text was escaped where it was written."""
    return Markup(svg)  # noqa: S704


def _bars(bars: BarList, size: tuple[float, float]) -> tuple[Markup, ...]:
    return tuple(_safe(row) for row in ranking_rows(bars, width=size[0], height=size[1]))


def _card(card: Card, width: float) -> Markup:
    if card.gauge:
        return _safe(gauge_bar(card.gauge, width=width, height=22))
    return _line(card.trend, width, 22, f"{card.label}, last {len(card.trend)} days")


def _trend(row: TeamRow, size: tuple[float, float]) -> Markup:
    return _line(row.trend, size[0], size[1], f"{row.name}: daily cost, last {len(row.trend)} days")


def _line(values: Sequence[Decimal | int | None], width: float, height: float, alt: str) -> Markup:
    if not any(value is not None for value in values):
        return Markup()
    return _safe(sparkline(values, width=width, height=height, alt=alt))


def _meter(row: TeamRow, elapsed: float, size: tuple[float, float]) -> Markup:
    if row.budget_used.value is None:
        return Markup()
    used = float(row.budget_used.value)
    alt = f"{row.name}: {row.budget_used.text} of the budget used"
    is_over = row.budget_tone == "bad"
    return _safe(meter(used, elapsed=elapsed, is_over=is_over, width=size[0], height=size[1], alt=alt))
