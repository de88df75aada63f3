"""Rankings: cost by team, model and feature as bars, and what changed most."""

from __future__ import annotations

from decimal import Decimal

from usage_etl.money import minor_unit
from usage_etl.reports.comparison import change, share
from usage_etl.reports.formatting import money_short, plural
from usage_etl.reports.inputs import Member, MonthFacts
from usage_etl.reports.model import Bar, BarList, Figure, Mover, MoverList, Period
from usage_etl.reports.rounding import tied_amounts
from usage_etl.units import UNALLOCATED

BARS_COUNT = 9
MOVERS_COUNT = 3
_NOUNS = {"team": "team", "model": "model", "feature": "feature"}


def ordered(members: list[Member]) -> list[Member]:
    """Costliest first; unallocated last, because it is nobody's rank."""
    return sorted(members, key=lambda one: one.member_id == UNALLOCATED)


def cost_bars(facts: MonthFacts, period: Period, *, dimension: str) -> BarList:
    """The costliest members and, as one bar, all others; the bars add up to the organization's cost."""
    members = ordered([one for one in facts.members.get(dimension, []) if one.cost is not None])
    unpriced = [one for one in facts.members.get(dimension, []) if one.cost is None and one.requests_count]
    costs = tied_amounts([one.cost for one in members], unit=minor_unit(facts.currency))
    is_known = facts.organization.has_previous
    lines = [
        (one.name, cost or Decimal(0), (one.previous_cost or Decimal(0)) if is_known else None)
        for one, cost in zip(members, costs, strict=True)
    ]
    if len(lines) > BARS_COUNT:
        lines = _with_others(lines, _NOUNS[dimension])
    whole = facts.organization.cost
    bars = tuple(
        Bar(
            name=name,
            cost=Figure(value=cost, text=money_short(cost, facts.currency)),
            share=share(cost, whole),
            previous_cost=before,
        )
        for name, cost, before in lines
    )
    missing = plural(len(unpriced), f"{_NOUNS[dimension]} has", f"{_NOUNS[dimension]}s have")
    named = ", ".join(f"{bar.name} {bar.cost.text}" for bar in bars[:3])
    return BarList(
        title=f"Cost by {_NOUNS[dimension]}",
        tick_note=f"Tick: {period.comparison}." if is_known and bars else "",
        note=f"{missing} no price." if unpriced else "",
        bars=bars,
        alt=f"Bars of cost by {_NOUNS[dimension]}: {named or 'no priced usage'}{', and others' if len(bars) > 3 else ''}.",
    )


def _with_others(lines: list[tuple[str, Decimal, Decimal | None]], noun: str) -> list[tuple[str, Decimal, Decimal | None]]:
    """The first lines and one for the rest; an unallocated line at the end stays a line of its own."""
    tail = lines[-1:] if lines[-1][0] == "Unallocated" else []
    kept = lines[: BARS_COUNT - 1 - len(tail)]
    rest = lines[len(kept) : len(lines) - len(tail)]
    before = [previous for _, _, previous in rest if previous is not None]
    others = (
        f"{len(rest)} other {noun}s",
        sum((cost for _, cost, _ in rest), Decimal(0)),
        sum(before, Decimal(0)) if before else None,
    )
    return [*kept, others, *tail]


def movers_of(facts: MonthFacts, period: Period) -> tuple[str, tuple[MoverList, ...]]:
    """A title and, per dimension, who changed most; without earlier data, who costs most."""
    is_known = facts.organization.cost_change is not None
    title = f"What changed against {period.comparison}" if is_known else "Where the money went"
    lists = []
    for dimension, name in (("team", "Teams"), ("model", "Models"), ("feature", "Features")):
        members = [one for one in facts.members.get(dimension, []) if one.cost is not None]
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
