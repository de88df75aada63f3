"""DeepSeek's table of amounts: one line per interval, model, key and kind of amount; the kinds of one group are one row.

Kinds are cache hits, cache misses, output tokens and requests. A kind may stand twice, at the price of peak and of off-peak
hours: both are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from usage_etl.sources.deepseek.intervals import (
    INSTANTS,
    INTERVAL_NAMES,
    SPELLINGS,
    bucket_key,
    ended_at,
    interval_rules,
    started_at,
)
from usage_etl.sources.forms.table_files import TableDialect, batch_of, covered_by_rows, read_fields
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, RowWriter, value, with_hashed_secrets

_NAMES: Mapping[str, tuple[str, ...]] = dict(INTERVAL_NAMES) | {
    name: (name,) for name in ("model", "api_key_name", "api_key", "type", "amount")
}
_UNREAD = frozenset({"user_id", "price"})
_KINDS = {
    "input_cache_hit_tokens": "cache_read_tokens",
    "input_cache_miss_tokens": "reported_input_tokens",
    "input_tokens": "reported_input_tokens",
    "output_tokens": "reported_output_tokens",
    "request_count": "requests_count",
}
"""Kind of amount to the column that it fills. ``input_tokens`` stands where an export knows no cache."""

_COUNTED = ("requests_count", "reported_input_tokens", "reported_output_tokens", "cache_read_tokens")
_TYPES = FieldTypes(counts=("amount",), instants=INSTANTS, spellings=SPELLINGS)


def parse_amounts(path: Path, context: ParseContext, offset: int) -> Iterator[ParsedBatch]:
    """Batches of one table; lines are numbered on from ``offset``. Raises UnreadableDeliveryError."""
    dialect = TableDialect("DeepSeek's table of amounts", _NAMES, frozenset({"model", "type", "amount"}), (_USAGE,), _UNREAD)
    writer = RowWriter(_USAGE, context)
    seen: Counter[str] = Counter()
    for table, flat in read_fields(path, context, dialect=dialect, offset=offset):
        batch = batch_of(table, flat, [writer], context)
        assert batch.usage is not None, "the table's one mapping is of usage"
        rows = _grouped(batch.usage, seen)
        yield replace(batch, usage=rows, rows_merged=batch.usage.height - rows.height, covered=covered_by_rows(batch))


def _grouped(lines: pl.DataFrame, seen: Counter[str]) -> pl.DataFrame:
    """One row per interval, model and key, under the ordinal of its first line. A kind that no line names stays null."""
    others = [name for name in lines.columns if name not in _COUNTED and name != "event_id"]
    sums = [pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in _COUNTED[1:]]
    grouped = lines.group_by("event_id", maintain_order=True).agg(
        *(pl.col(name).first() for name in others), pl.col("requests_count").sum(), *sums
    )
    return grouped.with_columns(
        pl.Series("event_id", [_numbered(name, seen) for name in grouped["event_id"]], dtype=pl.String)
    ).select(lines.columns)


def _numbered(event_id: str, seen: Counter[str]) -> str:
    """The id of a group; one that goes on in a later batch gets another."""
    seen[event_id] += 1
    return event_id if seen[event_id] == 1 else f"{event_id}#{seen[event_id]}"


def _prepared(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
    kind = pl.col("type").str.strip_chars().str.to_lowercase()
    told = flat.with_columns(kind.replace_strict(_KINDS, default=None, return_dtype=pl.String).alias("fills"))
    return with_hashed_secrets(told, "api_key")


def _columns(context: ParseContext) -> dict[str, pl.Expr]:
    fills = [name for name in _COUNTED if name != "requests_count"]
    is_request = pl.col("fills") == "requests_count"
    own = [pl.coalesce(pl.col(name), pl.lit("")) for name in ("model", "api_key_name", "api_key")]
    return {
        **{name: pl.when(pl.col("fills") == name).then(value("amount")) for name in fills},
        "requests_count": pl.when(is_request).then(value("amount")).otherwise(pl.lit(0)),
        "bucket_key": bucket_key(context, "amounts"),
        "event_id": pl.concat_str([bucket_key(context, "amounts"), *own], separator="/"),
        "grain": pl.lit("bucket"),
        "usage_date": started_at().dt.date(),
        "started_at": started_at(),
        "ended_at": ended_at(),
        "status": pl.lit("unknown"),
        "token_convention": pl.lit("cache_beside_input"),
        "primitive": pl.lit("ai.chat"),
        "host_raw": pl.lit("deepseek"),
        "model_raw": pl.col("model"),
        "processing": pl.lit("standard"),
        "is_cache_hit": pl.lit(value=False),
        "api_key_id": pl.coalesce("api_key_name", "api_key"),
    }


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **interval_rules(context),
        "model__missing": pl.col("model").is_null(),
        "type__unknown": pl.col("fills").is_null(),
        "amount__missing": pl.col("amount").is_null(),
    }


_USAGE = RowMapping(types=_TYPES, columns=_columns, rules=_rules, prepare=_prepared)
