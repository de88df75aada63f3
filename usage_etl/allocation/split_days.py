"""Members that the directories divide, day by day, with the part of each row."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction

import polars as pl

from usage_etl.allocation.owners import percent
from usage_etl.periods import Month

Named = tuple[tuple[str, ...], Fraction]
"""What one directory row names, and its part of the member."""


def split_days(
    directory: pl.DataFrame, key: str, columns: Sequence[str], *, month: Month, also: Collection[str] = ()
) -> Iterator[tuple[dt.date, str, list[Named]]]:
    """(day, member, what its rows name with parts that add up to one) of members with several rows in force on the day.

    Members in ``also`` are given on every day on which any row of theirs is in force.
    """
    spans = _spans(directory, key, columns, month, also)
    for day in month.days() if spans else ():
        on_day: dict[str, list[Named]] = defaultdict(list)
        for start, end, member, named in spans:
            if start <= day and (end is None or day < end):
                on_day[member].append(named)
        for member, rows in on_day.items():
            total = sum((share for _, share in rows), Fraction(0))
            if (len(rows) > 1 or member in also) and total:
                yield day, member, [(names, share / total) for names, share in rows if share]


def _spans(
    directory: pl.DataFrame, key: str, columns: Sequence[str], month: Month, also: Collection[str]
) -> list[tuple[dt.date, dt.date | None, str, Named]]:
    """Rows in force in the month of members that may be divided in it."""
    overlapping = directory.filter(
        pl.col("valid_from") <= month.last_day, pl.col("valid_to").is_null() | (pl.col("valid_to") > month.first_day)
    )
    several = overlapping.filter((pl.len().over(key) > 1) | pl.col(key).is_in(list(also)))
    ordered = several.select("valid_from", "valid_to", key, "split_pct", *columns).sort(key, *columns, "valid_from")
    return [(start, end, member, (tuple(names), percent(share))) for start, end, member, share, *names in ordered.iter_rows()]
