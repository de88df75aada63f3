"""The anomaly book: episodes of anomalous days, open until somebody acknowledges or resolves them or they end by themselves."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from usage_etl.errors import UsageEtlError
from usage_etl.lake.clock import Clock, utc_now
from usage_etl.lake.state import as_stored, as_utc, writing
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.schemas.anomaly_state import ACKNOWLEDGED, OPEN, RESOLVED, anomaly_episodes, anomaly_events

QUIET_DAYS = 3
"""Ordinary days after which an episode has ended: a later anomalous day begins another."""
NOBODY = "usage-etl"
_LOCK = 0x616E6F6D
"""Any number; PostgreSQL's advisory lock of whoever changes an episode."""


@dataclass(frozen=True)
class Event:
    """One change of status."""

    number: int
    status: str
    happened_at: dt.datetime
    done_by: str
    reason: str
    through_date: dt.date


@dataclass(frozen=True)
class Episode:
    """One run of anomalous days, with everything that happened to it; its figures are those of its newest month."""

    episode_id: str
    scope_kind: str
    scope_id: str
    scope_name: str
    measure: str
    first_date: dt.date
    last_date: dt.date
    days_count: int
    excess: Decimal
    currency: str | None
    cause: str
    events: tuple[Event, ...]

    @property
    def status(self) -> str:
        """Open, acknowledged or resolved."""
        return self.events[-1].status


