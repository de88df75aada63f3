"""What every reader of marts needs to know, and how figures are taken from their columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

_PLACES = Decimal(1).scaleb(-12)


@dataclass(frozen=True)
class Watch:
    """When and for whom marts are read."""

    instant: dt.datetime
    organization_id: str
    currency: str
    late_sources: frozenset[str]
    """Sources of usage whose feed is late now."""
    settle_days: int = 3
    anomaly_days: int = 35
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Kind and id of a scope to its name, for marts that hold ids alone."""

    def until(self, period_end: dt.date) -> dt.date:
        """Last day on which a period is still looked at."""
        return period_end + dt.timedelta(days=self.settle_days)

    @property
    def is_late(self) -> bool:
        """Whether any feed of usage is late: figures of usage are then too low."""
        return bool(self.late_sources)


def percent(part: Decimal | int | None, whole: Decimal | int | None) -> Decimal | None:
    """``part`` of ``whole`` in percent, cut at 12 decimals and never rounded up; of nothing, null.

    Of a limit of 0 everything is used as soon as anything is: 100, else 0.
    """
    if part is None or whole is None:
        return None
    if whole == 0:
        return Decimal(100) if part > 0 else Decimal(0)
    with localcontext() as context:
        context.prec = 60
        return (Decimal(part) * 100 / Decimal(whole)).quantize(_PLACES, rounding=ROUND_FLOOR)


def quotient(part: Decimal | int | None, whole: int | None) -> Decimal | None:
    """``part`` by ``whole``, cut at 12 decimals; null without a whole."""
    if part is None or not whole:
        return None
    with localcontext() as context:
        context.prec = 60
        return (Decimal(part) / Decimal(whole)).quantize(_PLACES, rounding=ROUND_FLOOR)


def newest(rows: Iterable[Mapping[str, Any]], *keys: str, by: str) -> list[Mapping[str, Any]]:
    """Of rows with the same ``keys`` the one with the latest ``by``, in the order of their keys."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        if key not in found or row[by] > found[key][by]:
            found[key] = row
    return [found[key] for key in sorted(found, key=repr)]


def words(name: str) -> str:
    """A column's name in words: ``total_tokens`` is *total tokens*, ``effective_cost`` is *spend*."""
    known = {"effective_cost": "spend", "requests_count": "requests", "errors_count": "failed requests"}
    return known.get(name, name.removesuffix("_ratio").removesuffix("_count").replace("_ms", "").replace("_", " "))
