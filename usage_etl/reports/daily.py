"""The daily chart's data: the last thirty days by provider, with gaps, filling days and anomalies marked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from usage_etl.periods import days_between
from usage_etl.reports.comparison import share
from usage_etl.reports.formatting import NO_DATA, day_label, listed, money_short, plural
from usage_etl.reports.inputs import MonthFacts
from usage_etl.reports.model import AttentionItem, DailyChart, Figure, Mark, Series

WINDOW_DAYS = 30
COLORS_COUNT = 6
OTHERS_COLOR = -1


def window_of(facts: MonthFacts) -> tuple[dt.date, ...]:
    """The thirty days that end with the last day of data."""
    end = facts.through_date + dt.timedelta(days=1)
    return tuple(days_between(end - dt.timedelta(days=WINDOW_DAYS), end))


def daily_chart(facts: MonthFacts, anomalies: Sequence[AttentionItem]) -> DailyChart:
    """Bars of the window. Marks are made of the very items that the text tells, so that both name the same days."""
    days = window_of(facts)
    by_provider = facts.daily_costs("provider", days[0])
    totals = {key: sum((cost for cost in costs.values() if cost), Decimal(0)) for key, costs in by_provider.items()}
    whole = sum(totals.values(), Decimal(0))
    free = sorted(key for key in totals if whole and not totals[key])
    ranked = sorted(totals.keys() - set(free), key=lambda key: (-totals[key], key))
    named, others = ranked[:COLORS_COUNT], ranked[COLORS_COUNT:]
    series = [
        _series(facts, facts.name_of("provider", key), by_provider[key], color=color, days=days, whole=whole)
        for color, key in enumerate(named)
    ]
    if others:
        merged = {day: _added([by_provider[key].get(day) for key in others]) for day in days}
        name = plural(len(others), "other provider")
        series.append(_series(facts, name, merged, color=OTHERS_COLOR, days=days, whole=whole))
    seen = {day for costs in by_provider.values() for day in costs}
    has_data = tuple(day in seen for day in days)
    has_cost = any(cost is not None for costs in by_provider.values() for cost in costs.values())
    total = Figure(value=whole if has_cost else None, text=money_short(whole, facts.currency) if has_cost else NO_DATA)
    is_partial = tuple(day in facts.inputs.partial_days for day in days)
    marks = _marks(anomalies, days)
    return DailyChart(
        days=days,
        has_data=has_data,
        is_partial=is_partial,
        series=tuple(series),
        marks=marks,
        total=total,
        title=f"Daily cost by provider, {day_label(days[0])} to {day_label(days[-1])}",
        note=_note(days, has_data, is_partial, without_cost=[facts.name_of("provider", key) for key in free]),
        alt=_alt(days, by_provider, total, marks, facts.currency),
    )


def _added(costs: list[Decimal | None]) -> Decimal | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if known else None


def _series(
    facts: MonthFacts, name: str, costs: dict[dt.date, Decimal | None], *, color: int, days: tuple[dt.date, ...], whole: Decimal
) -> Series:
    total = sum((cost for cost in costs.values() if cost), Decimal(0))
    is_priced = any(cost is not None for cost in costs.values())
    return Series(
        name=name,
        color=color,
        daily_costs=tuple(costs.get(day) for day in days),
        total=Figure(value=total if is_priced else None, text=money_short(total, facts.currency) if is_priced else "no price"),
        share=share(total if is_priced else None, whole),
    )


def _marks(anomalies: Sequence[AttentionItem], days: tuple[dt.date, ...]) -> tuple[Mark, ...]:
    """One mark per anomalous day; the label stands on the first day of each anomaly."""
    marks: dict[dt.date, str] = {}
    for item in anomalies:
        shown = [day for day in item.days if day in days]
        for position, day in enumerate(shown):
            marks[day] = item.mark if position == 0 else marks.get(day, "")
    return tuple(Mark(day=day, text=marks[day]) for day in sorted(marks))


def _note(days: tuple[dt.date, ...], has_data: tuple[bool, ...], is_partial: tuple[bool, ...], *, without_cost: list[str]) -> str:
    parts = ["Weekends shaded."]
    filling = [day_label(day) for day, partial in zip(days, is_partial, strict=True) if partial]
    if filling:
        parts.append(f"Paler: still filling ({listed(filling[:3])}).")
    first = has_data.index(True) if any(has_data) else len(days)
    gaps = [day_label(day) for day, known in list(zip(days, has_data, strict=True))[first:] if not known]
    if first:
        parts.append(f"No earlier data before {day_label(days[first])}." if first < len(days) else "No data in these days.")
    if gaps:
        parts.append(f"No data on {listed(gaps[:4])}{' and more' if len(gaps) > 4 else ''}.")
    if without_cost:
        parts.append(f"No cost: {listed(without_cost[:3])}{' and more' if len(without_cost) > 3 else ''}.")
    return " ".join(parts)


def _alt(
    days: tuple[dt.date, ...],
    by_provider: dict[str, dict[dt.date, Decimal | None]],
    total: Figure,
    marks: tuple[Mark, ...],
    currency: str,
) -> str:
    sums = {day: sum((costs.get(day) or Decimal(0) for costs in by_provider.values()), Decimal(0)) for day in days}
    highest = max(days, key=lambda day: sums[day])
    text = f"Bars of daily cost from {day_label(days[0])} to {day_label(days[-1])}: {total.text} in all"
    if total.value is not None:
        text += f", highest on {day_label(highest)} with {money_short(sums[highest], currency)}"
    named = [mark.text for mark in marks if mark.text]
    return f"{text}.{' Marked: ' + '; '.join(named) + '.' if named else ''}"
