"""Rankings: cost by team, model and feature as bars, and what changed most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from usage_etl.money import minor_unit
from usage_etl.reports.comparison import change, share
from usage_etl.reports.formatting import money_short, plural
from usage_etl.reports.inputs import OWNERLESS, Member, MonthFacts
from usage_etl.reports.model import Bar, BarList, Figure, Mover, MoverList, Period
from usage_etl.reports.rounding import tied_amounts
from usage_etl.units import NO_MEMBER

BARS_COUNT = 9
MOVERS_COUNT = 3


@dataclass(frozen=True)
class _Line:
    name: str
    cost: Decimal
    previous_cost: Decimal | None
    is_member: bool


def cost_bars(facts: MonthFacts, period: Period, *, dimension: str) -> BarList:
    """The costliest members, all others as one bar, and what belongs to none: together the organization's cost."""
    lines = _lines(facts, dimension)
    costs = tied_amounts([line.cost for line in lines], unit=minor_unit(facts.currency))
    tied = [replace(line, cost=cost) for line, cost in zip(lines, costs, strict=True) if cost is not None]
    whole = facts.organization.cost
    unpriced = sum(1 for one in facts.members.get(dimension, []) if one.cost is None and one.requests_count)
    missing = plural(unpriced, f"{dimension} has", f"{dimension}s have")
    return BarList(
        title=f"Cost by {dimension}",
        tick_note=f"Tick: {period.comparison}." if facts.organization.has_previous and tied else "",
        note=f"{missing} no price." if unpriced else "",
        bars=tuple(
            Bar(
                name=line.name,
                cost=Figure(value=line.cost, text=money_short(line.cost, facts.currency)),
                share=share(line.cost, whole),
                previous_cost=line.previous_cost,
                is_member=line.is_member,
            )
            for line in _with_others(tied, dimension)
        ),
    )


def _lines(facts: MonthFacts, dimension: str) -> list[_Line]:
    """Priced members with usage by cost, then what belongs to nobody."""
    is_known = facts.organization.has_previous
    members = [one for one in facts.members.get(dimension, []) if one.cost is not None and (one.cost or one.requests_count)]
    members.sort(key=lambda one: one.member_id in OWNERLESS)
    return [
        _Line(
            name=f"No {dimension} named" if one.member_id == NO_MEMBER else one.name,
            cost=one.cost or Decimal(0),
            previous_cost=(one.previous_cost or Decimal(0)) if is_known else None,
            is_member=one.member_id not in OWNERLESS,
        )
        for one in members
    ]


def _with_others(lines: list[_Line], noun: str) -> list[_Line]:
    """At most ``BARS_COUNT`` lines; what is no member keeps its own line at the end."""
    tail = [line for line in lines if not line.is_member]
    members = [line for line in lines if line.is_member]
    if len(lines) <= BARS_COUNT:
        return lines
    kept = members[: BARS_COUNT - 1 - len(tail)]
    rest = members[len(kept) :]
    before = [line.previous_cost for line in rest if line.previous_cost is not None]
    cost = sum((line.cost for line in rest), Decimal(0))
    others = _Line(f"{len(rest)} other {noun}s", cost, sum(before, Decimal(0)) if before else None, is_member=False)
    return [*kept, others, *tail]


def movers_of(facts: MonthFacts, period: Period) -> tuple[str, tuple[MoverList, ...]]:
    """A title and, per dimension, who changed most; without earlier data, who costs most."""
    is_known = facts.organization.cost_change is not None
    title = f"What changed against {period.comparison}" if is_known else "Where the money went"
    lists = []
    for dimension, name in (("team", "Teams"), ("model", "Models"), ("feature", "Features")):
        members = [one for one in facts.members.get(dimension, []) if one.cost is not None and one.member_id not in OWNERLESS]
        if is_known:
            members.sort(key=lambda one: (-abs(one.cost_change or Decimal(0)), one.member_id))
        movers = tuple(_mover(one, facts, is_known=is_known) for one in members[:MOVERS_COUNT])
        lists.append(MoverList(title=name, movers=movers))
    return title, tuple(lists)


def _mover(member: Member, facts: MonthFacts, *, is_known: bool) -> Mover:
    amount = member.cost_change if is_known else member.cost
    assert amount is not None
    text = money_short(amount, facts.currency, plus=is_known)
    note = (
        change(member.cost, member.previous_cost, has_previous=True) if is_known else share(member.cost, facts.organization.cost)
    )
    return Mover(name=member.name, change=Figure(value=amount, text=text), note=note.text)
