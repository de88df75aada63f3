"""Spans of days against a model that looks at every single day."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from usage_etl.config.spans import OPEN_END, Span, left_out, merged, pieces, runs
from usage_etl.periods import days_between

FIRST = dt.date(2026, 1, 1)


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def days_of(spans: list[Span]) -> list[dt.date]:
    return [one for span in spans for one in days_between(span.start, span.end)]


SPANS = st.builds(lambda start, length: Span(day(start), day(start + length)), st.integers(0, 30), st.integers(1, 12))


@given(st.lists(SPANS, max_size=8))
def test_merged_spans_hold_the_same_days_once(spans: list[Span]) -> None:
    joined = merged(spans)
    assert days_of(joined) == sorted(set(days_of(spans)))
    assert all(later.start > earlier.end for earlier, later in pairwise(joined))


@given(SPANS, st.lists(SPANS, max_size=8))
def test_left_out_days_are_those_that_nothing_covers(wanted: Span, spans: list[Span]) -> None:
    assert days_of(left_out(wanted, merged(spans))) == sorted(set(days_of([wanted])) - set(days_of(spans)))


@given(st.lists(SPANS, max_size=8))
def test_pieces_say_what_is_in_force_on_each_day(spans: list[Span]) -> None:
    seen = {one: sorted(names) for span, names in pieces(list(zip(spans, range(8), strict=False)))
            for one in days_between(span.start, span.end)}  # fmt: skip
    covered = days_of(spans)
    for one in days_between(min(covered), max(covered) + dt.timedelta(days=1)) if covered else ():
        assert seen.pop(one) == [number for number, span in enumerate(spans) if span.start <= one < span.end]
    assert seen == {}


def test_neighbours_with_one_fault_are_one_run_and_sound_days_part_two() -> None:
    judged = [(Span(day(n), day(n + 1)), text) for n, text in enumerate(["a", "a", None, "a", "b"])]
    assert list(runs(judged)) == [("a", Span(day(0), day(2))), ("a", Span(day(3), day(4))), ("b", Span(day(4), day(5)))]


def test_days_between_two_faults_are_not_among_them() -> None:
    judged = [(Span(day(0), day(1)), "a"), (Span(day(2), day(3)), "a")]
    assert list(runs(judged)) == [("a", Span(day(0), day(1))), ("a", Span(day(2), day(3)))]


def test_spans_are_written_as_people_count() -> None:
    assert str(Span(day(0), day(1))) == "on 2026-01-01"
    assert str(Span(day(0), day(3))) == "on 2026-01-01 to 2026-01-03"
    assert str(Span(day(0), OPEN_END)) == "from 2026-01-01 on"
