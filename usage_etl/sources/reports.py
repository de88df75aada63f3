"""Bucketed reports of a provider's API: pages of time buckets in, batches of staged rows out.

What OpenAI and Anthropic share stands here; how each names, groups and counts stands in its own package as a
``Dialect``. A bucket is replaced whole by a later delivery, so identical rows inside one bucket are all kept, and a
bucket that stands twice in one delivery counts once.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.keys import sha256_hex
from usage_etl.periods import day_start
from usage_etl.schemas.contract import Table
from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.cells import Cells
from usage_etl.sources.exact_json import dumps
from usage_etl.sources.pages import Page, read_pages
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows, staged_rows

_log = logging.getLogger(__name__)

_WIDTHS = {"1m": dt.timedelta(minutes=1), "1h": dt.timedelta(hours=1), "1d": dt.timedelta(days=1)}
_CLOCK_SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Bucket:
    """One cell of a report's time grid. ``ended_at`` is the cell's own end, also where the answer was cut before it."""

    started_at: dt.datetime
    ended_at: dt.datetime
    key: str


RowReader = Callable[[Mapping[str, Any], Bucket, Cells, ParseContext], dict[str, Any]]
"""Columns of one staged row from one result; what cannot be read goes to the cells' faults."""


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


@dataclass(frozen=True)
class Dialect:
    """How one provider writes its reports."""

    provider_name: str
    reports: Mapping[str, Report]
    bounds: Callable[[Mapping[str, Any], Cells], tuple[dt.datetime, dt.datetime]]
    """Start and exclusive end of a bucket as sent."""
    dataset_of: Callable[[Mapping[str, Any]], str | None]
    """Report that a result belongs to by its own shape, null where it does not tell; ValueError for one that is not read."""


def parse_reports(path: Path, context: ParseContext, *, dialect: Dialect) -> Iterator[ParsedBatch]:
    """One batch per page. Raises UnreadableDeliveryError, possibly after some batches, for anything but such pages.

    Pages without any result do not tell their report; they wait for a page that does, and without one cover nothing.
    """
    delivery = _Delivery(context, dialect)
    waiting: list[Page] = []
    for page in read_pages(path, source=context.source):
        waiting.append(page)
        if delivery.knows_report(page):
            yield from map(delivery.batch, waiting)
            waiting.clear()
    if waiting:
        _log.warning("source=%s delivery=%s pages_of_unknown_report=%d", context.source, context.delivery_id, len(waiting))
    if delivery.unread_fields:
        _log.warning(
            "source=%s delivery=%s unread_fields=%s", context.source, context.delivery_id, _listed(delivery.unread_fields)
        )


