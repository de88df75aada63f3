"""The team table: usage, cost, budget and charge of each owner, with lines that add up to the total."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import polars as pl

from usage_etl.money import exact_sum, minor_unit
from usage_etl.reports.comparison import change, ratio_of, used
from usage_etl.reports.formatting import NO_DATA, NOT_APPLICABLE, count_compact, count_full, money_cell, money_exact
from usage_etl.reports.inputs import NOBODY, Member, MonthFacts, Projection, shown_name
from usage_etl.reports.model import Figure, Period, TeamRow, TeamTable, Tone
from usage_etl.reports.rounding import tied_amounts
from usage_etl.units import UNALLOCATED, UNEXPLAINED

ROWS_COUNT = 14
TREND_DAYS = 28
Kind = Literal["team", "others", "unallocated", "unexplained", "total"]
_LAST = {UNALLOCATED: 1, UNEXPLAINED: 2}


@dataclass(frozen=True)
class _Line:
    kind: Kind
    member: Member
    cost: Decimal | None
    charged: Decimal | None
    trend: tuple[Decimal | None, ...]
    budget: Projection | None
    shows_users: bool = True


def team_table(facts: MonthFacts, period: Period) -> TeamTable:
    """At most fourteen teams; smaller ones are one line that keeps the sums. Unallocated and unexplained come last."""
    lines = _merged(_lines(facts))
    charged = [line.charged for line in lines if line.charged is not None]
    total = _Line(
        kind="total",
        member=facts.organization,
        cost=sum((line.cost for line in lines if line.cost is not None), Decimal(0))
        if facts.organization.cost is not None
        else None,
        charged=sum(charged, Decimal(0)) if charged else None,
        trend=(),
        budget=facts.organization_projection,
    )
    elapsed = ratio_of(period.days_elapsed_count, period.days_in_month_count) or Decimal(0)
    return TeamTable(
        rows=tuple(_row(line, facts) for line in lines),
        total=_row(total, facts),
        elapsed_ratio=elapsed,
        note=_note(facts),
    )


def charges_of(facts: MonthFacts) -> pl.DataFrame:
    """The month's chargeback lines in the report's currency."""
    return facts.inputs.chargeback.filter(
        (pl.col("month") == facts.month.first_day) & (pl.col("billing_currency") == facts.currency)
    )


def _lines(facts: MonthFacts) -> list[_Line]:
    charges: dict[str, Decimal] = {}
    names: dict[str, str] = {}
    for team_id, name, amount in charges_of(facts).select("team_id", "team_name", "allocated_cost").iter_rows():
        charges[team_id] = charges.get(team_id, Decimal(0)) + amount
        names[team_id] = shown_name(team_id, name)
    members = {one.member_id: one for one in facts.members.get("team", [])}
    for team_id in sorted(charges.keys() - members.keys()):
        members[team_id] = replace(NOBODY, member_id=team_id, name=names[team_id], cost=None)
    ranked = sorted(members.values(), key=lambda one: (_LAST.get(one.member_id, 0), -(one.cost or Decimal(0)), one.member_id))
    costs = tied_amounts([one.cost for one in ranked], unit=minor_unit(facts.currency))
    first = facts.through_date - dt.timedelta(days=TREND_DAYS - 1)
    days = [first + dt.timedelta(days=offset) for offset in range(TREND_DAYS)]
    trends = facts.daily_costs("team_id", first)
    seen = {day for costs in trends.values() for day in costs}
    budgets = {one.scope_id: one for one in facts.projections if one.scope_kind == "team"}
    return [
        _Line(
            kind=_kind(one.member_id),
            member=one,
            cost=cost,
            charged=charges.get(one.member_id),
            trend=tuple(_daily_cost(trends.get(one.member_id, {}), day, seen) for day in days),
            budget=budgets.get(one.member_id),
        )
        for one, cost in zip(ranked, costs, strict=True)
    ]


def _daily_cost(costs: Mapping[dt.date, Decimal | None], day: dt.date, seen: set[dt.date]) -> Decimal | None:
    """A team without a row used nothing on a day that has data; on a day without data nothing is known."""
    return costs[day] if day in costs else Decimal(0) if day in seen else None


def _kind(team_id: str) -> Kind:
    return "unallocated" if team_id == UNALLOCATED else "unexplained" if team_id == UNEXPLAINED else "team"


def _merged(lines: list[_Line]) -> list[_Line]:
    teams = [line for line in lines if line.kind == "team"]
    if len(teams) <= ROWS_COUNT:
        return lines
    rest = teams[ROWS_COUNT - 1 :]
    costs = [line.cost for line in rest if line.cost is not None]
    charges = [line.charged for line in rest if line.charged is not None]
    before = [line.member.previous_cost or Decimal(0) for line in rest]
    merged = replace(
        NOBODY,
        name=f"{len(rest)} other teams",
        requests_count=sum(line.member.requests_count for line in rest),
        input_tokens=sum(line.member.input_tokens for line in rest),
        output_tokens=sum(line.member.output_tokens for line in rest),
        cost=sum(costs, Decimal(0)) if costs else None,
        has_previous=all(line.member.has_previous for line in rest),
        previous_cost=sum(before, Decimal(0)),
    )
    trend = tuple(_added([line.trend[day] for line in rest]) for day in range(TREND_DAYS))
    others = _Line("others", merged, merged.cost, sum(charges, Decimal(0)) if charges else None, trend, None, shows_users=False)
    return [*teams[: ROWS_COUNT - 1], others, *(line for line in lines if line.kind != "team")]


def _added(costs: Sequence[Decimal | None]) -> Decimal | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if known else None


def _row(line: _Line, facts: MonthFacts) -> TeamRow:
    member, is_usage = line.member, line.kind != "unexplained"
    budget_used, tone = _budget_used(line)

    def counted(number: int, text: str) -> Figure:
        return Figure(value=number, text=text) if is_usage else Figure(value=None, text=NOT_APPLICABLE)

    users = (
        counted(member.users_count, count_full(member.users_count))
        if line.shows_users
        else Figure(value=None, text=NOT_APPLICABLE)
    )
    moved = change(member.cost, member.previous_cost, has_previous=member.has_previous)
    return TeamRow(
        kind=line.kind,
        name="Total" if line.kind == "total" else member.name,
        trend=line.trend,
        users=users,
        requests=counted(member.requests_count, count_full(member.requests_count)),
        input_tokens=counted(member.input_tokens, count_compact(member.input_tokens)),
        output_tokens=counted(member.output_tokens, count_compact(member.output_tokens)),
        cost=_amount(line.cost, facts.currency, "no price" if member.requests_count else NOT_APPLICABLE),
        change=moved if is_usage and member.requests_count else Figure(value=None, text=NOT_APPLICABLE),
        budget_used=budget_used,
        budget_tone=tone,
        charged=_amount(line.charged, facts.currency, NOT_APPLICABLE if charges_of(facts).height else NO_DATA),
    )


def _amount(amount: Decimal | None, currency: str, absent: str) -> Figure:
    return Figure(value=amount, text=absent if amount is None else money_cell(amount, currency))


def _budget_used(line: _Line) -> tuple[Figure, Tone]:
    budget = line.budget.monthly_budget if line.budget else None
    if line.budget is None or budget is None or line.member.cost is None:
        return Figure(value=None, text=NOT_APPLICABLE), "neutral"
    tone: Tone = "bad" if line.member.cost > budget else "warn" if line.budget.projected_cost > budget else "neutral"
    return (used(line.member.cost, budget) if budget > 0 else Figure(value=None, text="budget is 0")), tone


def _note(facts: MonthFacts) -> str:
    charges = charges_of(facts)
    intro = f"Amounts in {facts.currency}. Cost is priced usage. "
    if not charges.height:
        return intro + "No bill has been allocated yet."
    billed = exact_sum(charges.filter(pl.col("charge_basis") == "billed")["allocated_cost"])
    estimated = exact_sum(charges.filter(pl.col("charge_basis") != "billed")["allocated_cost"])
    other = exact_sum(charges.filter(pl.col("charge_category").cast(pl.String) != "Usage")["allocated_cost"])
    kind = "net of {} of credits" if other < 0 else "with {} of taxes and fees"
    with_other = f" ({kind.format(money_exact(abs(other), facts.currency))})" if other else ""
    text = f"Charged divides the {money_exact(billed, facts.currency)} billed so far{with_other} to the last cent"
    if estimated:
        text += f", plus {money_exact(estimated, facts.currency)} of estimates where no bill has arrived"
    states = sorted(set(charges["period_status"].cast(pl.String)))
    return f"{intro}{text} ({', '.join(states)}). Users are distinct per row; budget tick: share of the month passed."
