"""What is told to a gateway: which scopes are over a hard quota, what to change there, and what was changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa

from usage_etl.schemas.state import metadata

LimitAction = Literal["limit", "block", "unblock", "restore"]
"""limit: write a budget that the gateway enforces. block, unblock: refuse a key or team, and no longer. restore: the budget
that stood before ours."""
HoldState = Literal["intended", "held", "releasing"]
"""intended: about to be told, or told without an answer. held: told. releasing: about to be taken back."""


@dataclass(frozen=True)
class Refusal:
    """One scope that has used up a hard quota in a period that is not over."""

    scope_kind: str
    scope_id: str
    quota_id: str
    measure: str
    period_kind: str
    period_start: dt.date
    period_end: dt.date
    limit_quantity: Decimal
    used_quantity: Decimal
    currency: str | None

    @property
    def reason(self) -> str:
        """In words."""
        unit = self.currency or self.measure.replace("_", " ")
        used = f"used {_plain(self.used_quantity)} of {_plain(self.limit_quantity)} {unit}"
        return f"{used} from {self.period_start} to {self.period_end}"


@dataclass(frozen=True)
class Hold:
    """What we told the gateway of one scope, and have not taken back."""

    scope_kind: str
    scope_id: str
    kind: Literal["block", "limit"]
    quota_id: str
    state: HoldState
    limit_quantity: Decimal
    period_end: dt.date
    before: Mapping[str, Any]
    """The gateway's record before we changed it."""


@dataclass(frozen=True)
class PlannedAction:
    """One change at the gateway, with the reason that the audit log keeps."""

    action: LimitAction
    scope_kind: str
    scope_id: str
    quota_id: str
    reason: str
    limit_quantity: Decimal
    period_end: dt.date
    budget_duration: str | None = None
    """LiteLLM's name of the period after which a budget begins anew; of limits only."""


@dataclass(frozen=True)
class LimitPlan:
    """What a run would change. ``too_many`` holds the blocks that are not made because there are more than allowed."""

    actions: tuple[PlannedAction, ...]
    too_many: tuple[PlannedAction, ...] = ()
    left_alone: tuple[str, ...] = ()
    """Scopes over a quota that are not blocked, each with why."""


def _plain(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}"


limit_states = sa.Table(
    "usage_etl_limit_states",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("content_sha256", sa.String(64), nullable=False, comment="of the signed file"),
    sa.Column("refused_count", sa.Integer, nullable=False, comment="scopes in it"),
)
"""One limit-state file: a sequence is given out before its file is written, and never twice."""

limit_holds = sa.Table(
    "usage_etl_limit_holds",
    metadata,
    sa.Column("gateway", sa.String(255), primary_key=True, comment="address of the gateway"),
    sa.Column("kind", sa.String(16), primary_key=True, comment="block or limit"),
    sa.Column("scope_kind", sa.String(16), primary_key=True),
    sa.Column("scope_id", sa.String(255), primary_key=True),
    sa.Column("quota_id", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, comment="intended, held or releasing"),
    sa.Column("limit_quantity", sa.Text, nullable=False, comment="decimal as text"),
    sa.Column("period_end", sa.Date, nullable=False, comment="last day of the period"),
    sa.Column("before", sa.Text, nullable=False, comment="JSON: the gateway's record before the change"),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
)
"""What we told a gateway and have not taken back: written before the call, so that a crash in between is seen."""

limit_log = sa.Table(
    "usage_etl_limit_log",
    metadata,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("gateway", sa.String(255), nullable=False),
    sa.Column("action", sa.String(16), nullable=False, comment="limit, block, unblock or restore"),
    sa.Column("scope_kind", sa.String(16), nullable=False),
    sa.Column("scope_id", sa.String(255), nullable=False),
    sa.Column("quota_id", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False, comment="intended, done, skipped or failed"),
    sa.Column("reason", sa.Text, nullable=False, comment="why, or what went wrong"),
    sa.Column("before", sa.Text, comment="JSON: the gateway's record before"),
    sa.Column("after", sa.Text, comment="JSON: the gateway's record after"),
)
"""One step of one change at a gateway. Rows are only ever added."""
