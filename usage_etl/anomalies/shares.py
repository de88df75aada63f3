"""Who carries how much of a change: Shapley shares of factors, and parts that add up to the last unit.

A change with several causes has no natural order of causes. The Shapley share of a factor is its effect averaged over
every order in which the factors could have moved; it needs no order, treats equals alike and adds up to the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from math import factorial

from usage_etl.money import MONEY_SCALE
from usage_etl.remainder import ATTOS, round_shares

DIGITS = 80
"""Working precision: twice what the lake stores, so that rounding to the lake's unit is all that is ever lost."""

Parts = dict[str, Decimal]
"""Name of a part to its exact amount; parts of one change add up to it."""


def precise() -> Context:
    """Context in which levels and shares are computed."""
    return Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)


def shapley(worth: Callable[[int], Decimal], factors: int) -> list[Decimal]:
    """Share of each of ``factors`` in ``worth(all) - worth(none)``; ``worth`` takes the set of moved factors as bits."""
    everyone = 2**factors - 1
    with localcontext(precise()):
        worths = [worth(moved) for moved in range(everyone + 1)]
        weights = [
            Decimal(factorial(size) * factorial(factors - size - 1)) / Decimal(factorial(factors)) for size in range(factors)
        ]
        return [
            sum(
                (
                    weights[moved.bit_count()] * (worths[moved | 1 << factor] - worths[moved])
                    for moved in range(everyone + 1)
                    if not moved >> factor & 1
                ),
                Decimal(0),
            )
            for factor in range(factors)
        ]


def exact_parts(shares: Mapping[str, Decimal], *, total: Decimal, rest: str) -> Parts:
    """``shares`` in whole attos that add up to ``total``; ``rest`` names the part that takes what no share explains.

    ``total`` is a whole number of attos. Largest remainders decide (``usage_etl.remainder``).
    """
    exact = {name: Fraction(share) * ATTOS for name, share in shares.items()}
    exact[rest] = exact.get(rest, Fraction(0)) + Fraction(total) * ATTOS - sum(exact.values(), Fraction(0))
    names = list(exact)
    units = round_shares([(share.numerator, share.denominator) for share in exact.values()], tie_keys=names)
    with localcontext(precise()):
        return {name: Decimal(unit).scaleb(-MONEY_SCALE) for name, unit in zip(names, units, strict=True)}
