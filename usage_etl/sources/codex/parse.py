"""A landed Codex rollout file to staged usage rows, block by block: one row per turn, or copy of one."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.sources.codex.rows import IS_CONTEXT, IS_COUNT, IS_META, SHAPE, TURN_SCHEMA, mapping
from usage_etl.sources.codex.settings import CodexSettings
from usage_etl.sources.codex.turns import Turns
from usage_etl.sources.forms.log_files import LogDialect, batch_of_records, flat_records
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.json_lines import FlatRecords
from usage_etl.sources.rows.mapping import RowWriter

SESSIONS = "sessions"
"""Rollout files of Codex."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_log = logging.getLogger(__name__)


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged turns and refused lines of one file. Raises UnreadableDeliveryError."""
    settings = context.settings_as(CodexSettings)
    rows = mapping(settings)
    dialect = LogDialect(
        title="a rollout file of Codex",
        shape=SHAPE,
        mapping=rows,
        recognised_by=("payload_type", "model", "cwd"),
        is_record=IS_META | IS_CONTEXT | IS_COUNT,
    )
    writer, turns = RowWriter(rows, context), Turns()
    for records in flat_records(path, context, dialect=dialect):
        yield batch_of_records(_turns(records, turns), writer, context)
    if turns.history_count:
        _log.info("source=%s delivery=%s turns_of_history=%d", context.source, context.delivery_id, turns.history_count)


def _turns(records: FlatRecords, turns: Turns) -> FlatRecords:
    """The block's turns in place of its lines; what the other lines say is taken in by ``turns``."""
    kinds = records.flat.with_columns(
        kind=pl.when(IS_META).then(pl.lit("meta")).when(IS_CONTEXT).then(pl.lit("context")).otherwise(pl.lit("count")),
        model=pl.coalesce("info_model", "model"),
    )
    metas = dict(records.lines.join(kinds.filter(pl.col("kind") == "meta"), on="raw_ordinal", how="semi").rows())
    found = []
    for row in kinds.iter_rows(named=True):
        if row["kind"] == "meta":
            turns.read_meta(metas[row["raw_ordinal"]])
        elif row["kind"] == "context":
            turns.read_context(row)
        elif turn := turns.read_count(row):
            found.append(turn)
    return dataclasses.replace(
        records,
        flat=pl.DataFrame(found, schema=TURN_SCHEMA, orient="row"),
        left_out_count=records.left_out_count + records.flat.height - len(found),
    )
