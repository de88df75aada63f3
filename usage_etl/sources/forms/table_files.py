"""A landed table (CSV or Parquet) to staged rows: columns are found by name, whatever their order, case and generation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows
from usage_etl.sources.reading.bundles import open_parts
from usage_etl.sources.reading.text_tables import TextTable, read_tables
from usage_etl.sources.rows.mapping import Broken, RowMapping, RowWriter

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableDialect:
    """How one kind of table names its columns, and what its rows become."""

    title: str
    """What the file should be, for the message when it is something else."""
    names: Mapping[str, tuple[str, ...]]
    """Field to the column names that it had over the generations; letter case and surrounding blanks do not matter."""
    required: frozenset[str]
    """Fields without which the file is refused. Other absent fields are null."""
    mappings: tuple[RowMapping, ...]
    """What every row becomes: usage, a charge, or both. A row that one of them refuses is refused whole."""
    ignored: frozenset[str] = field(default_factory=frozenset)
    """Columns, in small letters, that are known and not read. Others that are not read are named in the log."""

    def fields_of(self, header: list[str], source: str) -> dict[str, str]:
        """Column to field for those that are read. Raises UnreadableDeliveryError when a required field is absent."""
        by_name = {name.strip().lower(): name for name in header}
        found: dict[str, str] = {}
        for name, spellings in self.names.items():
            column = next((by_name[spelling.lower()] for spelling in spellings if spelling.lower() in by_name), None)
            if column is not None:
                found.setdefault(column, name)
        if missing := sorted(self.required - set(found.values())):
            names = ", ".join("/".join(self.names[name]) for name in missing)
            raise UnreadableDeliveryError(source, f"not {self.title}: there is no column {names}")
        return found


def parse_table(path: Path, context: ParseContext, *, dialect: TableDialect) -> Iterator[ParsedBatch]:
    """Batches of staged and refused rows of one file or of the parts of one. Raises UnreadableDeliveryError."""
    writers = [RowWriter(mapping, context) for mapping in dialect.mappings]
    for table, flat in read_fields(path, context, dialect=dialect):
        yield batch_of(table, flat, writers, context)


def read_fields(
    path: Path,
    context: ParseContext,
    *,
    dialect: TableDialect,
    offset: int = 0,
    see_header: Callable[[list[str]], None] = lambda _: None,
) -> Iterator[tuple[TextTable, pl.DataFrame]]:
    """Rows of one file or of the parts of one, and their fields as text after ``raw_ordinal``; absent fields are null.

    Rows are numbered on from ``offset``, those of later parts from earlier ones. ``see_header`` is shown the names of all
    columns of each part. Raises UnreadableDeliveryError.
    """
    fields: dict[str, str] = {}

    def wanted(header: list[str]) -> list[str]:
        see_header(header)
        fields.clear()
        fields.update(dialect.fields_of(header, context.source))
        name_unread(header, fields, dialect, context)
        return list(fields)

    with open_parts(path, context.source) as parts:
        for part in parts:
            rows_count = 0
            for table in read_tables(part, context.source, wanted=wanted):
                rows_count += table.rows_count
                numbered = table.numbered_from(offset)
                flat = numbered.frame.select("raw_ordinal", *fields).rename(fields)
                absent = [pl.lit(None, pl.String).alias(name) for name in dialect.names if name not in flat.columns]
                yield numbered, flat.with_columns(absent)
            offset += rows_count


def batch_of(
    table: TextTable,
    flat: pl.DataFrame,
    writers: list[RowWriter],
    context: ParseContext,
    covered: tuple[CoveredBucket, ...] = (),
) -> ParsedBatch:
    """The batch that rows of one text table become; ``flat`` holds their fields after ``raw_ordinal``."""
    return batch_of_parts(table, [(writer, flat) for writer in writers], context, covered)


def batch_of_parts(
    table: TextTable,
    parts: Sequence[tuple[RowWriter, pl.DataFrame]],
    context: ParseContext,
    covered: tuple[CoveredBucket, ...] = (),
) -> ParsedBatch:
    """The batch that one text table becomes where each writer takes fields of its own, also several rows of one record.

    A record that one writer refuses is refused whole.
    """
    kept, broken = merged_parts(parts)
    refused = [*table.refused, *((ordinal, table.raw_text(ordinal), reasons) for ordinal, reasons in broken.items())]
    return ParsedBatch(
        rows_read=table.rows_count,
        usage=kept.get(STAGED_USAGE.name),
        charges=kept.get(STAGED_CHARGES.name),
        quarantine=quarantine_rows(sorted(refused), context),
        covered=covered,
        raw_text=table.raw_text,
    )


def covered_by_rows(batch: ParsedBatch) -> tuple[CoveredBucket, ...]:
    """The buckets that rows of the batch stand in, each within one day. One that goes on in a later batch is named again."""
    found: dict[CoveredBucket, None] = {}
    for table, rows in ((STAGED_USAGE, batch.usage), (STAGED_CHARGES, batch.charges)):
        if rows is not None:
            buckets = rows.filter(pl.col("bucket_key").is_not_null()).select("bucket_key", str(table.partition))
            keys = buckets.unique(maintain_order=True).iter_rows()
            found |= dict.fromkeys(CoveredBucket(table.name, key, day=day) for key, day in keys)
    return tuple(found)


def merged_parts(parts: Sequence[tuple[RowWriter, pl.DataFrame]]) -> tuple[dict[str, pl.DataFrame], Broken]:
    """Rows by staged table, in the order of records, and the refused records; a refused record has no rows in any table."""
    results = [(writer.table, *writer.staged(flat)) for writer, flat in parts]
    broken: Broken = reduce(_merged, (faults for _, _, faults in results), {})
    kept: dict[str, pl.DataFrame] = {}
    for name, frame, _ in results:
        rows = frame.filter(~pl.col("raw_ordinal").is_in(list(broken))) if broken else frame
        kept[name] = pl.concat([kept[name], rows]).sort("raw_ordinal", maintain_order=True) if name in kept else rows
    return kept, broken


def _merged(one: Broken, other: Broken) -> Broken:
    names = {
        ordinal: dict.fromkeys(f"{one.get(ordinal, '')},{reasons}".strip(",").split(",")) for ordinal, reasons in other.items()
    }
    return one | {ordinal: ",".join(reasons) for ordinal, reasons in names.items()}


def name_unread(header: list[str], fields: Mapping[str, str], dialect: TableDialect, context: ParseContext) -> None:
    """A word in the log on columns that are neither read nor known."""
    unread = sorted(name for name in header if name not in fields and name.strip().lower() not in dialect.ignored)
    if unread:
        _log.warning("source=%s delivery=%s unread_columns=%s", context.source, context.delivery_id, ", ".join(unread))
