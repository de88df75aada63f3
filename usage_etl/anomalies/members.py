"""Which members of a scope carry a change: keys, models, users, features and teams, adding up to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

import polars as pl

from usage_etl.anomalies.factors import EXPECTATION
from usage_etl.anomalies.profiles import ZERO
from usage_etl.anomalies.series import MEMBERS
from usage_etl.anomalies.shares import exact_parts, precise
from usage_etl.units import NO_MEMBER

NAMED_COUNT = 5
OTHERS = "(others)"
REST = f"({EXPECTATION})"

Pair = tuple[Decimal, Decimal]
"""Numerator and denominator; the denominator of a sum is not used."""


@dataclass(frozen=True)
class Member:
    """One member's part of a change."""

    member_id: str
    change: Decimal
    observed: Decimal | None
    compared: Decimal | None
    """Level a day on the comparison days."""


def member_parts(
    observed: Mapping[str, Pair], compared: Mapping[str, Pair], *, days_count: int, total: Decimal, is_ratio: bool
) -> list[Member]:
    """Parts of ``total`` by member, the largest named, the others together; they add up to ``total``.

    A member's part of a sum is its own change. Its part of a ratio is what its weight and its own ratio, measured from
    the ratio of all on the comparison days, add to the change of the whole.
    """
    names = sorted(observed.keys() | compared.keys())
    none = (ZERO, ZERO)
    with localcontext(precise()):
        if is_ratio:
            shares = _ratio_shares({name: (observed.get(name, none), compared.get(name, none)) for name in names})
        else:
            days = Decimal(max(1, days_count))
            shares = {name: observed.get(name, none)[0] - compared.get(name, none)[0] / days for name in names}
        named = sorted(names, key=lambda name: (-abs(shares[name]), name))[:NAMED_COUNT]
        kept = {name: shares[name] for name in named}
        rest = [name for name in names if name not in kept]
        if rest:
            kept[OTHERS] = sum((shares[name] for name in rest), ZERO)
        parts = exact_parts(kept, total=total, rest=REST)
        return [
            Member(name, part, _level(observed.get(name), 1, is_ratio), _level(compared.get(name), days_count, is_ratio))
            for name, part in parts.items()
        ]


def sums_by_member(rows: pl.DataFrame, kind: str, *, numerator: str, denominator: str | None) -> dict[str, Pair]:
    """Member of ``kind`` to its exact sums; what names no member is ``(none)``."""
    columns = [numerator] if denominator is None else [numerator, denominator]
    grouped = rows.group_by(member_id=MEMBERS[kind].fill_null(NO_MEMBER)).agg(pl.col(columns).sum())
    return {
        row["member_id"]: (Decimal(row[numerator] or 0), Decimal(row[denominator]) if denominator else ZERO)
        for row in grouped.iter_rows(named=True)
    }


def _ratio_shares(pairs: Mapping[str, tuple[Pair, Pair]]) -> dict[str, Decimal]:
    whole = [sum((pair[side][1] for pair in pairs.values()), ZERO) for side in (0, 1)]
    top = [sum((pair[side][0] for pair in pairs.values()), ZERO) for side in (0, 1)]
    usual = top[1] / whole[1] if whole[1] else ZERO

    def above_usual(pair: Pair, side: int) -> Decimal:
        return (pair[0] - usual * pair[1]) / whole[side] if whole[side] else ZERO

    return {name: above_usual(now, 0) - above_usual(then, 1) for name, (now, then) in pairs.items()}


def _level(pair: Pair | None, days_count: int, is_ratio: bool) -> Decimal | None:
    if pair is None:
        return None
    if is_ratio:
        return pair[0] / pair[1] if pair[1] else None
    return pair[0] / days_count if days_count else None
