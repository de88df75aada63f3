"""Turns of a Codex session to staged usage rows: input holds the cached part, output the reasoning."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.sources.codex.settings import CodexSettings
from usage_etl.sources.codex.turns import LAST, PARTS, TOTAL
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, instant_rules, request_columns, value, word
from usage_etl.sources.rows.request_words import is_readable
from usage_etl.sources.rows.sessions import with_owners

_INFO = ("payload", "info")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("timestamp",),
    "type": ("type",),
    "payload_type": ("payload", "type"),
    "model": ("payload", "model"),
    "cwd": ("payload", "cwd"),
    "info_model": (*_INFO, "model"),
    **{TOTAL + name: (*_INFO, "total_token_usage", name) for name in PARTS},
    **{LAST + name: (*_INFO, "last_token_usage", name) for name in PARTS},
}
"""Flat text column to the field's place in a line. Messages, commands and their output are not among them."""

SHAPE = RecordShape(fields=FIELDS)

IS_META = pl.col("type") == "session_meta"
IS_CONTEXT = pl.col("type") == "turn_context"
IS_COUNT = (
    (pl.col("type") == "event_msg")
    & (pl.col("payload_type") == "token_count")
    & pl.any_horizontal(pl.col(prefix + name).is_not_null() for prefix in (TOTAL, LAST) for name in PARTS)
)
"""Events that hold counts; those that only tell of rate limits do not."""

RANK_OF_COPY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
RANK_OF_SESSION = dt.datetime(2010, 1, 1, tzinfo=dt.UTC)
"""``record_version_at`` is a rank, no time: a turn in its own session's file beats a copy in a fork's."""

TURN_SCHEMA = pl.Schema(
    {
        "raw_ordinal": pl.Int64(),
        **dict.fromkeys(("turn_id", "timestamp", "model", "session_id", "provider", "cwd", "is_copied", *PARTS), pl.String()),
    }
)
"""Turns as texts, typed like every other log."""


def mapping(settings: CodexSettings) -> RowMapping:
    """Turns to rows of STAGED_USAGE."""

    def prepare(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
        return with_owners(flat, "cwd", settings, context.origin_key)

    return RowMapping(
        types=FieldTypes(
            counts=PARTS,
            instants=("timestamp",),
            spellings=("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"),
        ),
        columns=_columns,
        rules=_rules,
        prepare=prepare,
    )


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **instant_rules("timestamp", context),
        "cached_input_tokens__exceed_input_tokens": is_readable("input_tokens")
        & (value("cached_input_tokens") > value("input_tokens").fill_null(0)),
        "reasoning_output_tokens__exceed_output_tokens": is_readable("output_tokens")
        & (value("reasoning_output_tokens") > value("output_tokens").fill_null(0)),
    }


def _columns(_: ParseContext) -> dict[str, pl.Expr]:
    return request_columns(value("timestamp")) | {
        "event_id": pl.col("turn_id"),
        "record_version_at": pl.when(pl.col("is_copied").is_null()).then(pl.lit(RANK_OF_SESSION)).otherwise(pl.lit(RANK_OF_COPY)),
        "status": pl.lit("success"),
        "reported_input_tokens": value("input_tokens"),
        "reported_output_tokens": value("output_tokens"),
        "cache_read_tokens": value("cached_input_tokens"),
        "reasoning_tokens": value("reasoning_output_tokens"),
        "host_raw": pl.coalesce(word("provider"), pl.lit("openai")),
        "model_raw": word("model"),
        "user_id": pl.col("owner"),
        "project_id": pl.col("project"),
        "session_id": word("session_id"),
    }
