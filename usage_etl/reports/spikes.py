"""Anomalies of the month as items to act on: which days, how much, whose, and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.reports.comparison import ratio_of
from usage_etl.reports.formatting import display_name, listed, money_short, multiple, span_label
from usage_etl.reports.inputs import MonthFacts, shown_name
from usage_etl.reports.model import AttentionItem

_NAMED_COUNT = 3
_LISTED_COUNT = 4
_CAUSE_LENGTH = 240
_GRAVE_RATIO = Decimal("0.01")
"""Anomalies above this share of the month's cost are told in red."""


@dataclass(frozen=True)
class _Day:
    """The anomaly of one day: the organization's row when there is one, and the teams behind it."""

    day: dt.date
    observed: Decimal
    expected: Decimal
    excess: Decimal
    scope: str
    teams: tuple[str, ...]
    api_key: str
    cause: str
    """Why, as the mart says it: factors, key or user, model."""


def anomaly_items(facts: MonthFacts) -> list[AttentionItem]:
    """One item per run of anomalous days with one cause, costliest first. Its ``days`` are the marked bars."""
    runs: list[list[_Day]] = []
    for one in _anomalous_days(facts):
        last = runs[-1][-1] if runs else None
        if last and one.day - last.day == dt.timedelta(days=1) and (one.api_key, one.teams) == (last.api_key, last.teams):
            runs[-1].append(one)
        else:
            runs.append([one])
    runs.sort(key=lambda run: -sum((one.excess for one in run), Decimal(0)))
    floor = (facts.organization.cost or Decimal(0)) * _GRAVE_RATIO
    if len(runs) <= _NAMED_COUNT:
        return [_anomaly_item(run, facts.currency, floor=floor) for run in runs]
    named = [_anomaly_item(run, facts.currency, floor=floor) for run in runs[: _NAMED_COUNT - 1]]
    return [*named, _merged_item(runs[_NAMED_COUNT - 1 :], facts.currency)]


def _anomalous_days(facts: MonthFacts) -> list[_Day]:
    rows = facts.inputs.anomalies.filter(
        pl.col("usage_date").is_between(facts.month.first_day, facts.through_date),
        pl.col("measure") == "effective_cost",
        pl.col("currency") == facts.currency,
        pl.col("excess_cost") > 0,
        pl.col("is_alerting"),
    ).sort("usage_date", "excess_cost", "scope_id", descending=[False, True, False])
    found = []
    for (day,), group in rows.group_by("usage_date", maintain_order=True):
        records = list(group.iter_rows(named=True))
        wide = next((row for row in records if row["scope_kind"] == "organization"), records[0])
        teams = [row for row in records if row["scope_kind"] != "organization"]
        cause = teams[0] if teams else wide
        found.append(
            _Day(
                day=day,
                observed=wide["observed_quantity"],
                expected=wide["expected_quantity"],
                excess=wide["excess_cost"],
                scope="" if wide["scope_kind"] == "organization" else shown_name(wide["scope_id"], wide["scope_name"]),
                teams=tuple(shown_name(row["scope_id"], row["scope_name"]) for row in teams[:1]),
                api_key=cause["top_api_key_id"] or "",
                cause=display_name(cause["cause_text"], limit=_CAUSE_LENGTH),
            )
        )
    return found


def _merged_item(runs: Sequence[Sequence[_Day]], currency: str) -> AttentionItem:
    """The smaller anomalies as one item; their bars carry a dot without a label."""
    sums = [sum((one.excess for one in run), Decimal(0)) for run in runs]
    named = [
        f"{span_label([one.day for one in run])} {run[0].scope or listed(list(run[0].teams) or ['the organization'])} "
        f"{money_short(excess, currency, plus=True)}"
        for run, excess in zip(runs, sums, strict=True)
    ]
    total = sum(sums, Decimal(0))
    more = "; and more" if len(named) > _LISTED_COUNT else ""
    return AttentionItem(
        kind="anomaly",
        tone="warn",
        title=f"{len(runs)} smaller spikes, {money_short(total, currency)} above expectation",
        detail=f"{'; '.join(named[:_LISTED_COUNT])}{more}.",
        amount=sums[0],
        days=tuple(sorted(one.day for run in runs for one in run)),
    )


def _anomaly_item(run: Sequence[_Day], currency: str, *, floor: Decimal) -> AttentionItem:
    first = run[0]
    observed, expected, excess = (
        sum((getattr(one, name) for one in run), Decimal(0)) for name in ("observed", "expected", "excess")
    )
    ratio = ratio_of(observed, expected)
    size = f"{multiple(ratio)} the expected cost" if ratio is not None else "cost where none is expected"
    whose = f" of {first.scope}" if first.scope else ""
    days = tuple(one.day for one in run)
    causes = [listed(list(first.teams))] if first.teams and not first.scope else []
    dearest = max(run, key=lambda one: one.excess)
    causes.append(dearest.cause)
    amounts = [money_short(amount, currency) for amount in (observed, expected, excess)]
    above = f"{amounts[0]} against {amounts[1]} expected, {amounts[2]} more"
    title = f"{span_label(days)}: {size}{whose}"
    return AttentionItem(
        kind="anomaly",
        tone="bad" if excess >= floor else "warn",
        title=title,
        mark=title,
        detail=f"{' · '.join([above, *causes])}.",
        amount=excess,
        days=days,
    )
