"""Pages of a provider's reports in, batches of staged rows out.

A bucket is replaced whole by a later delivery, so identical rows inside one bucket are all kept, and a bucket or a page
of flat rows that stands twice in one delivery counts once.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.keys import sha256_hex
from usage_etl.periods import day_start, days_between
from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.forms.reports import Bucket, Dialect, Report
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows, staged_rows
from usage_etl.sources.reading.exact_json import dumps
from usage_etl.sources.reading.json_lines import Refusal
from usage_etl.sources.reading.pages import Page, read_pages
from usage_etl.sources.rows.cells import Cells

_log = logging.getLogger(__name__)

WIDTHS = {"1m": dt.timedelta(minutes=1), "1h": dt.timedelta(hours=1), "1d": dt.timedelta(days=1)}
"""Widths of a time grid."""

_CLOCK_SKEW = dt.timedelta(hours=1)
_LISTED_NAMES = 50
_PULLED_DAYS = 31
"""Most days of one pull: a calendar month."""


def parse_reports(path: Path, context: ParseContext, *, dialect: Dialect) -> Iterator[ParsedBatch]:
    """One batch per page of one landed file.

    Raises UnreadableDeliveryError, possibly after some batches, for anything but such pages.
    """
    return stage_pages(read_pages(path, source=context.source), ReportDelivery(context, dialect))


def stage_pages(pages: Iterable[Page], delivery: ReportDelivery) -> Iterator[ParsedBatch]:
    """One batch per page, in order. Raises UnreadableDeliveryError.

    Pages without any result do not tell their report; they wait for a page that does, and without one cover nothing.
    """
    waiting: list[Page] = []
    for page in pages:
        waiting.append(page)
        if delivery.knows_report(page):
            yield from map(delivery.batch, waiting)
            waiting.clear()
    delivery.log_notes(unknown_pages=len(waiting))


@dataclass
class _Staging:
    """What one page becomes."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    covered: list[CoveredBucket] = field(default_factory=list)


@dataclass(frozen=True)
class _Read:
    """A page on its way: its report, the width of its grid, when its data was made, and faults of the whole page."""

    report: Report
    width: str
    version_at: dt.datetime | None
    faults: tuple[str, ...]


