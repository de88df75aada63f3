"""What senders share about channels: when the next message may go, and which address said that it is gone."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from usage_etl.errors import DeliveryError
from usage_etl.schemas.outbox_state import channel_states

_ATTEMPTS = 50


@dataclass(frozen=True)
class DisabledChannel:
    """A channel to which nothing is sent until a person enables it."""

    channel: str
    disabled_at: dt.datetime
    reason: str


class ChannelStates:
    """Pace and standing of channels in the state database. Safe with several senders."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def reserve(self, channel: str, now: dt.datetime, *, pace: dt.timedelta, latest: dt.datetime) -> dt.datetime | None:
        """When the caller may send one message: ``pace`` after the one before, whoever sends it.

        None, and nothing is reserved, when that would be after ``latest``.
        """
        now = now.astimezone(dt.UTC)
        for _ in range(_ATTEMPTS):
            stored = self._next_slot(channel)
            slot = now if stored is None else max(now, stored)
            if slot > latest:
                return None
            if self._move_slot(channel, stored, slot + pace):
                return slot
        return None

    def pause(self, channel: str, until: dt.datetime) -> None:
        """No message before ``until``: the other end asked for it."""
        until = until.astimezone(dt.UTC)
        for _ in range(_ATTEMPTS):
            stored = self._next_slot(channel)
            if (stored is not None and stored >= until) or self._move_slot(channel, stored, until):
                return

    def disable(self, channel: str, reason: str, now: dt.datetime) -> None:
        """Nothing is sent any more: the address is gone."""
        self._ensure(channel)
        self._set(channel, disabled_at=now.astimezone(dt.UTC), disabled_reason=reason)

    def enable(self, channel: str) -> None:
        """By an operator: send again, at once. Raises DeliveryError when the channel is not disabled."""
        if channel not in {disabled.channel for disabled in self.disabled()}:
            raise DeliveryError(f"channel {channel} is not disabled")
        self._set(channel, disabled_at=None, disabled_reason=None, next_slot_at=None)

    def disabled(self) -> list[DisabledChannel]:
        """Channels to which nothing is sent, by name."""
        query = sa.select(channel_states).where(channel_states.c.disabled_at.is_not(None)).order_by(channel_states.c.channel)
        with self._engine.connect() as connection:
            return [
                DisabledChannel(row["channel"], _utc(row["disabled_at"]), row["disabled_reason"] or "")
                for row in connection.execute(query).mappings()
            ]

    def _next_slot(self, channel: str) -> dt.datetime | None:
        query = sa.select(channel_states.c.next_slot_at).where(channel_states.c.channel == channel)
        with self._engine.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            self._ensure(channel)
        return None if found is None or found[0] is None else _utc(found[0])

    def _move_slot(self, channel: str, stored: dt.datetime | None, to: dt.datetime) -> bool:
        unchanged = channel_states.c.next_slot_at.is_(None) if stored is None else channel_states.c.next_slot_at == stored
        with self._engine.begin() as connection:
            change = sa.update(channel_states).where(channel_states.c.channel == channel, unchanged)
            return connection.execute(change.values(next_slot_at=to)).rowcount == 1

    def _ensure(self, channel: str) -> None:
        with self._engine.begin() as connection:
            table = channel_states
            insert = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
            connection.execute(insert.values(channel=channel).on_conflict_do_nothing(index_elements=["channel"]))

    def _set(self, channel: str, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(channel_states).where(channel_states.c.channel == channel).values(**values))


def _utc(instant: dt.datetime) -> dt.datetime:
    return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant.astimezone(dt.UTC)
