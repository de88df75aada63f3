"""Answers of the model in Claude Code's session logs to staged usage rows.

One answer stands in the log several times: it is written again while it streams, with more tokens each time, and files of
sub-agents repeat answers of the session above them. All copies are staged under the answer's id; ``record_version_at``
ranks them, so that a copy of the session itself beats one of a sub-agent, and then the larger total wins, in whichever
file and order they arrive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.claude_code.settings import ClaudeCodeSettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.request_words import is_true
from usage_etl.sources.rows.sessions import with_owners

_USAGE = ("message", "usage")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "type": ("type",),
    "timestamp": ("timestamp",),
    "sessionId": ("sessionId",),
    "requestId": ("requestId",),
    "uuid": ("uuid",),
    "isSidechain": ("isSidechain",),
    "isApiErrorMessage": ("isApiErrorMessage",),
    "cwd": ("cwd",),
    "costUSD": ("costUSD",),
    "message_id": ("message", "id"),
    "model": ("message", "model"),
    "input_tokens": (*_USAGE, "input_tokens"),
    "output_tokens": (*_USAGE, "output_tokens"),
    "cache_creation_input_tokens": (*_USAGE, "cache_creation_input_tokens"),
    "cache_read_input_tokens": (*_USAGE, "cache_read_input_tokens"),
    "ephemeral_5m_input_tokens": (*_USAGE, "cache_creation", "ephemeral_5m_input_tokens"),
    "ephemeral_1h_input_tokens": (*_USAGE, "cache_creation", "ephemeral_1h_input_tokens"),
    "service_tier": (*_USAGE, "service_tier"),
    "speed": (*_USAGE, "speed"),
    "inference_geo": (*_USAGE, "inference_geo"),
}
"""Flat text column to the field's place in a line. Prompts, answers and results of tools are not among them."""

SHAPE = RecordShape(fields=FIELDS)

SYNTHETIC = "<synthetic>"
"""Model of messages that Claude Code wrote itself."""

_is_error = is_true("isApiErrorMessage").fill_null(value=False)
IS_ANSWER = (
    (pl.col("type").is_null() | (pl.col("type") == "assistant"))
    & (pl.col("input_tokens").is_not_null() | pl.col("output_tokens").is_not_null())
    & ((pl.col("model").fill_null("") != SYNTHETIC) | _is_error)
)
"""Lines that hold an answer of the model with its usage, or say that the call failed."""

TYPES = FieldTypes(
    counts=tuple(name for name in FIELDS if name.endswith("_tokens")),
    instants=("timestamp",),
    numbers=("costUSD",),
    spellings=("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"),
)

RANK_OF_COPY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
RANK_OF_SESSION = dt.datetime(2010, 1, 1, tzinfo=dt.UTC)
"""Where the ranks of copies by sub-agents and of the session's own lines begin; one token is a microsecond."""

_HOSTS = {"msg_bdrk_": "bedrock", "msg_vrtx_": "vertex_ai"}


def mapping(settings: ClaudeCodeSettings) -> RowMapping:
    """Answers to rows of STAGED_USAGE."""

    def prepare(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
        known = flat.with_columns(pl.coalesce(word("message_id"), word("requestId"), word("uuid")).alias("answer_id"))
        return with_owners(known, "cwd", settings, context.origin_key)

    return RowMapping(types=TYPES, columns=_columns, rules=_rules, derived=_derived(), prepare=prepare)


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **{f"message_{name}": rule for name, rule in id_rules("answer_id").items()},
        **instant_rules("timestamp", context),
        "costUSD__out_of_range": value("costUSD").abs() >= float(MAX_AMOUNT),
        "ephemeral_1h_input_tokens__exceed_cache_creation_input_tokens": value("ephemeral_1h_input_tokens")
        > pl.col("cache_write"),
    }


def _derived() -> list[pl.Expr]:
    lifetimes = value("ephemeral_5m_input_tokens").fill_null(0) + value("ephemeral_1h_input_tokens").fill_null(0)
    is_split = value("ephemeral_5m_input_tokens").is_not_null() | value("ephemeral_1h_input_tokens").is_not_null()
    return [pl.max_horizontal(value("cache_creation_input_tokens"), pl.when(is_split).then(lifetimes)).alias("cache_write")]


def _columns(_: ParseContext) -> dict[str, pl.Expr]:
    tier, speed = pl.col("service_tier").str.to_lowercase(), pl.col("speed").str.to_lowercase()
    is_sidechain = is_true("isSidechain").fill_null(value=False)
    parts = (value("input_tokens"), value("output_tokens"), pl.col("cache_write"), value("cache_read_input_tokens"))
    total = pl.sum_horizontal(parts)
    begin = pl.when(is_sidechain).then(pl.lit(RANK_OF_COPY)).otherwise(pl.lit(RANK_OF_SESSION))
    return request_columns(value("timestamp")) | {
        "event_id": pl.col("answer_id"),
        "call_id": word("requestId"),
        "record_version_at": begin + pl.duration(microseconds=total),
        "status": pl.when(_is_error).then(pl.lit("error")).otherwise(pl.lit("success")),
        "operation_name": pl.when(is_sidechain).then(pl.lit("sidechain")).otherwise(pl.lit("session")),
        "token_convention": pl.lit("cache_beside_input"),
        "reported_input_tokens": value("input_tokens"),
        "reported_output_tokens": value("output_tokens"),
        "cache_read_tokens": value("cache_read_input_tokens"),
        "cache_write_tokens": pl.col("cache_write"),
        "cache_write_1h_tokens": value("ephemeral_1h_input_tokens"),
        "host_raw": _host(),
        "model_raw": pl.when(pl.col("model") != SYNTHETIC).then(word("model")),
        "region": pl.when(pl.col("inference_geo") != "not_available").then(word("inference_geo")),
        "processing": pl.when(speed == "fast").then(pl.lit("fast"))
        .when(tier.is_in(["batch", "flex", "priority"])).then(tier)
        .otherwise(pl.lit("standard")),
        "user_id": pl.col("owner"),
        "project_id": pl.col("project"),
        "session_id": word("sessionId"),
        "source_cost_usd": value("costUSD"),
    }  # fmt: skip


def _host() -> pl.Expr:
    """Who served the model, by the form of the answer's id."""
    host = pl.lit("anthropic")
    for prefix, name in _HOSTS.items():
        host = pl.when(pl.col("message_id").str.starts_with(prefix)).then(pl.lit(name)).otherwise(host)
    return host
