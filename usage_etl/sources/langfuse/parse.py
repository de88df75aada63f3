"""A landed window of Langfuse's export to staged usage rows: traces first, then the observations that belong to them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.langfuse.keys import MANIFESTS, TRACES, read_manifest, table_of
from usage_etl.sources.langfuse.rows import CALLS, COLUMNS, LISTS, MAPPING, MAPS
from usage_etl.sources.langfuse.tables import Rows, read_rows
from usage_etl.sources.langfuse.usage_details import usage_columns
from usage_etl.sources.parsed import ParseContext, ParsedBatch, quarantine_rows
from usage_etl.sources.reading.bundles import is_bundle, open_bundle
from usage_etl.sources.rows.mapping import RowWriter

_log = logging.getLogger(__name__)

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_TRACE_COLUMNS = ("id", "user_id", "session_id", "name")
_OF_TRACE = {"user_id": "user_id", "session_id": "session_id", "name": "trace_name", "tags": "tags"}
"""Column of a trace to the observation's column that it fills where that is empty."""


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one window, or of one file of observations. Traces and observations that are no calls are out of scope.

    Raises UnreadableDeliveryError, also when a file has another number of rows than the manifest says.
    """
    reader = _Reader(context)
    if not is_bundle(path):
        yield from reader.observations(path, None)
        return
    row_counts: dict[str, int | None] = {}
    with open_bundle(path, context.source) as members:
        for key, member in members:
            table = table_of(key)
            if table == MANIFESTS:
                row_counts = _row_counts(member, context.source)
            elif table == TRACES:
                yield from reader.traces(member, _expected(row_counts, key))
            elif table is not None:
                yield from reader.observations(member, _expected(row_counts, key))
    reader.log_unknown()


def _row_counts(manifest: Path, source: str) -> dict[str, int | None]:
    """Rows of each file by its key as the manifest spells it: with the bucket's prefix."""
    try:
        return {str(file["key"]): file.get("rowCount") for file in read_manifest(manifest)["files"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableDeliveryError(source, f"the window's manifest cannot be read: {error!r}") from error


def _expected(row_counts: dict[str, int | None], key: str) -> tuple[str, int] | None:
    """The file's key and number of rows where the manifest tells them (Parquet files are not counted)."""
    found = next((count for named, count in row_counts.items() if named == key or named.endswith(f"/{key}")), None)
    return (key, found) if isinstance(found, int) else None


class _Reader:
    """Reads the files of one window; numbers records through all of them."""

    def __init__(self, context: ParseContext) -> None:
        self._context, self._writer = context, RowWriter(MAPPING, context)
        self._records_before = 0
        self._traces: pl.DataFrame | None = None
        self._unknown: set[str] = set()

    def traces(self, path: Path, expected: tuple[str, int] | None) -> Iterator[ParsedBatch]:
        """Counts traces, and keeps what observations ask of them; of a trace's copies the later one."""
        parts = []
        for table in self._numbered(
            read_rows(path, self._context.source, columns=_TRACE_COLUMNS, lists=LISTS, maps=()), expected
        ):
            parts.append(table.frame.drop("raw_ordinal"))
            refused = quarantine_rows(table.refused, self._context)
            yield ParsedBatch(table.rows_count, quarantine=refused, rows_out_of_scope=table.rows_count - refused.height)
        if parts:
            merged = pl.concat(parts if self._traces is None else [self._traces, *parts])
            self._traces = merged.filter(pl.col("id").is_not_null()).unique("id", keep="last", maintain_order=True)

    def observations(self, path: Path, expected: tuple[str, int] | None) -> Iterator[ParsedBatch]:
        """Batches of one file of observations."""
        rows = read_rows(path, self._context.source, columns=COLUMNS, lists=LISTS, maps=MAPS)
        for table in self._numbered(rows, expected):
            if table.rows_count:
                yield self._batch(table)

    def log_unknown(self) -> None:
        """Name the kinds of usage that are no tokens."""
        if self._unknown:
            names = ", ".join(sorted(self._unknown)[:50])
            _log.warning("source=%s delivery=%s usage_not_read=%s", self._context.source, self._context.delivery_id, names)

    def _numbered(self, tables: Iterator[Rows], expected: tuple[str, int] | None) -> Iterator[Rows]:
        before, count = self._records_before, 0
        for table in tables:
            yield table.after(before)
            count += table.rows_count
        self._records_before += count
        if expected is not None and expected[1] != count:
            raise UnreadableDeliveryError(
                self._context.source,
                f"{expected[0]} has {count} rows, and the manifest says {expected[1]}: cut, or written again",
            )

    def _batch(self, table: Rows) -> ParsedBatch:
        kinds = table.frame["type"].str.to_uppercase()
        calls = self._with_traces(table.with_maps(table.frame.filter(kinds.is_in(CALLS) | kinds.is_null() | (kinds == ""))))
        usage, unknown = usage_columns(calls["usage_details"])
        self._unknown |= unknown
        staged, broken = self._writer.staged(calls.hstack(usage))
        refused = [*table.refused, *((ordinal, table.raw_text(ordinal), reasons) for ordinal, reasons in broken.items())]
        return ParsedBatch(
            rows_read=table.rows_count,
            usage=staged,
            quarantine=quarantine_rows(sorted(refused), self._context),
            rows_out_of_scope=table.frame.height - calls.height,
            raw_text=table.raw_text,
        )

    def _with_traces(self, calls: pl.DataFrame) -> pl.DataFrame:
        if self._traces is None:
            return calls
        found = self._traces.select(pl.col("id").alias("trace_id"), *(pl.col(name).alias(f"trace {name}") for name in _OF_TRACE))
        joined = calls.join(found, on="trace_id", how="left", maintain_order="left")
        filled = [
            pl.coalesce(pl.when(pl.col(own) != "").then(own), f"trace {name}").alias(own) for name, own in _OF_TRACE.items()
        ]
        return joined.with_columns(filled).select(calls.columns)
