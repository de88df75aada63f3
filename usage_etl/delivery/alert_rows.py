"""Alert states, crossings and notices as rows of the state database, and back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from usage_etl.delivery.notice_json import notice_to_json
from usage_etl.schemas.alert_state import ActiveSilence, AlertState, Crossing, LevelState
from usage_etl.schemas.notices import Notice


def upsert(connection: sa.Connection, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows, or give those of the same primary key these values. All rows name the same columns."""
    if values:
        connection.execute(_upsert(table, connection.dialect.name, tuple(values[0])), list(values))


@lru_cache(maxsize=32)
def _upsert(table: sa.Table, dialect: str, columns: tuple[str, ...]) -> sa.Executable:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {name: insert.excluded[name] for name in columns if name not in keys}
    named: dict[str, Any] = {name: sa.bindparam(name) for name in columns}
    return insert.values(named).on_conflict_do_update(index_elements=keys, set_=rest)


def values_of(state: AlertState) -> dict[str, Any]:
    """Columns of a state."""
    plain = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return plain | {
        "observed_quantity": _number_text(state.observed_quantity),
        "levels": json.dumps({name: dataclasses.astuple(level) for name, level in state.levels.items()}),
        "channels": json.dumps(list(state.channels)),
    }


def state_of(row: sa.RowMapping) -> AlertState:
    """The state that ``values_of`` wrote."""
    quantity = row["observed_quantity"]
    return AlertState(
        **{
            **row,
            "observed_quantity": None if quantity is None else Decimal(quantity),
            "levels": {name: LevelState(*level) for name, level in json.loads(row["levels"]).items()},
            "channels": tuple(json.loads(row["channels"])),
        }
    )


def crossing_values(crossing: Crossing) -> dict[str, Any]:
    """Columns of a crossing."""
    plain = {field.name: getattr(crossing, field.name) for field in dataclasses.fields(crossing)}
    return plain | {
        "crossed_at": crossing.crossed_at.astimezone(dt.UTC),
        "observed_quantity": _number_text(crossing.observed_quantity),
    }


def notice_values(notice: Notice, disposition: str, silence_id: str = "") -> dict[str, Any]:
    """Columns of a notice."""
    return {
        "notice_id": notice.notice_id,
        "organization_id": notice.organization_id,
        "alert_key": notice.alert_key,
        "channel": notice.channel,
        "action": notice.action,
        "severity": notice.severity,
        "title": notice.title,
        "happened_at": notice.happened_at.astimezone(dt.UTC),
        "disposition": disposition,
        "silence_id": silence_id,
        "body": notice_to_json(notice),
    }


def silence_of(row: sa.RowMapping) -> ActiveSilence:
    """A stored silence."""
    return ActiveSilence(
        silence_id=row["silence_id"],
        rule=row["rule"],
        scope_kind=row["scope_kind"],
        scope_ids=tuple(json.loads(row["scope_ids"])),
        owner=row["owner"],
        reason=row["reason"],
        starts_at=utc(row["starts_at"]),
        ends_at=utc(row["ends_at"]),
    )


def utc(instant: dt.datetime) -> dt.datetime:
    """SQLite gives back the UTC that we stored without its zone; PostgreSQL in the session's zone."""
    return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant.astimezone(dt.UTC)


def _number_text(quantity: Decimal | None) -> str | None:
    return None if quantity is None else str(quantity)
