"""Which rows count: of each bucket those of one delivery, and on each day a fingerprint of all that do.

A bucket is won by the delivery that counts and has the newest version of it. The fingerprint of a day is the sum of the
hashes of its counted parts, so a change costs what it touches, not what the day holds. Everything here is a function of
the deliveries, their staged days and their claims: ``recompute`` makes it again from these, and must find no difference.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from usage_etl.keys import sha256_hex
from usage_etl.lake.deliveries import RELEASED, LandedDelivery, StagedBucket, StagedDay
from usage_etl.lake.state import as_stored, as_utc
from usage_etl.schemas.state import bucket_claims, bucket_days, buckets, day_inputs, deliveries, delivery_days

COUNTED = ("staged", "superseded")
"""Statuses of deliveries that may win a bucket."""

NOTHING = "0" * 64
"""Fingerprint of a day on which no row counts."""

CHUNK = 500
"""Values in one list of a query."""

_LOCK = 0x75736163
_CLOCK_SKEW = dt.timedelta(days=1)

DaySums = dict[tuple[str, dt.date], int]


def lock(connection: sa.Connection) -> None:
    """Makes changes of what counts one after the other, until the end of the transaction. SQLite does so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


@contextlib.contextmanager
def recounted(connection: sa.Connection, delivery: LandedDelivery, bucket_ids: Collection[int]) -> Iterator[None]:
    """Around a change of one delivery's status, days or claims: brings winners, days and statuses up to date.

    ``bucket_ids`` are all buckets that the delivery covers, before or after.
    """
    ids = sorted(bucket_ids)
    before = _day_sums(connection, [delivery.sequence], ids)
    yield
    touched = _choose_winners(connection, ids) | {delivery.sequence}
    after = _day_sums(connection, [delivery.sequence], ids)
    _shift(connection, before, after)
    for sequence in sorted(touched):
        _settle_status(connection, sequence)


def claimed_ids(connection: sa.Connection, sequence: int) -> set[int]:
    """Buckets that a delivery covers."""
    query = sa.select(bucket_claims.c.bucket_id).where(bucket_claims.c.sequence == sequence)
    return set(connection.execute(query).scalars())


