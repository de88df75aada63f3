"""What an explanation of a chargeback line holds: the way from a published number back to lines of source files."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class SourceFile:
    """A landed object, with its bytes hashed now."""

    delivery_id: str
    source: str
    kind: str
    origin_key: str
    landed_key: str
    sha256: str
    """As it was landed."""
    found_sha256: str | None
    """Of the stored bytes, read now; null where there are none."""
    received_at: dt.datetime | None

    @property
    def matches(self) -> bool:
        """Whether the stored bytes are those that were landed."""
        return self.found_sha256 == self.sha256


@dataclass(frozen=True)
class Record:
    """One record of a landed object as it was received."""

    delivery_id: str
    raw_ordinal: int
    raw_text: str | None
    """Cut to 300 characters; null where it cannot be quoted, and ``note`` says why."""
    note: str = ""


@dataclass(frozen=True)
class ChargeLine:
    """A charge line behind an invoice line, and the record that it was delivered as."""

    charge_date: dt.date
    description: str | None
    sku: str | None
    billed_cost: Decimal
    billing_currency: str
    file: SourceFile
    record: Record


@dataclass(frozen=True)
class Bill:
    """The bill's side of a line: its invoice line and the charge lines that make it."""

    invoice_line: Mapping[str, Any]
    """Columns of fact_invoice_lines_monthly that say something."""
    table_version: str
    shares_count: int
    """Lines of the chargeback that share the invoice line."""
    shares_total: Decimal
    """What they are charged together, in the line's currency."""
    invoices: tuple[Mapping[str, Any], ...]
    """Registered invoices of the account and month."""
    charges_count: int
    charges_total: Decimal
    charges: tuple[ChargeLine, ...]
    """The largest of them."""


@dataclass(frozen=True)
class Event:
    """One event of usage, and the record that it was delivered as."""

    event_id: str
    started_at: dt.datetime
    model_id: str
    user_id: str | None
    effective_cost: Decimal | None
    currency: str | None
    file: SourceFile
    record: Record


@dataclass(frozen=True)
class UsageDay:
    """What the owner used on one day, as the weight counts it."""

    usage_date: dt.date
    rows_count: int
    requests_count: int
    total_tokens: int
    effective_cost: Fraction | None
    """The owner's part, exact; null where none of it has a price."""
    currency: str | None
    table_version: str


@dataclass(frozen=True)
class Deliveries:
    """Deliveries whose rows count on the owner's days, where single events are not kept."""

    usage_date: dt.date
    loaded_count: int
    file: SourceFile


@dataclass(frozen=True)
class Usage:
    """The weight's side of a line: what its owner used, of all that was used."""

    measure: str
    """What the rule weighs: cost, tokens, requests or users; empty where it asks no usage."""
    scope: str
    """Whose usage counts, in words."""
    own: Fraction | None
    """This owner's weight: attos of the line's currency for cost, else a count; null where nothing is weighed."""
    all: Fraction | None
    """Of all owners."""
    days: tuple[UsageDay, ...]
    facts_count: int
    """Rows of fact_usage_daily behind the days."""
    events_kept: bool
    events_count: int | None
    """Events behind them; null where they are not kept."""
    events: tuple[Event, ...]
    """The most expensive of them."""
    deliveries: tuple[Deliveries, ...]

    @property
    def share(self) -> Fraction | None:
        """The owner's exact share of the weights."""
        return self.own / self.all if self.own is not None and self.all else None


@dataclass(frozen=True)
class Rule:
    """The allocation rule of a line."""

    name: str
    text: str
    """As the line says it."""
    steps: tuple[str, ...]
    """As the settings of today define it; none where they do not."""


@dataclass(frozen=True)
class Published:
    """A published version that holds the line."""

    version: str
    period_status: str
    allocated_cost: Decimal


@dataclass(frozen=True)
class Explanation:
    """A line of the chargeback, walked back to the files it was made from."""

    line: Mapping[str, Any]
    """The line's columns."""
    table: str
    partition: str
    table_version: str
    as_of: dt.datetime | None
    """Instant of the tables that were read; null is now."""
    published: tuple[Published, ...]
    rule: Rule
    bill: Bill | None = None
    usage: Usage | None = None
    related: tuple["Related", ...] = ()
    faults: tuple[str, ...] = ()
    """What does not agree, though it must."""
    notes: tuple[str, ...] = ()
    """What cannot be said, and why."""

    @property
    def all_faults(self) -> tuple[str, ...]:
        """Faults of the line and of every line that it is explained by."""
        return (*self.faults, *(fault for one in self.related for fault in one.explanation.all_faults))


@dataclass(frozen=True)
class Related:
    """Another line by which a line is explained: booked at the closing, given by the rules now, or disputed."""

    role: str
    explanation: Explanation


@dataclass
class Findings:
    """Faults and notes that are met on the way."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self, what: str, found: object, wanted: object) -> None:
        """Notes a fault unless both are equal."""
        if found != wanted:
            self.faults.append(f"{what}: {found} is not {wanted}")

    def note(self, text: str) -> None:
        """Notes once what cannot be said."""
        if text not in self.notes:
            self.notes.append(text)
