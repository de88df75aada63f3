"""What the delivery index knows of a landed object and of its staged days."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import Any

from usage_etl.keys import fingerprint
from usage_etl.lake.state import as_utc

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
    """landed: to be staged. staged. duplicate, held, refused: its rows are not counted."""
    status_reason: str | None
    rows_read_count: int | None
    rows_staged_count: int | None
    rows_quarantined_count: int | None
    parser_version: str | None

    @property
    def is_released(self) -> bool:
        """Whether somebody let this delivery through after it was held: load it whatever its size."""
        return self.status_reason == RELEASED


@dataclass(frozen=True)
class StagedDay:
    """One staged object: the rows of one delivery on one day."""

    table_name: str
    """``staged_usage`` or ``staged_charges``."""
    day: dt.date
    staged_key: str
    sha256: str
    rows_count: int


def delivery_id(*, source: str, origin_key: str, origin_version: str, sha256: str) -> str:
    """Identifier of a delivery, 32 hexadecimal characters: the same object landed twice has the same one."""
    parts = {"source": source, "origin_key": origin_key, "origin_version": origin_version, "sha256": sha256}
    return fingerprint(parts)[:32]


def from_row(row: Any) -> LandedDelivery:
    """A delivery from a row of the index's table."""
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(LandedDelivery)}
    return LandedDelivery(**{**values, "received_at": as_utc(row.received_at)})
