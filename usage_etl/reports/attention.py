"""What needs attention: money first, with owner and named key or model; every item comes from a mart row."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from usage_etl.money import exact_sum
from usage_etl.reports.comparison import ratio_of, used
from usage_etl.reports.formatting import (
    count_compact,
    count_full,
    day_label,
    display_name,
    listed,
    money_short,
    percent,
    plural,
)
from usage_etl.reports.headline import shown_excess
from usage_etl.reports.inputs import MonthFacts, Projection, shown_name
from usage_etl.reports.model import AttentionItem, Period
from usage_etl.reports.tie_out import cause_text, causes_of, month_rows
from usage_etl.units import UNALLOCATED

ITEMS_COUNT = 6
_NAMED_BUDGETS_COUNT = 2
_LISTED_BUDGETS_COUNT = 5
_RANK = {"bad": 0, "warn": 1, "neutral": 2, "good": 3}
_NAMED_MODELS_COUNT = 2
_DIFFERENCES = {"explained", "unexplained", "no_usage_seen"}
_NO_FINDINGS = {"credits", "rounding"}


def attention_items(facts: MonthFacts, period: Period, *, anomalies: Sequence[AttentionItem]) -> tuple[AttentionItem, ...]:
    """``anomalies``, budgets, owners, prices, deliveries, bills and freshness; worst and costliest first."""
    found = [
        *anomalies,
        *_budgets(facts, period),
        *_unallocated(facts),
        *_unpriced(facts),
        *_differences(facts),
        *_foreign_charges(facts),
        *_deliveries(facts),
        *_freshness(facts),
    ]
    found.sort(key=lambda item: (_RANK[item.tone], -item.amount))
    if len(found) <= ITEMS_COUNT:
        return tuple(found)
    kept, rest = found[: ITEMS_COUNT - 1], found[ITEMS_COUNT - 1 :]
    titles = "; ".join(item.title for item in rest)
    more = AttentionItem(
        kind="more", tone="neutral", title=f"{plural(len(rest), 'further point')}", detail=f"{titles}.", amount=Decimal(0)
    )
    return (*kept, more)


def _budgets(facts: MonthFacts, period: Period) -> list[AttentionItem]:
    over = [
        (end - budget, one, budget)
        for one in facts.projections
        if one.scope_kind != "organization" and (budget := one.monthly_budget) is not None
        for end in [one.cost_to_date if period.is_complete else max(one.projected_cost, one.cost_to_date)]
        if end > budget
    ]
    over.sort(key=lambda found: (-found[0], found[1].scope_kind, found[1].scope_id))
    if len(over) <= _NAMED_BUDGETS_COUNT:
        return [_budget_item(facts, period, *found) for found in over]
    total = money_short(sum((excess for excess, _, _ in over), Decimal(0)), facts.currency)
    named = [
        f"{facts.name_of(one.scope_kind, one.scope_id)} {money_short(excess, facts.currency, plus=True)}"
        for excess, one, _ in over
    ]
    is_passed = any(one.cost_to_date > budget for _, one, budget in over)
    verb = "passed by" if period.is_complete else "are on course to be passed, by"
    return [
        AttentionItem(
            kind="budget",
            tone="bad" if is_passed else "warn",
            title=f"{plural(len(over), 'budget')} {verb} {total} in all",
            detail=f"{', '.join(named[:_LISTED_BUDGETS_COUNT])}{' and more' if len(named) > _LISTED_BUDGETS_COUNT else ''}.",
            amount=over[0][0],
        )
    ]


def _budget_item(facts: MonthFacts, period: Period, excess: Decimal, one: Projection, budget: Decimal) -> AttentionItem:
    name = facts.name_of(one.scope_kind, one.scope_id)
    whose = f"{name} department" if one.scope_kind == "department" else name
    currency, is_passed = facts.currency, one.cost_to_date > budget
    limit = money_short(budget, currency)
    over = money_short(shown_excess(excess + budget, budget, currency), currency)
    share_used = used(one.cost_to_date, budget)
    so_far = f"{money_short(one.cost_to_date, currency)} spent" + (
        f", {share_used.text} of {limit}" if budget > 0 else f" of {limit}"
    )
    if period.is_complete:
        title, detail = f"{whose} passed its budget by {over}", f"{so_far}."
    else:
        verb = "has passed its budget and will end" if is_passed else "is on course to end"
        title = f"{whose} {verb} {over} over" + ("" if is_passed else " its budget")
        detail = f"{so_far}; projected {money_short(one.projected_cost, currency)} by month-end."
    return AttentionItem(kind="budget", tone="bad" if is_passed else "warn", title=title, detail=detail, amount=excess)


def _unallocated(facts: MonthFacts) -> list[AttentionItem]:
    member = next((one for one in facts.members.get("team", []) if one.member_id == UNALLOCATED), None)
    if member is None or not member.requests_count:
        return []
    share = ratio_of(member.cost, facts.organization.cost) if member.cost is not None and facts.organization.cost else None
    size = "Unpriced usage" if member.cost is None else f"{money_short(member.cost, facts.currency)} of usage"
    detail = plural(member.requests_count, "request") + (f", {percent(share)} of cost" if share is not None else "")
    return [
        AttentionItem(
            kind="unallocated",
            tone="warn",
            title=f"{size} has no owner",
            detail=f"{detail}: add the keys or users to the directory. The lines are in chargeback.csv.",
            amount=member.cost or Decimal(0),
        )
    ]


def _unpriced(facts: MonthFacts) -> list[AttentionItem]:
    whole = facts.organization
    if not whole.unpriced_requests_count:
        return []
    models = sorted(
        (one for one in facts.members.get("model", []) if one.unpriced_requests_count),
        key=lambda one: (-one.unpriced_requests_count, one.member_id),
    )
    first = [one.name for one in models[:3]]
    names = f"{', '.join(first)} and {len(models) - 3} more" if len(models) > 3 else listed(first) if first else ""
    share = ratio_of(whole.unpriced_requests_count, whole.requests_count)
    detail = f"{names + ': ' if names else ''}{count_compact(whole.unpriced_tokens)} tokens"
    detail += f", {percent(share)} of requests" if share is not None else ""
    return [
        AttentionItem(
            kind="unpriced",
            tone="warn",
            title=f"{plural(whole.unpriced_requests_count, 'request')} without a price",
            detail=f"{detail}. Their cost is in no figure here.",
            amount=Decimal(0),
        )
    ]


def _differences(facts: MonthFacts) -> list[AttentionItem]:
    """A provider whose bill differs from usage beyond the tolerance, by cause; credits are no finding."""
    rows = month_rows(facts).filter(pl.col("tie_out_status").is_in(sorted(_DIFFERENCES)))
    items = []
    for (provider,), group in rows.sort("provider_name").group_by("provider_name", maintain_order=True):
        causes = [(cause, amount) for cause, amount in causes_of(group) if cause not in _NO_FINDINGS]
        if causes:
            items.append(_difference_item(facts, shown_name(str(provider), str(provider)), group, causes))
    return items


def _difference_item(facts: MonthFacts, name: str, rows: pl.DataFrame, causes: list[tuple[str, Decimal]]) -> AttentionItem:
    texts = [cause_text(cause, amount, lambda shown: money_short(shown, facts.currency)) for cause, amount in causes]
    detail = _models_of(facts, rows, causes[0][0])
    if texts[1:]:
        detail += f". Also {listed(texts[1:])}"
    return AttentionItem(
        kind="reconciliation", tone="warn", title=f"{name}: {texts[0]}", detail=f"{detail}.", amount=abs(causes[0][1])
    )


def _models_of(facts: MonthFacts, rows: pl.DataFrame, cause: str) -> str:
    """The models with the largest parts of a cause."""
    parts = (
        rows.group_by("model_id")
        .agg(pl.col(f"{cause}_cost").sum().alias("part_cost"), never_logged=(pl.col("tie_out_status") == "no_usage_seen").all())
        .filter(pl.col("part_cost") != 0)
        .sort(-pl.col("part_cost").abs(), "model_id")
        .head(_NAMED_MODELS_COUNT)
    )
    return ", ".join(
        f"{facts.name_of('model', model) if model else 'lines without a model'} {money_short(part, facts.currency, plus=True)}"
        + (" (billed, never logged)" if never_logged else "")
        for model, part, never_logged in parts.iter_rows()
    )


def _foreign_charges(facts: MonthFacts) -> list[AttentionItem]:
    rows = facts.inputs.chargeback.filter(
        (pl.col("month") == facts.month.first_day) & (pl.col("billing_currency") != facts.currency)
    )
    if not rows.height:
        return []
    sums = [
        f"{money_short(exact_sum(group['allocated_cost']), str(code))}"
        for (code,), group in rows.sort("billing_currency").group_by("billing_currency", maintain_order=True)
    ]
    title = f"Charges in other currencies are not included: {listed(sums)}"
    detail = f"{plural(rows.height, 'line')}; see chargeback.csv."
    return [AttentionItem(kind="currency", tone="warn", title=title, detail=detail, amount=Decimal(0))]


def _deliveries(facts: MonthFacts) -> list[AttentionItem]:
    rows = _quality(facts).filter((pl.col("held_deliveries_count") > 0) | (pl.col("refused_deliveries_count") > 0))
    if not rows.height:
        return []
    held, refused = int(rows["held_deliveries_count"].sum()), int(rows["refused_deliveries_count"].sum())
    parts = [text for text, number in ((f"{count_full(held)} held", held), (f"{count_full(refused)} refused", refused)) if number]
    names = listed([display_name(name) for name in rows["source"]])
    title = f"{'Delivery' if held + refused == 1 else 'Deliveries'} not loaded: {listed(parts)}"
    return [
        AttentionItem(
            kind="deliveries", tone="warn", title=title, detail=f"{names}: the last good data stays in use.", amount=Decimal(0)
        )
    ]


def _freshness(facts: MonthFacts) -> list[AttentionItem]:
    items = []
    late = (facts.as_of_date - facts.through_date).days
    if late > 0:
        title = f"Data ends on {day_label(facts.through_date)}, {plural(late, 'day')} before the report's date"
        detail = "Missing days are not counted as zero; the comparison uses the same days of last month."
        items.append(AttentionItem(kind="freshness", tone="warn", title=title, detail=detail, amount=Decimal(0)))
    gaps = _quality(facts).filter(pl.col("days_missing_count") > 0)
    if gaps.height:
        named = [
            f"{display_name(row['source'])} {plural(row['days_missing_count'], 'day')}" for row in gaps.iter_rows(named=True)
        ]
        counts = set(_quality(facts)["days_missing_count"])
        title = f"{plural(max(counts), 'day')} without any data" if len(counts) == 1 else f"Missing days: {listed(named)}"
        items.append(
            AttentionItem(
                kind="freshness",
                tone="warn",
                title=title,
                detail="Missing is not zero: the month may cost more than shown.",
                amount=Decimal(0),
            )
        )
    return items


def _quality(facts: MonthFacts) -> pl.DataFrame:
    return facts.inputs.data_quality.filter(pl.col("month") == facts.month.first_day).sort("source")
