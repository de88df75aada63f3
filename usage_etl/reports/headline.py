"""The period, the status pill, the headline sentences and the five cards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from usage_etl.reports.comparison import MULTIPLE_FROM, NO_EARLIER_DATA, change, compared, ratio_of
from usage_etl.reports.formatting import (
    NO_DATA,
    TIMES,
    count_compact,
    count_full,
    day_label,
    display_unit,
    money_short,
    month_name,
    percent,
    plural,
    rounded,
    span_label,
)
from usage_etl.reports.inputs import OWNERLESS, Member, MonthFacts, Projection
from usage_etl.reports.model import AttentionItem, Card, Figure, Gauge, Period, Status, Tone

_NOTABLE_RATIO = Decimal("0.01")


def period_of(facts: MonthFacts) -> Period:
    """Which days the report covers, in words."""
    month, through = facts.month, facts.through_date
    name, previous = month_name(month.first_day), month_name(month.previous.first_day)
    days, is_complete = through.day, through == month.last_day
    title = f"{name} {month.year}"
    progress = "complete month" if is_complete else f"month to date, {days} of {month.days_count} days"
    first_day = facts.first_day_with_data
    begin = f", data from {day_label(first_day)}" if first_day and first_day > month.first_day else ""
    return Period(
        month=month.first_day,
        through_date=through,
        as_of_date=facts.as_of_date,
        days_elapsed_count=days,
        days_in_month_count=month.days_count,
        is_complete=is_complete,
        name=name,
        label=f"{title}, {progress}{begin}",
        previous_name=previous,
        comparison=previous if is_complete else f"the same days of {previous}" if days > 1 else f"1 {previous}",
    )


def end_cost(facts: MonthFacts, period: Period) -> Decimal | None:
    """Where the month ends: what was spent when it is over, else the projection."""
    if period.is_complete:
        return facts.organization.cost
    projection = facts.organization_projection
    return projection.projected_cost if projection and facts.organization.cost is not None else None


def shown_excess(cost: Decimal, budget: Decimal, currency: str) -> Decimal:
    """Cost above budget as the difference of the two printed numbers, so that a reader can subtract them."""
    unit = max(display_unit(cost, currency), display_unit(budget, currency))
    return rounded(cost, unit) - rounded(budget, unit)


def status_of(facts: MonthFacts, period: Period) -> Status:
    """The pill: red when the budget is passed, amber when it will be, green when it holds."""
    projection, cost = facts.organization_projection, facts.organization.cost
    budget = projection.monthly_budget if projection else None
    end = end_cost(facts, period)
    if cost is None or end is None:
        return Status(tone="neutral", text="No priced usage" if cost is None else "No projection yet")
    if budget is None:
        return Status(tone="neutral", text="No budget set")
    excess = shown_excess(end, budget, facts.currency)
    likely = "" if period.is_complete or cost > budget else "Likely "
    if excess == 0:
        return Status(tone="good", text="On budget")
    ratio = ratio_of(abs(end - budget), budget)
    is_hidden = ratio is None or ratio >= MULTIPLE_FROM or rounded(ratio * 100, Decimal(1)) == 0
    size = money_short(abs(excess), facts.currency) if is_hidden or ratio is None else percent(ratio)
    tone: Tone = "good" if excess < 0 else "warn" if likely else "bad"
    side = "over" if excess > 0 else "under"
    if cost > budget and not period.is_complete:
        return Status(tone="bad", text=f"Budget passed, ends {size} {side}")
    return Status(tone=tone, text=f"{likely}{size} {side} budget")


def headline_of(facts: MonthFacts, period: Period, anomalies: Sequence[AttentionItem]) -> str:
    """Spent and compared; where the month ends against the budget; what drove it."""
    whole = facts.organization
    if whole.requests_count == 0:
        return f"No usage has arrived for {period.name} {period.month.year}."
    if whole.cost is None:
        return f"None of the {count_full(whole.requests_count)} requests of {_span(period)} has a price, so no cost can be shown."
    sentences = [_spent(whole.cost, facts, period), _ahead(facts, period), _driver(facts, anomalies), _unpriced(whole)]
    return " ".join(sentence for sentence in sentences if sentence)


def _unpriced(whole: Member) -> str:
    """A word of warning where so much is unpriced that the figures above are plainly too low."""
    ratio = ratio_of(whole.unpriced_requests_count, whole.requests_count)
    if ratio is None or ratio < _NOTABLE_RATIO:
        return ""
    return f"{percent(ratio)} of requests have no price and are in none of these amounts."


def _span(period: Period) -> str:
    if period.is_complete:
        return f"{period.name} {period.month.year}"
    days = period.days_elapsed_count
    return f"the first {plural(days, 'day')} of {period.name}" if days > 1 else f"1 {period.name}"


def _spent(cost: Decimal, facts: MonthFacts, period: Period) -> str:
    whole = facts.organization
    moved = change(cost, whole.previous_cost, has_previous=whole.has_previous)
    prep = "on " if period.comparison.startswith("1 ") else "in "
    verb = "cost" if period.is_complete else "has cost"
    opening = f"AI usage {verb} {money_short(cost, facts.currency)} in {_span(period)}"
    if moved.text == NO_EARLIER_DATA:
        return f"{opening}; there is no earlier data to compare it with."
    if moved.value is None:
        return f"{opening}; {period.comparison} had no cost."
    if moved.text.endswith(TIMES):
        return f"{opening}, {moved.text} the cost of {period.comparison}."
    ratio = Decimal(moved.value)
    if rounded(ratio * 100, Decimal(1)) == 0:
        return f"{opening}, the same as {prep}{period.comparison}."
    return f"{opening}, {percent(abs(ratio))} {'more' if ratio > 0 else 'less'} than {prep}{period.comparison}."


def _ahead(facts: MonthFacts, period: Period) -> str:
    end, projection = end_cost(facts, period), facts.organization_projection
    budget = projection.monthly_budget if projection else None
    if end is None:
        return "There is not enough data yet to project the month-end."
    against = _against(end, budget, facts.currency)
    if period.is_complete:
        return f"That is {against}." if budget is not None else "No budget is set."
    return f"The month is on course for {money_short(end, facts.currency)}{', ' + against if against else '; no budget is set'}."


def _against(end: Decimal, budget: Decimal | None, currency: str) -> str:
    if budget is None:
        return ""
    excess = shown_excess(end, budget, currency)
    if excess == 0:
        return f"on the {money_short(budget, currency)} budget"
    side = "over" if excess > 0 else "under"
    return f"{money_short(abs(excess), currency)} {side} the {money_short(budget, currency)} budget"


def _driver(facts: MonthFacts, anomalies: Sequence[AttentionItem]) -> str:
    teams = [team for team in facts.members.get("team", []) if team.member_id not in OWNERLESS and team.cost]
    whole = facts.organization
    if not teams or len(teams) == 1:
        return ""
    total = whole.cost_change
    moved = [(team.cost_change, team) for team in teams if team.cost_change is not None]
    if total and moved:
        amount, team = max(moved, key=lambda pair: pair[0] * (1 if total > 0 else -1))
        if amount * total > 0:
            verb = "added" if amount > 0 else "saved"
            return f"{team.name} {verb} most ({money_short(abs(amount), facts.currency)}){_spike(team, anomalies)}."
    share = ratio_of(teams[0].cost or Decimal(0), whole.cost or Decimal(0))
    return f"{teams[0].name} is the largest team with {percent(share)} of cost." if share is not None else ""


def _spike(team: Member, anomalies: Sequence[AttentionItem]) -> str:
    item = next((one for one in anomalies if one.mark and team.name in f"{one.title} {one.detail}"), None)
    return f", with a spike on {span_label(item.days)}" if item else ""


def cards_of(facts: MonthFacts, period: Period, days: tuple[dt.date, ...]) -> tuple[Card, ...]:
    """Cost, month-end, tokens, requests and users; each with its change and its last thirty days."""
    whole, currency = facts.organization, facts.currency
    by_provider = facts.daily_costs("provider", days[0])
    costs: dict[dt.date, Decimal] = {}
    for provider_days in by_provider.values():
        for day, cost in provider_days.items():
            if cost is not None:
                costs[day] = costs.get(day, Decimal(0)) + cost
    users = {dt.date.fromisoformat(one.member_id): one.users_count for one in facts.members.get("day", [])}
    tokens, requests = facts.daily_counts("total_tokens", days[0]), facts.daily_counts("requests_count", days[0])
    compare = period.previous_name

    def counted(label: str, now: int, before: int | None, trend: dict[dt.date, int]) -> Card:
        moved = change(now, before, has_previous=whole.has_previous)
        return Card(
            label=label,
            figure=Figure(value=now, text=count_compact(now)),
            note=compared(moved, compare),
            tone="neutral",
            trend=tuple(trend.get(day) for day in days),
        )

    spent = Card(
        label="Cost" if period.is_complete else "Cost to date",
        figure=Figure(value=whole.cost, text=NO_DATA if whole.cost is None else money_short(whole.cost, currency)),
        note=compared(change(whole.cost, whole.previous_cost, has_previous=whole.has_previous), compare),
        tone="neutral",
        trend=tuple(costs.get(day) for day in days),
    )
    return (
        spent,
        _budget_card(facts, period),
        counted("Tokens", whole.total_tokens, whole.previous_tokens, tokens),
        counted("Requests", whole.requests_count, whole.previous_requests_count, requests),
        counted("Active users", whole.users_count, whole.previous_users_count, users),
    )


def _budget_card(facts: MonthFacts, period: Period) -> Card:
    projection, end, currency = facts.organization_projection, end_cost(facts, period), facts.currency
    budget = projection.monthly_budget if projection else None
    status = status_of(facts, period)
    if period.is_complete:
        text = "none set" if budget is None else money_short(budget, currency)
        note = "" if end is None or budget is None else _against(end, budget, currency).split(" the ")[0]
        return Card(
            label="Budget",
            figure=Figure(value=budget, text=text),
            note=note,
            tone=status.tone,
            gauge=_gauge(facts, projection, end),
        )
    if end is None:
        return Card(label="Projected month-end", figure=Figure(value=None, text=NO_DATA), note="too little data", tone="neutral")
    note = "no budget set" if budget is None else _beside_budget(end, budget)
    figure = Figure(value=end, text=money_short(end, currency))
    return Card(label="Projected month-end", figure=figure, note=note, tone=status.tone, gauge=_gauge(facts, projection, end))


def _beside_budget(end: Decimal, budget: Decimal) -> str:
    moved = change(end, budget, has_previous=True)
    return "budget is 0" if moved.value is None else compared(moved, "budget")


def _gauge(facts: MonthFacts, projection: Projection | None, end: Decimal | None) -> Gauge | None:
    cost = facts.organization.cost
    budget = projection.monthly_budget if projection else None
    if cost is None or end is None or budget is None or budget <= 0:
        return None
    short = [money_short(amount, facts.currency) for amount in (cost, end, budget)]
    alt = f"{short[0]} spent, {short[1]} at month-end, budget {short[2]}"
    return Gauge(spent_cost=cost, projected_cost=end, limit_cost=budget, alt=alt)
