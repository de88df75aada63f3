"""Text columns to typed ones without silent loss: what does not convert stays visible as "text, but no value"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial

import polars as pl

from usage_etl.money import MONEY

INSTANT_FORMATS = (
    "%Y-%m-%d %H:%M:%S.%6f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
)
"""Accepted spellings of an instant, the usual one first. Without a zone it is UTC."""

_EXACT_FLOAT = 2**53
_PLAIN_DECIMAL = r"^[+-]?(\d{1,20}(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_MICROS = {"s": Decimal(10**6), "ms": Decimal(10**3), "us": Decimal(1), "ns": Decimal("0.001")}
_LAST_MICROS = Decimal(9_223_372_036_854_775)


def instants(text: pl.Series, spellings: Sequence[str] = INSTANT_FORMATS, zone: str = "UTC") -> pl.Series:
    """UTC instants with microseconds; null where ``text`` is null or in none of ``spellings``.

    Text without a zone is of ``zone``: the earlier of two instants where clocks are set back, none where they skip it.
    """
    parsed = _instants_as(spellings[0], zone, text)
    for spelling in spellings[1:]:
        parsed = _retried(parsed, text, partial(_instants_as, spelling, zone))
    return parsed


def instant_text(text: pl.Expr, spelling: str, zone: str) -> pl.Expr:
    """UTC instants from texts in one spelling; null where one is written otherwise."""
    if zone == "UTC" or "%z" in spelling or "%#z" in spelling:
        return text.str.to_datetime(spelling, time_unit="us", time_zone="UTC", strict=False, cache=False)
    local = text.str.to_datetime(spelling, time_unit="us", strict=False, cache=False)
    return local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def epochs(text: pl.Series, unit: str) -> pl.Series:
    """UTC instants with microseconds from numbers since 1970 in ``unit``: ``s``, ``ms``, ``us`` or ``ns``.

    Digits count, not floats: ``1763545200.123457`` seconds is exact to the microsecond. Null where ``text`` is null, no
    number, or outside the years 1970 to 2261.
    """
    return _retried(_whole_epochs(text, unit), text, partial(_exact_epochs, unit=unit))


def _whole_epochs(text: pl.Series, unit: str) -> pl.Series:
    """Whole numbers within range, as nearly all epochs are written; the others stay null."""
    last = int(_LAST_MICROS / _MICROS[unit])
    n = pl.when(pl.col("n").is_between(0, last)).then("n")
    micros = n * int(_MICROS[unit]) if unit != "ns" else n // 1000 + _rounds_up(n).cast(pl.Int64)
    found = text.cast(pl.Int64, strict=False).to_frame("n").select(micros).to_series()
    return found.cast(pl.Datetime("us", "UTC")).alias(text.name)


def _rounds_up(nanos: pl.Expr) -> pl.Expr:
    """Whether the microsecond after is the nearer one, or as near and even."""
    rest, is_odd = nanos % 1000, (nanos // 1000) % 2 == 1
    return (rest > 500) | ((rest == 500) & is_odd)


def _exact_epochs(text: pl.Series, unit: str) -> pl.Series:
    exact, factor = decimals(text), _MICROS[unit]
    in_range = exact.is_between(Decimal(0), Decimal(int(_LAST_MICROS / factor))).fill_null(value=False)
    micros = exact.set(~in_range, None).to_frame("n").select((pl.col("n") * pl.lit(factor)).round(0)).to_series()
    return micros.cast(pl.Int64).cast(pl.Datetime("us", "UTC")).alias(text.name)


def decimals(text: pl.Series) -> pl.Series:
    """Exact ``Decimal(38, 18)``; null where ``text`` is null or not a plain ASCII decimal with at most 20 whole digits.

    Digits after the 18th decimal are rounded half to even: they can only be the tail of a float at the origin.
    """
    plain = text.set(~text.str.contains(_PLAIN_DECIMAL).fill_null(value=False), None)
    return plain.cast(MONEY, strict=False)


def counts(text: pl.Series) -> pl.Series:
    """Whole numbers, also when written ``12.0`` or ``1e3``; null where ``text`` is null or no whole number of 64 bits."""
    return _retried(text.cast(pl.Int64, strict=False), text, _whole_floats)


def milliseconds(text: pl.Series, *, factor: int = 1) -> pl.Series:
    """Whole milliseconds from numbers of ``factor`` milliseconds, rounded; null where ``text`` is null or no finite number."""
    if factor != 1:
        return _exact((numbers(text) * factor).round())
    return _retried(text.cast(pl.Int64, strict=False), text, lambda rest: _exact(numbers(rest).round()))


def numbers(text: pl.Series) -> pl.Series:
    """Float64 numbers; null where ``text`` is null, no number, or not finite."""
    parsed = text.cast(pl.Float64, strict=False)
    return parsed.set(~parsed.is_finite(), None) if not parsed.is_finite().all() else parsed


def _instants_as(spelling: str, zone: str, text: pl.Series) -> pl.Series:
    return text.to_frame("text").select(instant_text(pl.col("text"), spelling, zone)).to_series().alias(text.name)


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
