"""What a report of a provider's API or dashboard is, and how a provider writes its reports.

A page holds time buckets with their results, or flat rows of which each names its own bucket. ``report_delivery`` turns
pages into staged rows; how each provider names, groups and counts stands in its own package as a ``Dialect``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from usage_etl.schemas.contract import Table
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.cells import Cells


@dataclass(frozen=True)
class Bucket:
    """One cell of a report's time grid. ``ended_at`` is the cell's own end, also where the answer was cut before it."""

    started_at: dt.datetime
    ended_at: dt.datetime
    key: str


RowReader = Callable[[Mapping[str, Any], Bucket, Cells, ParseContext], dict[str, Any]]
"""Columns of one staged row from one result; what cannot be read goes to the cells' faults."""


def _as_sent(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result


def _no_fault(_: Sequence[Any]) -> str | None:
    return None


@dataclass(frozen=True)
class Report:
    """One report of a provider and how its results become rows of ``table``."""

    dataset: str
    table: Table
    read_row: RowReader
    fields: frozenset[str]
    """Names that a result may have; others stay in the landed file only and are named in the log."""
    dimensions: tuple[str, ...] = ()
    """Fields that tell the rows of a bucket apart, where rows carry an ``event_id``."""
    unit: str | None = None
    """Name of the replacement unit; null is the dataset. Reports of the same thing share it, so that the one that came
    last counts and they are never added up."""
    flatten: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _as_sent
    """A result as sent to the fields that ``read_row``, ``fields`` and ``dimensions`` speak of."""
    is_flat: bool = False
    """Whether its rows stand in pages by themselves: then a pull answers for all days that it asked for, because days without
    rows are not named."""
    bucket_rule: Callable[[Sequence[Any]], str | None] = _no_fault
    """Rule that all results of a bucket break together; null where they break none."""


@dataclass(frozen=True)
class Dialect:
    """How one provider writes its reports."""

    provider_name: str
    reports: Mapping[str, Report]
    bounds: Callable[[Mapping[str, Any], Cells], tuple[dt.datetime, dt.datetime]]
    """Start and exclusive end of a bucket, or of a flat row's bucket, as sent."""
    dataset_of: Callable[[Mapping[str, Any]], str | None]
    """Report that a result belongs to by its own shape, null where it does not tell; ValueError for one that is not read."""
    has_flat_rows: bool = False
    """Whether an element of a page may be a row itself instead of a bucket of results."""
    version_field: str | None = None
    """Field of a page that says when the provider made its data, in RFC 3339."""
