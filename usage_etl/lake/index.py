"""The delivery index: what was landed, what became of it, and which days its staged rows make stale."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from usage_etl.errors import LakeError
from usage_etl.keys import sha256_hex
from usage_etl.lake.clock import Clock, utc_now
from usage_etl.lake.deliveries import RELEASED, LandedDelivery, StagedDay, from_row
from usage_etl.lake.state import as_stored, writing
from usage_etl.schemas.state import day_builds, deliveries, delivery_days

_ACCEPTED = ("landed", "staged", "duplicate")
_DAYS_PER_QUERY = 500


class DeliveryIndex:
    """Deliveries and staged days in the state database. Each method is one transaction."""

    def __init__(self, engine: sa.Engine, *, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def seen(self, source: str) -> set[tuple[str, str]]:
        """``(origin_key, origin_version)`` of everything landed from ``source``."""
        query = sa.select(deliveries.c.origin_key, deliveries.c.origin_version).where(deliveries.c.source == source)
        with self._engine.connect() as connection:
            return {(key, version) for key, version in connection.execute(query)}

    def is_seen(self, source: str, origin_key: str, origin_version: str) -> bool:
        """Whether this version of the origin is landed."""
        with self._engine.connect() as connection:
            return _is_seen(connection, source, origin_key, origin_version)

    def register(self, landed: Mapping[str, Any], *, replaces_earlier: bool = False) -> LandedDelivery | None:
        """Adds a landed object and gives it the next sequence number; None when its origin is known already.

        ``landed`` holds the columns of a delivery up to ``received_at``, without ``sequence``. It becomes a
        ``duplicate``, with the earlier row count, when the same bytes already count:

        - the last delivery of the same origin_key has them, or
        - the origin_key is new and any delivery of the same source has them.

        Bytes that were replaced by others under the same origin_key and now come back are no duplicate: they undo a
        restatement. With ``replaces_earlier`` (later deliveries of the source replace earlier ones across origin keys,
        as bills do) only the bytes of the last delivery of the same source and dataset make a duplicate.
        """
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"LOCK TABLE {deliveries.name} IN SHARE ROW EXCLUSIVE MODE"))
            if _is_seen(connection, landed["source"], landed["origin_key"], landed["origin_version"]):
                return None
            earlier = _same_bytes(connection, landed, replaces_earlier=replaces_earlier)
            last = connection.execute(sa.select(sa.func.max(deliveries.c.sequence))).scalar()
            fate: dict[str, Any] = {"status": "landed"}
            if earlier:
                reason = f"same bytes as delivery {earlier.delivery_id}"
                fate = {"status": "duplicate", "status_reason": reason, "rows_read_count": earlier.rows_read_count}
            received_at = as_stored(landed["received_at"])
            row = {**landed, **fate, "received_at": received_at, "sequence": (last or 0) + 1}
            connection.execute(deliveries.insert().values(row))
            return _delivery(connection, landed["delivery_id"])

    def deliveries(self, source: str | None = None) -> list[LandedDelivery]:
        """All deliveries, of one source or of all, in order of arrival."""
        return self._select(*([deliveries.c.source == source] if source else []))

    def delivery(self, delivery_id: str) -> LandedDelivery:
        """One delivery. Raises LakeError when there is none."""
        with self._engine.connect() as connection:
            return _delivery(connection, delivery_id)

    def pending(self, source: str | None = None) -> list[LandedDelivery]:
        """Deliveries that wait to be staged, in order of arrival."""
        return self._select(deliveries.c.status == "landed", *([deliveries.c.source == source] if source else []))

    def last_good_rows(self, source: str, dataset: str, origin_key: str) -> int | None:
        """Rows read from the last loaded delivery of this origin; None when there is none."""
        query = (
            sa.select(deliveries.c.rows_read_count)
            .where(
                deliveries.c.source == source,
                deliveries.c.dataset == dataset,
                deliveries.c.origin_key == origin_key,
                deliveries.c.status.in_(("staged", "duplicate")),
                deliveries.c.rows_read_count.is_not(None),
            )
            .order_by(deliveries.c.sequence.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def record_staged(
        self,
        delivery_id: str,
        days: Sequence[StagedDay],
        *,
        rows_read: int,
        rows_quarantined: int,
        parser_version: str,
    ) -> None:
        """Makes ``days`` the delivery's staged objects, instead of any earlier ones, and counts them from now on."""
        counts = {"rows_read_count": rows_read, "rows_quarantined_count": rows_quarantined, "parser_version": parser_version}
        self._record(delivery_id, "staged", None, days, counts)

    def record_held(
        self,
        delivery_id: str,
        reason: str,
        rows_read: int,
        days: Sequence[StagedDay] = (),
        *,
        rows_quarantined: int | None = None,
        parser_version: str | None = None,
    ) -> None:
        """Keeps the delivery's rows out until ``release``. With ``days`` its staged objects are ready by then."""
        counts = {"rows_read_count": rows_read, "rows_quarantined_count": rows_quarantined, "parser_version": parser_version}
        self._record(delivery_id, "held", reason, days, counts)

    def record_refused(self, delivery_id: str, reason: str, rows_read: int) -> None:
        """Keeps the delivery's rows out for good. The same bytes, landed again, are tried again."""
        self._record(delivery_id, "refused", reason, (), {"rows_read_count": rows_read})

    def release(self, delivery_id: str) -> LandedDelivery:
        """Lets a held or refused delivery through: it counts at once when its days are staged, else it waits for that.

        Raises LakeError when it is neither.
        """
        with writing(self._engine) as connection:
            held = _delivery(connection, delivery_id)
            if held.status not in {"held", "refused"}:
                raise LakeError(f"delivery {delivery_id} is {held.status}; only a held or refused one can be released")
            mine = delivery_days.c.delivery_id == delivery_id
            is_ready = connection.execute(sa.select(delivery_days.c.usage_date).where(mine).limit(1)).first() is not None
            fate = {"status": "staged" if is_ready else "landed", "status_reason": RELEASED}
            connection.execute(deliveries.update().where(deliveries.c.delivery_id == delivery_id).values(fate))
            return _delivery(connection, delivery_id)

    def staged_days(self, table_name: str, days: Sequence[dt.date]) -> dict[dt.date, list[StagedDay]]:
        """The staged objects that count, of each of ``days`` that has any, in order of arrival."""
        found: dict[dt.date, list[StagedDay]] = {}
        with self._engine.connect() as connection:
            wanted = sorted(set(days))
            for start in range(0, len(wanted), _DAYS_PER_QUERY):
                some = wanted[start : start + _DAYS_PER_QUERY]
                for row in connection.execute(_counted(table_name).where(delivery_days.c.usage_date.in_(some))):
                    part = StagedDay(table_name, row.usage_date, row.staged_key, row.sha256, row.rows_count)
                    found.setdefault(row.usage_date, []).append(part)
        return found

    def staged_rows(self) -> list[tuple[str, str, str, dt.date, int]]:
        """(source, delivery_id, table_name, usage_date, rows_count) of every staged object that counts."""
        columns = (deliveries.c.source, delivery_days.c.delivery_id, delivery_days.c.table_name, delivery_days.c.usage_date)
        query = (
            sa.select(*columns, delivery_days.c.rows_count)
            .join(deliveries, deliveries.c.delivery_id == delivery_days.c.delivery_id)
            .where(deliveries.c.status == "staged")
            .order_by(*columns)
        )
        with self._engine.connect() as connection:
            return [(source, key, name, day, rows) for source, key, name, day, rows in connection.execute(query)]

    def staged_objects(self) -> dict[str, str]:
        """Key to sha256 of every staged object that counts."""
        query = sa.select(delivery_days.c.staged_key, delivery_days.c.sha256).join(
            deliveries, deliveries.c.delivery_id == delivery_days.c.delivery_id
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(deliveries.c.status == "staged").order_by(delivery_days.c.staged_key))
            return {row.staged_key: row.sha256 for row in rows}

    def staged_fingerprint(self, table_name: str, day: dt.date) -> str:
        """Fingerprint of the staged objects that count on ``day``; a day without any has one too."""
        with self._engine.connect() as connection:
            rows = connection.execute(_counted(table_name).where(delivery_days.c.usage_date == day))
            return _fingerprint([(row.delivery_id, row.sha256) for row in rows])

    def stale_days(self, table_name: str) -> set[dt.date]:
        """Days whose staged objects are not those they were last built from, days that lost theirs included."""
        staged: dict[dt.date, list[tuple[str, str]]] = {}
        query = sa.select(day_builds.c.usage_date, day_builds.c.staged_fingerprint).where(day_builds.c.table_name == table_name)
        with self._engine.connect() as connection:
            built = {row.usage_date: row.staged_fingerprint for row in connection.execute(query)}
            parts = _counted(table_name).with_only_columns(
                *(delivery_days.c[name] for name in ("usage_date", "delivery_id", "sha256"))
            )
            for day, delivery_id, sha256 in connection.execute(parts):
                staged.setdefault(day, []).append((delivery_id, sha256))
        return {day for day in built.keys() | staged.keys() if built.get(day) != _fingerprint(staged.get(day, []))}

    def mark_built(self, table_name: str, day: dt.date, fingerprint: str) -> None:
        """Notes the staged objects, by fingerprint, that ``day`` is now built from. Take it before reading them."""
        mark = {"staged_fingerprint": fingerprint, "built_at": as_stored(self._clock())}
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        row = insert(day_builds).values(table_name=table_name, usage_date=day, **mark)
        with writing(self._engine) as connection:
            connection.execute(row.on_conflict_do_update(index_elements=list(day_builds.primary_key), set_=mark))

    def _record(
        self, delivery_id: str, status: str, reason: str | None, days: Sequence[StagedDay], counts: Mapping[str, Any]
    ) -> None:
        with writing(self._engine) as connection:
            before = _delivery(connection, delivery_id)
            kept = RELEASED if status == "staged" and before.is_released else reason
            fate = {"status": status, "status_reason": kept, "rows_staged_count": sum(day.rows_count for day in days), **counts}
            connection.execute(deliveries.update().where(deliveries.c.delivery_id == delivery_id).values(fate))
            # Copies that were landed before this delivery was read.
            same_bytes = (deliveries.c.source == before.source, deliveries.c.sha256 == before.sha256)
            copies = deliveries.update().where(*same_bytes, deliveries.c.status == "duplicate")
            connection.execute(copies.values(rows_read_count=counts["rows_read_count"]))
            connection.execute(delivery_days.delete().where(delivery_days.c.delivery_id == delivery_id))
            if days:
                connection.execute(delivery_days.insert(), [_day_row(delivery_id, day) for day in days])

    def _select(self, *where: sa.ColumnElement[bool]) -> list[LandedDelivery]:
        query = deliveries.select().where(*where).order_by(deliveries.c.sequence)
        with self._engine.connect() as connection:
            return [from_row(row) for row in connection.execute(query)]


