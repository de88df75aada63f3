"""The outbox of alerts: notices wait here, are claimed by one sender at a time, and end sent or as dead letters.

Alerts are put in the transaction that stores why they fired, so a crash neither loses nor doubles them. A claim is a
lease: when its holder dies, the row becomes *ambiguous* and is sent again under the same id, because a doubled alert is
better than a missed one. Notices of one alert to one recipient keep their order: *resolved* never overtakes *fired*.
"""

from __future__ import annotations

import datetime as dt
import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from usage_etl.delivery.channel_states import ChannelStates
from usage_etl.delivery.notice_json import notice_from_json, notice_to_json
from usage_etl.delivery.retries import GIVE_UP_AFTER, next_attempt_at
from usage_etl.errors import ConflictingNoticeError, DeliveryError
from usage_etl.keys import sha256_hex
from usage_etl.schemas.notices import Notice
from usage_etl.schemas.outbox_state import channel_states, outbox

LEASE = dt.timedelta(minutes=10)
"""How long a claim holds: longer than any one attempt, with all its timeouts, can take."""

_OPEN = ("pending", "claimed", "ambiguous")
_TRIABLE = ("pending", "ambiguous")
_SILENT = "claimed and then silent: the process may have died before or after the message went out"


@dataclass(frozen=True)
class Route:
    """Where notices of one channel go: to each of ``recipients``, or, where that is one empty text, to the channel itself.

    ``is_per_alert`` puts the members of a digest one by one: systems that keep an incident or a ticket for each alert
    must hear of each.
    """

    recipients: tuple[str, ...] = ("",)
    is_per_alert: bool = False


@dataclass(frozen=True)
class OutboxItem:
    """One row: a notice for one recipient. ``state`` is pending, claimed, sent, ambiguous or dead."""

    position: int
    notice: Notice
    recipient: str
    channel: str
    state: str
    attempts_count: int
    doubts_count: int
    queued_at: dt.datetime
    next_attempt_at: dt.datetime
    give_up_at: dt.datetime
    finished_at: dt.datetime | None
    last_reason: str
    claim_token: str = ""


