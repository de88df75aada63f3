"""Text columns to typed ones without silent loss: what does not convert stays visible as "text, but no value"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import polars as pl

INSTANT_FORMATS = (
    "%Y-%m-%d %H:%M:%S.%6f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
)
"""Accepted spellings of an instant, the usual one first. Without a zone it is UTC."""

_EXACT_FLOAT = 2**53


def instants(text: pl.Series) -> pl.Series:
    """UTC instants with microseconds; null where ``text`` is null or in no accepted spelling."""
    parsed = _instants_as(INSTANT_FORMATS[0], text)
    for spelling in INSTANT_FORMATS[1:]:
        parsed = _retried(parsed, text, partial(_instants_as, spelling))
    return parsed


def counts(text: pl.Series) -> pl.Series:
    """Whole numbers, also when written ``12.0`` or ``1e3``; null where ``text`` is null or no whole number of 64 bits."""
    return _retried(text.cast(pl.Int64, strict=False), text, _whole_floats)


def milliseconds(text: pl.Series) -> pl.Series:
    """Whole milliseconds, rounded; null where ``text`` is null or no finite number."""
    return _retried(text.cast(pl.Int64, strict=False), text, lambda rest: _exact(numbers(rest).round()))


def numbers(text: pl.Series) -> pl.Series:
    """Float64 numbers; null where ``text`` is null, no number, or not finite."""
    parsed = text.cast(pl.Float64, strict=False)
    return parsed.set(~parsed.is_finite(), None) if not parsed.is_finite().all() else parsed


def _instants_as(spelling: str, text: pl.Series) -> pl.Series:
    return text.str.to_datetime(spelling, time_unit="us", time_zone="UTC", strict=False)


def _whole_floats(text: pl.Series) -> pl.Series:
    parsed = numbers(text)
    return _exact(parsed.set(parsed != parsed.floor(), None))


def _exact(parsed: pl.Series) -> pl.Series:
    return parsed.set(parsed.abs() >= _EXACT_FLOAT, None).cast(pl.Int64)


def _retried(parsed: pl.Series, text: pl.Series, convert: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """``parsed`` with the rows that have text but no value converted another way; costs nothing when there are none."""
    if parsed.null_count() == text.null_count():
        return parsed
    rows = (parsed.is_null() & text.is_not_null()).arg_true()
    return parsed.scatter(rows, convert(text.gather(rows)))
