"""Amounts that are printed rounded and still add up: largest remainder."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext

from usage_etl.reports.formatting import rounded


def tied_amounts(amounts: Sequence[Decimal | None], *, unit: Decimal) -> list[Decimal | None]:
    """``amounts`` in whole units whose sum is the rounded sum; each is less than one unit from its exact value.

    Null stays null. Of equal remainders the earlier amount is served first.
    """
    with localcontext() as context:
        context.prec = 76
        known = [(index, amount) for index, amount in enumerate(amounts) if amount is not None]
        floors = {index: amount.quantize(unit, rounding=ROUND_FLOOR) for index, amount in known}
        total = rounded(sum((amount for _, amount in known), Decimal(0)), unit)
        missing = int((total - sum(floors.values(), Decimal(0))) / unit)
        by_remainder = sorted(known, key=lambda pair: (floors[pair[0]] - pair[1], pair[0]))
        for index, _ in by_remainder[:missing]:
            floors[index] += unit
    return [floors.get(index) for index in range(len(amounts))]
