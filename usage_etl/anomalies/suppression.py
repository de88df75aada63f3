"""What is known beforehand: price changes, restated days, planned events, and the same event told by its cost already."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from usage_etl.anomalies.candidates import Candidate
from usage_etl.anomalies.profiles import ZERO
from usage_etl.schemas.anomalies import ALERTING_KINDS

if TYPE_CHECKING:
    from usage_etl.config.anomalies import KnownEvent

SAME_EVENT = "the cost of the same day tells it"
ORDINARY_COST = "its cost is ordinary"
PRICED_SHARE = 0.9
"""A day on which this share of requests has a known cost is judged by its cost."""
LATE_DAYS = 7
"""A rebuild this long after the day is a restatement, not a day that was still filling."""

PriceStarts = Mapping[tuple[str, str], Sequence[dt.date]]
"""(provider, model) to the days on which another price began."""


@dataclass(frozen=True)
class Known:
    """What was known or declared, apart from the days themselves."""

    events: Sequence[KnownEvent] = ()
    price_starts: PriceStarts = field(default_factory=dict)
    restated_costs: Mapping[dt.date, Decimal] = field(default_factory=dict)
    """Day to how much its late rebuilds added to its cost."""


def price_starts(prices: pl.DataFrame) -> dict[tuple[str, str], list[dt.date]]:
    """When a price of dim_price follows another of the same model; first prices are no change."""
    found: dict[tuple[str, str], set[dt.date]] = {}
    for provider, model, start in prices.select("provider", "model_id", pl.col("valid_from").dt.date()).iter_rows():
        found.setdefault((provider, model), set()).add(start)
    return {model: sorted(starts)[1:] for model, starts in found.items() if len(starts) > 1}


def restated_costs(restatements: pl.DataFrame, *, currency: str) -> dict[dt.date, Decimal]:
    """Usage days of fact_restatements that were rebuilt late, to what those rebuilds added."""
    is_late = (pl.col("built_at").dt.date() - pl.col("usage_date")).dt.total_days() > LATE_DAYS
    rows = restatements.filter(
        pl.col("table_name") == "fact_usage_hourly", pl.col("currency").cast(pl.String) == currency, is_late
    )
    added: dict[dt.date, Decimal] = {}
    columns = ("usage_date", "before_effective_cost", "after_effective_cost")
    for day, before, after in rows.select(columns).iter_rows():
        added[day] = added.get(day, ZERO) + (after or ZERO) - (before or ZERO)
    return added


def suppression(
    candidate: Candidate,
    known: Known,
    *,
    price_part: Decimal,
    priced_share: float,
    models: Iterable[tuple[str, str]],
    cost_days: set[tuple[str, str, dt.date]],
) -> str | None:
    """Why an anomaly is known; None where nothing is.

    ``models`` are those in use, ``priced_share`` is the share of the day's requests with a known cost, and ``cost_days``
    have a cost anomaly.
    """
    for event in known.events:
        if _covers(event, candidate):
            return event.reason
    is_money = candidate.measure == "effective_cost"
    if is_money and _is_explained(candidate, price_part):
        started = _price_change(candidate, known.price_starts, models)
        if started is not None:
            return started
    restated = known.restated_costs.get(candidate.day, ZERO)
    if is_money and restated and _is_explained(candidate, restated):
        return f"restatement: rebuilt more than {LATE_DAYS} days later"
    if candidate.measure not in ("total_tokens", "requests_count"):
        return None
    if (candidate.kind, candidate.scope_id, candidate.day) in cost_days:
        return SAME_EVENT
    return ORDINARY_COST if priced_share >= PRICED_SHARE else None


def _covers(event: KnownEvent, candidate: Candidate) -> bool:
    in_time = event.first_date <= candidate.day <= event.last_date
    in_scope = event.scope_kind == "organization" or (event.scope_kind, event.scope_id) == (candidate.kind, candidate.scope_id)
    return in_time and in_scope and (not event.measures or candidate.measure in event.measures)


def _is_explained(candidate: Candidate, part: Decimal) -> bool:
    """Whether the day would not be anomalous without the part."""
    has_same_sign = (part > 0) == (candidate.excess > 0)
    return has_same_sign and float(abs(candidate.excess - part)) < candidate.least_excess


def _price_change(candidate: Candidate, starts: PriceStarts, models: Iterable[tuple[str, str]]) -> str | None:
    first = min(candidate.compared_days, default=candidate.day)
    for provider, model in sorted(models):
        changes = [day for day in starts.get((provider, model), ()) if first < day <= candidate.day]
        if changes:
            return f"price change: {provider}/{model} since {changes[-1]}"
    return None


def is_alerting(candidate: Candidate, suppressed_by: str | None) -> bool:
    """Organization and teams alert, unless something is known."""
    return candidate.kind in ALERTING_KINDS and suppressed_by is None
