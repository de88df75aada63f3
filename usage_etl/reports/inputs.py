"""What the executive report is made from: mart frames and proof facts, read once into plain values and checked.

One fact in two marts must be the same number, or no report is made (ConservationError).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import MONEY, exact_sum
from usage_etl.periods import Month
from usage_etl.reports.formatting import display_name
from usage_etl.schemas import MART_RECOMMENDATION_VERDICTS, MART_RECOMMENDATIONS
from usage_etl.schemas.projections import MART_PROJECTION_ACCURACY
from usage_etl.schemas.summary import of_window
from usage_etl.units import NO_MEMBER, UNALLOCATED, UNEXPLAINED

OWNERLESS = frozenset({UNALLOCATED, UNEXPLAINED, NO_MEMBER})
"""Members that are nobody: never ranked, always shown."""

PROJECTED_SCOPES = ("organization", "department", "team")
"""Scopes whose projections the report reads."""

DISPLAY_NAMES = {
    UNALLOCATED: "Unallocated",
    UNEXPLAINED: "Unexplained difference",
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "google": "Google",
    "mistral": "Mistral",
    "azure": "Azure",
    "aws": "AWS Bedrock",
    "aws-bedrock": "AWS Bedrock",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "x-ai": "xAI",
    "groq": "Groq",
    "meta": "Meta",
}
"""Ids that the tables carry without a name, as people write them."""


@dataclass(frozen=True)
class ProofFacts:
    """Where the numbers come from. A value that differs on each run makes each report different; leave ``run_id`` empty then."""

    manifests: Mapping[str, str]
    """``<table>/<partition>`` to the sha256 of the object that was read."""
    price_book_version: str
    code_version: str
    run_id: str = ""


@dataclass(frozen=True)
class ExecutiveInputs:
    """Mart frames, each in its table's shape. ``spend_daily`` also covers the months before, for 30 days of bars."""

    summary: pl.DataFrame
    spend_daily: pl.DataFrame
    projection: pl.DataFrame
    anomalies: pl.DataFrame
    reconciliation: pl.DataFrame
    chargeback: pl.DataFrame
    data_quality: pl.DataFrame
    proof: ProofFacts
    recommendations: pl.DataFrame = field(default_factory=MART_RECOMMENDATIONS.empty)
    verdicts: pl.DataFrame = field(default_factory=MART_RECOMMENDATION_VERDICTS.empty)
    """mart_recommendation_verdicts: on the advice of the month before."""
    accuracy: pl.DataFrame = field(default_factory=MART_PROJECTION_ACCURACY.empty)
    """mart_projection_accuracy of the month and those before it."""
    partial_days: frozenset[dt.date] = field(default_factory=frozenset)
    """Days that are still filling; drawn paler."""


@dataclass(frozen=True)
class Member:
    """One row of mart_summary. Earlier values are null unless the same days of the month before are covered by data."""

    member_id: str
    name: str
    requests_count: int
    errors_count: int
    users_count: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    unpriced_requests_count: int
    unpriced_tokens: int
    cost: Decimal | None
    has_previous: bool
    previous_cost: Decimal | None
    previous_requests_count: int | None
    previous_tokens: int | None
    previous_users_count: int | None

    @property
    def cost_change(self) -> Decimal | None:
        """Cost above the same days of the month before; null where that is not known."""
        if not self.has_previous or self.cost is None:
            return None
        return self.cost - (self.previous_cost or Decimal(0))


NOBODY = Member("", "", 0, 0, 0, 0, 0, 0, 0, 0, None, False, None, None, None, None)
"""A member without any usage."""


@dataclass(frozen=True)
class Projection:
    """One row of mart_projection about cost."""

    scope_kind: str
    scope_id: str
    cost_to_date: Decimal
    projected_cost: Decimal
    lower_cost: Decimal | None
    upper_cost: Decimal | None
    linear_cost: Decimal
    monthly_budget: Decimal | None
    band_samples_count: int