class AnomalyBook:
    """Episodes in the state database. Safe with several processes on one database."""

    def __init__(self, engine: sa.Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def observe(self, anomalies: pl.DataFrame, *, month: Month, through_date: dt.date) -> None:
        """Takes over a month of mart_anomalies, whose data ends on ``through_date``; the same month again changes nothing.

        New alerting episodes are opened. A resolved one that went on after it was resolved is opened again. One that has
        been quiet for three days is resolved, and so is one whose days of this month are anomalous no more.
        """
        alerting = anomalies.filter("is_alerting").sort("usage_date")
        seen = {str(key[0]): rows for key, rows in alerting.group_by("episode_id", maintain_order=True)}
        with self._locked() as connection:
            standing = {one.episode_id: one for one in _episodes(connection)}
            for episode_id, rows in seen.items():
                self._take(connection, standing.get(episode_id), episode_id, rows)
            for one in _episodes(connection):
                if one.status != RESOLVED:
                    self._end(connection, one, is_seen=one.episode_id in seen, month=month, through_date=through_date)

    def acknowledge(self, episode: str, *, by: str, reason: str = "") -> Episode:
        """Notes that somebody looks after it. Raises UsageEtlError for an unknown or a resolved one."""
        return self._change(episode, ACKNOWLEDGED, by=by, reason=reason)

    def resolve(self, episode: str, *, by: str, reason: str) -> Episode:
        """Notes that it is settled, and why. It is opened again if it goes on. Raises UsageEtlError as ``acknowledge``."""
        if not reason.strip():
            raise UsageEtlError(f"anomaly {episode} is not resolved: a reason is required")
        return self._change(episode, RESOLVED, by=by, reason=reason)

    def episodes(self, *, with_resolved: bool = False) -> list[Episode]:
        """Episodes, the newest first."""
        with self._engine.connect() as connection:
            found = _episodes(connection)
        return [one for one in reversed(found) if with_resolved or one.status != RESOLVED]

    def find(self, beginning: str) -> Episode:
        """The one episode whose id begins so. Raises UsageEtlError for none and for several."""
        with self._engine.connect() as connection:
            return _one(connection, beginning)

    def _take(self, connection: sa.Connection, standing: Episode | None, episode_id: str, rows: pl.DataFrame) -> None:
        largest = rows.sort(pl.col("excess_quantity").abs(), descending=True).row(0, named=True)
        last, first = rows["usage_date"].max(), largest["episode_start_date"]
        assert isinstance(last, dt.date)
        figures = {
            "last_date": last,
            "days_count": rows.height,
            "excess": str(exact_sum(rows["excess_quantity"])),
            "cause": largest["cause_text"],
        }
        if standing is None:
            scope = {name: largest[name] for name in ("scope_kind", "scope_id", "scope_name", "measure", "currency")}
            connection.execute(anomaly_episodes.insert().values(episode_id=episode_id, first_date=first, **scope, **figures))
            self._add(connection, episode_id, 1, OPEN, by=NOBODY, reason="found", through_date=last)
            return
        if last < standing.last_date:
            return  # an earlier month of an episode that goes on in the next
        connection.execute(anomaly_episodes.update().where(anomaly_episodes.c.episode_id == episode_id).values(**figures))
        newest = standing.events[-1]
        if newest.status == RESOLVED and last > newest.through_date:
            self._add(connection, episode_id, newest.number + 1, OPEN, by=NOBODY, reason="it goes on", through_date=last)

    def _end(self, connection: sa.Connection, one: Episode, *, is_seen: bool, month: Month, through_date: dt.date) -> None:
        through = one.last_date
        if not is_seen and month.first_day <= one.last_date <= through_date:
            reason, through = "its days are anomalous no more", one.first_date - dt.timedelta(days=1)
        elif (through_date - one.last_date).days >= QUIET_DAYS:
            reason = f"back to normal since {one.last_date + dt.timedelta(days=1)}"
        else:
            return
        self._add(connection, one.episode_id, one.events[-1].number + 1, RESOLVED, by=NOBODY, reason=reason, through_date=through)

    def _change(self, beginning: str, status: str, *, by: str, reason: str) -> Episode:
        with self._locked() as connection:
            one = _one(connection, beginning)
            if one.status == RESOLVED:
                newest = one.events[-1]
                raise UsageEtlError(
                    f"anomaly {one.episode_id} was resolved by {newest.done_by} at {newest.happened_at:%Y-%m-%d %H:%M} UTC"
                    f" ({newest.reason})"
                )
            number = one.events[-1].number + 1
            self._add(connection, one.episode_id, number, status, by=by, reason=reason.strip(), through_date=one.last_date)
            return _one(connection, one.episode_id)

    def _add(
        self,
        connection: sa.Connection,
        episode_id: str,
        number: int,
        status: str,
        *,
        by: str,
        reason: str,
        through_date: dt.date,
    ) -> None:
        connection.execute(
            anomaly_events.insert().values(
                episode_id=episode_id,
                number=number,
                status=status,
                happened_at=as_stored(self._clock()),
                done_by=by,
                reason=reason,
                through_date=through_date,
            )
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[sa.Connection]:
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection


def _one(connection: sa.Connection, beginning: str) -> Episode:
    found = [one for one in _episodes(connection) if beginning and one.episode_id.startswith(beginning)]
    if len(found) != 1:
        raise UsageEtlError(
            f"{len(found)} anomalies have an id that begins with {beginning!r}; `usage-etl anomalies list` shows them"
        )
    return found[0]


def _episodes(connection: sa.Connection) -> list[Episode]:
    """All of them in the order of their first days."""
    events: dict[str, list[Event]] = {}
    for row in connection.execute(anomaly_events.select().order_by("episode_id", "number")).mappings():
        events.setdefault(row["episode_id"], []).append(_event(row))
    query = anomaly_episodes.select().order_by("first_date", "episode_id")
    return [_episode(row, events[row["episode_id"]]) for row in connection.execute(query).mappings()]


def _event(row: Mapping[Any, Any]) -> Event:
    columns = ("number", "status", "done_by", "reason", "through_date")
    return Event(happened_at=as_utc(row["happened_at"]), **{name: row[name] for name in columns})


def _episode(row: Mapping[Any, Any], events: Sequence[Event]) -> Episode:
    values = {name: row[name] for name in anomaly_episodes.columns.keys()}  # noqa: SIM118 - of columns, by name
    return Episode(**values | {"excess": Decimal(row["excess"]), "events": tuple(events)})
