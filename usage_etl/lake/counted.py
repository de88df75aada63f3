"""Questions about what counts: the parts of a day, the version of a bucket, the days that are stale, each staged object."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from usage_etl.lake.counting import COUNTED, NOTHING, chunks, known_bucket_ids, recompute
from usage_etl.lake.deliveries import BucketVersion, CountedPart
from usage_etl.lake.state import as_utc
from usage_etl.schemas.state import bucket_claims, bucket_days, buckets, day_builds, day_inputs, deliveries, delivery_days


def parts(connection: sa.Connection, table_name: str, days: Sequence[dt.date]) -> dict[dt.date, list[CountedPart]]:
    """Staged objects of which at least one row counts, by day in order of arrival."""
    found: dict[dt.date, list[CountedPart]] = {}
    for some in chunks(sorted(set(days))):
        in_buckets: dict[tuple[dt.date, int], list[Any]] = defaultdict(list)
        for row in connection.execute(_rows_of_days(table_name, some)):
            in_buckets[row.usage_date, row.sequence].append(row)
        query = (
            sa.select(delivery_days, deliveries.c.sequence)
            .join(deliveries, deliveries.c.delivery_id == delivery_days.c.delivery_id)
            .where(delivery_days.c.table_name == table_name, delivery_days.c.usage_date.in_(some))
            .where(deliveries.c.status == "staged")
            .order_by(delivery_days.c.usage_date, deliveries.c.sequence)
        )
        for part in connection.execute(query):
            lost = [row for row in in_buckets[part.usage_date, part.sequence] if row.winner_sequence != part.sequence]
            rows_count = part.rows_count - sum(row.rows_count for row in lost)
            if rows_count:
                keys = tuple(sorted(row.bucket_key for row in lost))
                counted = CountedPart(part.delivery_id, part.staged_key, part.sha256, rows_count, keys)
                found.setdefault(part.usage_date, []).append(counted)
    return found


def day_fingerprint(connection: sa.Connection, table_name: str, day: dt.date) -> str:
    """Fingerprint of the rows that count on ``day``."""
    of_day = (day_inputs.c.table_name == table_name, day_inputs.c.usage_date == day)
    return connection.execute(sa.select(day_inputs.c.staged_fingerprint).where(*of_day)).scalar() or NOTHING


def bucket_versions(
    connection: sa.Connection, source: str, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], BucketVersion]:
    """The version that counts of each bucket, by (table name, bucket key)."""
    rows_of = sa.func.coalesce(sa.func.sum(bucket_days.c.rows_count), 0)
    delivery = (deliveries.c.delivery_id, deliveries.c.sequence, deliveries.c.received_at, bucket_claims.c.version_at)
    query = (
        sa.select(buckets.c.bucket_id, *delivery, rows_of.label("rows_count"))
        .join(deliveries, deliveries.c.sequence == buckets.c.winner_sequence)
        .join(
            bucket_claims,
            (bucket_claims.c.bucket_id == buckets.c.bucket_id) & (bucket_claims.c.sequence == buckets.c.winner_sequence),
        )
        .outerjoin(
            bucket_days,
            (bucket_days.c.bucket_id == buckets.c.bucket_id) & (bucket_days.c.sequence == buckets.c.winner_sequence),
        )
        .group_by(buckets.c.bucket_id, *delivery)
    )
    found: dict[tuple[str, str], BucketVersion] = {}
    names = {bucket_id: key for key, bucket_id in known_bucket_ids(connection, source, keys).items()}
    for some in chunks(sorted(names)):
        for row in connection.execute(query.where(buckets.c.bucket_id.in_(some))):
            version_at, received_at = as_utc(row.version_at) if row.version_at else None, as_utc(row.received_at)
            found[names[row.bucket_id]] = BucketVersion(row.delivery_id, row.sequence, version_at, received_at, row.rows_count)
    return found


def staged_rows(connection: sa.Connection) -> list[tuple[str, str, str, dt.date, int, int]]:
    """(source, delivery_id, table_name, usage_date, rows_count, lost_count) of every staged object."""
    lost = _lost_rows().subquery()
    is_lost = (
        (lost.c.sequence == deliveries.c.sequence)
        & (lost.c.table_name == delivery_days.c.table_name)
        & (lost.c.usage_date == delivery_days.c.usage_date)
    )
    columns = (deliveries.c.source, delivery_days.c.delivery_id, delivery_days.c.table_name, delivery_days.c.usage_date)
    query = (
        sa.select(*columns, delivery_days.c.rows_count, sa.func.coalesce(lost.c.lost_count, 0))
        .join(deliveries, deliveries.c.delivery_id == delivery_days.c.delivery_id)
        .outerjoin(lost, is_lost)
        .where(deliveries.c.status.in_(COUNTED))
        .order_by(*columns)
    )
    return [(source, key, name, day, rows, int(less)) for source, key, name, day, rows, less in connection.execute(query)]


def staged_objects(connection: sa.Connection) -> dict[str, str]:
    """Key to sha256 of every staged object that counts, or would if a newer one were taken out."""
    query = sa.select(delivery_days.c.staged_key, delivery_days.c.sha256).join(
        deliveries, deliveries.c.delivery_id == delivery_days.c.delivery_id
    )
    rows = connection.execute(query.where(deliveries.c.status.in_(COUNTED)).order_by(delivery_days.c.staged_key))
    return {row.staged_key: row.sha256 for row in rows}


def last_good_rows(connection: sa.Connection, source: str, dataset: str, origin_key: str) -> int | None:
    """Rows read from the last loaded delivery of this origin; None when there is none."""
    query = (
        sa.select(deliveries.c.rows_read_count)
        .where(
            deliveries.c.source == source,
            deliveries.c.dataset == dataset,
            deliveries.c.origin_key == origin_key,
            deliveries.c.status.in_(("duplicate", *COUNTED)),
            deliveries.c.rows_read_count.is_not(None),
        )
        .order_by(deliveries.c.sequence.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def stale_days(connection: sa.Connection, table_name: str) -> set[dt.date]:
    """Days on which other rows count than those they were last built from, days that lost theirs included."""
    built, counted = (
        dict(connection.execute(sa.select(table.c.usage_date, table.c.staged_fingerprint).where(of_table)).tuples().all())
        for table, of_table in (
            (day_builds, day_builds.c.table_name == table_name),
            (day_inputs, day_inputs.c.table_name == table_name),
        )
    )
    return {day for day in built.keys() | counted.keys() if built.get(day, NOTHING) != counted.get(day, NOTHING)}


def faults(connection: sa.Connection) -> list[str]:
    """One line per day whose fingerprint is not that of its parts: none, unless the database was changed by hand."""
    found = recompute(connection)
    stored = {(row.table_name, row.usage_date): row.staged_fingerprint for row in connection.execute(day_inputs.select())}
    wrong = sorted(key for key in found.keys() | stored.keys() if found.get(key) != stored.get(key))
    return [f"delivery index: {table_name} {day}: the fingerprint is not that of its parts" for table_name, day in wrong]


def _lost_rows() -> sa.Select[Any]:
    """(sequence, table_name, usage_date, lost_count): rows in buckets that another delivery answers for."""
    return (
        sa.select(
            bucket_days.c.sequence,
            buckets.c.table_name,
            bucket_days.c.usage_date,
            sa.func.sum(bucket_days.c.rows_count).label("lost_count"),
        )
        .join(buckets, buckets.c.bucket_id == bucket_days.c.bucket_id)
        .where(buckets.c.winner_sequence != bucket_days.c.sequence)
        .group_by(bucket_days.c.sequence, buckets.c.table_name, bucket_days.c.usage_date)
    )


def _rows_of_days(table_name: str, days: Sequence[dt.date]) -> sa.Select[Any]:
    """(usage_date, sequence, bucket_key, rows_count, winner_sequence) of every bucket with rows on ``days``."""
    return (
        sa.select(
            bucket_days.c.usage_date,
            bucket_days.c.sequence,
            bucket_days.c.rows_count,
            buckets.c.bucket_key,
            buckets.c.winner_sequence,
        )
        .join(buckets, buckets.c.bucket_id == bucket_days.c.bucket_id)
        .where(bucket_days.c.usage_date.in_(days), buckets.c.table_name == table_name)
    )
