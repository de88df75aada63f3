"""Spans of days, half-open: which days they cover, which they leave out, and what is in force on each."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

T = TypeVar("T")
OPEN_END = dt.date.max
"""Exclusive end of a span that is open."""


class Span(NamedTuple):
    """Days from ``start`` up to, not including, ``end``."""

    start: dt.date
    end: dt.date

    def __str__(self) -> str:
        """For messages: one day, both ends included, or open."""
        if self.end == OPEN_END:
            return f"from {self.start} on"
        last = self.end - dt.timedelta(days=1)
        return f"on {self.start}" if last == self.start else f"on {self.start} to {last}"


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same days in as few spans as possible, in order."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def left_out(wanted: Span, covered: Sequence[Span]) -> list[Span]:
    """Days of ``wanted`` that ``covered``, merged and in order, does not hold."""
    missing = []
    start = wanted.start
    for span in covered:
        if span.end <= start:
            continue
        if span.start >= wanted.end:
            break
        if span.start > start:
            missing.append(Span(start, span.start))
        start = max(start, span.end)
    if start < wanted.end:
        missing.append(Span(start, wanted.end))
    return missing


def pieces(items: Sequence[tuple[Span, T]]) -> Iterator[tuple[Span, list[T]]]:
    """The days between the first start and the last end, cut where anything begins or ends, with what is in force."""
    begins: dict[dt.date, list[int]] = defaultdict(list)
    ends: dict[dt.date, list[int]] = defaultdict(list)
    for index, (span, _) in enumerate(items):
        begins[span.start].append(index)
        ends[span.end].append(index)
    in_force: dict[int, T] = {}
    for start, end in pairwise(sorted(begins.keys() | ends.keys())):
        for index in ends[start]:
            del in_force[index]
        in_force |= {index: items[index][1] for index in begins[start]}
        yield Span(start, end), list(in_force.values())


def runs(judged: Iterable[tuple[Span, str | None]]) -> Iterator[tuple[str, Span]]:
    """Faults of pieces in order, neighbours with the same text joined; pieces without a fault are left out."""
    open_text, open_span = None, None
    for span, text in judged:
        if open_span is not None and text == open_text and span.start == open_span.end:
            open_span = Span(open_span.start, span.end)
            continue
        if open_text is not None and open_span is not None:
            yield open_text, open_span
        open_text, open_span = text, span
    if open_text is not None and open_span is not None:
        yield open_text, open_span
