"""Horizontal bars with a tick for the period before, sparklines, gauges and meters."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from usage_etl.reports.charts.svg import dot, drawing, line, polyline, rect
from usage_etl.reports.model import BarList, Gauge

Amount = Decimal | int | None


def ranking_rows(bars: BarList, *, width: float, height: float) -> list[str]:
    """One drawing per member on one scale: the bar, grey for those that are no member, and the tick of the period before.

    Shapes only, free to be stretched; the names and amounts beside them are text of the document.
    """
    sizes = [float(bar.cost.value or 0) for bar in bars.bars]
    ticks = [float(bar.previous_cost) for bar in bars.bars if bar.previous_cost is not None]
    low, high = min([0.0, *sizes]), max([0.0, *sizes, *ticks])
    factor = (width - 2) / (high - low) if high > low else 0.0
    zero = -low * factor
    rows = []
    for bar, size in zip(bars.bars, sizes, strict=True):
        start, end = zero + min(0.0, size) * factor, zero + max(0.0, size) * factor
        thick = min(11.0, height * 0.62)
        top = (height - thick) / 2
        color = "accent" if bar.is_member else "others"
        parts = [rect(0, top, width, thick, color="ground"), rect(start, top, max(end - start, 1.0), thick, color=color)]
        alt = f"{bar.name}: {bar.cost.text}, {bar.share.text}"
        if bar.previous_cost is not None:
            tick = zero + max(0.0, float(bar.previous_cost)) * factor
            parts.append(line(tick + 0.75, top - 3, tick + 0.75, top + thick + 3, color="ink", width=1.5))
        rows.append(drawing(width, height, title=alt, parts=parts, is_stretched=True))
    return rows


def sparkline(values: Sequence[Amount], *, width: float, height: float, alt: str) -> str:
    """A line of daily values that breaks where a day is unknown, with a dot on the last known day."""
    known = [float(value) for value in values if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = high - low or 1.0
    step = (width - 6) / max(len(values) - 1, 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((2 + index * step, height - 2.5 - (float(value) - low) / span * (height - 5)))
    parts = [polyline(run, color="accent", width=1.25) for run in runs]
    last = next((run[-1] for run in reversed(runs) if run), None)
    if last:
        parts.append(dot(*last, 2, color="accent"))
    return drawing(width, height, title=alt, parts=parts)


def gauge_bar(gauge: Gauge, *, width: float, height: float) -> str:
    """Spent (solid) and month-end (pale) against the budget (tick)."""
    spent, ahead, limit = float(gauge.spent_cost), float(gauge.projected_cost), float(gauge.limit_cost)
    full = max(spent, ahead, limit) * 1.04
    thick = 6.0
    top = (height - thick) / 2
    is_over = ahead > limit
    parts = [
        rect(0, top, width, thick, color="track", radius=3),
        rect(0, top, max(ahead, 0) / full * width, thick, color="accent-soft", radius=3),
        rect(0, top, max(spent, 0) / full * width, thick, color="accent", radius=3),
    ]
    x = limit / full * width
    if is_over:
        parts.append(rect(x, top, (ahead - limit) / full * width, thick, color="bad"))
    parts.append(line(x, top - 4, x, top + thick + 4, color="ink", width=1.5))
    return drawing(width, height, title=gauge.alt, parts=parts)


def meter(used: float, *, elapsed: float, is_over: bool, width: float, height: float, alt: str) -> str:
    """Share of a budget used, red when it is passed; the tick is the share of the month that has passed."""
    thick = 5.0
    top = (height - thick) / 2
    parts = [
        rect(0, top, width, thick, color="track", radius=2.5),
        rect(0, top, min(max(used, 0.0), 1.0) * width, thick, color="bad" if is_over else "accent", radius=2.5),
    ]
    if 0 < elapsed < 1:
        x = elapsed * width
        parts.append(line(x, top - 3, x, top + thick + 3, color="soft"))
    return drawing(width, height, title=alt, parts=parts)
