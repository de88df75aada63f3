"""Burn-up: cost added up over the month, its projection with the 80 % band, the straight line and the budget."""

from __future__ import annotations

from decimal import Decimal

from usage_etl.reports.charts.metrics import fitted, text_width
from usage_etl.reports.charts.scale import spread, ticks
from usage_etl.reports.charts.svg import area, dot, drawing, label, line, num, polyline
from usage_etl.reports.formatting import day_label, money_axis
from usage_etl.reports.model import BurnUp, Figure

_TOP = 12
_FOOT = 20


def burn_up_chart(chart: BurnUp, *, currency: str, width: float, height: float, key_width: float = 88) -> str:
    """Lines end in labels at the right edge, moved apart where they would touch."""
    days = chart.days_in_month_count
    amounts = [float(cost) for cost in chart.cumulative_costs]
    ends = [figure for figure in (chart.projected, chart.linear, chart.budget) if figure]
    bounds = [float(cost) for cost in (chart.lower_cost, chart.upper_cost) if cost is not None]
    steps = ticks(min([0.0, *amounts]), max([*amounts, *bounds, *(_size(figure) for figure in ends), 0.0]))
    is_known = chart.spent.value is not None
    names = [money_axis(step, currency) for step in steps] if is_known or ends else [""] * len(steps)
    left = max(text_width(name, size=10) for name in names) + 8
    right, bottom = width - key_width, height - _FOOT

    def x(day: float) -> float:
        return left + day / days * (right - left)

    def y(amount: float) -> float:
        return bottom - (amount - steps[0]) / (steps[-1] - steps[0]) * (bottom - _TOP)

    parts = []
    for step, name in zip(steps, names, strict=True):
        parts.append(line(left, y(step), right, y(step), color="axis" if step == 0 else "rule"))
        parts.append(label(left - 7, y(step) + 3.5, name, anchor="end"))
    now = (x(len(amounts)), y(amounts[-1] if amounts else 0.0))
    if chart.lower_cost is not None and chart.upper_cost is not None:
        low, high = y(float(chart.lower_cost)), y(float(chart.upper_cost))
        path = f"M{num(now[0])} {num(now[1])}L{num(x(days))} {num(high)}L{num(x(days))} {num(low)}z"
        parts.append(area(path, color="band"))
    if chart.linear:
        parts.append(polyline([now, (x(days), y(_size(chart.linear)))], color="faint", width=1, dash="3 3"))
    if chart.projected:
        parts.append(polyline([now, (x(days), y(_size(chart.projected)))], color="accent", width=2, dash="1 3.5"))
    if chart.budget:
        level = y(_size(chart.budget))
        parts.append(line(left, level, right, level, color="bad", dash="5 3", width=1.25))
    if is_known:
        points = [(x(day), y(amount)) for day, amount in enumerate([0.0, *amounts])]
        parts += [polyline(points, color="accent", width=2), dot(*now, 3.5, color="accent"), *_now_label(chart, now, left=left)]
    else:
        parts.append(label((left + right) / 2, bottom / 2, "no priced usage", size=11, anchor="middle"))
    parts += _end_labels(chart, [(figure, y(_size(figure))) for figure in ends], x=right + 7, limit=key_width - 8, bottom=bottom)
    for day in (1, 8, 15, 22, days):
        text = day_label(chart.month.replace(day=day)) if day == 1 else str(day)
        parts.append(label(x(day), bottom + 15, text, anchor="middle"))
    return drawing(width, height, title=chart.alt, parts=parts)


def _size(figure: Figure) -> float:
    return float(figure.value) if isinstance(figure.value, (int, Decimal)) else 0.0


def _now_label(chart: BurnUp, now: tuple[float, float], *, left: float) -> list[str]:
    """What was spent, above the line's end and to its left, where the rising line leaves room."""
    text = chart.spent.text
    wide = text_width(text, size=10, weight=600)
    if now[0] - wide - 8 > left:
        return [label(now[0] - 7, now[1] - 6, text, weight=600, color="ink", anchor="end")]
    return [label(now[0] + 8, now[1] + 12, text, weight=600, color="ink")]


def _end_labels(chart: BurnUp, ends: list[tuple[Figure, float]], *, x: float, limit: float, bottom: float) -> list[str]:
    kinds = {
        id(chart.projected): ("Projected", "accent"),
        id(chart.linear): ("Straight line", "soft"),
        id(chart.budget): ("Budget", "bad"),
    }
    places = spread([at for _, at in ends], gap=27, low=_TOP, high=bottom - 10)
    parts = []
    for (figure, _), place in zip(ends, places, strict=True):
        name, color = kinds[id(figure)]
        parts.append(label(x, place - 1.5, name, color=color))
        parts.append(label(x, place + 10.5, fitted(figure.text, size=10, weight=600, limit=limit), weight=600, color=color))
    return parts
