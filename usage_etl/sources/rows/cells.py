"""Reads the cells of billing and usage records exactly; a cell that cannot be read becomes a named fault, never a guess."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from usage_etl.money import MAX_TOKENS, MONEY_SCALE, parse_amount
from usage_etl.sources.reading.exact_json import JsonNumber

_DECIMAL = re.compile(r"[+-]?(\d{1,64}(\.\d{0,256})?|\.\d{1,256})([eE][+-]?\d{1,3})?", re.ASCII)
_EARLIEST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_LATEST = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
_FINEST = Decimal(1).scaleb(-MONEY_SCALE)


class Cells:
    """Cells of one record. Readers return a harmless stand-in for a bad cell and note ``<column>__<rule>`` in ``faults``."""

    def __init__(self, faults: Iterable[str] = ()) -> None:
        self.faults = list(faults)

    def fault(self, column: str, rule: str) -> None:
        """Note that ``column`` breaks ``rule``."""
        self.faults.append(f"{column}__{rule}")

    def amount(self, cell: Any, column: str, *, minor_digits: int = 0) -> Decimal:
        """Exact amount in whole currency units from a cell in units of ``10 ** -minor_digits``.

        A JSON number with more than 18 decimals can only be the tail of the provider's own float: it is rounded half
        to even at the 18th. Text with more than 18 significant decimals is a fault.
        """
        if cell is None or cell == "":
            self.fault(column, "missing")
            return Decimal(0)
        exact = _decimal(cell)
        if exact is None:
            self.fault(column, "not_a_decimal")
            return Decimal(0)
        shifted = _shifted(exact, -minor_digits)
        try:
            return _at_scale(parse_amount(_at_scale(shifted) if isinstance(cell, JsonNumber) else shifted))
        except ValueError as error:
            self.fault(column, "too_many_decimals" if "decimals" in str(error) else "out_of_range")
            return Decimal(0)

    def quantity(self, cell: Any, column: str, *, block_digits: int = 0) -> Decimal | None:
        """Exact quantity from a cell that counts blocks of ``10 ** block_digits``; null where the cell is null.

        More than 18 decimals are rounded as in ``amount``: a quantity is shown, not booked.
        """
        if cell is None:
            return None
        exact = _decimal(cell)
        if exact is None:
            self.fault(column, "not_a_decimal")
            return None
        quantity = _shifted(exact, block_digits)
        if abs(quantity) > MAX_TOKENS:
            self.fault(column, "out_of_range")
            return None
        return _at_scale(quantity)

    def whole(self, cell: Any, column: str, *, is_required: bool = False, most: int = MAX_TOKENS) -> int | None:
        """Count from 0 to ``most``; ``10.0`` is 10. Null where an optional cell is null."""
        if cell is None:
            if is_required:
                self.fault(column, "missing")
            return None
        exact = _decimal(cell)
        if exact is None:
            self.fault(column, "not_a_number")
        elif abs(exact) > most:
            self.fault(column, "out_of_range")
        elif exact != int(exact):
            self.fault(column, "not_whole")
        elif exact < 0:
            self.fault(column, "negative")
        else:
            return int(exact)
        return None

    def text(self, cell: Any, column: str) -> str | None:
        """Text as sent; null where it is null or blank."""
        if cell is None:
            return None
        if not isinstance(cell, str) or isinstance(cell, JsonNumber):
            self.fault(column, "not_text")
            return None
        if _is_unstorable(cell):
            self.fault(column, "unreadable_text")
            return None
        return cell if cell.strip() else None

    def flag(self, cell: Any, column: str) -> bool | None:
        """True or false, also as a word in any case; null where it is null or blank."""
        if cell is None or isinstance(cell, bool):
            return cell
        word = cell.strip().lower() if isinstance(cell, str) else ""
        if word in ("true", "false", ""):
            return word == "true" if word else None
        self.fault(column, "not_true_or_false")
        return None

    def currency(self, cell: Any, column: str) -> str:
        """ISO 4217 code in upper case."""
        code = self.text(cell, column)
        if code is None:
            self.fault(column, "missing")
        elif not re.fullmatch(r"[A-Za-z]{3}", code):
            self.fault(column, "not_iso_4217")
        else:
            return code.upper()
        return "XXX"

    def unix_instant(self, cell: Any, column: str) -> dt.datetime:
        """UTC instant from whole seconds since 1970; milliseconds fall outside the accepted years."""
        seconds = self.whole(cell, column, is_required=True)
        if seconds is None:
            return _EARLIEST
        if not _EARLIEST.timestamp() <= seconds < _LATEST.timestamp():
            self.fault(column, "not_unix_seconds")
            return _EARLIEST
        return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)

    def rfc3339_instant(self, cell: Any, column: str) -> dt.datetime:
        """UTC instant from RFC 3339 text; a time without its offset is a fault."""
        try:
            instant = dt.datetime.fromisoformat(str(cell))
        except ValueError:
            self.fault(column, "missing" if cell is None else "not_rfc_3339")
            return _EARLIEST
        if instant.tzinfo is None:
            self.fault(column, "without_offset")
            return _EARLIEST
        if not _EARLIEST <= instant < _LATEST:
            self.fault(column, "out_of_range")
            return _EARLIEST
        return instant.astimezone(dt.UTC)


def _decimal(cell: Any) -> Decimal | None:
    """Finite decimal from a JSON number or a plain decimal text; nothing else is money or a count."""
    return Decimal(cell) if isinstance(cell, str) and _DECIMAL.fullmatch(cell) else None


def _shifted(exact: Decimal, digits: int) -> Decimal:
    """``exact`` times ``10 ** digits``, without rounding."""
    sign, coefficient, exponent = exact.as_tuple()
    assert isinstance(exponent, int), "a finite decimal has a whole exponent"
    return Decimal((sign, coefficient, exponent + digits))


def _at_scale(exact: Decimal) -> Decimal:
    """``exact`` with 18 decimals, rounded half to even; unchanged where it is far out of range anyway."""
    if exact.adjusted() > MONEY_SCALE:
        return exact
    with localcontext() as context:
        context.prec = 2 * MONEY_SCALE + 2
        return exact.quantize(_FINEST, rounding=ROUND_HALF_EVEN)


def _is_unstorable(text: str) -> bool:
    """Whether UTF-8 cannot hold ``text`` (a lone surrogate), or it holds a NUL."""
    return "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text))
