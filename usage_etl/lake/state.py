"""The state database: SQLite beside the settings, or PostgreSQL."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from usage_etl.errors import ConfigError
from usage_etl.schemas import alert_state, anomaly_state, limits, outbox_state  # noqa: F401 - their tables are created too
from usage_etl.schemas.state import buckets, deliveries, delivery_days, metadata

RESTAGED = "staged anew after an upgrade"
"""Reason of a delivery that counted before an upgrade and waits to be staged by the new version: it is not held."""

_WRITING = "usage_etl_writing"
_CREATION_LOCK = 0x75736167
"""Any number; PostgreSQL's advisory lock for creating the tables."""


def open_state(url: str) -> sa.Engine:
    """Engine with all state tables present. ``url``: ``sqlite:////absolute/file`` or ``postgresql+psycopg2://…``.

    Raises ConfigError for an address that SQLAlchemy cannot read or a database of another kind; the address itself is
    never shown, because it may hold a password.
    """
    try:
        address = sa.make_url(url)
    except ArgumentError as error:
        raise ConfigError("state.url", ["not a database address; use sqlite:///file or postgresql+psycopg2://…"]) from error
    backend = address.get_backend_name()
    if backend == "sqlite":
        engine = _open_sqlite(address)
    elif backend == "postgresql":
        engine = sa.create_engine(address.set(drivername="postgresql+psycopg2"), pool_pre_ping=True)
    else:
        raise ConfigError("state.url", [f"database {backend!r} is not supported; use sqlite or postgresql"])
    with writing(engine) as connection:
        if backend == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
        has_buckets, has_deliveries = (sa.inspect(connection).has_table(table.name) for table in (buckets, deliveries))
        metadata.create_all(connection)
        if has_deliveries:
            _add_columns(connection)
        if has_deliveries and not has_buckets:
            _restage(connection)
    return engine


def _add_columns(connection: sa.Connection) -> None:
    """Gives the deliveries of an earlier version the columns that came later, empty."""
    present = {found["name"] for found in sa.inspect(connection).get_columns(deliveries.name)}
    for column in (deliveries.c.records_staged_count, deliveries.c.rows_out_of_scope_count):
        if column.name not in present:
            connection.execute(sa.text(f"ALTER TABLE {deliveries.name} ADD COLUMN {column.name} BIGINT"))


def _restage(connection: sa.Connection) -> None:
    """Upgrades a database from before buckets were indexed: what counted waits to be staged anew, from its landed bytes.

    Rows that were staged by the earlier version do not say which bucket they belong to.
    """
    counted = deliveries.update().where(deliveries.c.status == "staged")
    connection.execute(counted.values(status="landed", status_reason=RESTAGED))
    connection.execute(delivery_days.delete())


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that means to write. On SQLite it takes the write lock at once, so that it never fails half-way."""
    with engine.connect().execution_options(**{_WRITING: True}) as connection, connection.begin():
        yield connection


def as_stored(instant: dt.datetime) -> dt.datetime:
    """``instant`` in UTC: SQLite stores no zone."""
    return instant.astimezone(dt.UTC)


def as_utc(stored: dt.datetime) -> dt.datetime:
    """A stored instant with its zone, which SQLite does not give back."""
    return stored.replace(tzinfo=dt.UTC) if stored.tzinfo is None else stored.astimezone(dt.UTC)


def _open_sqlite(address: sa.URL) -> sa.Engine:
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(address)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions on its own; "begin" below does
        for pragma in ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        is_writing = connection.get_execution_options().get(_WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine
