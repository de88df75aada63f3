"""What the delivery index knows of a landed object and of its staged days."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usage_etl.keys import fingerprint
from usage_etl.lake.state import RESTAGED, as_utc

RELEASED = "released"
"""Reason of a delivery that was held and is let through: it is not held again."""


@dataclass(frozen=True)
class LandedDelivery:
    """One object received from a source, and what became of it."""

    delivery_id: str
    sequence: int
    """Order of arrival over all sources, without repetition."""
    source: str
    kind: str
    dataset: str
    origin_key: str
    origin_version: str
    landed_key: str
    sha256: str
    bytes_count: int
    received_at: dt.datetime
    status: str
    """landed: to be staged. staged: rows of it count. duplicate, superseded, held, refused: no rows of it count."""
    status_reason: str | None
    rows_read_count: int | None
    rows_staged_count: int | None
    rows_quarantined_count: int | None
    records_staged_count: int | None
    rows_out_of_scope_count: int | None
    """Records beside those read: the source leaves them out by its settings or by what they are."""
    """Records that became rows; one may become several."""
    parser_version: str | None

    @property
    def is_released(self) -> bool:
        """Whether somebody let this delivery through after it was held: load it whatever its size."""
        return (self.status_reason or "").startswith((RELEASED, RESTAGED))


@dataclass(frozen=True)
class StagedDay:
    """One staged object: the rows of one delivery on one day."""

    table_name: str
    """``staged_usage`` or ``staged_charges``."""
    day: dt.date
    staged_key: str
    sha256: str
    rows_count: int


@dataclass(frozen=True)
class StagedBucket:
    """One bucket that a delivery covers, with its rows by day; none where the source says that it is empty."""

    table_name: str
    bucket_key: str
    rows_by_day: Mapping[dt.date, int]
    version_at: dt.datetime | None = None
    """When the source made this version of the bucket; null where only the order of arrival tells."""
    is_within_day: bool = False
    """Whether the bucket lies within one day; a billing period does not."""


@dataclass(frozen=True)
class CountedPart:
    """A staged object of which at least one row counts."""

    delivery_id: str
    staged_key: str
    sha256: str
    rows_count: int
    """Rows that count: without those of ``lost_buckets``."""
    lost_buckets: tuple[str, ...] = ()
    """Buckets with rows in the object that another delivery answers for: drop these rows."""


@dataclass(frozen=True)
class DayInputs:
    """What a day is built from."""

    fingerprint: str
    parts: tuple[CountedPart, ...]
    """In order of arrival."""


@dataclass(frozen=True)
class BucketVersion:
    """The version of a bucket that counts."""

    delivery_id: str
    sequence: int
    version_at: dt.datetime | None
    received_at: dt.datetime
    rows_count: int


def delivery_id(*, source: str, origin_key: str, origin_version: str, sha256: str) -> str:
    """Identifier of a delivery, 32 hexadecimal characters: the same object landed twice has the same one."""
    parts = {"source": source, "origin_key": origin_key, "origin_version": origin_version, "sha256": sha256}
    return fingerprint(parts)[:32]


def from_row(row: Any) -> LandedDelivery:
    """A delivery from a row of the index's table."""
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(LandedDelivery)}
    return LandedDelivery(**{**values, "received_at": as_utc(row.received_at)})
