"""Whether a delivery only repeats an earlier one: by its bytes as it lands, by the versions in them as it is staged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from usage_etl.lake.counting import COUNTED
from usage_etl.lake.deliveries import LandedDelivery, StagedBucket, from_row
from usage_etl.schemas.state import deliveries

_ACCEPTED = ("landed", "duplicate", *COUNTED)


def same_bytes(connection: sa.Connection, landed: Mapping[str, Any], *, replaces_earlier: bool) -> LandedDelivery | None:
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


def original(
    connection: sa.Connection, delivery: LandedDelivery, rows_staged: int, staged_buckets: Sequence[StagedBucket]
) -> LandedDelivery | None:
    """The earlier delivery whose versions of the buckets ``delivery`` only repeats: its bytes hold the versions."""
    rows_in_buckets = sum(sum(bucket.rows_by_day.values()) for bucket in staged_buckets)
    has_versions = all(bucket.version_at for bucket in staged_buckets)
    if not staged_buckets or not has_versions or rows_in_buckets != rows_staged:
        return None
    query = deliveries.select().where(deliveries.c.sha256 == delivery.sha256)
    same = [row for row in connection.execute(query) if row.source == delivery.source and row.status in COUNTED]
    earlier = min((row for row in same if row.sequence < delivery.sequence), key=lambda row: row.sequence, default=None)
    return from_row(earlier) if earlier else None


def reason(earlier: LandedDelivery) -> str:
    """Status reason of a duplicate."""
    return f"same bytes as delivery {earlier.delivery_id}"
