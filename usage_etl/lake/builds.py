"""What built days were made from and said, and how their rebuilds differed: the log of restatements."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from usage_etl.lake.state import as_stored, as_utc
from usage_etl.schemas.restatements import Figures, Restatement
from usage_etl.schemas.state import day_builds, day_contents, restatements


@dataclass(frozen=True)
class DayContent:
    """What a built day says."""

    version: str
    """sha256 of the committed partition."""
    figures: Figures
    deliveries: Collection[str]
    """Ids of the deliveries of which rows count."""


def is_built(connection: sa.Connection, table_name: str, day: dt.date, fingerprint: str, version: str) -> bool:
    """Whether the last noted build of ``day`` had this fingerprint and this version."""
    query = (
        sa.select(day_builds.c.staged_fingerprint, day_contents.c.version)
        .join(
            day_contents,
            (day_contents.c.table_name == day_builds.c.table_name) & (day_contents.c.usage_date == day_builds.c.usage_date),
        )
        .where(day_builds.c.table_name == table_name, day_builds.c.usage_date == day)
    )
    return connection.execute(query).tuples().first() == (fingerprint, version)


def mark(
    connection: sa.Connection, key: Mapping[str, object], fingerprint: str, content: DayContent | None, built_at: dt.datetime
) -> None:
    """Notes a build of the day ``key``, and the restatement that it is where another content was noted before."""
    if content is not None:
        _compare(connection, key, fingerprint, content, built_at)
        row = {"version": content.version, "figures": _text(content.figures), "deliveries": _packed(content.deliveries)}
        _replace(connection, day_contents, key, row)
    _replace(connection, day_builds, key, {"staged_fingerprint": fingerprint, "built_at": as_stored(built_at)})


def _compare(
    connection: sa.Connection, key: Mapping[str, object], fingerprint: str, content: DayContent, built_at: dt.datetime
) -> None:
    earlier = connection.execute(day_contents.select().where(*_is(day_contents, key))).first()
    built = connection.execute(sa.select(day_builds.c.staged_fingerprint).where(*_is(day_builds, key))).scalar()
    if earlier is None:
        return
    has_other_rows = built != fingerprint
    if not has_other_rows and earlier.figures == _text(content.figures):
        return
    last = connection.execute(sa.select(sa.func.max(restatements.c.number)).where(*_is(restatements, key))).scalar()
    before, after = set(_unpacked(earlier.deliveries)), set(content.deliveries)
    row = {
        **key,
        "number": (last or 0) + 1,
        "built_at": as_stored(built_at),
        "figures_before": earlier.figures,
        "figures_after": _text(content.figures),
        "new_deliveries": _packed(after - before),
        "stopped_deliveries": _packed(before - after),
        "has_other_rows": has_other_rows,
    }
    connection.execute(restatements.insert().values(row))


def restated(connection: sa.Connection, days: tuple[dt.date, dt.date]) -> list[Restatement]:
    """Rebuilds of the days from the first to the last, both included."""
    query = (
        restatements.select()
        .where(restatements.c.usage_date.between(*days))
        .order_by(restatements.c.table_name, restatements.c.usage_date, restatements.c.number)
    )
    return [
        Restatement(
            table_name=row.table_name,
            day=row.usage_date,
            number=row.number,
            built_at=as_utc(row.built_at),
            before=json.loads(row.figures_before),
            after=json.loads(row.figures_after),
            new_deliveries=_unpacked(row.new_deliveries),
            stopped_deliveries=_unpacked(row.stopped_deliveries),
            has_other_rows=row.has_other_rows,
        )
        for row in connection.execute(query)
    ]


def _is(table: sa.Table, key: Mapping[str, object]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _replace(connection: sa.Connection, table: sa.Table, key: Mapping[str, object], row: Mapping[str, object]) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**key, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=dict(row)))


def _text(figures: Figures) -> str:
    return json.dumps(figures, sort_keys=True, separators=(",", ":"))


def _packed(ids: Collection[str]) -> bytes:
    return zlib.compress("\n".join(sorted(ids)).encode())


def _unpacked(packed: bytes) -> tuple[str, ...]:
    text = zlib.decompress(packed).decode()
    return tuple(text.split("\n")) if text else ()