@dataclass
class _Staging:
    """What one page becomes."""

    version_at: dt.datetime | None
    """When the page was pulled."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    covered: list[CoveredBucket] = field(default_factory=list)


class _Delivery:
    """What one delivery has shown so far: its report, its buckets and how many results it held."""

    def __init__(self, context: ParseContext, dialect: Dialect) -> None:
        self.context = context
        self.dialect = dialect
        self.report: Report | None = None
        self.results_count = 0
        self.contents: dict[str, str] = {}
        self.unread_fields: set[str] = set()

    def knows_report(self, page: Page) -> bool:
        """Learn from a page which report this is; all pages of a delivery hold the same one."""
        results = [result for bucket in self._buckets(page) for result in bucket["results"]]
        try:
            told = {self.dialect.dataset_of(result) for result in results if isinstance(result, dict)}
        except ValueError as error:
            raise self._refusal(str(error)) from error
        named = (told | {page.dataset, self.report.dataset if self.report else None}) - {None}
        if len(named) > 1:
            raise self._refusal(f"holds more than one report ({_listed(named)}); save each in files of its own")
        if (results and not named) or not named <= self.dialect.reports.keys():
            readable = _listed(self.dialect.reports)
            raise self._refusal(f"results are of no report that is read; of {self.dialect.provider_name} these are: {readable}")
        self.report = self.report or next((self.dialect.reports[str(dataset)] for dataset in named), None)
        return self.report is not None

    def batch(self, page: Page) -> ParsedBatch:
        """Rows, refusals and covered buckets of one page."""
        assert self.report is not None, "batches are made once the report is known"
        buckets = self._buckets(page)
        results = [result for bucket in buckets for result in bucket["results"]]
        first = ordinal = self.results_count + 1
        self.results_count += len(results)
        staging = _Staging(page.pulled_at)
        width = "1d" if self.report.table is STAGED_CHARGES else self._grid_width(buckets)
        for document in buckets:
            self._read_bucket(document, self.report, width, ordinal, staging)
            ordinal += len(document["results"])
        frame = staged_rows(self.report.table, staging.rows, self.context)
        return ParsedBatch(
            rows_read=len(results),
            usage=frame if self.report.table is STAGED_USAGE else None,
            charges=frame if self.report.table is STAGED_CHARGES else None,
            quarantine=quarantine_rows(staging.refused, self.context),
            covered=tuple(staging.covered),
            raw_text=lambda raw_ordinal: dumps(results[raw_ordinal - first]),
        )

    def _buckets(self, page: Page) -> list[Mapping[str, Any]]:
        """Buckets of a page of the right shape."""
        document = page.document
        if "error" in document:
            raise self._refusal(f"an error answer was saved, not a page: {self._texts([document['error']])[0][:200]}")
        buckets = document.get("data")
        if not isinstance(buckets, list):
            raise self._refusal("not a page: it has no list `data`; save the API's answers as they were received")
        for bucket in buckets:
            if not isinstance(bucket, dict) or not isinstance(bucket.get("results"), list):
                raise self._refusal("not a page of time buckets: an element of `data` has no list `results`")
        return buckets

    def _grid_width(self, buckets: Sequence[Mapping[str, Any]]) -> str:
        """Width of a page's cells: the longest bucket tells, because the first and the last may be cut."""
        lengths = []
        for bucket in buckets:
            started_at, ended_at = self.dialect.bounds(bucket, cells := Cells())
            if not cells.faults:
                lengths.append(ended_at - started_at)
        longest = max(lengths, default=_WIDTHS["1d"])
        return next((name for name, width in _WIDTHS.items() if longest <= width), "1d")

    def _read_bucket(
        self, document: Mapping[str, Any], report: Report, width: str, first_ordinal: int, staging: _Staging
    ) -> None:
        cells = Cells()
        results: Sequence[Any] = document["results"]
        texts = self._texts(results)
        bucket = self._place(document, report, width, cells)
        if not cells.faults and self._stood_before(bucket, texts):
            cells.fault("bucket", "repeated")
        elif not cells.faults:
            day, version_at = bucket.started_at.date(), staging.version_at
            staging.covered.append(CoveredBucket(report.table.name, bucket.key, day=day, version_at=version_at))
        seen: Counter[str] = Counter()
        for ordinal, (result, text) in enumerate(zip(results, texts, strict=True), first_ordinal):
            reader = Cells(cells.faults)
            row = self._row(result, report, bucket, reader, seen)
            if reader.faults:
                staging.refused.append((ordinal, text, ",".join(dict.fromkeys(reader.faults))))
            else:
                staging.rows.append({**row, "bucket_key": bucket.key, "raw_ordinal": ordinal})

    def _place(self, document: Mapping[str, Any], report: Report, width: str, cells: Cells) -> Bucket:
        """The bucket's cell of the time grid. Only a bucket that begins with its cell stands for the cell."""
        started_at, ended_at = self.dialect.bounds(document, cells)
        cell = _WIDTHS[width]
        if not cells.faults:
            if (started_at - day_start(started_at.date())) % cell:
                cells.fault("bucket", "cut_at_start")
            if not started_at < ended_at <= started_at + cell:
                cells.fault("bucket", "beyond_its_cell")
            if started_at > self.context.received_at + _CLOCK_SKEW:
                cells.fault("bucket", "in_the_future")
        key = f"{self.context.source_account}/{report.dataset}/{started_at:%Y-%m-%dT%H:%M:%SZ}/{width}"
        return Bucket(started_at, started_at + cell, key)

    def _stood_before(self, bucket: Bucket, texts: Sequence[str]) -> bool:
        """Whether the delivery held this bucket already. Raises UnreadableDeliveryError where its rows were others."""
        content = sha256_hex("\n".join(sorted(texts)).encode())
        is_known = bucket.key in self.contents
        if self.contents.setdefault(bucket.key, content) != content:
            raise self._refusal(f"bucket {bucket.key} stands twice with different rows; save each pull as a file of its own")
        return is_known

    def _row(self, result: Any, report: Report, bucket: Bucket, cells: Cells, seen: Counter[str]) -> dict[str, Any]:
        if not isinstance(result, dict):
            cells.fault("result", "not_an_object")
            return {}
        self.unread_fields |= result.keys() - report.fields
        row = report.read_row(result, bucket, cells, self.context)
        if report.dimensions:
            dimensions = {name: result.get(name) for name in report.dimensions}
            event_id = sha256_hex(dumps([bucket.key, dimensions]).encode())
            seen[event_id] += 1
            row["event_id"] = event_id if seen[event_id] == 1 else f"{event_id}#{seen[event_id]}"
        return row

    def _texts(self, parts: Iterable[Any]) -> list[str]:
        try:
            return [dumps(part) for part in parts]
        except ValueError as error:
            raise self._refusal(f"not a page: {error}") from error

    def _refusal(self, message: str) -> UnreadableDeliveryError:
        return UnreadableDeliveryError(self.context.source, message)


def _listed(names: Iterable[str | None]) -> str:
    return ", ".join(sorted(map(str, names)))
