"""Two published versions of a month's chargeback, line by line: what was added, removed and changed, and by what sort of change.

Amounts of different currencies are never added. For every currency the changes of the cost centers, those of the reasons
and those of the lines each add up to the change of the whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import exact_sum

BILLED, AMORTISED = "allocated_cost", "allocated_effective_cost"
UNCHANGED = "unchanged"

_WEIGHTS = ("metered_cost", "requests_count", "total_tokens")
_RATE = ("invoice_currency", "fx_rate", "fx_rate_date")
_GROUP = ("invoice_line_id", "provider_name", "billing_account_id", "charge_category", "model_id", "billing_currency")
_TEXTS = ("provider_name", "model_id", "cost_center_id", "team_id", "project_id", "line_kind", "rule_name")

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """Amounts of one member in one currency before and after."""

    member_id: str
    member_name: str
    currency: str
    lines_count: int
    """Lines of either version."""
    before: Decimal
    after: Decimal

    @property
    def change(self) -> Decimal:
        """After less before."""
        return _minus(self.after, self.before)


@dataclass(frozen=True)
class LineChange:
    """One line that is in one version only, or has another amount in each."""

    line_id: str
    what: str
    """added, removed or changed."""
    reason: str
    currency: str
    before: Decimal | None
    after: Decimal | None
    texts: Mapping[str, str | None]
    """Who and what the line is about: provider, model, owners, kind and rule."""

    @property
    def change(self) -> Decimal:
        """After less before; a line that is not there counts as nothing."""
        return _minus(self.after or Decimal(0), self.before or Decimal(0))


@dataclass(frozen=True)
class VersionDiff:
    """What differs between two versions."""

    totals: tuple[Change, ...]
    by_cost_center: tuple[Change, ...]
    """Those whose amount changed, the largest change first."""
    by_reason: tuple[Change, ...]
    """Every line of either version is in one of them; ``unchanged`` are those with equal amounts."""
    lines: tuple[LineChange, ...]
    described_otherwise_count: int
    """Lines with equal amounts of which another column differs, such as a name or the tokens behind them."""


def diff_versions(before: pl.DataFrame, after: pl.DataFrame, *, amount: str = BILLED) -> VersionDiff:
    """Lines are matched by ``line_id`` and currency; ``amount`` is ``allocated_cost`` or ``allocated_effective_cost``.

    Columns that one of the versions does not have are not compared. Raises ConservationError when the parts do not add up.
    """
    old, new = _by_id(before), _by_id(after)
    reasons = _Reasons(old, new, amount)
    keys = sorted(old.keys() | new.keys())
    pairs = [(old.get(key), new.get(key)) for key in keys]
    labels = [reasons.of(*pair) for pair in pairs]
    lines = [_line(key, pair, label, amount) for key, pair, label in zip(keys, pairs, labels, strict=True) if label != UNCHANGED]
    centers = _changes(pairs, [("", "")] * len(pairs), amount, by="cost_center")
    found = VersionDiff(
        totals=_changes(pairs, [("total", "total")] * len(pairs), amount),
        by_cost_center=tuple(one for one in centers if one.change),
        by_reason=_changes(pairs, [(label, label) for label in labels], amount),
        lines=tuple(sorted(lines, key=lambda line: (line.currency, line.change.copy_abs().copy_negate(), line.line_id))),
        described_otherwise_count=sum(label == UNCHANGED and _shared(*pair) for pair, label in zip(pairs, labels, strict=True)),
    )
    _check(found, centers)
    return found


class _Reasons:
    """Why a line's amount differs, as far as the two versions of its invoice line tell."""

    def __init__(self, old: Mapping[tuple[str, str], Line], new: Mapping[tuple[str, str], Line], amount: str) -> None:
        self._amount = amount
        self._money = (_sums(old.values(), (amount,)), _sums(new.values(), (amount,)))
        self._weights = (_sums(old.values(), _WEIGHTS), _sums(new.values(), _WEIGHTS))

    def of(self, before: Line | None, after: Line | None) -> str:
        if before is None or after is None:
            return _reason_of_one(after or before or {}, "line added" if after else "line removed")
        if before[self._amount] == after[self._amount]:
            return UNCHANGED
        if _differs(before, after, _RATE):
            return "exchange rate"
        if _differs(before, after, ("rule_name",)):
            return "allocation rule"
        return self._of_amounts(before, after)

    def _of_amounts(self, before: Line, after: Line) -> str:
        groups = _group(before), _group(after)
        has_other_bill = self._money[0][groups[0]] != self._money[1][groups[1]]
        has_other_usage = self._weights[0][groups[0]] != self._weights[1][groups[1]] or _differs(before, after, _WEIGHTS)
        names = {(True, True): "bill and usage", (True, False): "bill", (False, True): "usage"}
        return names.get((has_other_bill, has_other_usage), "rounding, or a rule's shares")


