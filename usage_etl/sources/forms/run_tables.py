"""The data files of an export's run to charge lines: columns by name, rows of other services counted and left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.forms.table_files import TableDialect, batch_of, name_unread
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.reading.run_manifests import ExportRun, ReadManifest, open_run
from usage_etl.sources.reading.text_tables import read_tables
from usage_etl.sources.rows.mapping import RowWriter

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunDialect:
    """How the files of one run are written, and which of their rows count."""

    table: TableDialect
    scope: pl.Expr
    """True for rows that are read, over the fields as text; the others are counted only."""
    told: Callable[[pl.DataFrame], pl.DataFrame] = lambda flat: flat
    """Fills fields that ``scope`` reads from others."""


DialectOf = Callable[[ExportRun, ParseContext, Sequence[str]], RunDialect]
"""``dialect_of(run, context, header)``: how a file of the run is written, by what its manifest and its header say.
Raises UnreadableDeliveryError."""


def parse_run(
    path: Path,
    context: ParseContext,
    *,
    read_manifest: ReadManifest,
    dialect_of: DialectOf,
) -> Iterator[ParsedBatch]:
    """Batches of charges of one landed run, numbered through all its files; its period is covered, also where it is empty.

    Raises UnreadableDeliveryError.
    """
    count = 0
    with open_run(path, context.source, read_manifest=read_manifest) as (run, files):
        for _, local in files:
            for batch in _batches(local, context, partial(dialect_of, run, context), after=count):
                count += batch.rows_read
                yield batch
    covered = CoveredBucket(STAGED_CHARGES.name, run.key, version_at=run.ran_at)
    yield ParsedBatch(rows_read=0, charges=STAGED_CHARGES.empty(), covered=(covered,))
    if run.rows_count not in (None, count):
        words = (context.source, context.delivery_id, run.rows_count, count)
        _log.error("source=%s delivery=%s: the manifest says %s rows, the files hold %s", *words)


def _batches(
    path: Path, context: ParseContext, dialect_of: Callable[[Sequence[str]], RunDialect], *, after: int
) -> Iterator[ParsedBatch]:
    found: list[tuple[RunDialect, dict[str, str], list[RowWriter]]] = []

    def wanted(header: list[str]) -> list[str]:
        dialect = dialect_of(header)
        fields = dialect.table.fields_of(header, context.source)
        name_unread(header, fields, dialect.table, context)
        found.append((dialect, fields, [RowWriter(mapping, context) for mapping in dialect.table.mappings]))
        return list(fields)

    for table in read_tables(path, context.source, wanted=wanted):
        ((dialect, fields, writers),) = found
        shifted = table.numbered_from(after)
        flat = shifted.frame.rename(fields)
        flat = flat.with_columns(pl.lit(None, pl.String).alias(name) for name in dialect.table.names if name not in flat.columns)
        flat = dialect.told(flat)
        in_scope = flat.filter(dialect.scope)
        batch = batch_of(shifted, in_scope, writers, context)
        yield replace(batch, rows_out_of_scope=flat.height - in_scope.height)
