"""The delivery index: what was landed, what became of it, which rows count, and which days are stale for that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from usage_etl.errors import LakeError
from usage_etl.lake import builds, counted, counting, repeats
from usage_etl.lake.builds import DayContent
from usage_etl.lake.clock import Clock, utc_now
from usage_etl.lake.deliveries import (
    RELEASED,
    BucketVersion,
    CountedPart,
    DayInputs,
    LandedDelivery,
    StagedBucket,
    StagedDay,
    from_row,
)
from usage_etl.lake.state import RESTAGED, as_stored, as_utc, writing
from usage_etl.schemas.restatements import Restatement
from usage_etl.schemas.state import bundle_members, deliveries, delivery_days

MARK_BYTES = 12
"""Length of the mark of a bundle's member."""


@dataclass(frozen=True)
class _Fate:
    """What a delivery becomes."""

    status: str
    reason: str | None
    counts: Mapping[str, Any]
    days: Sequence[StagedDay] = ()
    staged_buckets: Sequence[StagedBucket] = ()

    @property
    def rows_staged(self) -> int:
        return sum(day.rows_count for day in self.days)


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

    def members(self, source: str, folder: str) -> frozenset[bytes]:
        """Marks of the objects of ``folder`` that were landed within bundles."""
        query = sa.select(bundle_members.c.marks).where(bundle_members.c.source == source, bundle_members.c.folder == folder)
        with self._engine.connect() as connection:
            return frozenset(mark for marks in connection.execute(query).scalars() for mark in _cut(marks))

    def register(
        self,
        landed: Mapping[str, Any],
        *,
        replaces_earlier: bool = False,
        members: tuple[str, Sequence[bytes]] | None = None,
    ) -> LandedDelivery | None:
        """Adds a landed object and gives it the next sequence number; None when its origin is known already.

        ``landed`` holds the columns of a delivery up to ``received_at``, without ``sequence``. It becomes a
        ``duplicate``, with the earlier row count, when the same bytes already count:

        - the last delivery of the same origin_key has them, or
        - the origin_key is new and any delivery of the same source has them.

        Bytes that were replaced by others under the same origin_key and now come back are no duplicate: they undo a
        restatement. With ``replaces_earlier`` (later deliveries of the source replace earlier ones across origin keys,
        as bills do) only the bytes of the last delivery of the same source and dataset make a duplicate. ``members``: the
        folder and the marks of the objects that a bundle holds.
        """
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"LOCK TABLE {deliveries.name} IN SHARE ROW EXCLUSIVE MODE"))
            if _is_seen(connection, landed["source"], landed["origin_key"], landed["origin_version"]):
                return None
            earlier = repeats.same_bytes(connection, landed, replaces_earlier=replaces_earlier)
            last = connection.execute(sa.select(sa.func.max(deliveries.c.sequence))).scalar()
            fate: dict[str, Any] = {"status": "landed"}
            if earlier:
                counts = {"rows_read_count": earlier.rows_read_count}
                fate = {"status": "duplicate", "status_reason": repeats.reason(earlier), **counts}
            received_at = as_stored(landed["received_at"])
            row = {**landed, **fate, "received_at": received_at, "sequence": (last or 0) + 1}
            connection.execute(deliveries.insert().values(row))
            if members:
                folder, marks = members
                named = {"delivery_id": landed["delivery_id"], "source": landed["source"], "folder": folder}
                content = {"members_count": len(marks), "marks": b"".join(marks)}
                connection.execute(bundle_members.insert().values(**named, **content))
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

    def newest_arrivals(self, statuses: Collection[str]) -> dict[str, dt.datetime]:
        """By source, when the newest delivery in one of ``statuses`` was received; sources without any are missing."""
        newest = sa.func.max(deliveries.c.received_at)
        query = sa.select(deliveries.c.source, newest).where(deliveries.c.status.in_(statuses)).group_by(deliveries.c.source)
        with self._engine.connect() as connection:
            return {source: as_utc(received_at) for source, received_at in connection.execute(query)}

    def last_good_rows(self, source: str, dataset: str, origin_key: str) -> int | None:
        """Rows read from the last loaded delivery of this origin; None when there is none."""
        with self._engine.connect() as connection:
            return counted.last_good_rows(connection, source, dataset, origin_key)

    def record_staged(
        self,
        delivery_id: str,
        days: Sequence[StagedDay],
        *,
        staged_buckets: Sequence[StagedBucket] = (),
        rows_read: int,
        rows_quarantined: int,
        records_staged: int | None = None,
        rows_out_of_scope: int = 0,
        parser_version: str,
    ) -> LandedDelivery:
        """Makes ``days`` the delivery's staged objects, instead of any earlier ones; the delivery as it stands then.

        Its rows count from now on, but for those of ``staged_buckets`` that another delivery has a newer version of; it
        is ``superseded`` when none count. It becomes a ``duplicate`` of an earlier delivery with the same bytes when each
        of its buckets has a version of its own: the bytes then hold that version, so they cannot be a newer one.
        """
        counts = {
            "rows_read_count": rows_read,
            "rows_quarantined_count": rows_quarantined,
            "records_staged_count": records_staged,
            "rows_out_of_scope_count": rows_out_of_scope,
            "parser_version": parser_version,
        }
        return self._record(delivery_id, _Fate("staged", None, counts, days, staged_buckets))

    def record_held(
        self,
        delivery_id: str,
        reason: str,
        rows_read: int,
        days: Sequence[StagedDay] = (),
        *,
        staged_buckets: Sequence[StagedBucket] = (),
        rows_quarantined: int | None = None,
        records_staged: int | None = None,
        rows_out_of_scope: int = 0,
        parser_version: str | None = None,
    ) -> None:
        """Keeps the delivery's rows out until ``release``. With ``days`` its staged objects are ready by then."""
        counts = {
            "rows_read_count": rows_read,
            "rows_quarantined_count": rows_quarantined,
            "records_staged_count": records_staged,
            "rows_out_of_scope_count": rows_out_of_scope,
            "parser_version": parser_version,
        }
        self._record(delivery_id, _Fate("held", reason, counts, days, staged_buckets))

    def record_refused(self, delivery_id: str, reason: str, rows_read: int) -> None:
        """Keeps the delivery's rows out for good. The same bytes, landed again, are tried again."""
        self._record(delivery_id, _Fate("refused", reason, {"rows_read_count": rows_read}))

    def release(self, delivery_id: str) -> LandedDelivery:
        """Lets a held or refused delivery through: it counts at once when its days are staged, else it waits for that.

        Raises LakeError when it is neither.
        """
        with writing(self._engine) as connection:
            counting.lock(connection)
            held = _delivery(connection, delivery_id)
            if held.status not in {"held", "refused"}:
                raise LakeError(f"delivery {delivery_id} is {held.status}; only a held or refused one can be released")
            mine, claimed = delivery_days.c.delivery_id == delivery_id, counting.claimed_ids(connection, held.sequence)
            is_ready = claimed or connection.execute(sa.select(delivery_days.c.usage_date).where(mine).limit(1)).first()
            fate = {"status": "staged" if is_ready else "landed", "status_reason": RELEASED}
            with counting.recounted(connection, held, claimed):
                connection.execute(deliveries.update().where(deliveries.c.delivery_id == delivery_id).values(fate))
            return _delivery(connection, delivery_id)

    def restaging_count(self) -> int:
        """How many deliveries counted before an upgrade and wait to be staged anew: until then days lack their rows."""
        waiting = (deliveries.c.status == "landed", deliveries.c.status_reason == RESTAGED)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(deliveries).where(*waiting)).scalar() or 0

    def bucket_versions(self, source: str, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], BucketVersion]:
        """The version that counts of each bucket of ``source``, by (table name, bucket key); none that counts is left out."""
        with self._engine.connect() as connection:
            return counted.bucket_versions(connection, source, keys)

    def staged_days(self, table_name: str, days: Sequence[dt.date]) -> dict[dt.date, list[CountedPart]]:
        """The staged objects that count, of each of ``days`` that has any, in order of arrival."""
        with self._engine.connect() as connection:
            return counted.parts(connection, table_name, days)

    def day_inputs(self, table_name: str, day: dt.date) -> DayInputs:
        """What counts on ``day``, and its fingerprint for ``mark_built``."""
        with self._engine.connect() as connection:
            # In this order: what is staged in between leaves the day stale.
            fingerprint = counted.day_fingerprint(connection, table_name, day)
            return DayInputs(fingerprint, tuple(counted.parts(connection, table_name, [day]).get(day, [])))

    def staged_rows(self) -> list[tuple[str, str, str, dt.date, int, int]]:
        """(source, delivery_id, table_name, usage_date, rows_count, lost_count) of every staged object.

        ``lost_count`` are the rows of buckets that another delivery answers for.
        """
        with self._engine.connect() as connection:
            return counted.staged_rows(connection)

    def staged_objects(self) -> dict[str, str]:
        """Key to sha256 of every staged object that counts, or would if a newer one were taken out."""
        with self._engine.connect() as connection:
            return counted.staged_objects(connection)

    def staged_fingerprint(self, table_name: str, day: dt.date) -> str:
        """Fingerprint of the rows that count on ``day``; a day without any has one too."""
        with self._engine.connect() as connection:
            return counted.day_fingerprint(connection, table_name, day)

    def stale_days(self, table_name: str) -> set[dt.date]:
        """Days on which other rows count than those they were last built from, days that lost theirs included."""
        with self._engine.connect() as connection:
            return counted.stale_days(connection, table_name)

    def faults(self) -> list[str]:
        """One line per day whose fingerprint is not that of its parts: none, unless the database was changed by hand."""
        with self._engine.connect() as connection:
            return counted.faults(connection)

    def is_built(self, table_name: str, day: dt.date, fingerprint: str, version: str) -> bool:
        """Whether ``mark_built`` has noted this very content of ``day``."""
        with self._engine.connect() as connection:
            return builds.is_built(connection, table_name, day, fingerprint, version)

    def mark_built(self, table_name: str, day: dt.date, fingerprint: str, content: DayContent | None = None) -> None:
        """Notes what ``day`` is now built from: the fingerprint of its ``day_inputs``, taken before they were read.

        With its ``content``, a build that differs from the last noted one is kept as a restatement, in one transaction.
        """
        with writing(self._engine) as connection:
            counting.lock(connection)
            builds.mark(connection, {"table_name": table_name, "usage_date": day}, fingerprint, content, self._clock())

    def restatements(self, days: tuple[dt.date, dt.date]) -> list[Restatement]:
        """Rebuilds of days from the first to the last, both included, by table, day and order of building."""
        with self._engine.connect() as connection:
            return builds.restated(connection, days)

    def _record(self, delivery_id: str, fate: _Fate) -> LandedDelivery:
        with writing(self._engine) as connection:
            counting.lock(connection)
            before = _delivery(connection, delivery_id)
            if fate.status == "staged" and (
                original := repeats.original(connection, before, fate.rows_staged, fate.staged_buckets)
            ):
                fate = _Fate("duplicate", repeats.reason(original), fate.counts)
            keeps_reason = fate.status == "staged" and (before.status_reason or "").startswith(RELEASED)
            row = {
                "status": fate.status,
                "status_reason": RELEASED if keeps_reason else fate.reason,
                "rows_staged_count": fate.rows_staged,
                **fate.counts,
            }
            keys = [(found.table_name, found.bucket_key) for found in fate.staged_buckets]
            ids = counting.bucket_ids(connection, before.source, keys)
            own = {ids[found.table_name, found.bucket_key]: found for found in fate.staged_buckets}
            with counting.recounted(connection, before, counting.claimed_ids(connection, before.sequence) | own.keys()):
                connection.execute(deliveries.update().where(deliveries.c.delivery_id == delivery_id).values(row))
                counting.replace_staged(connection, before, fate.days, own)
            # Copies that were landed before this delivery was read.
            same_bytes = (deliveries.c.source == before.source, deliveries.c.sha256 == before.sha256)
            copies = deliveries.update().where(*same_bytes, deliveries.c.status == "duplicate")
            connection.execute(copies.values(rows_read_count=fate.counts["rows_read_count"]))
            return _delivery(connection, delivery_id)

    def _select(self, *where: sa.ColumnElement[bool]) -> list[LandedDelivery]:
        query = deliveries.select().where(*where).order_by(deliveries.c.sequence)
        with self._engine.connect() as connection:
            return [from_row(row) for row in connection.execute(query)]


def _cut(marks: bytes) -> list[bytes]:
    return [marks[start : start + MARK_BYTES] for start in range(0, len(marks), MARK_BYTES)]


def _is_seen(connection: sa.Connection, source: str, origin_key: str, origin_version: str) -> bool:
    query = sa.select(deliveries.c.delivery_id).where(
        deliveries.c.source == source,
        deliveries.c.origin_key == origin_key,
        deliveries.c.origin_version == origin_version,
    )
    return connection.execute(query).first() is not None


def _delivery(connection: sa.Connection, delivery_id: str) -> LandedDelivery:
    row = connection.execute(deliveries.select().where(deliveries.c.delivery_id == delivery_id)).first()
    if row is None:
        raise LakeError(f"delivery {delivery_id}: the index does not know it")
    return from_row(row)
