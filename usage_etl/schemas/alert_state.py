"""What the machine of alerts remembers: one state per alert, and the relational tables that hold it.

An alert is one organization, rule (with its version), scope, measure and period. Its unique rows per level and episode make
it impossible that two evaluators tell the same crossing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

import sqlalchemy as sa

from usage_etl.schemas.notices import Notice
from usage_etl.schemas.state import metadata

Standing = Literal["idle", "fired", "passed", "dropped"]
"""idle: not crossed, or clear again. fired: crossed and told. passed: crossed without a message of its own, because a higher
level was told. dropped: no longer beyond it, but not clear of it either; crossing it again tells nothing."""
Thread = Literal["none", "open", "resolved"]
"""none: nothing was told yet. open: something was told and not resolved. resolved: the last thing told is that it is over."""
Over = Literal["", "period", "handled", "rule"]
Disposition = Literal["sent", "grouped", "muted", "held"]
"""sent: handed to the outbox. grouped: told inside a digest. muted: by a silence. held: by the cap; both are told later."""


@dataclass(frozen=True)
class LevelState:
    """Where an alert stands at one level."""

    standing: Standing = "idle"
    episode: int = 0
    """How often the level was crossed; 0 is never."""
    met_before: int = 0
    """For rates: days of data in a row beyond the level, before ``AlertState.as_of``."""
    met_count: int = 0
    """The same, with ``AlertState.as_of``."""
    clear_before: int = 0
    """For rates: days of data in a row clear of the level, before ``AlertState.as_of``."""
    clear_count: int = 0
    """The same, with ``AlertState.as_of``."""


@dataclass(frozen=True)
class AlertState:
    """One alert as it stood after its last evaluation."""

    alert_key: str
    organization_id: str
    rule_name: str
    rule_version: str
    measure: str
    scope_kind: str
    scope_id: str
    scope_name: str
    subject: str
    """What tells alerts of one scope and period apart: a quota's or anomaly's id, or a window; empty where there is none."""
    period_start: dt.date | None
    period_end: dt.date | None
    watch_until: dt.date | None
    """Last UTC day on which it is evaluated; then it is over. Null: as long as the rule stands."""
    as_of: dt.date | None = None
    """Last day with data at the last evaluation that counted."""
    observed_quantity: Decimal | None = None
    """In the measure's unit, percent for shares; null: never known."""
    levels: Mapping[str, LevelState] = field(default_factory=lambda: MappingProxyType({}))
    """By the level's text."""
    thread: Thread = "none"
    thread_number: int = 0
    """How many threads were opened; each is resolved once."""
    channels: tuple[str, ...] = ()
    """Who was told, and is told when it is over."""
    over: Over = ""
    """Why it is not evaluated any more: its period settled, somebody resolved it, or its rule is not in force, which can come
    back; empty while it is."""
    told_on: dt.date | None = None
    """UTC day of the last message, for reminders."""


@dataclass(frozen=True)
class Crossing:
    """One level crossed in one episode; unique, so that nobody can cross it twice."""

    alert_key: str
    level: str
    episode: int
    told: Literal["fired", "passed"]
    crossed_at: dt.datetime
    observed_quantity: Decimal | None


@dataclass(frozen=True)
class KeptNotice:
    """A notice that is not told by itself: part of a digest, muted by a silence, or held by the cap."""

    notice: Notice
    disposition: Literal["grouped", "muted", "held"]
    silence_id: str = ""


@dataclass(frozen=True)
class ActiveSilence:
    """A silence, wherever it was declared."""

    silence_id: str
    rule: str
    scope_kind: str | None
    scope_ids: tuple[str, ...]
    owner: str
    reason: str
    starts_at: dt.datetime | None
    ends_at: dt.datetime