@dataclass(frozen=True)
class MonthFacts:
    """The inputs of one month, filtered to it and in one currency."""

    month: Month
    through_date: dt.date
    as_of_date: dt.date
    currency: str
    inputs: ExecutiveInputs

    @cached_property
    def members(self) -> dict[str, list[Member]]:
        """Dimension to its members, costliest first."""
        frame = of_window(_of_month(self.inputs.summary, self.month))
        found: dict[str, list[Member]] = {}
        for row in frame.with_columns(pl.col(pl.Categorical).cast(pl.String)).iter_rows(named=True):
            found.setdefault(row["dimension"], []).append(_member(row))
        for members in found.values():
            members.sort(key=lambda one: (-(one.cost or Decimal(0)), -one.requests_count, one.member_id))
        return found

    @property
    def organization(self) -> Member:
        """The whole; NOBODY in a month without usage."""
        rows = self.members.get("organization", [])
        return rows[0] if rows else NOBODY

    def name_of(self, dimension: str, member_id: str) -> str:
        """A member's name for people; the id itself where the summary does not know it."""
        names = {member.member_id: member.name for member in self.members.get(dimension, [])}
        return names.get(member_id) or shown_name(member_id, member_id)

    @cached_property
    def projections(self) -> list[Projection]:
        """Rows of the month's mart_projection about the cost of the organization, departments and teams."""
        frame = _of_month(self.inputs.projection, self.month).filter(
            pl.col("measure") == "effective_cost", pl.col("scope_kind").is_in(PROJECTED_SCOPES)
        )
        return [
            Projection(
                row["scope_kind"],
                row["scope_id"],
                row["to_date_quantity"],
                row["projected_quantity"],
                row["projected_lower_quantity"],
                row["projected_upper_quantity"],
                row["linear_quantity"],
                row["limit_quantity"],
                row["band_samples_count"],
            )
            for row in frame.sort("scope_kind", "scope_id").iter_rows(named=True)
        ]

    @property
    def organization_projection(self) -> Projection | None:
        """The whole organization's projection; null before there is one."""
        return next((one for one in self.projections if one.scope_kind == "organization"), None)

    @property
    def first_day_with_data(self) -> dt.date | None:
        """First day of the month that has usage; null in a month without."""
        days = self.inputs.spend_daily.filter(pl.col("usage_date").is_between(self.month.first_day, self.through_date))
        first = days["usage_date"].min()
        return first if isinstance(first, dt.date) else None

    def daily_costs(self, by: str, first: dt.date) -> dict[str, dict[dt.date, Decimal | None]]:
        """``by`` (provider or team_id) to priced usage per day from ``first`` to the last day; null: nothing priced."""
        frame = self.inputs.spend_daily.filter(pl.col("usage_date").is_between(first, self.through_date))
        found: dict[str, dict[dt.date, Decimal | None]] = {}
        for key, day, cost in frame.select(pl.col(by), "usage_date", "effective_cost").iter_rows():
            days = found.setdefault(key, {})
            if cost is not None:
                days[day] = (days.get(day) or Decimal(0)) + cost
            else:
                days.setdefault(day, None)
        return found

    def daily_counts(self, column: str, first: dt.date) -> dict[dt.date, int]:
        """Sum of ``requests_count`` or ``total_tokens`` per day from ``first`` to the last day."""
        frame = self.inputs.spend_daily.filter(pl.col("usage_date").is_between(first, self.through_date))
        return dict(frame.group_by("usage_date").agg(pl.col(column).sum()).sort("usage_date").iter_rows())


def read_month(inputs: ExecutiveInputs, *, currency: str, as_of: dt.date) -> MonthFacts:
    """The month of ``as_of``. Raises ConservationError where two marts disagree, ValueError on a foreign currency."""
    month = Month.of(as_of)
    foreign = sorted({code for code in _of_month(inputs.summary, month)["currency"] if code != currency})
    if foreign:
        raise ValueError(f"mart_summary is in {', '.join(foreign)}, the report in {currency}")
    rows = of_window(_of_month(inputs.summary, month)).filter(pl.col("dimension").cast(pl.String) == "organization")
    last_day = rows["through_date"].max() if rows.height else None
    through = min(as_of, last_day) if isinstance(last_day, dt.date) else as_of
    facts = MonthFacts(month, through, as_of, currency, inputs)
    _check_conserved(facts)
    return facts


def shown_name(member_id: str, name: str) -> str:
    """A name safe to print, from the table's name or the usual spelling of its id."""
    return display_name(DISPLAY_NAMES.get(member_id, name) if name in {member_id, ""} else name)


def _member(row: Mapping[str, Any]) -> Member:
    member_id = row["member_id"]
    return Member(
        member_id=member_id,
        name=shown_name(member_id, row["member_name"]),
        errors_count=row["errors_count"],
        requests_count=row["requests_count"],
        users_count=row["active_users_count"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        total_tokens=row["total_tokens"],
        unpriced_requests_count=row["unpriced_requests_count"],
        unpriced_tokens=row["unpriced_tokens"],
        cost=row["effective_cost"],
        has_previous=row["previous_has_data"],
        previous_cost=row["previous_effective_cost"],
        previous_requests_count=row["previous_requests_count"],
        previous_tokens=row["previous_total_tokens"],
        previous_users_count=row["previous_active_users_count"],
    )


def _of_month(frame: pl.DataFrame, month: Month) -> pl.DataFrame:
    return frame.filter(pl.col("month") == month.first_day)


def _check_conserved(facts: MonthFacts) -> None:
    """The organization's cost must be the sum over each ranked dimension and over the days, and the projection's start."""
    whole = facts.organization.cost or Decimal(0)
    for dimension in ("team", "model", "feature", "provider"):
        members = facts.members.get(dimension, [])
        parts = exact_sum(pl.Series([member.cost for member in members], dtype=MONEY)) if members else whole
        if parts != whole:
            raise ConservationError(f"mart_summary {facts.month}: cost by {dimension} and of the organization", parts, whole)
    days = facts.inputs.spend_daily.filter(
        pl.col("usage_date").is_between(facts.month.first_day, facts.through_date), pl.col("currency") == facts.currency
    )
    spent = exact_sum(days["effective_cost"])
    if spent != whole:
        raise ConservationError(f"mart_spend_daily and mart_summary {facts.month}: cost to {facts.through_date}", spent, whole)
    projection = facts.organization_projection
    if projection and projection.cost_to_date != whole:
        raise ConservationError(f"mart_projection and mart_summary {facts.month}: cost to date", projection.cost_to_date, whole)
