"""Numbers, money, dates and names as people read them. Each figure is formatted here, once."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext

from usage_etl.money import minor_unit

NBSP = "\u00a0"
MINUS = "\u2212"
NO_DATA = "no data"
TIMES = "\u00d7"
NOT_APPLICABLE = "\u2013"
MAX_NAME_LENGTH = 64

_MONTHS = ("January", "February", "March", "April", "May", "June", "July",
           "August", "September", "October", "November", "December")  # fmt: skip
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


def rounded(amount: Decimal, unit: Decimal) -> Decimal:
    """``amount`` to whole multiples of ``unit`` (a power of ten), halves away from zero."""
    with localcontext() as context:
        context.prec = 76
        return amount.quantize(unit, rounding=ROUND_HALF_UP)


def _grouped(amount: Decimal, unit: Decimal) -> str:
    places = max(0, -int(unit.as_tuple().exponent))
    return f"{abs(rounded(amount, unit)):,.{places}f}"


def _signed(text: str, amount: Decimal | int, unit: Decimal, *, plus: bool = False) -> str:
    settled = rounded(Decimal(amount), unit)
    if settled < 0:
        return MINUS + text
    return "+" + text if plus and settled > 0 else text


def _with_symbol(number: str, currency: str) -> str:
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{number}" if symbol else f"{currency}{NBSP}{number}"


def money_exact(amount: Decimal, currency: str) -> str:
    """Every minor unit: ``$1,361.73``."""
    unit = minor_unit(currency)
    return _signed(_with_symbol(_grouped(amount, unit), currency), amount, unit)


def money_cell(amount: Decimal, currency: str) -> str:
    """Every minor unit without the currency, for table columns that name it: ``1,361.73``."""
    unit = minor_unit(currency)
    return _signed(_grouped(amount, unit), amount, unit)


def display_unit(amount: Decimal, currency: str) -> Decimal:
    """What ``money_short`` rounds to: minor units for broken amounts below 100, else whole units."""
    return minor_unit(currency) if abs(amount) < 100 and amount != amount.to_integral_value() else Decimal(1)


def money_short(amount: Decimal, currency: str, *, plus: bool = False) -> str:
    """As in a sentence: ``$1,362``, ``$48.20``, ``$1.24M``."""
    if rounded(abs(amount), Decimal(1)) >= 1_000_000:
        return _signed(_with_symbol(_scaled(abs(amount)), currency), amount, Decimal(1), plus=plus)
    unit = display_unit(amount, currency)
    return _signed(_with_symbol(_grouped(amount, unit), currency), amount, unit, plus=plus)


def money_axis(amount: float, currency: str) -> str:
    """Tick label of an axis: ``$0``, ``$2.50``, ``$750``, ``$12.5k``."""
    size = Decimal(str(round(abs(amount), 6)))
    if size >= 10_000:
        number = _scaled(size)
        head, suffix = number[:-1], number[-1]
        number = (head.rstrip("0").rstrip(".") if "." in head else head) + suffix
    elif size == size.to_integral_value():
        number = f"{size:,.0f}"
    else:
        number = f"{size:,.2f}"
    return (MINUS if amount < 0 else "") + _with_symbol(number, currency)


def _scaled(size: Decimal) -> str:
    """Three significant digits with k, M, B or T."""
    with localcontext() as context:
        context.prec = 76
        for suffix, factor in (("k", 10**3), ("M", 10**6), ("B", 10**9), ("T", 10**12)):
            scaled = size / factor
            for places, limit in ((2, 10), (1, 100), (0, 1000)):
                shown = rounded(scaled, Decimal(1).scaleb(-places))
                if shown < limit:
                    return f"{shown:.{places}f}{suffix}"
        return f"{rounded(size / 10**12, Decimal(1)):,}T"


def count_full(number: int) -> str:
    """``245,973``."""
    return _signed(f"{abs(number):,}", number, Decimal(1))


def count_compact(number: int) -> str:
    """``9,876``, ``246k``, ``64.9M``, ``1.23B``."""
    if abs(number) < 10_000:
        return count_full(number)
    return _signed(_scaled(Decimal(abs(number))), number, Decimal(1))


def percent(ratio: Decimal, *, plus: bool = False) -> str:
    """A ratio as whole percent, ``59 %``; a share that is not quite 0 is ``<1 %``."""
    if 0 < ratio < Decimal("0.005") and not plus:
        return f"<1{NBSP}%"
    hundredths = rounded(ratio * 100, Decimal(1))
    return _signed(f"{abs(hundredths):,}{NBSP}%", hundredths, Decimal(1), plus=plus)


def percent_floor(ratio: Decimal) -> str:
    """A quality as percent with one decimal, never rounded up: ``100 %`` is really all of it."""
    tenths = (ratio * 100).quantize(Decimal("0.1"), rounding=ROUND_DOWN)
    shown = f"{tenths:.0f}" if tenths in (0, 100) else f"{tenths:.1f}"
    return f"{shown}{NBSP}%"


def multiple(ratio: Decimal) -> str:
    """A factor with its multiplication sign: 1.9 or 22 times."""
    places = Decimal("0.1") if ratio < 10 else Decimal(1)
    return f"{rounded(ratio, places):,}{TIMES}"


def day_label(day: dt.date) -> str:
    """``10 Nov``."""
    return f"{day.day}{NBSP}{_MONTHS[day.month - 1][:3]}"


def day_full(day: dt.date) -> str:
    """``19 November 2026``."""
    return f"{day.day}{NBSP}{_MONTHS[day.month - 1]}{NBSP}{day.year}"


def month_name(day: dt.date) -> str:
    """``November``."""
    return _MONTHS[day.month - 1]


def span_label(days: Sequence[dt.date]) -> str:
    """``10 Nov``, ``10 Nov and 11 Nov`` or ``10 Nov to 12 Nov``."""
    if len(days) > 2:
        return f"{day_label(days[0])} to {day_label(days[-1])}"
    return listed([day_label(day) for day in days])


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """``1 request``, ``3,214 requests``."""
    return f"{count_full(number)} {noun if number == 1 else nouns or noun + 's'}"


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def display_name(name: str, *, limit: int = MAX_NAME_LENGTH) -> str:
    """An outside name made safe to print inside a sentence.

    Control and bidirectional override characters become spaces, long names end in an ellipsis, and a name with
    right-to-left letters is isolated so that it cannot reorder the text around it.
    """
    plain = "".join(" " if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"} else char for char in name)
    plain = " ".join(plain.split()) or "(no name)"
    if len(plain) > limit:
        plain = plain[: limit - 1].rstrip() + "…"
    if any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in plain):
        return f"{_ISOLATE}{plain}{_POP_ISOLATE}"
    return plain
