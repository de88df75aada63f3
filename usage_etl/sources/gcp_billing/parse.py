"""A landed file of the detailed export to staged charges, and the export days that it answers for.

The table is append-only: Google corrects by later rows, never in place. What is replaced is a day of ``export_time``, the
table's partition; so a delivery holds whole export days.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.forms.table_files import merged_parts
from usage_etl.sources.gcp_billing.export_rows import ExportRows, read_export
from usage_etl.sources.gcp_billing.rows import COSTS, CREDITS, SPELLINGS, bucket_key, credit_rows, flat_rows, prepared
from usage_etl.sources.gcp_billing.settings import AI_SERVICES, GcpBillingSettings
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows
from usage_etl.sources.reading.bundles import open_parts
from usage_etl.sources.rows.mapping import RowWriter
from usage_etl.sources.rows.service_scope import matches_any
from usage_etl.sources.rows.typed_text import instants

_log = logging.getLogger(__name__)

DETAILED_EXPORT = "detailed_export"
"""Rows of ``gcp_billing_export_resource_v1_*``."""

PARSER_VERSION = "1"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file or bundle of parts. Raises UnreadableDeliveryError."""
    reader, offset = _Reader(context), 0
    with open_parts(path, context.source) as parts:
        for part in parts:
            count = 0
            for rows in read_export(part, context.source, offset):
                count += rows.lines_count
                yield reader.batch(rows)
            offset += count
    if reader.unread:
        _log.warning(
            "source=%s delivery=%s unread_columns=%s", context.source, context.delivery_id, ", ".join(sorted(reader.unread))
        )
    yield ParsedBatch(rows_read=0, covered=reader.covered())


class _Reader:
    """One delivery: what is written of it, and the export days seen so far."""

    def __init__(self, context: ParseContext) -> None:
        self._context = context
        self._costs, self._credits = RowWriter(COSTS, context), RowWriter(CREDITS, context)
        settings = context.settings
        services = settings.services if isinstance(settings, GcpBillingSettings) else AI_SERVICES
        self._in_scope = matches_any([pl.col("service_name")], services)
        self._exported: dict[str, dt.datetime] = {}
        self.unread: set[str] = set()

    def batch(self, rows: ExportRows) -> ParsedBatch:
        """The charges of the rows that are in scope; the others are counted."""
        self.unread |= rows.unread
        flat = flat_rows(rows.frame)
        self._see_export_days(flat)
        counted = prepared(flat.filter(self._in_scope))
        charges, broken = merged_parts([(self._costs, counted.drop("credits")), (self._credits, credit_rows(counted))])
        refused = [*rows.refused, *((ordinal, rows.raw_text(ordinal), reasons) for ordinal, reasons in broken.items())]
        return ParsedBatch(
            rows_read=rows.rows_count,
            charges=charges[STAGED_CHARGES.name],
            quarantine=quarantine_rows(sorted(refused), self._context),
            rows_out_of_scope=flat.height - counted.height,
            raw_text=rows.raw_text,
        )

    def _see_export_days(self, flat: pl.DataFrame) -> None:
        """Days of export, of all rows: also one without a row in scope is answered for."""
        at = instants(flat["export_time"].unique(), SPELLINGS).drop_nulls().to_frame("at")
        newest = at.group_by(bucket_key(self._context, pl.col("at")).alias("key")).agg(pl.col("at").max())
        for key, last in newest.iter_rows():
            self._exported[key] = max(last, self._exported.get(key, last))

    def covered(self) -> tuple[CoveredBucket, ...]:
        """The export days; the version of each is its newest row, so that an older export that arrives late does not win."""
        table = STAGED_CHARGES.name
        return tuple(CoveredBucket(table, key, version_at=last) for key, last in sorted(self._exported.items()))
