"""The book of alerts: what was decided before, and what is decided now, in the state database.

States, crossings and notices are stored in one transaction with the outbox, so a crash at any point neither loses nor
doubles a message. Evaluators take turns; one whose figures were read before another's decision reads them again.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import sqlalchemy as sa

from usage_etl.delivery import alert_rows as rows
from usage_etl.delivery.notice_json import notice_from_json
from usage_etl.errors import AlertsBusyError, DeliveryError
from usage_etl.keys import fingerprint, sha256_hex
from usage_etl.schemas.alert_state import (
    ActiveSilence,
    AlertMemory,
    AlertState,
    Decision,
    KeptNotice,
    alert_crossings,
    alert_evaluations,
    alert_notices,
    alert_silences,
    alert_states,
)
from usage_etl.schemas.notices import Notice

ATTEMPTS = 5
"""How often figures are read again because somebody else decided meanwhile."""
_HOUR = dt.timedelta(hours=1)

Seen = TypeVar("Seen")


class NoticeSink(Protocol):
    """Where notices wait for delivery."""

    def put(self, connection: sa.Connection, notices: Sequence[Notice]) -> int:
        """Queue ``notices`` inside the caller's transaction; a second put of the same notice is nothing."""


class AlertBook:
    """States of one organization's alerts. Safe with several evaluators on one database."""

    def __init__(self, engine: sa.Engine, organization_id: str) -> None:
        self._engine = engine
        self._organization_id = organization_id

    def decide(
        self,
        read: Callable[[], Seen],
        step: Callable[[AlertMemory, Seen], Decision],
        outbox: NoticeSink,
        *,
        now: dt.datetime,
        inputs: str = "",
    ) -> Decision:
        """One evaluation: ``read`` what is seen, ``step`` from what is remembered, store both with the outbox, or nothing.

        ``inputs`` names what was looked at, for whoever asks whether it was. Raises AlertsBusyError when others were
        faster each time.
        """
        for _ in range(ATTEMPTS):
            sequence = self.sequence()
            seen = read()
            with self._engine.begin() as connection:
                self._take_turn(connection)
                if self._sequence(connection) != sequence:
                    continue
                decision = step(self._memory(connection, now), seen)
                self._store(connection, decision)
                outbox.put(connection, decision.notices)
                values = {"sequence": sequence + 1, "evaluated_at": now.astimezone(dt.UTC), "inputs": inputs}
                rows.upsert(connection, alert_evaluations, [{"organization_id": self._organization_id, **values}])
            return decision
        raise AlertsBusyError(self._organization_id)

    def preview(self, step: Callable[[AlertMemory], Decision], *, now: dt.datetime) -> Decision:
        """What an evaluation would decide; nothing is stored."""
        with self._engine.connect() as connection:
            memory = self._memory(connection, now)
        return step(memory)

    def sequence(self) -> int:
        """Evaluations stored so far."""
        with self._engine.connect() as connection:
            return self._sequence(connection)

    def last_inputs(self) -> str:
        """What the last evaluation looked at; empty before the first."""
        query = sa.select(alert_evaluations.c.inputs).where(alert_evaluations.c.organization_id == self._organization_id)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def is_waiting(self) -> bool:
        """Whether anything was muted or held and not told yet."""
        ours = alert_notices.c.organization_id == self._organization_id
        waiting = alert_notices.c.disposition.in_(("muted", "held")) & alert_notices.c.told_in.is_(None)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.exists().where(ours, waiting))).scalar_one()

    def states(self) -> list[AlertState]:
        """Every alert that was ever looked at, by rule, scope and period."""
        order = (alert_states.c.rule_name, alert_states.c.scope_kind, alert_states.c.scope_id, alert_states.c.period_start)
        query = sa.select(alert_states).where(alert_states.c.organization_id == self._organization_id).order_by(*order)
        with self._engine.connect() as connection:
            return [rows.state_of(row) for row in connection.execute(query).mappings()]

    def history(self, *, limit: int = 100) -> list[tuple[Notice, str, bool]]:
        """What was decided to be told, the newest first: the notice, its disposition, and whether it was told."""
        query = (
            sa.select(alert_notices)
            .where(alert_notices.c.organization_id == self._organization_id)
            .order_by(alert_notices.c.happened_at.desc(), alert_notices.c.notice_id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        return [
            (notice_from_json(row["body"]), row["disposition"], row["disposition"] == "sent" or row["told_in"] is not None)
            for row in found
        ]

    def silences(self) -> list[ActiveSilence]:
        """Silences that somebody set, ended ones included, by their end."""
        query = sa.select(alert_silences).where(alert_silences.c.organization_id == self._organization_id)
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(alert_silences.c.ends_at, alert_silences.c.silence_id)).mappings()
            return [rows.silence_of(row) for row in found]

    def silence(self, wanted: ActiveSilence, *, now: dt.datetime) -> ActiveSilence:
        """Store a silence from ``now`` on; its id is made here. Raises DeliveryError when it would have ended already."""
        if wanted.ends_at <= now:
            raise DeliveryError(f"a silence until {wanted.ends_at:%Y-%m-%d %H:%M} UTC is over already")
        values = {
            "organization_id": self._organization_id,
            "rule": wanted.rule,
            "scope_kind": wanted.scope_kind,
            "scope_ids": json.dumps(list(wanted.scope_ids)),
            "owner": wanted.owner,
            "reason": wanted.reason,
            "starts_at": now.astimezone(dt.UTC),
            "ends_at": wanted.ends_at.astimezone(dt.UTC),
        }
        silence_id = fingerprint(values)
        with self._engine.begin() as connection:
            rows.upsert(connection, alert_silences, [{"silence_id": silence_id, **values}])
        return next(found for found in self.silences() if found.silence_id == silence_id)

    def unsilence(self, silence_id: str, *, by: str, now: dt.datetime) -> ActiveSilence:
        """End the silence whose id begins so, now. Raises DeliveryError unless it names one that is on."""
        named = [found for found in self.silences() if found.silence_id.startswith(silence_id) and found.ends_at > now]
        if len(named) != 1:
            raise DeliveryError(
                f"{len(named)} silences that are on begin with {silence_id!r}; `usage-etl alerts list` shows them"
            )
        with self._engine.begin() as connection:
            change = sa.update(alert_silences).where(alert_silences.c.silence_id == named[0].silence_id)
            connection.execute(change.values(ends_at=now.astimezone(dt.UTC), ended_by=by))
        return named[0]

    def _take_turn(self, connection: sa.Connection) -> None:
        """Wait for other evaluators of the organization. On SQLite the write lock is taken before anything is read."""
        if connection.dialect.name == "postgresql":
            name = f"alerts:{self._organization_id}"
            number = int.from_bytes(bytes.fromhex(sha256_hex(name.encode())[:16]), signed=True)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))
        else:
            connection.execute(sa.update(alert_evaluations).where(sa.false()).values(sequence=0))

    def _sequence(self, connection: sa.Connection) -> int:
        query = sa.select(alert_evaluations.c.sequence).where(alert_evaluations.c.organization_id == self._organization_id)
        return connection.execute(query).scalar_one_or_none() or 0

    def _memory(self, connection: sa.Connection, now: dt.datetime) -> AlertMemory:
        today, since = now.astimezone(dt.UTC).date(), now.astimezone(dt.UTC) - _HOUR
        live = sa.or_(alert_states.c.over == "", alert_states.c.watch_until.is_(None), alert_states.c.watch_until >= today)
        states = sa.select(alert_states).where(alert_states.c.organization_id == self._organization_id, live)
        ours = alert_notices.c.organization_id == self._organization_id
        waiting = alert_notices.c.disposition.in_(("muted", "held")) & alert_notices.c.told_in.is_(None)
        kept = sa.select(alert_notices).where(ours, waiting).order_by(alert_notices.c.happened_at, alert_notices.c.notice_id)
        recent = sa.select(alert_notices.c.channel, alert_notices.c.happened_at).where(
            ours, alert_notices.c.disposition == "sent", alert_notices.c.happened_at > since
        )
        sent_at: dict[str, tuple[dt.datetime, ...]] = {}
        for channel, happened_at in connection.execute(recent):
            sent_at[channel] = (*sent_at.get(channel, ()), rows.utc(happened_at))
        found = [rows.state_of(row) for row in connection.execute(states).mappings()]
        return AlertMemory(
            states={state.alert_key: state for state in found},
            kept=tuple(
                KeptNotice(notice_from_json(row["body"]), row["disposition"], row["silence_id"])
                for row in connection.execute(kept).mappings()
            ),
            sent_at=sent_at,
        )

    def _store(self, connection: sa.Connection, decision: Decision) -> None:
        rows.upsert(connection, alert_states, [rows.values_of(state) for state in decision.states])
        if decision.crossings:
            connection.execute(sa.insert(alert_crossings), [rows.crossing_values(one) for one in decision.crossings])
        if decision.notices:
            connection.execute(sa.insert(alert_notices), [rows.notice_values(notice, "sent") for notice in decision.notices])
        kept = [rows.notice_values(one.notice, one.disposition, one.silence_id) for one in decision.kept]
        rows.upsert(connection, alert_notices, kept)
        for notice_id, told_in in decision.told_in.items():
            change = sa.update(alert_notices).where(alert_notices.c.notice_id == notice_id)
            connection.execute(change.values(told_in=told_in))
