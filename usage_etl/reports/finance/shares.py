"""Exact division of amounts and quantities of an invoice line over its chargeback lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import polars as pl

from usage_etl.money import MONEY, MONEY_SCALE

ATTOS = 10**MONEY_SCALE
"""Stored resolution of money and quantities: one unit in the lake's smallest step."""


def divide(total: int, weights: Sequence[int], *, keys: Sequence[str]) -> list[int]:
    """``total`` in proportion to ``weights``, in whole steps that add up to it exactly.

    Each part is less than one step from its exact share; a zero weight gets zero; equal remainders are served by the hash of
    ``keys``, so that the order of lines does not matter; a negative total mirrors the positive one.
    Raises ValueError when a weight is negative or all are zero.
    """
    basis = sum(weights)
    if basis <= 0 or min(weights) < 0:
        raise ValueError(f"cannot divide by the weights {list(weights)[:5]}")
    sign = -1 if total < 0 else 1
    parts, losses = zip(*(divmod(abs(total) * weight, basis) for weight in weights), strict=True)
    shares = list(parts)
    by_loss = sorted(range(len(shares)), key=lambda index: (-losses[index], _hash(keys[index])))
    for index in by_loss[: abs(total) - sum(shares)]:
        shares[index] += 1
    return [sign * share for share in shares]


def in_whole_units(amounts: Sequence[Decimal], unit: Decimal, *, keys: Sequence[str]) -> list[Decimal]:
    """``amounts`` in whole multiples of ``unit``, with the sum that they had: largest remainder, ties by the hash of ``keys``.

    Amounts that are whole stay as they are. Raises ValueError when the sum is no whole number of units.
    """
    units = [Fraction(amount) / Fraction(unit) for amount in amounts]
    total = sum(units, Fraction(0))
    if total.denominator != 1:
        raise ValueError(f"the amounts do not add up to a whole number of {unit}")
    floors = [found.numerator // found.denominator for found in units]
    by_loss = sorted(range(len(units)), key=lambda index: (floors[index] - units[index], _hash(keys[index])))
    for index in by_loss[: int(total) - sum(floors)]:
        floors[index] += 1
    with localcontext() as context:
        context.prec = 76
        return [floor * unit for floor in floors]


def weights_of(metered: Sequence[int | None], allocated: Sequence[int]) -> list[int]:
    """By what the measures of one invoice line are divided over its chargeback lines.

    Metered cost, where it was the weight of the split for every line; else what the lines are charged, where all have one
    sign; else metered cost with nothing for lines without it; else the same for each.
    """
    known = [weight or 0 for weight in metered]
    is_usable = min(known) >= 0 and sum(known) > 0
    if is_usable and None not in metered:
        return known
    if sum(allocated) != 0 and (min(allocated) >= 0 or max(allocated) <= 0):
        return [abs(amount) for amount in allocated]
    return known if is_usable else [1] * len(known)


def converted(attos: int, rate: Decimal | None) -> int:
    """``attos`` times ``rate``, rounded half to even to whole attos; unchanged without a rate."""
    return attos if rate is None else round(attos * Fraction(rate))


def to_attos(amounts: pl.Series) -> list[int | None]:
    """Decimal column as whole attos."""
    return amounts.cast(MONEY).to_physical().to_list()


def from_attos(values: Sequence[int | None]) -> list[Decimal | None]:
    """Exact decimals from whole attos; the inverse of ``to_attos``."""
    with localcontext() as context:
        context.prec = 76
        return [None if value is None else Decimal(value).scaleb(-MONEY_SCALE) for value in values]


def _hash(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
