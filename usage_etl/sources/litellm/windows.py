"""Which spans of time of a growing table are looked at again, from what of it is landed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from usage_etl.periods import day_start

_BEYOND = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Span:
    """Half-open span of time."""

    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class Landed:
    """The newest landed version of each window of one table; a version is the time of the pull and the window's mark."""

    versions: Mapping[str, str]
    prefix: str

    @classmethod
    def of(cls, prefix: str, known: Collection[tuple[str, str]]) -> Landed:
        """The windows below ``prefix`` among everything landed."""
        versions: dict[str, str] = {}
        for key, version in known:
            if key.startswith(prefix):
                versions[key] = max(version, versions.get(key, ""))
        return cls(versions, prefix)

    def mark(self, key: str) -> str | None:
        """Mark that the window had when it was last landed; null where it never was."""
        version = self.versions.get(key)
        return None if version is None else version.partition("Z-")[2]

    def starts(self) -> list[dt.datetime]:
        """Starts of the landed windows, in order."""
        names = [key.removeprefix(self.prefix)[:16] for key in self.versions]
        return sorted(dt.datetime.fromisoformat(name).replace(tzinfo=dt.UTC) for name in names)


def spans_to_check(landed: Landed, *, first_day: dt.date, trailing_days: int, pulled_at: dt.datetime) -> list[Span]:
    """All time from ``first_day`` on that is not settled.

    That is what lies before the first landed window, and what follows from ``trailing_days`` before the last one on. Rows
    may begin in the future by a clock that is wrong: the last span has no end, and such windows are no sign of how far was
    read.
    """
    start = day_start(first_day)
    starts = [at for at in landed.starts() if at <= pulled_at]
    if not starts:
        return [Span(start, _BEYOND)]
    resumed = max(start, day_start(starts[-1].date()) - dt.timedelta(days=trailing_days))
    before = Span(start, min(starts[0], resumed))
    return [*([before] if before.start < before.end else []), Span(resumed, _BEYOND)]
