"""A landed file of any tool to staged usage, charges or both, by the customer's own mapping of columns."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.forms.table_files import batch_of_parts
from usage_etl.sources.generic.charges import charge_mapping
from usage_etl.sources.generic.fields import KINDS
from usage_etl.sources.generic.flat import FieldReader
from usage_etl.sources.generic.periods import covered_buckets
from usage_etl.sources.generic.settings import GenericSettings, name_of, place_of
from usage_etl.sources.generic.usage import usage_mapping
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.reading.json_documents import begins_as_json, read_record_blocks
from usage_etl.sources.reading.json_lines import LineReader
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.reading.text_tables import TextTable, read_tables
from usage_etl.sources.rows.mapping import RowWriter

ROWS = "rows"
"""Rows of whatever the mapping says."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_log = logging.getLogger(__name__)
_PARQUET_MAGIC = b"PAR1"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged and refused rows of one file. Raises UnreadableDeliveryError."""
    settings = context.settings
    assert isinstance(settings, GenericSettings), "a generic file means nothing without its mapping"
    form = _format(path, context)
    if settings.format not in ("auto", form):
        raise UnreadableDeliveryError(context.source, f"the file is {form}, its settings say format: {settings.format}")
    usage = RowWriter(usage_mapping(settings), context) if settings.has_usage else None
    charges = RowWriter(charge_mapping(settings), context) if settings.has_charges else None
    covered: dict[tuple[str, str], CoveredBucket] = {}
    for table, flat in _json_rows(path, context, settings) if form == "json" else _table_rows(path, context, settings):
        batch = batch_of_parts(table, list(_parts(flat, usage, charges)), context)
        for bucket in _covered(batch, settings):
            covered[bucket.table_name, bucket.bucket_key] = _newer(bucket, covered.get((bucket.table_name, bucket.bucket_key)))
        yield batch
    if covered:
        yield ParsedBatch(rows_read=0, covered=tuple(covered.values()))


def _parts(flat: pl.DataFrame, usage: RowWriter | None, charges: RowWriter | None) -> Iterator[tuple[RowWriter, pl.DataFrame]]:
    """Which rows each writer takes: a usage without an amount is no charge."""
    if usage is not None:
        yield usage, flat
    if charges is not None:
        yield charges, flat.filter(pl.col("amount").is_not_null()) if usage is not None else flat


def _format(path: Path, context: ParseContext) -> str:
    with path.open("rb") as raw:
        if raw.read(4) == _PARQUET_MAGIC:
            return "parquet"
    return "json" if begins_as_json(path, context.source) else "csv"


def _covered(batch: ParsedBatch, settings: GenericSettings) -> Iterable[CoveredBucket]:
    if batch.usage is not None and settings.grain == "bucket":
        yield from covered_buckets(batch.usage, STAGED_USAGE.name, ("started_at", "ended_at"))
    if batch.charges is not None:
        yield from covered_buckets(batch.charges, STAGED_CHARGES.name, ("charge_period_start", "charge_period_end"))


def _newer(one: CoveredBucket, other: CoveredBucket | None) -> CoveredBucket:
    """The same bucket of two batches: its day where both agree, its later version."""
    if other is None:
        return one
    versions = [bucket.version_at for bucket in (one, other) if bucket.version_at]
    day = one.day if one.day == other.day else None
    return CoveredBucket(one.table_name, one.bucket_key, day=day, version_at=max(versions, default=None))


def _table_rows(path: Path, context: ParseContext, settings: GenericSettings) -> Iterator[tuple[TextTable, pl.DataFrame]]:
    """Each frame of the table with its fields. Every mapped column must be there: a missing one is a mistake in the mapping."""
    reader: FieldReader | None = None
    for table in read_tables(path, context.source):
        if reader is None:
            columns = _columns_of(table.frame.columns[1:], settings, context)
            reader = FieldReader(settings, columns)
        yield table, reader.fields(table.frame)


def _columns_of(header: list[str], settings: GenericSettings, context: ParseContext) -> dict[str, str]:
    by_name = {name.strip().lower(): name for name in header}
    wanted = {field: name_of(column) for field, column in settings.columns.items()}
    missing = sorted({name for name in wanted.values() if name.strip().lower() not in by_name})
    if missing:
        raise UnreadableDeliveryError(
            context.source, f"there is no column {', '.join(missing)}, which the mapping names; the file has {', '.join(header)}"
        )
    found = {field: by_name[name.strip().lower()] for field, name in wanted.items()}
    unread = sorted(set(header) - set(found.values()))
    if unread:
        _log.info("source=%s delivery=%s unread_columns=%s", context.source, context.delivery_id, ", ".join(unread))
    return found


@dataclass(frozen=True)
class _Lines(TextTable):
    """Lines of JSON, quoted as they are."""

    def raw_text(self, ordinal: int) -> str:
        return str(self.frame.filter(pl.col("raw_ordinal") == ordinal)["line"][0])


def _json_rows(path: Path, context: ParseContext, settings: GenericSettings) -> Iterator[tuple[TextTable, pl.DataFrame]]:
    """Each block of records with its fields. The first block must hold at least one column that the mapping names."""
    columns = dict(settings.columns)
    shape = RecordShape(
        fields={column: place_of(column) for column in columns.values()},
        documents=frozenset(column for field, column in columns.items() if field == "usage_body"),
        exact=frozenset(column for field, column in columns.items() if KINDS[field] == "decimal"),
    )
    reader, lines = FieldReader(settings, columns), LineReader(shape)
    for block in read_record_blocks(path, context.source):
        records = lines.read(block)
        flat = records.flat
        if block.first_ordinal == 1 and flat.height and all(flat[name].null_count() == flat.height for name in shape.fields):
            raise UnreadableDeliveryError(
                context.source, f"no record has one of the fields that the mapping names: {', '.join(sorted(shape.fields))}"
            )
        if records.lines_count:
            yield _Lines(records.lines, records.lines_count, records.refused), reader.fields(flat)
