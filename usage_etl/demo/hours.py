"""At which hours and on which days work happens, in each place's own time."""

from __future__ import annotations

import datetime as dt
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

from usage_etl.demo.features import Feature
from usage_etl.demo.requests import MICROSECONDS, day_seconds
from usage_etl.demo.scenario import Scenario

_OFFICE = (0, 0, 0, 0, 0, 1, 3, 10, 34, 62, 78, 74, 42, 58, 76, 72, 58, 36, 15, 8, 6, 4, 2, 1)
_NIGHT = (40, 60, 70, 50, 20, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 6, 14, 26)
_ALWAYS = (26, 24, 22, 22, 24, 28, 34, 42, 52, 60, 64, 62, 56, 58, 62, 60, 54, 46, 40, 36, 34, 32, 30, 28)
_PROFILES = {"office": _OFFICE, "night": _NIGHT, "always": _ALWAYS}
_HOURS = tuple(range(24))
_WEEKDAY = (0.97, 1.08, 1.1, 1.04, 0.81)
_PUBLIC_HOLIDAYS = frozenset({(9, 7), (11, 26), (12, 25), (1, 1), (7, 4)})
"""Month and day of 2026's days off in the United States that fall into likely windows."""


@cache
def _utc_offset_seconds(zone: str, day: dt.date) -> int:
    """Offset at noon; daylight saving moves it between days, not within one."""
    offset = ZoneInfo(zone).utcoffset(dt.datetime.combine(day, dt.time(12)))
    return round(offset.total_seconds()) if offset else 0


def instant(random: Random, *, zone: str, day: dt.date, hours: str) -> int:
    """A random working instant of the local ``day``, in microseconds UTC."""
    hour = random.choices(_HOURS, _PROFILES[hours])[0]
    local_seconds = day_seconds(day) + hour * 3600 + random.random() * 3600
    return round((local_seconds - _utc_offset_seconds(zone, day)) * MICROSECONDS)


def is_weekend(day: dt.date) -> bool:
    """Whether most people are off: weekends and public holidays."""
    return day.weekday() >= 5 or (day.month, day.day) in _PUBLIC_HOLIDAYS


def growth(scenario: Scenario, day: dt.date) -> float:
    """Adoption: 1 on the first day, about 1.65 after 95, and faster at first than later."""
    elapsed = (day - scenario.first_day).days / 95
    return float(1 + 0.65 * max(0.0, elapsed) ** 0.8)


def weekday_level(day: dt.date, weekend_ratio: float) -> float:
    """Level of a usual day of that weekday."""
    return weekend_ratio if is_weekend(day) else _WEEKDAY[day.weekday()]


def season_level(random: Random, feature: Feature, day: dt.date) -> float:
    """Finance peaks around the end of the month; incidents come in bursts."""
    if feature.season == "month_end":
        days_left = (day.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - day
        return 2.1 if day.day <= 3 or days_left.days <= 2 else 0.85
    if feature.season == "burst":
        return 0.55 + random.expovariate(2.2)
    return 1.0
