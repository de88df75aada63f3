"""Exact division of amounts and quantities of an invoice line over its chargeback lines."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

from usage_etl.remainder import round_groups, round_shares


def divide(total: int, weights: Sequence[int], *, keys: Sequence[str]) -> list[int]:
    """``total`` in proportion to ``weights``, in whole steps that add up to it exactly.

    Each part is less than one step from its exact share; a zero weight gets zero; equal remainders are served by the hash of
    ``keys``, so that the order of lines does not matter; a negative total mirrors the positive one.
    Raises ValueError when a weight is negative or all are zero.
    """
    basis = sum(weights)
    if basis <= 0 or min(weights) < 0:
        raise ValueError(f"cannot divide by the weights {list(weights)[:5]}")
    return round_groups([([total * weight for weight in weights], basis)], tie_keys=keys)


def in_whole_units(amounts: Sequence[Decimal], unit: Decimal, *, keys: Sequence[str]) -> list[Decimal]:
    """``amounts`` in whole multiples of ``unit``, with the sum that they had: largest remainder, ties by the hash of ``keys``.

    Amounts that are whole stay as they are. Raises ValueError when the sum is no whole number of units.
    """
    units = [Fraction(amount) / Fraction(unit) for amount in amounts]
    if sum(units, Fraction(0)).denominator != 1:
        raise ValueError(f"the amounts do not add up to a whole number of {unit}")
    parts = round_shares([(found.numerator, found.denominator) for found in units], tie_keys=keys)
    with localcontext() as context:
        context.prec = 76
        return [part * unit for part in parts]


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
