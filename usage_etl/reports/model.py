"""The executive report as data: typed, frozen, JSON-storable. PDF, page, mail and text print it and compute nothing.

Money and counts stand in ``Figure``: the value, and the one text in which every output shows it. Money is a decimal
string in JSON.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

Tone = Literal["good", "neutral", "warn", "bad"]
"""bad is for money over budget and broken data; warn is for what may become so."""


class Part(BaseModel):
    """Base of every piece of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(Part):
    """One number and its printed form. ``value`` is null where there is no data or no such number."""

    value: Decimal | int | None
    text: str


class Period(Part):
    """Which days the report covers: ``month`` from its first day to ``through_date``."""

    month: dt.date
    through_date: dt.date
    as_of_date: dt.date
    days_elapsed_count: int
    days_in_month_count: int
    is_complete: bool
    name: str
    """``November``."""
    label: str
    """``November 2026, month to date, 19 of 30 days``."""
    previous_name: str
    comparison: str
    """``the same 19 days of October``."""


class Status(Part):
    """The pill at the top: where cost stands against the budget."""

    tone: Tone
    text: str


class Card(Part):
    """One key figure with its comparison; a trend of daily values, or a gauge against the budget."""

    label: str
    figure: Figure
    note: str
    tone: Tone
    trend: tuple[Decimal | int | None, ...] = ()
    gauge: Gauge | None = None


class Gauge(Part):
    """Cost so far and where it will end, against a limit."""

    spent_cost: Decimal
    projected_cost: Decimal
    limit_cost: Decimal
    alt: str


class Series(Part):
    """One colour of the daily chart: a provider, with one amount per day (null: nothing priced)."""

    name: str
    color: int
    """Position in the palette; -1 is the grey of the others."""
    daily_costs: tuple[Decimal | None, ...]
    total: Figure
    share: Figure


class Mark(Part):
    """An anomaly on its day's bar. ``text`` is empty where a neighbour carries the label."""

    day: dt.date
    text: str


class DailyChart(Part):
    """Priced usage of each of the last days by provider. ``series`` runs from the bottom of the stack to its top."""

    days: tuple[dt.date, ...]
    has_data: tuple[bool, ...]
    is_partial: tuple[bool, ...]
    series: tuple[Series, ...]
    marks: tuple[Mark, ...]
    total: Figure
    title: str
    note: str
    alt: str


class BurnUp(Part):
    """Cumulative cost of the month, one amount per elapsed day, and where it will end."""

    month: dt.date
    days_in_month_count: int
    cumulative_costs: tuple[Decimal, ...]
    spent: Figure
    projected: Figure | None
    lower_cost: Decimal | None
    upper_cost: Decimal | None
    linear: Figure | None
    budget: Figure | None
    note: str
    alt: str


class Bar(Part):
    """One member of a ranking; ``previous_cost`` is drawn as a tick."""

    name: str
    cost: Figure
    share: Figure
    previous_cost: Decimal | None
    is_member: bool
    """False for the sum of others and for what nobody owns."""


class BarList(Part):
    """A ranking by cost whose bars add up to the organization's cost."""

    title: str
    tick_note: str
    """What the tick means; empty without earlier data."""
    note: str
    bars: tuple[Bar, ...]


class Mover(Part):
    """One member whose cost changed most."""

    name: str
    change: Figure
    note: str


class MoverList(Part):
    """Members of one dimension with the largest changes, or the largest costs where nothing earlier is known."""

    title: str
    movers: tuple[Mover, ...]


class TeamRow(Part):
    """One line of the team table."""

    kind: Literal["team", "others", "unallocated", "unexplained", "total"]
    name: str
    trend: tuple[Decimal | None, ...]
    users: Figure
    requests: Figure
    input_tokens: Figure
    output_tokens: Figure
    cost: Figure
    change: Figure
    budget_used: Figure
    budget_tone: Tone
    charged: Figure


class TeamTable(Part):
    """Cost and charge by team. Rows add up to the total in every column but users, which are distinct per row."""

    rows: tuple[TeamRow, ...]
    total: TeamRow
    elapsed_ratio: Decimal
    note: str


class AttentionItem(Part):
    """Something to act on. ``amount`` ranks it; it is also named in the title."""

    kind: Literal["anomaly", "budget", "unallocated", "unpriced", "deliveries", "reconciliation", "freshness", "currency", "more"]
    tone: Tone
    title: str
    detail: str
    amount: Decimal
    days: tuple[dt.date, ...] = ()
    """Anomalous days; their bars are marked."""
    mark: str = ""
    """Text of the mark in the chart; the title says the same."""


class Advice(Part):
    """One recommendation: what to do, what it saves in a month, how hard it is, on what evidence."""

    title: str
    savings: Figure
    """Of a month."""
    effort: str
    detail: str


class Savings(Part):
    """The first recommendations, and the verdict on last month's. Empty in reports from before there were any."""

    title: str = ""
    note: str = ""
    """What all recommendations save together."""
    advice: tuple[Advice, ...] = ()
    verdict: str = ""
    """Empty where there was no advice in the month before."""

    @property
    def has_content(self) -> bool:
        """Whether there is anything to print."""
        return bool(self.advice or self.verdict)


class TrustFact(Part):
    """One measure of how far the numbers can be trusted."""

    label: str
    figure: Figure
    note: str
    tone: Tone


class SourceRow(Part):
    """One source: what arrived, and what became of it."""

    name: str
    days: str
    last_arrival: str
    rows_read: Figure
    rows_loaded: Figure
    rows_duplicate: Figure
    rows_quarantined: Figure
    tone: Tone


class BillCause(Part):
    """One cause of a difference, as the tie-out names it, with its amount; ``text`` says both to people."""

    cause: str
    cost: Figure
    text: str


class BillRow(Part):
    """One provider: what it billed beside what we priced, and why they differ. ``causes`` add up to ``difference``."""

    provider: str
    billed: Figure
    priced: Figure
    difference: Figure
    verdict: str
    tone: Tone
    causes: tuple[BillCause, ...] = ()
    """The largest first; causes that come to nothing are left out."""


class Proof(Part):
    """One name and value that lets a reader find the exact inputs."""

    label: str
    text: str


class Trust(Part):
    """The closing block: measures, sources, bills and versions."""

    facts: tuple[TrustFact, ...]
    sources: tuple[SourceRow, ...]
    bills: tuple[BillRow, ...]
    findings: tuple[str, ...] = ()
    """A sentence for each provider whose bill differs, naming causes and amounts."""
    proofs: tuple[Proof, ...]
    manifests: tuple[Proof, ...]


class ExecutiveReport(Part):
    """The whole report. ``model_dump_json`` stores it; ``ExecutiveReport.model_validate_json`` reads it back."""

    format_version: Literal["1"] = "1"
    report_id: str
    """Hex digest of every input; equal inputs give the same report, byte for byte."""
    organization_name: str
    generated_for: str
    currency: str
    title: str
    period: Period
    status: Status
    headline: str
    cards: tuple[Card, ...]
    daily: DailyChart
    burn_up: BurnUp
    teams: BarList
    models: BarList
    features: BarList
    movers: tuple[MoverList, ...]
    movers_title: str
    team_table: TeamTable
    attention: tuple[AttentionItem, ...]
    savings: Savings = Savings()
    trust: Trust


Card.model_rebuild()
