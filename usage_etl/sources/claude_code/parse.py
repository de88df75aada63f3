"""A landed Claude Code session file to staged usage rows, block by block."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.sources.claude_code.rows import IS_ANSWER, SHAPE, mapping
from usage_etl.sources.claude_code.settings import ClaudeCodeSettings
from usage_etl.sources.forms.log_files import LogDialect, batch_of_records, flat_records
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.json_lines import FlatRecords
from usage_etl.sources.rows.mapping import RowWriter

SESSIONS = "sessions"
"""Session files of Claude Code."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

REMEMBERED_ANSWERS = 50_000
"""Answers of one file whose first line is remembered."""

_COMPACTION = r'"type"\s*:\s*"compaction"'
_SUMMED = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_LIFETIMES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""Parts of the cache writes, in an object of their own."""


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged answers and refused lines of one file. Raises UnreadableDeliveryError."""
    settings = context.settings_as(ClaudeCodeSettings)
    rows = mapping(settings)
    dialect = LogDialect(
        title="a session file of Claude Code",
        shape=SHAPE,
        mapping=rows,
        recognised_by=("type", "timestamp", "sessionId"),
        is_record=IS_ANSWER,
    )
    writer, begins = RowWriter(rows, context), _Begins()
    for records in flat_records(path, context, dialect=dialect):
        batch = batch_of_records(_with_compactions(records), writer, context)
        yield batch if batch.usage is None else dataclasses.replace(batch, usage=begins.pinned(batch.usage))


class _Begins:
    """When each answer of the file was first seen: its copies count on that day, also when it streams past midnight."""

    def __init__(self) -> None:
        self._seen = pl.DataFrame(schema={"event_id": pl.String, "began_at": pl.Datetime("us", "UTC")})

    def pinned(self, usage: pl.DataFrame) -> pl.DataFrame:
        """``usage`` with the first time of each answer as its start."""
        new = usage.select("event_id", pl.col("started_at").alias("began_at"))
        first = pl.concat([self._seen, new]).unique("event_id", keep="first", maintain_order=True)
        self._seen = first.tail(REMEMBERED_ANSWERS)
        joined = usage.join(first, on="event_id", how="left", maintain_order="left")
        pinned = joined.with_columns(started_at=pl.col("began_at"), usage_date=pl.col("began_at").dt.date())
        return pinned.select(usage.columns)


def _with_compactions(records: FlatRecords) -> FlatRecords:
    """Token counts that include compactions: those are billed, stand in ``usage.iterations``, and are in no total."""
    found = records.lines.filter(pl.col("line").str.contains(_COMPACTION))
    counts = {ordinal: sums for ordinal, line in found.rows() if (sums := _summed(line)) is not None}
    if not counts:
        return records
    changed = pl.DataFrame(
        [(ordinal, *sums) for ordinal, sums in counts.items()],
        schema={"raw_ordinal": pl.Int64, **dict.fromkeys((*_SUMMED, *_LIFETIMES), pl.String)},
        orient="row",
    )
    return dataclasses.replace(records, flat=records.flat.update(changed, on="raw_ordinal", how="left"))


def _summed(line: str) -> tuple[str | None, ...] | None:
    try:
        usage: Any = json.loads(line)["message"]["usage"]
        parts = [part for part in usage["iterations"] if isinstance(part, dict)]
        lifetimes = [part.get("cache_creation") or {} for part in parts]
        sums = (*_sums(parts, _SUMMED), *_sums(lifetimes, _LIFETIMES))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return sums if any(part.get("type") == "compaction" for part in parts) else None


def _sums(parts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str | None]:
    """Sum of each count over all parts; null where no part has it, so that what the answer itself says stands."""
    for name in names:
        found = [int(part[name]) for part in parts if part.get(name) is not None]
        yield str(sum(found)) if found else None