def _reason_of_one(line: Line, other: str) -> str:
    """Why a line stands in one version only: the reason it was booked for, where it has one."""
    if line.get("dispute_id"):
        return f"dispute {line['dispute_id']}"
    if line.get("corrects_month"):
        return f"correction of {line['corrects_month']:%Y-%m}: {line.get('correction_reason') or 'no reason given'}"
    return other


def _by_id(lines: pl.DataFrame) -> dict[tuple[str, str], Line]:
    return {(str(row["line_id"]), str(row["billing_currency"])): row for row in lines.iter_rows(named=True)}


def _group(line: Line) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in _GROUP)


def _sums(lines: Iterable[Line], names: Sequence[str]) -> dict[tuple[Any, ...], tuple[Decimal, ...]]:
    members: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for line in lines:
        members[_group(line)].append(line)
    return {
        group: tuple(exact_sum(Decimal(line.get(name) or 0) for line in found) for name in names)
        for group, found in members.items()
    }


def _differs(before: Line, after: Line, names: Sequence[str]) -> bool:
    return any(before[name] != after[name] for name in names if name in before and name in after)


def _shared(before: Line | None, after: Line | None) -> bool:
    """Whether two lines differ in a column that both have."""
    return before is not None and after is not None and _differs(before, after, tuple(before))


def _line(key: tuple[str, str], pair: tuple[Line | None, Line | None], reason: str, amount: str) -> LineChange:
    before, after = pair
    shown = after or before or {}
    return LineChange(
        line_id=key[0],
        what="added" if before is None else "removed" if after is None else "changed",
        reason=reason,
        currency=key[1],
        before=before[amount] if before else None,
        after=after[amount] if after else None,
        texts={name: shown.get(name) for name in _TEXTS},
    )


def _changes(
    pairs: Sequence[tuple[Line | None, Line | None]],
    members: Sequence[tuple[str, str]],
    amount: str,
    *,
    by: str | None = None,
) -> tuple[Change, ...]:
    """Amounts by member and currency, the largest change first; ``by`` takes the member from each line itself."""
    sides: dict[tuple[str, str], tuple[list[Decimal], list[Decimal]]] = defaultdict(lambda: ([], []))
    counts: dict[tuple[str, str], set[str]] = defaultdict(set)
    names: dict[str, str] = {}
    for pair, (member_id, member_name) in zip(pairs, members, strict=True):
        for side, line in enumerate(pair):
            if line is None:
                continue
            own_id = str(line[f"{by}_id"]) if by else member_id
            names[own_id] = str(line[f"{by}_name"]) if by else member_name
            key = own_id, str(line["billing_currency"])
            sides[key][side].append(line[amount])
            counts[key].add(str(line["line_id"]))
    found = [
        Change(member_id, names[member_id], currency, len(counts[member_id, currency]), exact_sum(before), exact_sum(after))
        for (member_id, currency), (before, after) in sides.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.currency, one.change.copy_abs().copy_negate(), one.member_id)))


def _check(found: VersionDiff, centers: Sequence[Change]) -> None:
    for total in found.totals:
        for what, parts in (("cost centers", centers), ("reasons", found.by_reason)):
            own = [part for part in parts if part.currency == total.currency]
            sums = exact_sum(part.before for part in own), exact_sum(part.after for part in own)
            if sums != (total.before, total.after):
                raise ConservationError(f"diff by {what} in {total.currency}", sums, (total.before, total.after))
        moved = exact_sum(line.change for line in found.lines if line.currency == total.currency)
        if moved != total.change:
            raise ConservationError(f"diff by lines in {total.currency}", moved, total.change)


def _minus(after: Decimal, before: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = 76
        return after - before
