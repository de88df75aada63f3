"""The period book: which provider's month was closed and reopened when, by whom and why; events are only ever added.

Each event's hash holds the hash of the one before, so a changed, missing or inserted row is found by ``faults``. Rows that
were taken off the end leave no gap: the closings' lines in the lake and the published manifests still tell of them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from usage_etl.errors import ClosedPeriodError, LakeError, PeriodBusyError, UsageEtlError
from usage_etl.keys import fingerprint
from usage_etl.lake.clock import Clock, utc_now
from usage_etl.lake.state import writing
from usage_etl.periods import Month
from usage_etl.schemas.periods import ALL_OTHERS, CLOSED, REOPENED, Closing, Periods
from usage_etl.schemas.state import period_events

FIRST = "0" * 64
"""What the first event names as the one before."""

_LOCK = 0x70657269
"""Any number; PostgreSQL's advisory lock of whoever adds an event."""
_HASHED = tuple(name for name in period_events.columns.keys() if name != "sha256")  # noqa: SIM118 - of columns, by name


class Recording:
    """One transaction that adds events. What it was given is checked against the book as it stands under the lock."""

    def __init__(self, connection: sa.Connection, clock: Clock) -> None:
        self._connection, self._clock = connection, clock

    def close(self, closing: Closing) -> None:
        """Notes a closing. Raises ClosedPeriodError where the month is closed, UsageEtlError for a number that is not next."""
        periods = Periods(_closings(self._connection))
        what = f"{closing.month} of {closing.provider_name}"
        standing = periods.in_force(closing.provider_name, closing.month)
        if standing is not None:
            raise ClosedPeriodError(what, f"{standing.closed_by} closed it at {standing.closed_at:%Y-%m-%d %H:%M} UTC")
        last = periods.last(closing.provider_name, closing.month)
        if closing.number != (last.number if last else 0) + 1:
            raise UsageEtlError(f"{what}: closing {closing.number} does not follow {last.number if last else 0}")
        self._add(
            CLOSED,
            closing,
            happened_at=_text_of(closing.closed_at),
            done_by=closing.closed_by,
            lines_count=closing.lines_count,
            lines_sha256=closing.lines_sha256,
            totals=_json(closing.totals),
            inputs=_json(closing.inputs),
            gates=_json(list(closing.gates)),
        )

    def reopen(self, closing: Closing, *, by: str, reason: str) -> None:
        """Notes that a closing is reopened."""
        self._add(REOPENED, closing, happened_at=_text_of(self._clock()), done_by=by, reason=reason)

    def _add(self, event: str, closing: Closing, **values: object) -> None:
        last = self._connection.execute(
            sa.select(period_events.c.sequence, period_events.c.sha256).order_by(period_events.c.sequence.desc()).limit(1)
        ).first()
        row: dict[str, Any] = {
            **dict.fromkeys(_HASHED),
            "sequence": last.sequence + 1 if last else 1,
            "event": event,
            "provider_name": closing.provider_name,
            "month": closing.month.first_day,
            "number": closing.number,
            "previous_sha256": last.sha256 if last else FIRST,
            **values,
        }
        self._connection.execute(period_events.insert().values(**row, sha256=_sha256(row)))