def bucket_ids(connection: sa.Connection, source: str, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Identifier of each bucket of ``source`` by (table name, bucket key), those that are new included."""
    known = known_bucket_ids(connection, source, keys)
    missing = [key for key in keys if key not in known]
    if missing:
        rows = [{"source": source, "table_name": table_name, "bucket_key": key} for table_name, key in missing]
        connection.execute(buckets.insert(), rows)
        known |= known_bucket_ids(connection, source, missing)
    return known


def known_bucket_ids(connection: sa.Connection, source: str, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Identifier of each bucket of ``source`` that was ever covered, by (table name, bucket key)."""
    found: dict[tuple[str, str], int] = {}
    for table_name in sorted({table_name for table_name, _ in keys}):
        for some in chunks(sorted(key for name, key in keys if name == table_name)):
            query = sa.select(buckets.c.bucket_key, buckets.c.bucket_id).where(
                buckets.c.source == source, buckets.c.table_name == table_name, buckets.c.bucket_key.in_(some)
            )
            found |= {(table_name, key): bucket_id for key, bucket_id in connection.execute(query)}
    return found


def replace_staged(
    connection: sa.Connection,
    delivery: LandedDelivery,
    days: Sequence[StagedDay],
    staged_buckets: Mapping[int, StagedBucket],
) -> None:
    """Makes ``days`` and the buckets, by their identifier, those of the delivery, instead of any earlier ones."""
    sequence = delivery.sequence
    for some in chunks(sorted(claimed_ids(connection, sequence))):
        of_delivery = (bucket_days.c.bucket_id.in_(some), bucket_days.c.sequence == sequence)
        connection.execute(bucket_days.delete().where(*of_delivery))
    connection.execute(bucket_claims.delete().where(bucket_claims.c.sequence == sequence))
    connection.execute(delivery_days.delete().where(delivery_days.c.delivery_id == delivery.delivery_id))
    if days:
        connection.execute(delivery_days.insert(), [_day_row(delivery.delivery_id, day) for day in days])
    claims = [
        {"bucket_id": bucket_id, "sequence": sequence, "version_at": _version(bucket, delivery)}
        for bucket_id, bucket in staged_buckets.items()
    ]
    rows = [
        {"bucket_id": bucket_id, "sequence": sequence, "usage_date": day, "rows_count": count}
        for bucket_id, bucket in staged_buckets.items()
        for day, count in bucket.rows_by_day.items()
        if count
    ]
    if claims:
        connection.execute(bucket_claims.insert(), claims)
    if rows:
        connection.execute(bucket_days.insert(), rows)


def _version(bucket: StagedBucket, delivery: LandedDelivery) -> dt.datetime | None:
    """The bucket's own version; none where it lies in the future, because it would win for ever."""
    version_at = bucket.version_at
    return as_stored(version_at) if version_at and version_at <= delivery.received_at + _CLOCK_SKEW else None


def _choose_winners(connection: sa.Connection, ids: Sequence[int]) -> set[int]:
    """Writes the winner of each bucket; the deliveries that won or lost one by it, by sequence."""
    touched: set[int] = set()
    for some in chunks(ids):
        claims: dict[int, list[Any]] = defaultdict(list)
        query = (
            sa.select(bucket_claims.c.bucket_id, bucket_claims.c.sequence, bucket_claims.c.version_at, deliveries.c.received_at)
            .join(deliveries, deliveries.c.sequence == bucket_claims.c.sequence)
            .where(bucket_claims.c.bucket_id.in_(some), deliveries.c.status.in_(COUNTED))
        )
        for claim in connection.execute(query):
            claims[claim.bucket_id].append(claim)
        present = sa.select(buckets.c.bucket_id, buckets.c.winner_sequence).where(buckets.c.bucket_id.in_(some))
        for bucket_id, earlier in connection.execute(present).all():
            winner = _winner(claims[bucket_id])
            if winner != earlier:
                change = buckets.update().where(buckets.c.bucket_id == bucket_id).values(winner_sequence=winner)
                connection.execute(change)
                touched |= {earlier, winner} - {None}
    return touched


def _winner(claims: Sequence[Any]) -> int | None:
    """The newest version; a claim without one is as old as its arrival. Where no claim has one, the last to arrive."""
    has_versions = any(claim.version_at for claim in claims)
    ranks = ((as_utc(claim.version_at or claim.received_at) if has_versions else None, claim.sequence) for claim in claims)
    return max(ranks, default=(None, None))[1]


def _day_sums(connection: sa.Connection, sequences: Sequence[int] | None, ids: Sequence[int] | None) -> DaySums:
    """Sum of hashes by (table, day) of what the given deliveries count outside of buckets, and of the given buckets.

    None stands for all of them.
    """
    sums: DaySums = defaultdict(int)
    for part in _loose_parts(connection, sequences):
        sums[part.table_name, part.usage_date] += _hash(part.delivery_id, part.sha256)
    for row in _bucket_parts(connection, ids):
        sums[row.table_name, row.usage_date] += _hash(row.delivery_id, row.sha256, row.bucket_key)
    return sums


def _loose_parts(connection: sa.Connection, sequences: Sequence[int] | None) -> Iterator[Any]:
    """Counted staged objects that have rows outside of buckets."""
    in_buckets: Counter[tuple[int, str, dt.date]] = Counter()
    query = _rows_in_buckets()
    parts = (
        sa.select(deliveries.c.sequence, delivery_days)
        .join(deliveries, deliveries.c.delivery_id == delivery_days.c.delivery_id)
        .where(deliveries.c.status.in_(COUNTED))
    )
    if sequences is not None:
        query = query.where(bucket_claims.c.sequence.in_(sequences))
        parts = parts.where(deliveries.c.sequence.in_(sequences))
    for sequence, table_name, day, count in connection.execute(query):
        in_buckets[sequence, table_name, day] += count
    for part in connection.execute(parts):
        if part.rows_count > in_buckets[part.sequence, part.table_name, part.usage_date]:
            yield part


def _rows_in_buckets() -> sa.Select[Any]:
    """(sequence, table_name, usage_date, rows) of every delivery's buckets. By way of the claims: they know deliveries."""
    return (
        sa.select(bucket_claims.c.sequence, buckets.c.table_name, bucket_days.c.usage_date, bucket_days.c.rows_count)
        .join(buckets, buckets.c.bucket_id == bucket_claims.c.bucket_id)
        .join(
            bucket_days,
            (bucket_days.c.bucket_id == bucket_claims.c.bucket_id) & (bucket_days.c.sequence == bucket_claims.c.sequence),
        )
    )


def _bucket_parts(connection: sa.Connection, ids: Sequence[int] | None) -> Iterator[Any]:
    """The winners' rows by bucket and day, with the hash of the object that holds them."""
    query = (
        sa.select(
            buckets.c.table_name, buckets.c.bucket_key, bucket_days.c.usage_date, deliveries.c.delivery_id,
            delivery_days.c.sha256,
        )
        .join(
            bucket_days,
            (bucket_days.c.bucket_id == buckets.c.bucket_id) & (bucket_days.c.sequence == buckets.c.winner_sequence),
        )
        .join(deliveries, deliveries.c.sequence == bucket_days.c.sequence)
        .join(
            delivery_days,
            (delivery_days.c.delivery_id == deliveries.c.delivery_id)
            & (delivery_days.c.table_name == buckets.c.table_name)
            & (delivery_days.c.usage_date == bucket_days.c.usage_date),
        )
    )  # fmt: skip
    if ids is None:
        yield from connection.execute(query)
    for some in chunks(ids or ()):
        yield from connection.execute(query.where(buckets.c.bucket_id.in_(some)))


def _hash(*parts: str) -> int:
    return int(sha256_hex("\n".join(parts).encode()), 16)


def _shift(connection: sa.Connection, before: DaySums, after: DaySums) -> None:
    """Moves the fingerprints of days by the difference."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    for table_name, day in sorted(before.keys() | after.keys()):
        change = (after.get((table_name, day), 0) - before.get((table_name, day), 0)) % 2**256
        if not change:
            continue
        of_day = (day_inputs.c.table_name == table_name, day_inputs.c.usage_date == day)
        earlier = connection.execute(sa.select(day_inputs.c.staged_fingerprint).where(*of_day)).scalar() or NOTHING
        fingerprint = as_fingerprint(int(earlier, 16) + change)
        if fingerprint == NOTHING:
            connection.execute(day_inputs.delete().where(*of_day))
            continue
        row = insert(day_inputs).values(table_name=table_name, usage_date=day, staged_fingerprint=fingerprint)
        mark = {"staged_fingerprint": fingerprint}
        connection.execute(row.on_conflict_do_update(index_elements=list(day_inputs.primary_key), set_=mark))


def as_fingerprint(total: int) -> str:
    """A sum of hashes as text."""
    return f"{total % 2**256:064x}"


def _settle_status(connection: sa.Connection, sequence: int) -> None:
    """A counted delivery is superseded while it covers buckets, holds none of them and has no other rows."""
    delivery = connection.execute(deliveries.select().where(deliveries.c.sequence == sequence)).one()
    if delivery.status not in COUNTED:
        return
    query = (
        sa.select(buckets.c.winner_sequence)
        .join(bucket_claims, bucket_claims.c.bucket_id == buckets.c.bucket_id)
        .where(bucket_claims.c.sequence == sequence)
        .distinct()
    )
    winners = set(connection.execute(query).scalars())
    is_beaten = winners and sequence not in winners and next(_loose_parts(connection, [sequence]), None) is None
    released = RELEASED if (delivery.status_reason or "").startswith(RELEASED) else None
    fate = {"status": "staged", "status_reason": released}
    if is_beaten:
        known = [winner for winner in winners if winner is not None]
        ids = sa.select(deliveries.c.delivery_id).where(deliveries.c.sequence.in_(known)).order_by(deliveries.c.sequence.desc())
        first, *others = connection.execute(ids).scalars()
        reason = f"superseded by delivery {first}" + (f" and {len(others)} other(s)" if others else "")
        fate = {"status": "superseded", "status_reason": "; ".join([released, reason] if released else [reason])}
    connection.execute(deliveries.update().where(deliveries.c.sequence == sequence).values(fate))


def recompute(connection: sa.Connection) -> dict[tuple[str, dt.date], str]:
    """Fingerprint of every day on which a row counts, worked out anew from deliveries, staged days and winners."""
    sums = _day_sums(connection, None, None)
    return {key: as_fingerprint(total) for key, total in sums.items() if total % 2**256}


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """``values`` in pieces that one query may list."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def _day_row(delivery_id: str, day: StagedDay) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id,
        "table_name": day.table_name,
        "usage_date": day.day,
        "staged_key": day.staged_key,
        "sha256": day.sha256,
        "rows_count": day.rows_count,
    }
