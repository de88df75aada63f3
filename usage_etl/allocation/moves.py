"""Who pays instead of whom: two allocations of one month compared, so that every moved cent has one from and one to."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import MONEY, MONEY_SCALE
from usage_etl.remainder import from_attos, to_attos

OWNER_LEVELS = ("team", "cost_center", "department", "business_unit")
"""Levels of owners that every line names."""

_ACCOUNT = ("billing_currency", "charge_basis", "provider_name", "billing_account_id")
_INVOICE_LINE = (
    *_ACCOUNT,
    "invoice_line_id",
    "charge_kind",
    "charge_category",
    "charge_class",
    "sub_account_id",
    "service_name",
    "commitment_discount_id",
    "model_id",
)
_WORK = (*_INVOICE_LINE, "project_id", "investigation_id")
Place = tuple[Any, ...]
"""Where decreases look for increases: values of the columns of _WORK, or of the first of them."""
Changes = dict[str, int]
"""Owner to what it pays more (above 0) or less, in attos."""


def owner_moves(before: pl.DataFrame, after: pl.DataFrame, level: str, *, amount: str = "allocated_cost") -> pl.DataFrame:
    """One row for each pair of owners between which money moves: from_owner, to_owner, moved_cost, currency.

    ``before`` and ``after`` are MART_ALLOCATION_MONTHLY of the same bills; ``level`` is one of OWNER_LEVELS. What
    from_owner pays less and to_owner pays instead is moved_cost, above 0; a credit moves the other way. Within one
    invoice line, project and investigation the largest decrease goes to the largest increase, then what is left of either
    to the next, equal ones by the owner's id. What rounding leaves there is matched within the invoice line, then
    within the account. So the moves of an owner add up to what it pays more or less, exactly.

    Raises ConservationError when the accounts' totals differ: that is no move between owners.
    """
    places = _changes(before, after, level, amount)
    moved: dict[tuple[str, str, str], int] = defaultdict(int)
    for columns in (_WORK, _INVOICE_LINE, _ACCOUNT):
        places = _widened(places, len(columns))
        for place, changes in places.items():
            for giver, taker, attos in _matched(changes):
                moved[place[0], giver, taker] += attos
    _refuse_rest(places, amount)
    ordered = sorted(moved.items(), key=lambda move: (move[0][0], -move[1], move[0][1:]))
    return pl.DataFrame(
        {
            "from_owner": [giver for (_, giver, _), _ in ordered],
            "to_owner": [taker for (_, _, taker), _ in ordered],
            "moved_cost": from_attos([attos for _, attos in ordered], "moved_cost"),
            "currency": [currency for (currency, _, _), _ in ordered],
        },
        schema={"from_owner": pl.String, "to_owner": pl.String, "moved_cost": MONEY, "currency": pl.String},
    )


def owner_changes(before: pl.DataFrame, after: pl.DataFrame, level: str, *, amount: str = "allocated_cost") -> pl.DataFrame:
    """One row for each owner and currency: owner, before_cost, after_cost, change_cost, currency; changes add up to zero.

    An owner that has no line pays 0.
    """
    old, new = _totals(before, level, amount), _totals(after, level, amount)
    keys = sorted(old.keys() | new.keys())
    paid = {
        "before_cost": [old.get(key, 0) for key in keys],
        "after_cost": [new.get(key, 0) for key in keys],
        "change_cost": [new.get(key, 0) - old.get(key, 0) for key in keys],
    }
    return pl.DataFrame(
        {
            "owner": pl.Series([owner for _, owner in keys], dtype=pl.String),
            **{name: from_attos(values, name) for name, values in paid.items()},
            "currency": pl.Series([currency for currency, _ in keys], dtype=pl.String),
        }
    )


def _changes(before: pl.DataFrame, after: pl.DataFrame, level: str, amount: str) -> dict[Place, Changes]:
    """What each owner pays more or less of each invoice line, project and investigation."""
    places: dict[Place, Changes] = defaultdict(lambda: defaultdict(int))
    for frame, sign in ((before, -1), (after, 1)):
        for (*place, owner), attos in zip(frame.select(*_WORK, f"{level}_id").rows(), _attos(frame, amount), strict=True):
            places[tuple(place)][owner] += sign * attos
    return places


def _widened(places: Mapping[Place, Changes], width: int) -> dict[Place, Changes]:
    """The same changes by the first ``width`` columns; those of one owner are added up."""
    wider: dict[Place, Changes] = defaultdict(lambda: defaultdict(int))
    for place, changes in places.items():
        for owner, attos in changes.items():
            wider[place[:width]][owner] += attos
    return wider


def _matched(changes: Changes) -> Iterator[tuple[str, str, int]]:
    """(from, to, attos) of one place, the largest first; ``changes`` keeps what found no partner."""
    givers = deque(sorted((owner for owner in changes if changes[owner] < 0), key=lambda owner: (changes[owner], owner)))
    takers = deque(sorted((owner for owner in changes if changes[owner] > 0), key=lambda owner: (-changes[owner], owner)))
    while givers and takers:
        giver, taker = givers[0], takers[0]
        attos = min(-changes[giver], changes[taker])
        changes[giver] += attos
        changes[taker] -= attos
        if not changes[giver]:
            givers.popleft()
        if not changes[taker]:
            takers.popleft()
        yield giver, taker, attos


def _totals(frame: pl.DataFrame, level: str, amount: str) -> dict[tuple[str, str], int]:
    """(currency, owner) to what it pays, in attos."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for key, attos in zip(frame.select("billing_currency", f"{level}_id").rows(), _attos(frame, amount), strict=True):
        totals[key] += attos
    return totals


def _attos(frame: pl.DataFrame, amount: str) -> list[int]:
    return [attos for attos in to_attos(frame[amount]) if attos is not None]


def _refuse_rest(places: Mapping[Place, Changes], amount: str) -> None:
    for (currency, basis, provider, account), changes in places.items():
        if rest := sum(changes.values()):
            what = f"{amount} after less before, {provider} {account or '(no account)'} {basis} {currency}"
            raise ConservationError(what, Decimal(rest).scaleb(-MONEY_SCALE), 0)
