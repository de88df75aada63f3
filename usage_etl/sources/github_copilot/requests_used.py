"""The first premium request report, up to September 2025: one use per row, weighted, without any money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from usage_etl.sources.forms.table_files import TableDialect, batch_of_parts, read_fields
from usage_etl.sources.github_copilot.reports import PROVIDER
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.rows.event_ids import EventIds
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, RowWriter, instant_rules, request_columns, value

_NAMES: Mapping[str, tuple[str, ...]] = {name: (name,) for name in ("Timestamp", "User", "Model", "Requests Used")}
_UNREAD = frozenset({"exceeds monthly quota", "total monthly quota"})
_TYPES = FieldTypes(
    instants=("Timestamp",),
    decimals=("Requests Used",),
    spellings=("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d"),
)


def parse_requests_used(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one report. Raises UnreadableDeliveryError."""
    dialect = TableDialect("GitHub's first premium request report", _NAMES, frozenset(_NAMES), (_USAGE,), _UNREAD)
    writer, ids = RowWriter(_USAGE, context), EventIds()
    for table, flat in read_fields(path, context, dialect=dialect):
        yield batch_of_parts(table, [(writer, ids.with_ids(flat, tuple(_NAMES)))], context)


def _columns(_: ParseContext) -> dict[str, pl.Expr]:
    return {
        **request_columns(value("Timestamp")),
        "event_id": pl.col("own_id"),
        "native_unit": pl.lit("premium_requests"),
        "native_quantity": value("Requests Used"),
        "host_raw": pl.lit(PROVIDER),
        "model_raw": pl.col("Model"),
        "user_id": pl.col("User"),
    }


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **instant_rules("Timestamp", context),
        "Requests Used__missing": pl.col("Requests Used").is_null(),
        "Requests Used__negative": value("Requests Used") < 0,
    }


_USAGE = RowMapping(types=_TYPES, columns=_columns, rules=_rules)
