"""Downloads of a provider's dashboard: flat tables whose rows are the results of its reports, staged as if they were pages.

A row names its bucket in columns of its own; rows of one bucket need not stand together. Rows are never deduplicated: two
that agree in every column are two results. A row that names a bucket and nothing else says that the bucket is empty.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.forms.report_delivery import WIDTHS, ReportDelivery, stage_pages
from usage_etl.sources.forms.reports import Dialect
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.exact_json import dumps
from usage_etl.sources.reading.json_lines import Refusal
from usage_etl.sources.reading.pages import Page, Pulled
from usage_etl.sources.reading.plain import open_plain
from usage_etl.sources.reading.text_tables import read_tables
from usage_etl.sources.rows.cells import Cells

PAGE_ROWS = 5_000
"""Rows that are staged at a time, unless one bucket holds more."""

Row = Mapping[str, str | None]
"""Cells of one row by column in small letters; null where a cell is empty."""


@dataclass(frozen=True)
class Download:
    """One kind of download."""

    dataset: str
    columns: frozenset[str]
    """Columns, in small letters, without which it is another kind."""
    result: Callable[[Row], dict[str, Any]]
    """The result of a page that a row stands for."""
    telling: tuple[str, str] | None = None
    """Where another kind has the same columns: a column, and the word that its cells hold in this kind."""


@dataclass(frozen=True)
class Downloads:
    """The downloads of one provider."""

    title: str
    """What a file should be, for the message when it is something else."""
    bucket_columns: frozenset[str]
    """Columns that name the bucket; all others are of the result."""
    bucket: Callable[[Row], dict[str, Any]]
    """A bucket of a page, without its results, from a row."""
    kinds: tuple[Download, ...]
    """The first one that fits is taken."""

    def kind_of(self, frame: pl.DataFrame, source: str) -> Download | None:
        """The kind of a download; null where it has the columns of buckets only. Raises UnreadableDeliveryError."""
        names = set(frame.columns)
        fitting = [kind for kind in self.kinds if kind.columns <= names and (self.bucket_columns & names)]
        told = [kind for kind in fitting if kind.telling is None or _holds(frame, *kind.telling)]
        if told:
            return told[0]
        if names and names <= self.bucket_columns:
            return None
        if fitting:
            words = " or ".join(f"{kind.telling[1]!r}" for kind in fitting if kind.telling is not None)
            raise UnreadableDeliveryError(source, f"{self.title} whose {fitting[0].telling} names no {words}: which one is it?")
        wanted = "; ".join(", ".join(sorted(kind.columns)) for kind in self.kinds)
        raise UnreadableDeliveryError(source, f"not {self.title}: it has none of these sets of columns: {wanted}")


def is_page_file(path: Path, source: str) -> bool:
    """Whether the file holds JSON, by its first character. An empty file is one. Raises UnreadableDeliveryError."""
    with open_plain(path, source) as stream:
        head = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    return head[:1] in (b"{", b"[", b"")


def parse_download(path: Path, context: ParseContext, *, dialect: Dialect, downloads: Downloads) -> Iterator[ParsedBatch]:
    """Batches of one download. Raises UnreadableDeliveryError when it is none of ``downloads``."""
    frame, refused = _read(path, context.source)
    delivery = ReportDelivery(context, dialect)
    kind = downloads.kind_of(frame, context.source)
    yield from stage_pages(_pages(frame, kind, dialect, downloads), delivery)
    if refused:
        yield delivery.refusals(refused)


def _read(path: Path, source: str) -> tuple[pl.DataFrame, list[Refusal]]:
    """All rows of the file, columns in small letters, and the refused ones."""
    tables = list(read_tables(path, source))
    refused = [refusal for table in tables for refusal in table.refused]
    frame = pl.concat([table.frame for table in tables]).drop("raw_ordinal")
    small = [name.strip().lower() for name in frame.columns]
    if len(set(small)) < len(small):
        raise UnreadableDeliveryError(source, "the header names a column twice")
    return frame.rename(dict(zip(frame.columns, small, strict=True))), refused


def _pages(frame: pl.DataFrame, kind: Download | None, dialect: Dialect, downloads: Downloads) -> Iterator[Page]:
    """Pages of whole buckets in order of first appearance; at least one, also of a download without rows."""
    names = [name for name in frame.columns if name in downloads.bucket_columns]
    places: dict[str, tuple[dict[str, Any], list[int]]] = {}
    for number, row in enumerate(frame.select(names).iter_rows(named=True)):
        bucket = downloads.bucket(row)
        places.setdefault(dumps(bucket), (bucket, []))[1].append(number)
    pulled = Pulled(dataset=kind.dataset if kind else None, width=_width([bucket for bucket, _ in places.values()], dialect))
    buckets: list[dict[str, Any]] = []
    held_count = 0
    for bucket, numbers in places.values():
        rows = frame[numbers].iter_rows(named=True)
        results = [kind.result(row) if kind else dict(row) for row in rows if not _is_empty(row, bucket, dialect, downloads)]
        buckets.append({**bucket, "results": results})
        held_count += len(numbers)
        if held_count >= PAGE_ROWS:
            yield Page({"data": buckets}, pulled)
            buckets, held_count = [], 0
    yield Page({"data": buckets}, pulled)


def _is_empty(row: Row, bucket: Mapping[str, Any], dialect: Dialect, downloads: Downloads) -> bool:
    """Whether a row names a readable bucket and nothing else."""
    if any(cell is not None for name, cell in row.items() if name not in downloads.bucket_columns):
        return False
    dialect.bounds(bucket, cells := Cells())
    return not cells.faults


def _width(buckets: list[dict[str, Any]], dialect: Dialect) -> str:
    """Width of the grid: the longest bucket tells, because the first and the last may be cut."""
    longest = dt.timedelta(0)
    for bucket in buckets:
        started_at, ended_at = dialect.bounds(bucket, cells := Cells())
        longest = longest if cells.faults else max(longest, ended_at - started_at)
    return next((name for name, width in WIDTHS.items() if dt.timedelta(0) < longest <= width), "1d")


def _holds(frame: pl.DataFrame, column: str, word: str) -> bool:
    return column in frame.columns and bool(frame[column].str.contains(word, literal=True).any())