@dataclass(frozen=True)
class AlertMemory:
    """What is remembered when an evaluation begins."""

    states: Mapping[str, AlertState] = field(default_factory=lambda: MappingProxyType({}))
    """By alert key; those that are over may be missing only where nothing of their period is observed."""
    kept: tuple[KeptNotice, ...] = ()
    """Muted and held notices that were not told yet."""
    sent_at: Mapping[str, tuple[dt.datetime, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """By channel: when messages of the last hour were handed to the outbox."""


@dataclass(frozen=True)
class Decision:
    """What one evaluation decides; stored in one transaction with the outbox."""

    states: tuple[AlertState, ...] = ()
    """New and changed ones."""
    crossings: tuple[Crossing, ...] = ()
    notices: tuple[Notice, ...] = ()
    """For the outbox."""
    kept: tuple[KeptNotice, ...] = ()
    """For the history, and to be told later."""
    told_in: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Kept notices that are told now: notice_id to the notice_id of the digest that tells them."""


alert_states = sa.Table(
    "usage_etl_alert_states",
    metadata,
    sa.Column("alert_key", sa.String(64), primary_key=True, comment="organization, rule and version, scope, measure, period"),
    sa.Column("organization_id", sa.String(40), nullable=False),
    sa.Column("rule_name", sa.String(40), nullable=False),
    sa.Column("rule_version", sa.String(64), nullable=False),
    sa.Column("measure", sa.String(40), nullable=False),
    sa.Column("scope_kind", sa.String(40), nullable=False),
    sa.Column("scope_id", sa.Text, nullable=False),
    sa.Column("scope_name", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, comment="quota, anomaly or window; empty where there is none"),
    sa.Column("period_start", sa.Date),
    sa.Column("period_end", sa.Date),
    sa.Column("watch_until", sa.Date, comment="last UTC day on which it is evaluated"),
    sa.Column("as_of", sa.Date, comment="last day with data at the last evaluation"),
    sa.Column("observed_quantity", sa.Text, comment="exact decimal in the measure's unit, percent for shares"),
    sa.Column("levels", sa.Text, nullable=False, comment="JSON: level to where it stands"),
    sa.Column("thread", sa.String(16), nullable=False, comment="none, open or resolved"),
    sa.Column("thread_number", sa.Integer, nullable=False, comment="threads opened; each is resolved once"),
    sa.Column("channels", sa.Text, nullable=False, comment="JSON: who was told"),
    sa.Column("over", sa.String(16), nullable=False, comment="empty while evaluated; else period, handled or rule"),
    sa.Column("told_on", sa.Date, comment="UTC day of the last message"),
    sa.Index("usage_etl_alert_states_open", "organization_id", "over"),
)
"""One alert as it stood after its last evaluation."""

alert_crossings = sa.Table(
    "usage_etl_alert_crossings",
    metadata,
    sa.Column("alert_key", sa.String(64), primary_key=True),
    sa.Column("level", sa.String(40), primary_key=True),
    sa.Column("episode", sa.Integer, primary_key=True, autoincrement=False, comment="1 is the first crossing of the period"),
    sa.Column("told", sa.String(16), nullable=False, comment="fired, or passed: a higher level was told"),
    sa.Column("crossed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("observed_quantity", sa.Text, comment="exact decimal in the measure's unit"),
)
"""One level that an alert crossed. The primary key makes it happen once, whoever evaluates."""

alert_notices = sa.Table(
    "usage_etl_alert_notices",
    metadata,
    sa.Column("notice_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(40), nullable=False),
    sa.Column("alert_key", sa.String(64), nullable=False, index=True),
    sa.Column("channel", sa.String(40), nullable=False),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("disposition", sa.String(16), nullable=False, comment="sent, grouped, muted or held"),
    sa.Column("silence_id", sa.String(64), nullable=False, comment="which silence muted it; empty for none"),
    sa.Column("told_in", sa.String(64), comment="notice_id of the digest that told it; null: by itself, or not yet"),
    sa.Column("body", sa.Text, nullable=False, comment="JSON: the notice"),
    sa.Index("usage_etl_alert_notices_channel", "organization_id", "channel", "happened_at"),
)
"""One thing that was decided to be told. Rows are never removed; only ``told_in`` is filled later."""

alert_silences = sa.Table(
    "usage_etl_alert_silences",
    metadata,
    sa.Column("silence_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(40), nullable=False),
    sa.Column("rule", sa.String(40), nullable=False, comment="* is any"),
    sa.Column("scope_kind", sa.String(40), comment="null is any"),
    sa.Column("scope_ids", sa.Text, nullable=False, comment="JSON: members; none are all"),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False, comment="moved to now by unsilence"),
    sa.Column("ended_by", sa.Text, comment="who ended it early"),
)
"""One silence of ``usage-etl alerts silence``."""

alert_evaluations = sa.Table(
    "usage_etl_alert_evaluations",
    metadata,
    sa.Column("organization_id", sa.String(40), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False, comment="evaluations stored so far: an older one cannot overwrite"),
    sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("inputs", sa.String(64), nullable=False, comment="fingerprint of marts and rules"),
)
"""The last evaluation of an organization."""
