"""Spans of model calls to staged usage rows.

A call counts once however many instrumentations reported it: the provider's id of the response is its identity where there
is one that is long enough to be unique, else the ids of trace and span are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.otel_genai import attributes as names
from usage_etl.sources.otel_genai.documents import END, SCOPE, SPAN, START, STATUS, TRACE
from usage_etl.sources.otel_genai.settings import OtelGenAiSettings
from usage_etl.sources.otel_genai.spans import PRIMITIVE, TAGS
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import (
    MAX_ID_BYTES,
    FieldTypes,
    RowMapping,
    instant_rules,
    request_columns,
    typed,
    value,
    with_hashed_secrets,
    word,
)

MINIMUM_ID_LENGTH = 16
"""Shorter response ids are counters or random digits of local servers: two calls may share one."""

_CONVENTION = "token_convention"
_CANCELLED = ("CancelledError", "asyncio.CancelledError", "context.Canceled", "context canceled", "AbortError", "cancelled")
_PROCESSINGS = ("batch", "flex", "priority")

TYPES = FieldTypes(
    counts=names.TOKENS,
    epochs={START: "ns", END: "ns"},
    milliseconds=(names.FIRST_CHUNK_MS,),
    seconds=(names.FIRST_CHUNK,),
    numbers=(names.COST,),
)


def _prepared(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
    is_beside = pl.col(SCOPE).is_in(context.settings_as(OtelGenAiSettings).scopes_with_cache_beside_input).fill_null(value=False)
    ended = pl.when(pl.col(END) != "0").then(pl.col(END)).alias(END)
    return with_hashed_secrets(flat, "api_key").with_columns(ended, is_beside.alias("cache_is_beside"))


def _derived() -> list[pl.Expr]:
    """How the span counts: as the convention says, unless its own numbers or the settings say otherwise."""
    read, write, reasoning, given, sent, total = (
        value(name).fill_null(0)
        for name in (names.CACHE_READ, names.CACHE_WRITE, names.REASONING, names.INPUT, names.OUTPUT, names.TOTAL)
    )
    cached = read + write
    is_cache_beside = pl.col("cache_is_beside") | (cached > given) | ((cached > 0) & (total == given + sent + cached))
    is_reasoning_beside = (reasoning > sent) | ((reasoning > 0) & (total == given + sent + reasoning))
    return [
        pl.when(is_cache_beside & ~(is_reasoning_beside & (cached <= given))).then(pl.lit("cache_beside_input"))
        .when(is_reasoning_beside).then(pl.lit("cache_in_input_reasoning_beside_output"))
        .otherwise(pl.lit("cache_in_input")).alias(_CONVENTION)
    ]  # fmt: skip


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    is_beside = pl.col(_CONVENTION) == "cache_in_input_reasoning_beside_output"
    return {
        f"{TRACE}__missing": ~_is_identified() & word(TRACE).is_null(),
        f"{SPAN}__missing": ~_is_identified() & word(SPAN).is_null(),
        f"{names.RESPONSE_ID}__too_long": pl.col(names.RESPONSE_ID).str.len_bytes() > MAX_ID_BYTES,
        f"{TRACE}__too_long": pl.col(TRACE).str.len_bytes() + pl.col(SPAN).str.len_bytes() >= MAX_ID_BYTES,
        **instant_rules(START, context),
        f"{names.OPERATION}__missing": pl.col(PRIMITIVE).is_null() & pl.col(names.OPERATION).is_null(),
        f"{names.OPERATION}__unknown": pl.col(PRIMITIVE).is_null() & pl.col(names.OPERATION).is_not_null(),
        f"{names.REASONING}__exceed_output_tokens": ~is_beside & (value(names.REASONING) > value(names.OUTPUT).fill_null(0)),
        f"{names.COST}__out_of_range": value(names.COST).abs() >= float(MAX_AMOUNT),
    }


def _is_identified() -> pl.Expr:
    """Whether the response's id alone names the call."""
    return (pl.col(names.RESPONSE_ID).str.len_chars() >= MINIMUM_ID_LENGTH).fill_null(value=False)


def _columns(context: ParseContext) -> Mapping[str, pl.Expr]:
    return {**request_columns(value(START)), **_identity(context), **_measures(), **_words()}


