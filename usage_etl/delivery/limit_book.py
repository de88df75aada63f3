"""What a gateway was told, by us: holds that wait to be taken back, the audit log, and the numbers of limit-state files."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from usage_etl.schemas.limits import Hold, PlannedAction, limit_holds, limit_log, limit_states

_Record = Mapping[str, Any] | None
_KIND_OF_ACTION = {"limit": "limit", "restore": "limit", "block": "block", "unblock": "block"}


@dataclass(frozen=True)
class LogEntry:
    """One row of the audit log."""

    happened_at: dt.datetime
    gateway: str
    action: str
    scope_kind: str
    scope_id: str
    quota_id: str
    outcome: str
    reason: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class LimitBook:
    """Holds and log of one gateway. A change is written down before it is made, so a crash in between leaves a trace."""

    def __init__(self, engine: sa.Engine, gateway: str, *, clock: Callable[[], dt.datetime]) -> None:
        self._engine, self._gateway, self._clock = engine, gateway, clock

    def holds(self) -> list[Hold]:
        """What we told the gateway and have not taken back, in order."""
        query = sa.select(limit_holds).where(limit_holds.c.gateway == self._gateway)
        ordered = query.order_by(limit_holds.c.kind, limit_holds.c.scope_kind, limit_holds.c.scope_id)
        with self._engine.connect() as connection:
            return [_hold(row) for row in connection.execute(ordered).mappings()]

    def intend(self, action: PlannedAction, before: Mapping[str, Any]) -> Mapping[str, Any]:
        """Writes down that ``action`` is about to be made; returns the record before the first of our changes."""
        kind, taking = _KIND_OF_ACTION[action.action], action.action in {"limit", "block"}
        with self._engine.begin() as connection:
            standing = connection.execute(sa.select(limit_holds.c.before).where(*self._key(kind, action))).scalar()
            first = before if standing is None else json.loads(standing)
            connection.execute(sa.delete(limit_holds).where(*self._key(kind, action)))
            connection.execute(
                sa.insert(limit_holds).values(
                    gateway=self._gateway,
                    kind=kind,
                    scope_kind=action.scope_kind,
                    scope_id=action.scope_id,
                    quota_id=action.quota_id,
                    state="intended" if taking else "releasing",
                    limit_quantity=str(action.limit_quantity),
                    period_end=action.period_end,
                    before=json.dumps(first),
                    changed_at=self._now(),
                )
            )
            self._log(connection, action, "intended", action.reason, before=before)
        return dict(first)

    def finish(self, action: PlannedAction, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """The gateway did it: the hold stands, or is gone."""
        kind = _KIND_OF_ACTION[action.action]
        with self._engine.begin() as connection:
            if action.action in {"limit", "block"}:
                connection.execute(
                    sa.update(limit_holds).where(*self._key(kind, action)).values(state="held", changed_at=self._now())
                )
            else:
                connection.execute(sa.delete(limit_holds).where(*self._key(kind, action)))
            self._log(connection, action, "done", action.reason, before=before, after=after)

    def drop(self, action: PlannedAction, reason: str, before: Mapping[str, Any] | None) -> None:
        """Nothing is to be done, and nothing of ours is left of the scope."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(limit_holds).where(*self._key(_KIND_OF_ACTION[action.action], action)))
            self._log(connection, action, "skipped", reason, before=before)

    def fail(self, action: PlannedAction, reason: str) -> None:
        """The gateway did not do it, or nobody knows whether it did: what was intended stays written down."""
        with self._engine.begin() as connection:
            self._log(connection, action, "failed", reason)

    def log(self, *, limit: int) -> list[LogEntry]:
        """The newest entries of every gateway, the newest first."""
        query = sa.select(limit_log).order_by(limit_log.c.position.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def _log(
        self,
        connection: sa.Connection,
        action: PlannedAction,
        outcome: str,
        reason: str,
        *,
        before: _Record = None,
        after: _Record = None,
    ) -> None:
        connection.execute(
            sa.insert(limit_log).values(
                happened_at=self._now(),
                gateway=self._gateway,
                action=action.action,
                scope_kind=action.scope_kind,
                scope_id=action.scope_id,
                quota_id=action.quota_id,
                outcome=outcome,
                reason=reason,
                before=None if before is None else json.dumps(dict(before)),
                after=None if after is None else json.dumps(dict(after)),
            )
        )

    def _key(self, kind: str, action: PlannedAction) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            limit_holds.c.gateway == self._gateway,
            limit_holds.c.kind == kind,
            limit_holds.c.scope_kind == action.scope_kind,
            limit_holds.c.scope_id == action.scope_id,
        )

    def _now(self) -> dt.datetime:
        return self._clock().astimezone(dt.UTC)


def next_sequence(engine: sa.Engine, *, issued_at: dt.datetime, content: Callable[[int], tuple[str, int]]) -> int:
    """The next number of a limit-state file, written down before the file is. ``content`` gives its sha256 and its scopes."""
    while True:
        with engine.connect() as connection:
            number = (connection.execute(sa.select(sa.func.max(limit_states.c.sequence))).scalar() or 0) + 1
        sha256, refused_count = content(number)
        row = {"issued_at": issued_at.astimezone(dt.UTC), "content_sha256": sha256, "refused_count": refused_count}
        try:
            with engine.begin() as connection:
                connection.execute(sa.insert(limit_states).values(sequence=number, **row))
        except sa.exc.IntegrityError:
            continue  # another run took the number
        return number


def _hold(row: sa.RowMapping) -> Hold:
    values = {name: row[name] for name in ("scope_kind", "scope_id", "kind", "quota_id", "state", "period_end")}
    return Hold(**values, limit_quantity=Decimal(row["limit_quantity"]), before=json.loads(row["before"]))


def _entry(row: sa.RowMapping) -> LogEntry:
    values: dict[str, Any] = {name: row[name] for name in LogEntry.__dataclass_fields__}
    values |= {name: None if row[name] is None else json.loads(row[name]) for name in ("before", "after")}
    at: dt.datetime = row["happened_at"]
    return LogEntry(**values | {"happened_at": at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)})
