"""The statement of one cost center and month as data: every figure once, with the one text in which it is printed.

PDF and mail print it and compute nothing. Amounts of two currencies stand in parts of their own and are never added.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from usage_etl.reports.booked_lines import Part as LinePart
from usage_etl.reports.model import Figure, Part, Proof, Status
from usage_etl.units import UNALLOCATED, UNEXPLAINED

Audience = Literal["owner", "unallocated", "unexplained"]
"""Whose statement it is: an owner's, or finance's about what nobody owns or no usage explains."""


@dataclass(frozen=True)
class CostCenter:
    """The cost center that a statement is for, as the directory knows it on the month's last day."""

    cost_center_id: str
    cost_center_name: str
    gl_account: str
    owner_email: str = ""

    @property
    def audience(self) -> Audience:
        """Finance gets the statements about money that nobody owns and that no usage explains."""
        if self.cost_center_id == UNALLOCATED:
            return "unallocated"
        return "unexplained" if self.cost_center_id == UNEXPLAINED else "owner"


@dataclass(frozen=True)
class DisputeFact:
    """One row of dim_dispute, with the currency of the line that it is about."""

    dispute_id: str
    resolution: str
    reason: str
    disputed_cost: Decimal
    currency: str
    resolved_date: dt.date | None = None


class LadderRow(Part):
    """One step from charges to the total."""

    kind: LinePart | Literal["subtotal", "total"]
    label: str
    note: str
    amount: Figure


class Column(Part):
    """One column of amounts or counts of a table."""

    label: str
    is_strong: bool = False


class TableRow(Part):
    """One row: names to the left, figures to the right, one for each column."""

    kind: Literal["member", "rest", "total"]
    name: str
    second: str
    """What stands in the second column of names: the provider."""
    figures: tuple[Figure, ...]


class Table(Part):
    """A table whose amounts add up to its last row, the total of the currency."""

    title: str
    caption: str
    first: str
    second: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]


class CorrectionRow(Part):
    """Correction lines of one closed month, provider and reason; of kind rest those that the list leaves to the CSV."""

    kind: Literal["member", "rest"]
    month: str
    provider: str
    reason: str
    lines: Figure
    amount: Figure


class DisputeRow(Part):
    """One dispute about a line of this cost center, or one that moved a charge to it, and what was decided."""

    dispute_id: str
    decision: str
    reason: str
    disputed: Figure
    booked: Figure
    """What its adjustment lines in this statement charge; null where none of them is in it."""


class RuleRow(Part):
    """Lines that one allocation rule made in one way; of kind rest those that the list leaves to the CSV."""

    kind: Literal["member", "rest"]
    name: str
    text: str
    lines: Figure
    amount: Figure


class CurrencyPart(Part):
    """Everything that is charged in one currency."""

    currency: str
    ladder: tuple[LadderRow, ...]
    total: Figure
    billed: Figure
    """The total without estimates."""
    estimated: Figure
    """What is charged where no bill was delivered; null for nothing."""
    owners: Table
    subjects: Table
    corrections: tuple[CorrectionRow, ...]
    rules: tuple[RuleRow, ...]
    conversions: tuple[str, ...]
    """One sentence for each exchange rate in use."""


class Header(Part):
    """Who is charged for what, by which statement."""

    organization: str
    title: str
    cost_center: str
    cost_center_id: str
    gl_account: str
    period: str
    through: str
    number: str
    status: Status
    status_note: str
    """Which providers are how far, where they differ."""
    owner: str
    """Address of who answers for the cost center; empty where none is known."""


class Statement(Part):
    """The whole statement."""

    format_version: Literal["1"] = "1"
    statement_id: str
    """Hex digest of lines, names, status and version: equal statements have equal ids, whenever they are made."""
    audience: Audience
    month: dt.date
    as_of_date: dt.date
    csv_name: str
    header: Header
    headline: str
    subject: str
    """The answer in one line, for a mail's subject."""
    parts: tuple[CurrencyPart, ...]
    disputes: tuple[DisputeRow, ...]
    disputes_rest: str
    """How many disputes the list leaves out; empty for none."""
    nothing: tuple[str, ...]
    """What there is none of, one sentence each: an absent section is said, not left to be noticed."""
    how_to_dispute: tuple[str, ...]
    lines: Figure
    """Lines in the CSV."""
    proofs: tuple[Proof, ...]
