"""Periods are half-open and months know their neighbours; keys never carry an outside name into a path."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.keys import fingerprint, is_slug, safe_name
from usage_etl.periods import Month, contiguous_ranges, days_between

DAYS = st.dates(dt.date(1999, 12, 1), dt.date(2101, 1, 31))


@given(DAYS)
def test_months_meet_without_gap_or_overlap(day: dt.date) -> None:
    month = Month.of(day)
    assert month.first_day <= day <= month.last_day
    assert month.end == month.next.first_day
    assert month.next.previous == month
    assert len(list(month.days())) == month.days_count
    assert Month.parse(str(month)) == Month.parse(month.first_day.isoformat()) == month


@given(st.sets(DAYS, max_size=40))
def test_ranges_cover_exactly_the_days(days: set[dt.date]) -> None:
    ranges = contiguous_ranges(days)
    covered = [day for first, last in ranges for day in days_between(first, last + dt.timedelta(days=1))]
    assert covered == sorted(days)
    assert all(later[0] - earlier[1] > dt.timedelta(days=1) for earlier, later in pairwise(ranges))


@given(st.text(max_size=200), st.text(max_size=200))
def test_names_become_path_safe_and_stay_apart(left: str, right: str) -> None:
    name = safe_name(left)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert (name == safe_name(right)) == (left == right)


@pytest.mark.parametrize("text", ["", "-a", "A", "a/b", "a b", "a" * 41, "ä", "a\n"])
def test_slugs_are_short_and_plain(text: str) -> None:
    assert not is_slug(text)
    assert is_slug("gateway-2_eu")


def test_fingerprints_ignore_order_and_see_content() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
