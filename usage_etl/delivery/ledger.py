"""The ledger of sends: one row per report, period, recipient and content, whose unique key makes a send happen once.

A row is *claimed* before anything is handed over. A claim without a result means that the process died in between: the
message may or may not have gone out. Such a claim, once it is older than any send can take, is *ambiguous*: it is
listed, never silently sent again, and an operator either confirms that it arrived or releases it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from usage_etl.errors import DeliveryError
from usage_etl.keys import fingerprint, sha256_hex
from usage_etl.schemas.state import sends

STALE_AFTER = dt.timedelta(minutes=15)
"""Age at which a claim without a result is ambiguous: longer than any send, with all its timeouts, can take."""


@dataclass(frozen=True)
class Send:
    """One hand-over of one content to one recipient, whether it happened or not."""

    report: str
    period: str
    channel: str
    recipient: str
    content_sha256: str

    @property
    def send_key(self) -> str:
        """Hex identity; the letter case of a recipient makes no difference."""
        return fingerprint(
            {
                "report": self.report,
                "period": self.period,
                "channel": self.channel,
                "recipient": self.recipient.lower(),
                "content": self.content_sha256,
            }
        )


@dataclass(frozen=True)
class SendRecord:
    """A row of the ledger. ``status`` is claimed, sent, ambiguous, dead or released."""

    send_key: str
    send: Send
    status: str
    status_reason: str
    claimed_at: dt.datetime
    finished_at: dt.datetime | None


class SendLedger:
    """Claims and results of sends in the state database. Safe with several processes on one database."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        stale_after: dt.timedelta = STALE_AFTER,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._stale_after = stale_after

    def claim(self, send: Send) -> bool:
        """Whether the caller, and nobody else, is to hand this over now. True for a new or a released send."""
        now = self._clock().astimezone(dt.UTC)
        values = {
            "report": send.report,
            "period": send.period,
            "channel": send.channel,
            "recipient": send.recipient,
            "content_sha256": send.content_sha256,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(sends).values(send_key=send.send_key, status="claimed", claimed_at=now, **values))
        except sa.exc.IntegrityError:
            with self._engine.begin() as connection:
                again = sa.update(sends).where(sends.c.send_key == send.send_key, sends.c.status == "released")
                fresh = {"status": "claimed", "claimed_at": now, "finished_at": None, "status_reason": None}
                return connection.execute(again.values(**fresh)).rowcount == 1
        return True

    def standing(self, send: Send) -> SendRecord | None:
        """What the ledger says of this send; a stale claim is turned into an ambiguous send first."""
        reason = "claimed and then silent: the process may have died before or after the message went out"
        with self._engine.begin() as connection:
            overdue = sa.update(sends).where(sends.c.send_key == send.send_key, *self._is_stale())
            connection.execute(overdue.values(status="ambiguous", status_reason=reason, finished_at=self._now()))
        return self.find(send.send_key)

    def find(self, send_key: str) -> SendRecord | None:
        """The row as it is, None when there is none."""
        rows = self._records(sends.c.send_key == send_key)
        return rows[0] if rows else None

    def has_other_content(self, send: Send) -> bool:
        """Whether this recipient got, or may have got, this report and period with another content."""
        others = self._records(
            sends.c.report == send.report,
            sends.c.period == send.period,
            sends.c.channel == send.channel,
            sa.func.lower(sends.c.recipient) == send.recipient.lower(),
            sends.c.content_sha256 != send.content_sha256,
            sends.c.status.in_(("claimed", "sent", "ambiguous")),
        )
        return bool(others)

    def recipients(self, report: str, period: str, channel: str) -> list[str]:
        """Who got, or may have got, this report and period with any content; each address once."""
        found = self._records(
            sends.c.report == report,
            sends.c.period == period,
            sends.c.channel == channel,
            sends.c.status.in_(("claimed", "sent", "ambiguous")),
        )
        return sorted({record.send.recipient.lower(): record.send.recipient for record in found}.values())

    def mark_sent(self, send_key: str, reason: str = "") -> None:
        """The message was taken over. Also right for a claim that went stale while its process was still alive."""
        self._move(send_key, "sent", reason, ("claimed", "ambiguous"))

    def mark_ambiguous(self, send_key: str, reason: str) -> None:
        """Nobody can know whether the message was taken over."""
        self._move(send_key, "ambiguous", reason, ("claimed", "ambiguous"))

    def mark_dead(self, send_key: str, reason: str) -> None:
        """The recipient was refused for good."""
        self._move(send_key, "dead", reason, ("claimed", "ambiguous"))

    def give_back(self, send_key: str, reason: str) -> None:
        """Nothing was handed over and the claimer knows it: the next one who asks may send."""
        self._move(send_key, "released", reason, ("claimed", "ambiguous"))

    def release(self, send_key: str, reason: str) -> None:
        """By an operator: send this once more when asked next. Ambiguous, dead and stale claims only; DeliveryError else."""
        record = self.find(send_key)
        if record is not None:
            self.standing(record.send)
        self._move(send_key, "released", reason, ("ambiguous", "dead"))

    def confirm(self, send_key: str, reason: str) -> None:
        """By an operator: this did arrive, never send it again. Ambiguous and stale claims only; DeliveryError else."""
        record = self.find(send_key)
        if record is not None:
            self.standing(record.send)
        self._move(send_key, "sent", reason, ("ambiguous",))

    def open_items(self) -> list[SendRecord]:
        """What needs a person: ambiguous and dead sends, and claims that went stale; oldest first."""
        return self._records(sa.or_(sends.c.status.in_(("ambiguous", "dead")), sa.and_(*self._is_stale())))

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold a lock that a crash gives back by itself. On PostgreSQL one lock per ``name``, on SQLite one for all.

        Write nothing to the state database inside: on SQLite that would wait for itself.
        """
        with self._engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                number = int.from_bytes(bytes.fromhex(sha256_hex(name.encode())[:16]), signed=True)
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))
            else:
                connection.execute(sa.update(sends).where(sa.false()).values(status="claimed"))
            yield

    def _now(self) -> dt.datetime:
        return self._clock().astimezone(dt.UTC)

    def _is_stale(self) -> tuple[sa.ColumnElement[bool], ...]:
        return sends.c.status == "claimed", sends.c.claimed_at <= self._now() - self._stale_after

    def _move(self, send_key: str, status: str, reason: str, from_statuses: tuple[str, ...]) -> None:
        with self._engine.begin() as connection:
            change = sa.update(sends).where(sends.c.send_key == send_key, sends.c.status.in_(from_statuses))
            moved = connection.execute(change.values(status=status, status_reason=reason or None, finished_at=self._now()))
        if moved.rowcount != 1:
            record = self.find(send_key)
            found = "not in the ledger" if record is None else record.status
            raise DeliveryError(f"send {send_key} cannot become {status}: it is {found}, not {' or '.join(from_statuses)}")

    def _records(self, *conditions: sa.ColumnElement[bool]) -> list[SendRecord]:
        query = sa.select(sends).where(*conditions).order_by(sends.c.claimed_at, sends.c.send_key)
        with self._engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]


def _record(row: sa.RowMapping) -> SendRecord:
    send = Send(row["report"], row["period"], row["channel"], row["recipient"], row["content_sha256"])
    finished_at = row["finished_at"]
    return SendRecord(
        send_key=row["send_key"],
        send=send,
        status=row["status"],
        status_reason=row["status_reason"] or "",
        claimed_at=_utc(row["claimed_at"]),
        finished_at=None if finished_at is None else _utc(finished_at),
    )


def _utc(instant: dt.datetime) -> dt.datetime:
    """SQLite gives back the UTC that we stored without its zone; PostgreSQL in the session's zone."""
    return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant.astimezone(dt.UTC)