def _is_seen(connection: sa.Connection, source: str, origin_key: str, origin_version: str) -> bool:
    query = sa.select(deliveries.c.delivery_id).where(
        deliveries.c.source == source,
        deliveries.c.origin_key == origin_key,
        deliveries.c.origin_version == origin_version,
    )
    return connection.execute(query).first() is not None


def _counted(table_name: str) -> sa.Select[Any]:
    """Staged objects of deliveries that count, in order of arrival."""
    return (
        sa.select(delivery_days)
        .join(deliveries, deliveries.c.delivery_id == delivery_days.c.delivery_id)
        .where(delivery_days.c.table_name == table_name, deliveries.c.status == "staged")
        .order_by(delivery_days.c.usage_date, deliveries.c.sequence)
    )


def _same_bytes(connection: sa.Connection, landed: Mapping[str, Any], *, replaces_earlier: bool) -> LandedDelivery | None:
    """The earlier delivery that ``landed`` only repeats."""
    own_source = deliveries.c.source == landed["source"]
    accepted = deliveries.select().where(deliveries.c.status.in_(_ACCEPTED))
    if replaces_earlier:
        same_dataset = accepted.where(own_source, deliveries.c.dataset == landed["dataset"])
        found = connection.execute(same_dataset.order_by(deliveries.c.sequence.desc()).limit(1)).all()
    else:
        # The few rows of each lookup are filtered and sorted here: a database without statistics would rather walk all
        # deliveries of the source, or all sequence numbers, than use the index of the hash.
        found = connection.execute(accepted.where(own_source, deliveries.c.origin_key == landed["origin_key"])).all()
        found = found or connection.execute(accepted.where(deliveries.c.sha256 == landed["sha256"])).all()
    last = max((row for row in found if row.source == landed["source"]), key=lambda row: row.sequence, default=None)
    return from_row(last) if last is not None and last.sha256 == landed["sha256"] else None


def _delivery(connection: sa.Connection, delivery_id: str) -> LandedDelivery:
    row = connection.execute(deliveries.select().where(deliveries.c.delivery_id == delivery_id)).first()
    if row is None:
        raise LakeError(f"delivery {delivery_id}: the index does not know it")
    return from_row(row)


def _day_row(delivery_id: str, day: StagedDay) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id,
        "table_name": day.table_name,
        "usage_date": day.day,
        "staged_key": day.staged_key,
        "sha256": day.sha256,
        "rows_count": day.rows_count,
    }


def _fingerprint(parts: Sequence[tuple[str, str]]) -> str:
    return sha256_hex("\n".join(f"{delivery_id} {sha256}" for delivery_id, sha256 in parts).encode())
