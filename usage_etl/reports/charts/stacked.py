"""Daily bars stacked by provider, with anomalies marked on their own day."""

from __future__ import annotations

from dataclasses import dataclass

from usage_etl.reports.charts.metrics import text_width
from usage_etl.reports.charts.scale import ticks
from usage_etl.reports.charts.svg import area, box_path, dot, drawing, label, line, series_color
from usage_etl.reports.formatting import day_label, money_axis
from usage_etl.reports.model import DailyChart

_LANE = 17
_FOOT = 20


@dataclass(frozen=True)
class _Frame:
    """Where the plot stands, and how a day and an amount become coordinates."""

    left: float
    right: float
    top: float
    bottom: float
    low: float
    high: float
    days_count: int

    @property
    def band(self) -> float:
        return (self.right - self.left) / self.days_count

    def x(self, index: float) -> float:
        return self.left + index * self.band

    def y(self, amount: float) -> float:
        return self.bottom - (amount - self.low) / (self.high - self.low) * (self.bottom - self.top)


def daily_bars(chart: DailyChart, *, currency: str, width: float, height: float) -> str:
    """The bars with axis, weekends, gaps and marks. The key of the colours is text of the document beside it."""
    sums = _day_sums(chart)
    steps = ticks(min([0.0, *(low for low, _ in sums)]), max([0.0, *(high for _, high in sums)]))
    names = [money_axis(step, currency) for step in steps] if chart.total.value is not None else ["", ""]
    frame = _Frame(
        left=max(text_width(name, size=10) for name in names) + 8,
        right=width - 1,
        top=_LANE + 4,
        bottom=height - _FOOT,
        low=steps[0],
        high=steps[-1],
        days_count=len(chart.days),
    )
    parts = [_weekends(chart, frame)]
    for step, name in zip(steps, names, strict=True):
        y = frame.y(step)
        parts.append(line(frame.left, y, frame.right, y, color="axis" if step == 0 else "rule"))
        parts.append(label(frame.left - 7, y + 3.5, name, anchor="end"))
    parts += [_bars(chart, frame), _gaps(chart, frame), *_dates(chart, frame), *_marks(chart, frame, sums)]
    return drawing(width, height, title=chart.alt, parts=parts)


def _day_sums(chart: DailyChart) -> list[tuple[float, float]]:
    """Per day the sum of negative and of positive amounts."""
    columns = [[float(series.daily_costs[day] or 0) for series in chart.series] for day in range(len(chart.days))]
    return [(sum(min(0.0, cost) for cost in column), sum(max(0.0, cost) for cost in column)) for column in columns]


def _weekends(chart: DailyChart, frame: _Frame) -> str:
    path = "".join(
        box_path(frame.x(index), frame.top - 4, frame.band, frame.bottom - frame.top + 4)
        for index, day in enumerate(chart.days)
        if day.weekday() > 4
    )
    return area(path, color="shade")


def _bars(chart: DailyChart, frame: _Frame) -> str:
    ups, downs = [0.0] * len(chart.days), [0.0] * len(chart.days)
    thick = frame.band * 0.74
    parts: list[str] = []
    for series in chart.series:
        solid: list[str] = []
        pale: list[str] = []
        for index, daily_cost in enumerate(series.daily_costs):
            cost = float(daily_cost or 0)
            start = ups[index] if cost >= 0 else downs[index]
            top, bottom = frame.y(max(start, start + cost)), frame.y(min(start, start + cost))
            tall = bottom - top
            box = box_path(frame.x(index) + frame.band * 0.13, top, thick, tall - 0.6 if tall > 2 else tall)
            (pale if chart.is_partial[index] else solid).append(box)
            if cost >= 0:
                ups[index] += cost
            else:
                downs[index] += cost
        color = series_color(series.color)
        parts += [area("".join(solid), color=color), area("".join(pale), color=color, opacity=0.4)]
    return "".join(parts)


def _gaps(chart: DailyChart, frame: _Frame) -> str:
    """Days without data: a dotted foot, and in words where many days lead."""
    parts = [
        line(frame.x(index) + 1, frame.bottom - 3, frame.x(index + 1) - 1, frame.bottom - 3, color="faint", dash="1.5 2")
        for index, known in enumerate(chart.has_data)
        if not known
    ]
    first = chart.has_data.index(True) if any(chart.has_data) else len(chart.days)
    if chart.total.value is None:
        text = "no priced usage in these days" if any(chart.has_data) else "no data in these days"
        parts.append(label((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2, text, size=11, anchor="middle"))
    elif first * frame.band > text_width("no earlier data", size=10) + 8:
        parts.append(label(frame.x(first / 2), frame.bottom - 10, "no earlier data", anchor="middle", color="faint"))
    return "".join(parts)


def _dates(chart: DailyChart, frame: _Frame) -> list[str]:
    """Mondays, and the first and last day where their labels touch no other."""
    last = len(chart.days) - 1
    shown = [index for index, day in enumerate(chart.days) if day.weekday() == 0]
    room = 46 / frame.band
    shown = ([] if shown and shown[0] < room else [0]) + shown + ([] if shown and last - shown[-1] < room else [last])
    parts = []
    for index in shown:
        x = frame.x(index + 0.5)
        at_edge = x + 17 > frame.right
        parts.append(line(x, frame.bottom, x, frame.bottom + 4, color="axis"))
        text = day_label(chart.days[index])
        parts.append(label(frame.right if at_edge else x, frame.bottom + 15, text, anchor="end" if at_edge else "middle"))
    return parts


def _marks(chart: DailyChart, frame: _Frame, sums: list[tuple[float, float]]) -> list[str]:
    """A dot above each anomalous bar; in the lane above the plot, labels that touch neither each other nor a stem."""
    parts: list[str] = []
    lane = frame.top - 10
    stems: list[float] = []
    taken: list[tuple[float, float]] = []
    for mark in chart.marks:
        index = chart.days.index(mark.day)
        x, y = frame.x(index + 0.5), frame.y(sums[index][1])
        wide = text_width(mark.text, size=10, weight=600)
        sides = [(x + 8, x + 8 + wide), (x - 8 - wide, x - 8)] if mark.text else []
        place = next((side for side in sides if _is_free(side, x, frame, stems=stems, taken=taken)), None)
        if place is None:
            parts.append(dot(x, y - 6, 2.5, color="bad"))
            continue
        stems.append(x)
        taken.append(place)
        parts.append(line(x, lane + 1, x, y - 3, color="bad"))
        parts.append(dot(x, lane - 2, 3, color="bad"))
        parts.append(label(place[0], lane + 1.5, mark.text, size=10, weight=600, color="bad"))
    return parts


def _is_free(side: tuple[float, float], x: float, frame: _Frame, *, stems: list[float], taken: list[tuple[float, float]]) -> bool:
    left, right = side
    if left < frame.left - 4 or right > frame.right + 2:
        return False
    is_crossed = any(left - 6 < stem < right + 6 for stem in stems)
    is_covered = any(start - 6 < x < end + 6 or (left < end + 10 and start - 10 < right) for start, end in taken)
    return not is_crossed and not is_covered
