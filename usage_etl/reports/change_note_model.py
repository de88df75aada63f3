"""The change note as data: what changed in a closed month since the version that was sent, on one page."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from usage_etl.reports.model import Figure, Part, Proof, Status

CenterKind = Literal["member", "rest", "same", "total"]
ReasonKind = Literal["member", "rest", "total"]


@dataclass(frozen=True)
class Versions:
    """Which version the reader has, which one stands now, and when each was made. Dates may be unknown."""

    before: str
    before_date: dt.date | None = None
    current: str = ""
    current_date: dt.date | None = None
    booking_status: str = "open"
    """Status of the month that the corrections are booked in."""


class CenterRow(Part):
    """One cost center before and now; of kind rest several changed ones, of kind same all that did not change."""

    kind: CenterKind
    name: str
    cost_center_id: str
    before: Figure
    after: Figure
    change: Figure


class ReasonRow(Part):
    """One reason at one provider: how much it moved between cost centers, and what it adds to the whole."""

    kind: ReasonKind
    reason: str
    provider: str
    centers: Figure
    moved: Figure
    """Sum of what cost centers pay more because of it."""
    net: Figure


class CurrencyChange(Part):
    """Everything that changed in one currency."""

    currency: str
    before: Figure
    after: Figure
    net: Figure
    centers: tuple[CenterRow, ...]
    reasons: tuple[ReasonRow, ...]


class ChangeNote(Part):
    """The whole note."""

    format_version: Literal["1"] = "1"
    note_id: str
    """Hex digest of the lines and versions: equal notes have equal ids."""
    organization: str
    title: str
    since: str
    """``Since version 1, which you got on 5 November 2026``."""
    status: Status
    original_month: dt.date
    booking_month: dt.date
    as_of_date: dt.date
    terms: tuple[Proof, ...]
    """Months, versions and dates."""
    headline: str
    subject: str
    changes: tuple[CurrencyChange, ...]
    what_to_do: tuple[str, ...]
    proofs: tuple[Proof, ...]