class ReportDelivery:
    """What one delivery has shown so far: its report, its buckets and how many results it held."""

    def __init__(self, context: ParseContext, dialect: Dialect) -> None:
        self.context = context
        self.dialect = dialect
        self.report: Report | None = None
        self.results_count = 0
        self._contents: dict[str, str] = {}
        self._answered: set[str] = set()
        self._events: Counter[str] = Counter()
        self._unread_fields: set[str] = set()
        self._unmapped_meters: set[str] = set()

    def knows_report(self, page: Page) -> bool:
        """Learn from a page which report this is; all pages of a delivery hold the same one."""
        results = [result for element in self._elements(page) for result in _results(element)]
        try:
            told = {self.dialect.dataset_of(result) for result in results if isinstance(result, dict)}
        except ValueError as error:
            raise self._refusal(str(error)) from error
        named = (told | {page.pulled.dataset, self.report.dataset if self.report else None}) - {None}
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
        elements = self._elements(page)
        results = [result for element in elements for result in _results(element)]
        first = ordinal = self.results_count + 1
        self.results_count += len(results)
        staging = _Staging()
        read = _Read(self.report, self._width(page, elements), self._version(page), self._page_faults(elements))
        self._cover_pull(page, read, staging)
        for element in elements:
            self._read_bucket(element, read, ordinal, staging)
            ordinal += len(_results(element))
        frame = staged_rows(self.report.table, staging.rows, self.context)
        return ParsedBatch(
            rows_read=len(results),
            usage=frame if self.report.table is STAGED_USAGE else None,
            charges=frame if self.report.table is STAGED_CHARGES else None,
            quarantine=quarantine_rows(staging.refused, self.context),
            covered=tuple(staging.covered),
            raw_text=lambda raw_ordinal: dumps(results[raw_ordinal - first]),
        )

    def refusals(self, refused: Sequence[Refusal]) -> ParsedBatch:
        """Records that were refused before they could become results; their ordinals follow those of the results."""
        numbered = [(self.results_count + number, text, rules) for number, (_, text, rules) in enumerate(refused, 1)]
        self.results_count += len(numbered)
        is_charge = self.report is not None and self.report.table is STAGED_CHARGES
        return ParsedBatch(
            rows_read=len(numbered),
            usage=None if is_charge else STAGED_USAGE.empty(),
            charges=STAGED_CHARGES.empty() if is_charge else None,
            quarantine=quarantine_rows(numbered, self.context),
        )

    def log_notes(self, *, unknown_pages: int) -> None:
        """Say what was left aside: pages of no known report, fields that are not read, meters that the tables do not know."""
        where = f"source={self.context.source} delivery={self.context.delivery_id}"
        if unknown_pages:
            _log.warning("%s pages_of_unknown_report=%d", where, unknown_pages)
        if self._unread_fields:
            _log.warning("%s unread_fields=%s", where, _listed(self._unread_fields))
        if self._unmapped_meters:
            names = "; ".join(sorted(self._unmapped_meters)[:_LISTED_NAMES])
            _log.warning("%s unmapped_meters_count=%d unmapped_meters=%s", where, len(self._unmapped_meters), names)

    def _elements(self, page: Page) -> list[Mapping[str, Any]]:
        """Buckets, or flat rows, of a page of the right shape."""
        document = page.document
        if "error" in document:
            raise self._refusal(f"an error answer was saved, not a page: {self._texts([document['error']])[0][:200]}")
        elements = document.get("data")
        if not isinstance(elements, list):
            raise self._refusal("not a page: it has no list `data`; save the API's answers as they were received")
        for element in elements:
            is_flat = self.dialect.has_flat_rows and isinstance(element, dict) and "results" not in element
            if not is_flat and not (isinstance(element, dict) and isinstance(element.get("results"), list)):
                raise self._refusal("not a page of time buckets: an element of `data` has no list `results`")
        return elements

    def _width(self, page: Page, elements: Sequence[Mapping[str, Any]]) -> str:
        """Width of a page's cells: what was asked for, else the longest tells, because the first and the last may be cut."""
        assert self.report is not None, "batches are made once the report is known"
        if self.report.table is STAGED_CHARGES:
            return "1d"
        if page.pulled.width in WIDTHS:
            return str(page.pulled.width)
        lengths = []
        for element in elements:
            started_at, ended_at = self.dialect.bounds(element, cells := Cells())
            if not cells.faults:
                lengths.append(ended_at - started_at)
        longest = max(lengths, default=WIDTHS["1d"])
        return next((name for name, width in WIDTHS.items() if longest <= width), "1d")

    def _version(self, page: Page) -> dt.datetime | None:
        """When the provider made the page's data, else when it was pulled; null where neither is said."""
        cells = Cells()
        field_name = self.dialect.version_field
        if field_name is not None and page.document.get(field_name) is not None:
            made_at = cells.rfc3339_instant(page.document[field_name], field_name)
            return made_at if not cells.faults else page.pulled.pulled_at
        return page.pulled.pulled_at

    def _page_faults(self, elements: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Whether these flat rows stood in the delivery before: rows alone do not tell a copy from a twin."""
        flat = [element for element in elements if "results" not in element]
        if not flat:
            return ()
        mark = "page " + sha256_hex("\n".join(sorted(self._texts(flat))).encode())
        is_known = mark in self._answered
        self._answered.add(mark)
        return ("page__repeated",) if is_known else ()

    def _cover_pull(self, page: Page, read: _Read, staging: _Staging) -> None:
        """A pull of flat rows answers for every day that it asked for: days without rows are not in its pages."""
        pulled = page.pulled
        if not read.report.is_flat or pulled.first_day is None or pulled.last_day is None or read.width != "1d":
            return
        days_count = (pulled.last_day - pulled.first_day).days + 1
        if not 0 < days_count <= _PULLED_DAYS or pulled.last_day > self.context.received_at.date():
            raise self._refusal(f"the first line says a pull of {pulled.first_day} to {pulled.last_day}, which none of ours is")
        for day in days_between(pulled.first_day, pulled.last_day + dt.timedelta(days=1)):
            self._cover(Bucket(day_start(day), day_start(day) + WIDTHS["1d"], self._key(read, day_start(day))), read, staging)

    def _cover(self, bucket: Bucket, read: _Read, staging: _Staging) -> None:
        if bucket.key not in self._answered:
            self._answered.add(bucket.key)
            name, day = read.report.table.name, bucket.started_at.date()
            staging.covered.append(CoveredBucket(name, bucket.key, day=day, version_at=read.version_at))

    def _read_bucket(self, element: Mapping[str, Any], read: _Read, first_ordinal: int, staging: _Staging) -> None:
        cells = Cells(read.faults)
        results = _results(element)
        texts = self._texts(results)
        bucket = self._place(element, read, cells)
        if (rule := read.report.bucket_rule(results)) is not None:
            cells.faults.append(rule)
        if not cells.faults and "results" in element and self._stood_before(bucket, texts):
            cells.fault("bucket", "repeated")
        elif not cells.faults:
            self._cover(bucket, read, staging)
        for ordinal, (result, text) in enumerate(zip(results, texts, strict=True), first_ordinal):
            reader = Cells(cells.faults)
            row = self._row(result, read.report, bucket, reader)
            if reader.faults:
                staging.refused.append((ordinal, text, ",".join(dict.fromkeys(reader.faults))))
            else:
                staging.rows.append({**row, "raw_ordinal": ordinal})

    def _place(self, element: Mapping[str, Any], read: _Read, cells: Cells) -> Bucket:
        """The element's cell of the time grid. Only a bucket that begins with its cell stands for the cell."""
        started_at, ended_at = self.dialect.bounds(element, cells)
        cell = WIDTHS[read.width]
        if len(cells.faults) == len(read.faults):
            if (started_at - day_start(started_at.date())) % cell:
                cells.fault("bucket", "cut_at_start")
            if not started_at < ended_at <= started_at + cell:
                cells.fault("bucket", "beyond_its_cell")
            if started_at > self.context.received_at + _CLOCK_SKEW:
                cells.fault("bucket", "in_the_future")
        return Bucket(started_at, started_at + cell, self._key(read, started_at))

    def _key(self, read: _Read, started_at: dt.datetime) -> str:
        unit = read.report.unit or read.report.dataset
        return f"{self.context.source_account}/{unit}/{started_at:%Y-%m-%dT%H:%M:%SZ}/{read.width}"

    def _stood_before(self, bucket: Bucket, texts: Sequence[str]) -> bool:
        """Whether the delivery held this bucket already. Raises UnreadableDeliveryError where its rows were others."""
        content = sha256_hex("\n".join(sorted(texts)).encode())
        is_known = bucket.key in self._contents
        if self._contents.setdefault(bucket.key, content) != content:
            raise self._refusal(f"bucket {bucket.key} stands twice with different rows; save each pull as a file of its own")
        return is_known

    def _row(self, result: Any, report: Report, bucket: Bucket, cells: Cells) -> dict[str, Any]:
        if not isinstance(result, dict):
            cells.fault("result", "not_an_object")
            return {}
        flat = report.flatten(result)
        self._unread_fields |= flat.keys() - report.fields
        row = report.read_row(flat, bucket, cells, self.context)
        if row.get("meter_mapping") == "unmapped":
            self._unmapped_meters.add(str(row.get("sku_meter") or row.get("charge_description") or "(no name)"))
        if report.dimensions:
            dimensions = {name: flat.get(name) for name in report.dimensions}
            event_id = sha256_hex(dumps([bucket.key, dimensions]).encode())
            self._events[event_id] += 1
            row["event_id"] = event_id if self._events[event_id] == 1 else f"{event_id}#{self._events[event_id]}"
        return row

    def _texts(self, parts: Iterable[Any]) -> list[str]:
        try:
            return [dumps(part) for part in parts]
        except ValueError as error:
            raise self._refusal(f"not a page: {error}") from error

    def _refusal(self, message: str) -> UnreadableDeliveryError:
        return UnreadableDeliveryError(self.context.source, message)


def _results(element: Mapping[str, Any]) -> Sequence[Any]:
    """The results of a bucket; a flat row is the one result of its own."""
    results = element.get("results")
    return results if isinstance(results, list) else [element]


def _listed(names: Iterable[str | None]) -> str:
    return ", ".join(sorted(map(str, names)))
