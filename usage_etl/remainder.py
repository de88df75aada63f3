"""Whole minor units out of exact shares: nothing lost, nothing invented, in any order of the lines.

The largest-remainder rule: every share is cut to whole units, and the units still missing go one each to the
lines that lost most. All arithmetic is on Python integers, so there is no magnitude at which it turns inexact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import polars as pl

from usage_etl.money import MONEY, MONEY_SCALE

ATTOS = 10**MONEY_SCALE
"""Stored resolution of money: one currency unit in the lake's smallest step."""

Share = tuple[int, int]
"""An exact amount as (numerator, positive denominator), not necessarily reduced."""

ShareGroup = tuple[Sequence[int], int]
"""Exact amounts that share a positive denominator: their numerators, and it."""

_FIRST_BITS = 60


def largest_remainder(total: Decimal, weights: Sequence[Decimal], *, unit: Decimal, tie_keys: Sequence[str]) -> list[Decimal]:
    """Split ``total`` in proportion to ``weights``, each part a whole multiple of ``unit``, in the order given.

    The parts add up to ``total`` exactly; each is less than one unit away from its exact share; a zero weight gets
    zero; equal remainders are served in the order of a hash of ``tie_keys``, so neither the order of the lines nor
    the alphabet favours anyone. A negative total mirrors the positive one.

    Raises ValueError when ``total`` is not a whole number of units, a weight is negative, keys repeat, or a total
    other than zero has no weight to go by: who then pays is the caller's decision (it is a line of its own).
    """
    if len(weights) != len(tie_keys):
        raise ValueError(f"{len(weights)} weights for {len(tie_keys)} keys")
    units = Fraction(total) / Fraction(unit)
    if units.denominator != 1:
        raise ValueError(f"{total} is not a whole number of {unit}")
    whole = [Fraction(weight) for weight in weights]
    if any(weight < 0 for weight in whole):
        raise ValueError("a weight is negative")
    basis = sum(whole, Fraction(0))
    if basis == 0:
        if total != 0:
            raise ValueError(f"no weight to split {total} by")
        return [Decimal(0)] * len(whole)
    shares = [units * weight / basis for weight in whole]
    parts = round_shares([(share.numerator, share.denominator) for share in shares], tie_keys=tie_keys)
    with localcontext() as context:
        context.prec = 76
        return [part * unit for part in parts]


def round_shares(shares: Sequence[Share], *, tie_keys: Sequence[str]) -> list[int]:
    """Whole units for exact shares of any sign, given in units; they add up to ``round_half_even`` of the shares' exact sum.

    Each result is less than one unit away from its share, and a share that is whole stays as it is. Negating every
    share negates every result. Raises ValueError when keys repeat.
    """
    return round_groups([((numerator,), denominator) for numerator, denominator in shares], tie_keys=tie_keys)


def round_groups(groups: Sequence[ShareGroup], *, tie_keys: Sequence[str]) -> list[int]:
    """``round_shares`` of many shares of which groups have one denominator: results and keys in order, group after group."""
    if len(set(tie_keys)) != sum(len(numerators) for numerators, _ in groups):
        raise ValueError("tie keys must be unique, one for each share")
    exact_total = sum((Fraction(sum(numerators), denominator) for numerators, denominator in groups), Fraction(0))
    sign = -1 if exact_total < 0 else 1
    floors: list[int] = []
    losses: list[int] = []
    denominators: list[int] = []
    for numerators, denominator in groups:
        signed = [sign * numerator for numerator in numerators]
        floors += [numerator // denominator for numerator in signed]
        losses += [numerator % denominator for numerator in signed]
        denominators += [denominator] * len(signed)
    for index in _largest_losses(losses, denominators, tie_keys, round_half_even(sign * exact_total) - sum(floors)):
        floors[index] += 1
    return [sign * floor for floor in floors]


def round_half_even(amount: Fraction) -> int:
    """Nearest whole number; halves go to the even neighbour (what ``round`` does with a Fraction)."""
    return round(amount)


def stable_hash(key: str) -> str:
    """Hash that orders equal remainders the same way on every machine and in every run."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def to_attos(amounts: pl.Series) -> list[int | None]:
    """Money column as whole attos (1e-18 of the currency unit): exact integers of any size."""
    return amounts.cast(MONEY).to_physical().to_list()


def from_attos(values: Sequence[int | None], name: str) -> pl.Series:
    """Money column from whole attos; the inverse of ``to_attos``."""
    return pl.Series(name, values, dtype=pl.Int128).reinterpret(dtype=MONEY)


def _largest_losses(losses: Sequence[int], denominators: Sequence[int], tie_keys: Sequence[str], count: int) -> list[int]:
    """The ``count`` lines with the largest exact losses, ties by key hash.

    Losses are compared by their first bits. Of those that agree with the last one served in these, the exact order decides:
    fractions that differ do so by at least the inverse of the product of their denominators, so scaling by twice as many
    bits keeps their order and their equality.
    """
    if count == 0:
        return []
    ranks = [(loss << _FIRST_BITS) // denominator for loss, denominator in zip(losses, denominators, strict=True)]
    last = sorted(ranks, reverse=True)[count - 1]
    served = [index for index, rank in enumerate(ranks) if rank > last]
    even = [index for index, rank in enumerate(ranks) if rank == last]
    bits = 2 * max(denominators[index].bit_length() for index in even) + 1

    def order(index: int) -> tuple[int, str]:
        return -((losses[index] << bits) // denominators[index]), stable_hash(tie_keys[index])

    return served + sorted(even, key=order)[: count - len(served)]
