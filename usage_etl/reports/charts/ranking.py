"""Horizontal bars with a tick for the period before, sparklines, gauges and meters."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from usage_etl.reports.charts.metrics import fitted, text_width
from usage_etl.reports.charts.svg import dot, drawing, label, line, polyline, rect
from usage_etl.reports.model import Bar, BarList, Gauge

Amount = Decimal | int | None


def ranking_bars(bars: BarList, *, width: float, row_height: float, color: str = "accent") -> str:
    """One bar per member: name, bar, tick, then amount and share, right of whichever is longer."""
    rows = bars.bars
    names_limit = width * 0.36
    name_width = min(names_limit, max([text_width(bar.name, size=10.5) for bar in rows], default=0)) + 10
    value_width = max([text_width(_value(bar), size=10.5, weight=600) for bar in rows], default=0) + 10
    sizes = [float(bar.cost.value or 0) for bar in rows]
    ticks = [float(bar.previous_cost) for bar in rows if bar.previous_cost is not None]
    low, high = min([0.0, *sizes]), max([0.0, *sizes, *ticks])
    room = max(width - name_width - value_width, 20)
    factor = room / (high - low) if high > low else 0
    zero = name_width - low * factor
    parts = []
    for index, (bar, size) in enumerate(zip(rows, sizes, strict=True)):
        middle = (index + 0.5) * row_height
        thick = min(11.0, row_height * 0.55)
        start, end = zero + min(0.0, size) * factor, zero + max(0.0, size) * factor
        grey = "others" if bar.previous_cost is None and not size else color
        parts.append(label(0, middle + 3.7, fitted(bar.name, size=10.5, limit=name_width - 10), size=10.5, color="ink"))
        parts.append(rect(start, middle - thick / 2, max(end - start, 1.0), thick, color=grey, radius=2))
        if bar.previous_cost is not None:
            tick = zero + max(0.0, float(bar.previous_cost)) * factor
            end = max(end, tick)
            parts.append(line(tick, middle - thick / 2 - 3, tick, middle + thick / 2 + 3, color="ink", width=1.5))
        parts += _amount(bar, end + 6, middle)
    return drawing(width, max(len(rows), 1) * row_height, title=bars.alt, parts=parts)


def _value(bar: Bar) -> str:
    return f"{bar.cost.text} · {bar.share.text}"


def _amount(bar: Bar, x: float, middle: float) -> list[str]:
    wide = text_width(bar.cost.text, size=10.5, weight=600)
    return [
        label(x, middle + 3.7, bar.cost.text, size=10.5, weight=600, color="ink"),
        label(x + wide + 4, middle + 3.7, f"· {bar.share.text}", size=10.5),
    ]


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