def _identity(context: ParseContext) -> dict[str, pl.Expr]:
    has_tokens = pl.col(typed(names.INPUT)).is_not_null() | pl.col(typed(names.OUTPUT)).is_not_null()
    moment = value(END) if context.settings_as(OtelGenAiSettings).counted_copy == "outermost" else value(START)
    never = pl.lit(None, pl.Datetime("us", dt.UTC))
    return {
        "event_id": pl.when(_is_identified()).then(pl.col(names.RESPONSE_ID))
        .otherwise(pl.concat_str(TRACE, SPAN, separator="-")),
        "record_version_at": pl.when(has_tokens).then(moment).otherwise(never),
    }  # fmt: skip


def _measures() -> dict[str, pl.Expr]:
    started_at, ended_at = value(START), value(END)
    latency = (ended_at - started_at).dt.total_milliseconds()
    ttft = pl.coalesce(value(names.FIRST_CHUNK), value(names.FIRST_CHUNK_MS))
    given, cached = value(names.INPUT), value(names.CACHE_READ).fill_null(0) + value(names.CACHE_WRITE).fill_null(0)
    uncached = pl.when(pl.col(_CONVENTION) == "cache_beside_input").then(given).otherwise(given - cached)
    return {
        "ended_at": pl.when(ended_at >= started_at).then(ended_at),
        "reported_input_tokens": given,
        "reported_output_tokens": value(names.OUTPUT),
        "reported_total_tokens": value(names.TOTAL),
        "cache_read_tokens": value(names.CACHE_READ),
        "cache_write_tokens": value(names.CACHE_WRITE),
        "reasoning_tokens": value(names.REASONING),
        "input_audio_tokens": _within(value(names.AUDIO_INPUT), uncached),
        "output_audio_tokens": _within(value(names.AUDIO_OUTPUT), value(names.OUTPUT)),
        "input_image_tokens": _within(value(names.IMAGE_INPUT), uncached),
        "quantity": pl.when(pl.col(PRIMITIVE) == "safety.moderate").then(pl.lit(1)),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when(ttft >= 0).then(ttft),
        "source_cost_usd": value(names.COST),
    }


def _within(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Tokens of a modality where they fit into their class; where cached ones are among them the part is not known."""
    return pl.when(part <= whole).then(part)


def _words() -> dict[str, pl.Expr]:
    error, tier = word(names.ERROR_TYPE), pl.col(names.SERVICE_TIER).str.to_lowercase()
    http_status = pl.coalesce(names.HTTP_STATUS, names.ERROR_TYPE).cast(pl.Int64, strict=False)
    failed = error.is_not_null() | pl.col(STATUS).is_in(["2", "STATUS_CODE_ERROR"])
    return {
        "status": pl.when(error.is_in(_CANCELLED)).then(pl.lit("cancelled")).when(failed).then(pl.lit("error"))
        .otherwise(pl.lit("success")),
        "http_status": pl.when(http_status.is_between(100, 599)).then(http_status),
        "error_type": error,
        "operation_name": word(names.OPERATION),
        "token_convention": pl.col(_CONVENTION),
        "primitive": pl.col(PRIMITIVE),
        "processing": pl.when(tier.is_in(_PROCESSINGS)).then(tier).otherwise(pl.lit("standard")),
        "host_raw": word(names.PROVIDER),
        "model_raw": pl.coalesce(word(names.RESPONSE_MODEL), word(names.REQUEST_MODEL)),
        "deployment": word(names.REQUEST_MODEL),
        "user_id": pl.col("user"),
        "team_id": pl.col("team"),
        "api_key_id": pl.col("api_key"),
        "project_id": pl.col("project"),
        "investigation_id": pl.col("investigation"),
        "feature_id": pl.col("feature"),
        "session_id": pl.col("session"),
        "end_user_id": pl.col("end_user"),
        "tag_set": pl.col(TAGS),
    }  # fmt: skip


MAPPING = RowMapping(types=TYPES, columns=_columns, rules=_rules, derived=_derived(), prepare=_prepared)
"""Spans of model calls to rows of STAGED_USAGE."""
