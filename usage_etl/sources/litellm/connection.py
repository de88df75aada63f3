"""One PostgreSQL database of LiteLLM: read-only transactions of limited length, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from usage_etl.errors import SourceError, TransientSourceError

_PRISMA_ONLY = frozenset(
    {
        "connection_limit",
        "pool_timeout",
        "pgbouncer",
        "schema",
        "socket_timeout",
        "statement_cache_size",
        "sslaccept",
        "sslidentity",
    }
)
"""Parameters of a DATABASE_URL that only LiteLLM's own driver understands."""

_LOCK_TIMEOUT = "5s"
_COLUMNS = "select column_name from information_schema.columns where table_schema = :schema and table_name = :table"


class Database:
    """A database whose tables are read. Every transaction has a connection of its own and is over soon."""

    def __init__(self, address: str, *, source: str, schema: str, fetch_rows: int, statement_timeout_s: int) -> None:
        self.schema = schema
        self._source = source
        self._fetch_rows = fetch_rows
        self._timeout = f"{statement_timeout_s}s"
        self._engine = sa.create_engine(
            _plain_address(address, source),
            poolclass=sa.NullPool,
            connect_args={"connect_timeout": 10, "application_name": "usage_etl"},
        )

    def columns(self, table: str) -> frozenset[str]:
        """Columns of a table that we may read; none where there is no such table."""
        with self.transaction() as connection:
            found = connection.execute(sa.text(_COLUMNS), {"schema": self.schema, "table": table}).scalars()
            return frozenset(found)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A read-only transaction on one snapshot. Raises SourceError, or TransientSourceError where it may pass."""
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.execute(sa.text("set transaction isolation level repeatable read read only"))
                limits = {
                    "statement_timeout": self._timeout,
                    "lock_timeout": _LOCK_TIMEOUT,
                    "timezone": "UTC",
                    "extra_float_digits": "1",
                }
                for name, setting in limits.items():
                    connection.execute(sa.select(sa.func.set_config(name, setting, True)))
                yield connection
        except sa.exc.DBAPIError as error:
            raise self._fault(error) from error

    def stream(self, selected: sa.Select[Any]) -> Iterator[list[str]]:
        """First column of the rows, some at a time, from a cursor that the server keeps."""
        with self.transaction() as connection:
            found = connection.execute(selected, execution_options={"yield_per": self._fetch_rows})
            for rows in found.scalars().partitions():
                yield list(rows)

    def _fault(self, error: sa.exc.DBAPIError) -> SourceError:
        code, said = getattr(error.orig, "pgcode", None), str(error.orig).strip().partition("\n")[0]
        if code in ("57014", "55P03"):
            advice = "raise statement_timeout_s, lower window_hours, or point database at a read replica"
            return TransientSourceError(self._source, f"the database ended our statement ({said}); {advice}")
        if code in ("42501", "42P01"):
            return SourceError(
                self._source, f"the database refuses to be read ({said}); grant select on LiteLLM's tables to the role"
            )
        if code is None and any(sign in said for sign in ("authentication failed", "does not exist", "pg_hba.conf")):
            return SourceError(self._source, f"the database does not let us in ({said}); check role, password and database name")
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated:
            return TransientSourceError(self._source, f"the database does not answer ({said})")
        return SourceError(self._source, f"the database answered with an error ({said})")


def _plain_address(address: str, source: str) -> sa.URL:
    """The address for our driver. Raises SourceError, without quoting it: it holds a password."""
    try:
        url = sa.make_url(address.strip())
    except (sa.exc.ArgumentError, ValueError):
        raise SourceError(source, "database is no address like postgresql://user:password@host:5432/litellm") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SourceError(source, f"database is of {url.get_backend_name()}; LiteLLM keeps its log in PostgreSQL")
    return url.set(drivername="postgresql+psycopg2").difference_update_query(_PRISMA_ONLY)
