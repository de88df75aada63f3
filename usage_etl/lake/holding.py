"""Whether a delivery shrank so much against what counts now that a person should look at it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from usage_etl.lake.deliveries import BucketVersion, LandedDelivery, StagedBucket


def shrunk_bucket(
    delivery: LandedDelivery,
    staged: Sequence[StagedBucket],
    standing: Mapping[tuple[str, str], BucketVersion],
    minimum_share_pct: Decimal,
) -> str | None:
    """What shrank below the share, in words; None when nothing did.

    A bucket longer than a day (a billing period) is compared with its own version that counts. Hours and days come and go
    with the traffic: those of one table are compared together. Buckets that the delivery would not win are left out.
    """
    rows: dict[str, int] = {}
    rows_before: dict[str, int] = {}
    for bucket in staged:
        earlier = standing.get((bucket.table_name, bucket.bucket_key))
        if earlier is None or earlier.sequence == delivery.sequence or not _outranks(delivery, bucket, earlier):
            continue
        what = f"{bucket.table_name}, its days and hours" if bucket.is_within_day else f"bucket {bucket.bucket_key}"
        rows[what] = rows.get(what, 0) + sum(bucket.rows_by_day.values())
        rows_before[what] = rows_before.get(what, 0) + earlier.rows_count
    for what, count in rows.items():
        if count < rows_before[what] * minimum_share_pct / 100:
            return f"{what}: {count} row(s), the version that counts has {rows_before[what]}"
    return None


def _outranks(delivery: LandedDelivery, bucket: StagedBucket, earlier: BucketVersion) -> bool:
    if bucket.version_at is None and earlier.version_at is None:
        return delivery.sequence > earlier.sequence
    own = (bucket.version_at or delivery.received_at, delivery.sequence)
    return own > (earlier.version_at or earlier.received_at, earlier.sequence)