class PeriodBook:
    """Closings in the state database. Safe with several processes on one database."""

    def __init__(self, engine: sa.Engine, clock: Clock = utc_now, *, until: dt.datetime | None = None) -> None:
        """``until`` shows the book as it stood at an instant; nothing is recorded through such a view."""
        self._engine, self._clock, self._until = engine, clock, until

    def periods(self) -> Periods:
        """All closings as they stand."""
        with self._engine.connect() as connection:
            return Periods(_closings(connection, until=self._until))

    def head(self) -> str:
        """Hash of the newest event: a closing is made from the book at one head, and recorded at the same."""
        with self._engine.connect() as connection:
            return _head(connection)

    @contextlib.contextmanager
    def recording(self, *, head: str, what: str) -> Iterator[Recording]:
        """A transaction in which the book still ends at ``head`` and nobody else adds to it.

        Its events are in the book once the block has ended well; a crash inside leaves none. Inside, write nothing else to
        the state database: on SQLite that would wait for itself. Raises PeriodBusyError when the book has moved on.
        """
        with self._locked() as connection:
            if _head(connection) != head:
                raise PeriodBusyError(what)
            try:
                yield Recording(connection, self._clock)
            except sa.exc.IntegrityError as error:
                raise PeriodBusyError(what) from error

    def reopen(self, provider_name: str, month: Month, *, by: str, reason: str) -> Closing:
        """Reopens the closing in force, and returns it as it stands now.

        Later months must be reopened first: their closings hold the corrections of this one. For ``*``, the month as a
        whole, those of every provider. Raises UsageEtlError without a reason, where nothing is closed, and where a later
        month is.
        """
        if not reason.strip():
            raise UsageEtlError(f"{month} of {provider_name} is not reopened: a reason is required")
        with self._locked() as connection:
            periods = Periods(_closings(connection))
            closing = periods.in_force(provider_name, month)
            if closing is None:
                raise UsageEtlError(_why_not(periods, provider_name, month))
            later = [found for found in periods if found.month > month and provider_name in (found.provider_name, ALL_OTHERS)]
            if later:
                named = ", ".join(f"{found.month} of {found.provider_name}" for found in reversed(later))
                raise UsageEtlError(
                    f"{month} of {provider_name} is not reopened: later months hold its corrections; reopen first, in this"
                    f" order: {named}"
                )
            Recording(connection, self._clock).reopen(closing, by=by, reason=reason.strip())
        reopened = self.periods().last(provider_name, month)
        assert reopened is not None
        return reopened

    def faults(self) -> list[str]:
        """One line per event that is not what was written, or does not follow the one before; none when all is well."""
        with self._engine.connect() as connection:
            rows = connection.execute(period_events.select().order_by(period_events.c.sequence)).mappings().all()
        faults, previous = [], FIRST
        for place, row in enumerate(rows, start=1):
            named = f"period book, event {row['sequence']} ({row['event']} {row['month']:%Y-%m} of {row['provider_name']})"
            if row["sequence"] != place or row["previous_sha256"] != previous:
                faults.append(f"{named}: does not follow the event before; rows were removed, inserted or changed")
            if _sha256(row) != row["sha256"]:
                faults.append(f"{named}: is not what was written; restore the state database from a backup")
            previous = row["sha256"]
        return faults

    @contextlib.contextmanager
    def _locked(self) -> Iterator[sa.Connection]:
        if self._until is not None:
            raise LakeError(f"period book as of {self._until}: nothing can be recorded in the past")
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection


def _why_not(periods: Periods, provider_name: str, month: Month) -> str:
    if periods.is_sealed(month) and periods.last(provider_name, month) is None:
        return (
            f"{month} of {provider_name} has no closing of its own: the month was closed as a whole without it. What arrived"
            f" later is booked in {periods.first_open_after(provider_name, month)}; to book it in {month}, reopen provider"
            f" '{ALL_OTHERS}'"
        )
    return f"{month} of {provider_name} is not closed"


def _closings(connection: sa.Connection, *, until: dt.datetime | None = None) -> list[Closing]:
    """Closings in the order in which they were made, each as its newest event, up to an instant, leaves it."""
    found: dict[tuple[str, Month, int], Closing] = {}
    for row in connection.execute(period_events.select().order_by(period_events.c.sequence)).mappings():
        key = (row["provider_name"], Month.of(row["month"]), row["number"])
        at = dt.datetime.fromisoformat(row["happened_at"])
        if until is not None and at > until:
            break
        if row["event"] == REOPENED:
            if key not in found:
                raise LakeError(f"period book: {key[1]} of {key[0]} was reopened and never closed; `usage-etl verify` tells more")
            found[key] = found[key].reopened(at=at, by=row["done_by"], reason=row["reason"])
            continue
        found[key] = Closing(
            *key,
            closed_at=at,
            closed_by=row["done_by"],
            lines_count=row["lines_count"],
            lines_sha256=row["lines_sha256"],
            totals=json.loads(row["totals"]),
            inputs=json.loads(row["inputs"]),
            gates=tuple(json.loads(row["gates"])),
        )
    return list(found.values())


def _head(connection: sa.Connection) -> str:
    query = sa.select(period_events.c.sha256).order_by(period_events.c.sequence.desc()).limit(1)
    return connection.execute(query).scalar() or FIRST


def _sha256(row: Mapping[Any, Any]) -> str:
    return fingerprint({name: row[name] for name in _HASHED})


def _text_of(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat(timespec="microseconds")


def _json(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
