"""Flat logger payloads to staged usage rows: the words of the request log, from the places where the loggers put them."""

from __future__ import annotations

import polars as pl

from usage_etl.sources.litellm.payload_fields import TIMES, TYPES
from usage_etl.sources.litellm.rows import prepared, status_of, token_columns, token_parts, word_columns
from usage_etl.sources.litellm.rules import shared_rules
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.typed_text import instants

_HIT = "_cache_hit"


def _prepared(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
    """As rows of the table are, with times that stand as text (Pub/Sub) written as seconds."""
    read = prepared(flat, context)
    spelled = [name for name in TIMES if read[name].str.contains(":", literal=True).any()]
    return read.with_columns(_as_seconds(read[name]) for name in spelled)


def _as_seconds(text: pl.Series) -> pl.Series:
    """Seconds since 1970 with six decimals where the text is an instant; other text as it is."""
    parsed = instants(text.set(~text.str.contains(":", literal=True).fill_null(value=False), None)).alias("at")
    micros = pl.col("at").dt.epoch("us")
    written = (micros // 1_000_000).cast(pl.String) + "." + (micros % 1_000_000).cast(pl.String).str.zfill(6)
    return pl.DataFrame([text.alias("text"), parsed]).select(pl.coalesce(written, "text").alias(text.name)).to_series()


def _columns(_: ParseContext) -> dict[str, pl.Expr]:
    return {**request_columns(value("startTime")), **token_columns(), **word_columns(), **_own_columns()}


def _own_columns() -> dict[str, pl.Expr]:
    """What only the payload says, or says in its own place. A stream's ``response_time`` ends with its first token."""
    started_at, ended_at, is_stream = value("startTime"), value("endTime"), pl.col("stream") == "true"
    told = pl.when(is_stream.fill_null(value=False)).then(pl.lit(None, pl.Int64)).otherwise(value("response_time"))
    latency = pl.coalesce((ended_at - started_at).dt.total_milliseconds(), told)
    ttft = (value("completionStartTime") - started_at).dt.total_milliseconds()
    has_first_token = is_stream.fill_null(value=True) & (
        value("completionStartTime") <= ended_at.fill_null(value("completionStartTime"))
    )
    is_hit = pl.col("cache_hit").str.to_lowercase() == "true"
    is_unmarked_hit = (is_hit & ~pl.col("id").str.contains(_HIT, literal=True)).fill_null(value=False)
    return {
        "event_id": pl.when(is_unmarked_hit).then(pl.col("id") + _HIT + pl.col("startTime")).otherwise(pl.col("id")),
        "call_id": pl.coalesce(word("litellm_call_id"), word("trace_id")),
        "ended_at": ended_at,
        "status": _status(),
        "source_cost_usd": value("response_cost"),
        "user_id": word("key_user_id"),
        "team_id": word("key_team_id"),
        "api_key_id": word("api_key"),
        "session_id": word("trace_id"),
        "end_user_id": pl.coalesce(word("end_user"), word("key_end_user_id")),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when(has_first_token & (ttft >= 0)).then(ttft),
    }


def _status() -> pl.Expr:
    """A guardrail that stepped in blocked the call where it failed or used no token; else it changed the text only."""
    said = word("status")
    used = value("prompt_tokens").fill_null(0) + value("completion_tokens").fill_null(0)
    stepped_in = pl.col("guardrail_status").fill_null("") == "guardrail_intervened"
    is_blocked = stepped_in & ((said != "success").fill_null(value=True) | (used == 0))
    return pl.when(is_blocked).then(pl.lit("blocked")).otherwise(status_of(said))


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {**id_rules("id"), **instant_rules("startTime", context), **shared_rules(cost="response_cost")}


MAPPING = RowMapping(types=TYPES, columns=_columns, rules=_rules, derived=token_parts("hidden_cached_tokens"), prepare=_prepared)
"""Logger payloads to rows of STAGED_USAGE."""