class Outbox:
    """Notices on their way, in the state database. Safe with several senders on one database.

    ``routes`` says who gets the notices of a channel; a channel that it does not name gets one row, which the sender then
    refuses by name. ``chance`` draws the waits between attempts.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        *,
        routes: Mapping[str, Route] | None = None,
        lease: dt.timedelta = LEASE,
        chance: random.Random | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._routes = dict(routes or {})
        self._lease = lease
        self._chance = chance or random.Random()  # noqa: S311 - it spreads load and hides nothing

    @property
    def states(self) -> ChannelStates:
        """Pace and standing of the channels, in the same database."""
        return ChannelStates(self._engine)

    def put(self, connection: sa.Connection, notices: Sequence[Notice]) -> int:
        """Queue ``notices`` inside the caller's transaction; the number of rows that are new.

        A notice that is there already is left as it is, whatever became of it. Raises ConflictingNoticeError when one id
        stands for two different notices.
        """
        now = self._now()
        return sum(
            _insert(connection, notice, recipient, now)
            for sent in notices
            for notice, recipient in self._addressed(sent, self._routes.get(sent.channel, Route()))
        )

    def due(self, now: dt.datetime, *, channel: str | None = None, limit: int = 1000) -> list[OutboxItem]:
        """What may be tried at ``now``, in order: not what a disabled channel or an earlier notice of its alert holds up."""
        query = sa.select(outbox).where(*_is_due(now.astimezone(dt.UTC)))
        if channel is not None:
            query = query.where(outbox.c.channel == channel)
        return self._items(query.order_by(outbox.c.position).limit(limit))

    def claim(self, position: int, now: dt.datetime) -> OutboxItem | None:
        """The row, now held by the caller and nobody else; None when it is not due or somebody was faster."""
        now, token = now.astimezone(dt.UTC), secrets.token_hex(16)
        change = sa.update(outbox).where(outbox.c.position == position, *_is_due(now))
        held = {"state": "claimed", "claim_token": token, "claimed_until": now + self._lease}
        with self._engine.begin() as connection:
            if connection.execute(change.values(**held, attempts_count=outbox.c.attempts_count + 1)).rowcount != 1:
                return None
        return self.find(position)

    def recover(self, now: dt.datetime) -> int:
        """Turn claims whose lease is over into ambiguous rows that are due; how many there were.

        One that should have been given up by now becomes dead: it may be the message itself that ends its senders.
        """
        now = now.astimezone(dt.UTC)
        overdue = sa.update(outbox).where(outbox.c.state == "claimed", outbox.c.claimed_until <= now)
        is_over = outbox.c.give_up_at <= now
        doubt = {
            "state": sa.case((is_over, "dead"), else_="ambiguous"),
            "finished_at": sa.case((is_over, now), else_=None),
            "doubts_count": outbox.c.doubts_count + 1,
            "last_reason": _SILENT,
            "next_attempt_at": now,
        }
        with self._engine.begin() as connection:
            return connection.execute(overdue.values(**doubt, claim_token=None, claimed_until=None)).rowcount

    def mark_sent(self, item: OutboxItem, reason: str = "") -> None:
        """It was taken over. Counts also when the lease was lost meanwhile: what is sent need not be sent again."""
        self._finish(item, "sent", reason, outbox.c.state.in_(_OPEN))

    def mark_dead(self, item: OutboxItem, reason: str) -> bool:
        """It is refused for good. False when the lease was lost meanwhile."""
        return self._finish(item, "dead", reason, outbox.c.claim_token == item.claim_token)

    def mark_unsent(self, item: OutboxItem, reason: str, *, asked_pause: dt.timedelta | None = None) -> str:
        """Nothing was taken over: try again by the table, or give up after three days. The state it has now."""
        return self._try_later(item, "pending", reason, asked_pause)

    def mark_ambiguous(self, item: OutboxItem, reason: str, *, asked_pause: dt.timedelta | None = None) -> str:
        """Nobody knows whether it was taken over: try again under the same id. The state it has now."""
        return self._try_later(item, "ambiguous", reason, asked_pause)

    def find(self, position: int) -> OutboxItem | None:
        """The row as it is, None when there is none."""
        found = self._items(sa.select(outbox).where(outbox.c.position == position))
        return found[0] if found else None

    def items(self, states: Sequence[str]) -> list[OutboxItem]:
        """Rows in one of ``states`` by position; dead letters that a person dropped are left out."""
        query = sa.select(outbox).where(outbox.c.state.in_(states), outbox.c.dropped_reason.is_(None))
        return self._items(query.order_by(outbox.c.position))

    def counts(self) -> dict[str, int]:
        """Rows by state; dropped dead letters are left out."""
        query = sa.select(outbox.c.state, sa.func.count()).where(outbox.c.dropped_reason.is_(None)).group_by(outbox.c.state)
        with self._engine.connect() as connection:
            return dict(connection.execute(query).tuples().all())

    def retry(self, position: int) -> OutboxItem:
        """By an operator: try a dead, ambiguous or waiting row now, for another three days.

        Raises DeliveryError for a row that is sent or held, or one whose alert was told a later notice since: an old
        *fired* after its *resolved* would open an incident that nothing closes.
        """
        item = self._known(position)
        later = outbox.alias("later")
        overtaken = sa.exists().where(*_same_thread(later), later.c.position > outbox.c.position, later.c.state == "sent")
        triable = (outbox.c.state.in_(("dead", *_TRIABLE)), outbox.c.dropped_reason.is_(None), ~overtaken)
        now = self._now()
        fresh = {"next_attempt_at": now, "give_up_at": now + GIVE_UP_AFTER, "attempts_count": 0, "finished_at": None}
        state = sa.case((outbox.c.state == "dead", "pending"), else_=outbox.c.state)
        with self._engine.begin() as connection:
            change = sa.update(outbox).where(outbox.c.position == position, *triable)
            if connection.execute(change.values(**fresh, state=state)).rowcount != 1:
                raise DeliveryError(
                    f"message {position} is {item.state} and cannot be tried again: it is sent, held or dropped, "
                    "or a later notice of the same alert was sent"
                )
        return self._known(position)

    def drop(self, position: int, reason: str) -> OutboxItem:
        """By an operator: give up a row for good; it stays as dead with the reason. Raises DeliveryError when sent or held."""
        item = self._known(position)
        droppable = (outbox.c.state.in_(("dead", *_TRIABLE)), outbox.c.dropped_reason.is_(None))
        with self._engine.begin() as connection:
            change = sa.update(outbox).where(outbox.c.position == position, *droppable)
            gone = {"state": "dead", "finished_at": self._now(), "dropped_reason": reason}
            if connection.execute(change.values(**gone)).rowcount != 1:
                raise DeliveryError(f"message {position} is {item.state} and cannot be dropped")
        return item

    def _addressed(self, notice: Notice, route: Route) -> Iterator[tuple[Notice, str]]:
        if route.is_per_alert and notice.members:
            for member in notice.members:
                yield from self._addressed(member, route)
            return
        for recipient in dict.fromkeys(recipient.lower() for recipient in route.recipients):
            yield notice, recipient

    def _finish(self, item: OutboxItem, state: str, reason: str, *conditions: sa.ColumnElement[bool]) -> bool:
        end = {"state": state, "last_reason": reason or None, "finished_at": self._now()}
        with self._engine.begin() as connection:
            change = sa.update(outbox).where(outbox.c.position == item.position, *conditions)
            return connection.execute(change.values(**end, claim_token=None, claimed_until=None)).rowcount == 1

    def _try_later(self, item: OutboxItem, state: str, reason: str, asked_pause: dt.timedelta | None) -> str:
        now = self._now()
        doubts_count = item.doubts_count + (state == "ambiguous")
        again_at = next_attempt_at(
            item.attempts_count, now=now, give_up_at=item.give_up_at, chance=self._chance, asked_pause=asked_pause
        )
        if again_at is None:
            given_up = f"given up after {item.attempts_count} attempts: {reason}"
            values = {"state": "dead", "finished_at": now, "last_reason": given_up, "doubts_count": doubts_count}
        else:
            values = {"state": state, "next_attempt_at": again_at, "last_reason": reason, "doubts_count": doubts_count}
        with self._engine.begin() as connection:
            change = sa.update(outbox).where(outbox.c.position == item.position, outbox.c.claim_token == item.claim_token)
            connection.execute(change.values(**values, claim_token=None, claimed_until=None))
        return self._known(item.position).state

    def _known(self, position: int) -> OutboxItem:
        item = self.find(position)
        if item is None:
            raise DeliveryError(f"there is no message {position} in the outbox")
        return item

    def _now(self) -> dt.datetime:
        return self._clock().astimezone(dt.UTC)

    def _items(self, query: sa.Select[tuple[object, ...]]) -> list[OutboxItem]:
        with self._engine.connect() as connection:
            return [_item(row) for row in connection.execute(query).mappings()]


def _insert(connection: sa.Connection, notice: Notice, recipient: str, now: dt.datetime) -> int:
    payload = notice_to_json(notice)
    values = {
        "notice_id": notice.notice_id,
        "recipient": recipient,
        "channel": notice.channel,
        "alert_key": notice.alert_key,
        "payload": payload,
        "payload_sha256": sha256_hex(payload.encode()),
        "state": "pending",
        "attempts_count": 0,
        "doubts_count": 0,
        "queued_at": now,
        "next_attempt_at": now,
        "give_up_at": now + GIVE_UP_AFTER,
    }
    insert = postgresql.insert(outbox) if connection.dialect.name == "postgresql" else sqlite.insert(outbox)
    if connection.execute(insert.values(**values).on_conflict_do_nothing(index_elements=["notice_id", "recipient"])).rowcount:
        return 1
    key = (outbox.c.notice_id == notice.notice_id, outbox.c.recipient == recipient)
    if connection.execute(sa.select(outbox.c.payload_sha256).where(*key)).scalar_one() != values["payload_sha256"]:
        raise ConflictingNoticeError(notice.notice_id, notice.title)
    return 0


def _is_due(now: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    earlier = outbox.alias("earlier")
    held_up = sa.exists().where(*_same_thread(earlier), earlier.c.position < outbox.c.position, earlier.c.state.in_(_OPEN))
    disabled = sa.exists().where(channel_states.c.channel == outbox.c.channel, channel_states.c.disabled_at.is_not(None))
    return outbox.c.state.in_(_TRIABLE), outbox.c.next_attempt_at <= now, ~held_up, ~disabled


def _same_thread(other: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        other.c.alert_key == outbox.c.alert_key,
        other.c.channel == outbox.c.channel,
        other.c.recipient == outbox.c.recipient,
    )


def _item(row: sa.RowMapping) -> OutboxItem:
    finished_at = row["finished_at"]
    return OutboxItem(
        position=row["position"],
        notice=notice_from_json(row["payload"]),
        recipient=row["recipient"],
        channel=row["channel"],
        state=row["state"],
        attempts_count=row["attempts_count"],
        doubts_count=row["doubts_count"],
        queued_at=_utc(row["queued_at"]),
        next_attempt_at=_utc(row["next_attempt_at"]),
        give_up_at=_utc(row["give_up_at"]),
        finished_at=None if finished_at is None else _utc(finished_at),
        last_reason=row["last_reason"] or "",
        claim_token=row["claim_token"] or "",
    )


def _utc(instant: dt.datetime) -> dt.datetime:
    """SQLite gives back the UTC that we stored without its zone; PostgreSQL in the session's zone."""
    return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant.astimezone(dt.UTC)
