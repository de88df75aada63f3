"""Exact money: one scale in the lake, minor units at publication, never a float."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation, localcontext

import polars as pl

MONEY_PRECISION = 38
MONEY_SCALE = 18
MONEY = pl.Decimal(MONEY_PRECISION, MONEY_SCALE)
"""Polars type of every amount and unit price in the lake; always beside a currency column."""

MAX_AMOUNT = Decimal(10) ** 12
"""Largest absolute amount accepted on one row; anything above is quarantined."""

MAX_TOKENS = 10**13
"""Largest token count accepted on one row; anything above is quarantined."""

MAX_QUANTITY = Decimal(10) ** 18
"""Smallest quantity of a period, tokens, requests or money, that is refused as a slip of the pen."""

_MINOR_UNIT_DIGITS = {"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
                      "CLP": 0, "ISK": 0, "JPY": 0, "KRW": 0, "PYG": 0, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0}  # fmt: skip


def minor_unit_digits(currency: str) -> int:
    """ISO 4217 exponent of ``currency``; 2 where the standard's usual exponent holds."""
    return _MINOR_UNIT_DIGITS.get(currency.upper(), 2)


def minor_unit(currency: str) -> Decimal:
    """Smallest payable amount of ``currency``, for example ``Decimal("0.01")`` for USD."""
    return Decimal(1).scaleb(-minor_unit_digits(currency))


_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def parse_amount(text: str | int | Decimal) -> Decimal:
    """Exact amount from a provider's cell: plain ASCII digits, an optional point, sign and exponent.

    Raises ValueError unless it is a finite decimal, below ``MAX_AMOUNT`` and with at most 18 decimals.
    """
    return _parse_exact(text, MAX_AMOUNT)


def parse_quantity(text: str) -> Decimal:
    """Exact quantity from a cell, money or a count: as ``parse_amount``, but up to what may be counted over a period."""
    return _parse_exact(text, MAX_QUANTITY)


def parse_count(text: str) -> int:
    """Whole number from a cell, read as ``parse_quantity`` reads it. Raises ValueError."""
    quantity = parse_quantity(text)
    if quantity != quantity.to_integral_value():
        raise ValueError(f"not a whole number: {text!r}")
    return int(quantity)


def _parse_exact(text: str | int | Decimal, limit: Decimal) -> Decimal:
    if isinstance(text, float | bool):  # a float has already lost digits
        raise ValueError(f"money arrived as {type(text).__name__}: {text!r}")
    if isinstance(text, str) and _NUMBER.fullmatch(text) is None:
        raise ValueError(f"not a decimal number: {text!r}")
    try:
        amount = Decimal(text)
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"not a decimal number: {text!r}") from error
    if not amount.is_finite():
        raise ValueError(f"not a finite amount: {text!r}")
    if abs(amount) >= limit:
        raise ValueError(f"amount out of range: {text!r}")
    with localcontext() as context:
        context.prec = MONEY_PRECISION
        quantized = amount.quantize(Decimal(1).scaleb(-MONEY_SCALE))
    if quantized != amount:
        raise ValueError(f"more than {MONEY_SCALE} decimals: {text!r}")
    return amount


def exact_sum(amounts: Iterable[Decimal | None]) -> Decimal:
    """Sum in Python integers, the referee for every Polars sum that is published. Null counts as absent."""
    with localcontext() as context:
        context.prec = 76
        return sum((amount for amount in amounts if amount is not None), Decimal(0))


def amount_text(amount: Decimal) -> str:
    """An amount for people: all digits that mean something, and at least two decimals."""
    whole, _, fraction = f"{amount:f}".partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
