"""Langfuse's observations to staged usage rows. Only generations and embeddings are calls of a model."""

from __future__ import annotations

import polars as pl

from usage_etl.money import MAX_AMOUNT, MAX_TOKENS
from usage_etl.sources.langfuse.settings import LangfuseSettings
from usage_etl.sources.langfuse.usage_details import IS_READABLE, MEASURES, TOTAL
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.records import LIST_SEPARATOR
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.tags import tag_columns
from usage_etl.sources.rows.typed_text import INSTANT_FORMATS

COLUMNS = (
    "id", "trace_id", "project_id", "environment", "type", "start_time", "end_time", "completion_start_time", "updated_at",
    "name", "level", "provided_model_name", "total_cost", "latency", "time_to_first_token", "user_id", "session_id", "trace_name",
)  # fmt: skip
"""Columns of observations that are read; the last three are there in observations_v2, and come from the trace otherwise."""

LISTS = ("tags",)
MAPS = ("usage_details", "cost_details")

CALLS = ("GENERATION", "EMBEDDING")
"""Types of observations that are calls of a model; all others group them or are steps beside them."""

TYPES = FieldTypes(
    instants=("start_time", "end_time", "completion_start_time", "updated_at"),
    seconds=("latency", "time_to_first_token"),
    numbers=("total_cost",),
    spellings=("%Y-%m-%d %H:%M:%S.%3f", *INSTANT_FORMATS),
)


def _prepared(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
    """With the cost's total and the tags, among which the environment counts as ``env:<name>``."""
    listed = flat["tags"].to_frame().select(_as_list(pl.col("tags"))).to_series()
    environment = pl.when(~pl.col("environment").is_in(["", "default"])).then(pl.lit("env:") + pl.col("environment"))
    tags = flat.select(pl.concat_str(listed, environment, separator=LIST_SEPARATOR, ignore_nulls=True).alias("tags")).to_series()
    named = pl.col("cost_details").str.extract(r'"total"\s*:\s*"?([^",}\s]+)')
    return flat.with_columns(pl.coalesce(word("total_cost"), named).alias("total_cost")).hstack(tag_columns(tags, context.tags))


def _as_list(tags: pl.Expr) -> pl.Expr:
    """Tags joined by LIST_SEPARATOR, also where they came as a JSON array in text."""
    is_array = tags.str.starts_with("[") & tags.str.ends_with("]")
    bare = tags.str.strip_prefix("[").str.strip_suffix("]").str.strip_chars(' "')
    return pl.when(is_array).then(bare.str.replace_all(r'"\s*,\s*"', LIST_SEPARATOR)).otherwise(tags)


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **id_rules("id"),
        "type__missing": word("type").is_null(),
        **instant_rules("start_time", context),
        "usage_details__not_a_map_of_counts": ~pl.col(IS_READABLE),
        "usage_details__out_of_range": pl.any_horizontal(pl.col(name) > MAX_TOKENS for name in MEASURES),
        "total_cost__out_of_range": value("total_cost").abs() >= float(MAX_AMOUNT),
    }


def _columns(context: ParseContext) -> dict[str, pl.Expr]:
    name = "trace_name" if context.settings_as(LangfuseSettings).feature_from == "trace_name" else "name"
    return {
        **request_columns(value("start_time")),
        **_measures(),
        "event_id": pl.when(word("project_id").is_not_null()).then(pl.concat_str("project_id", "id", separator="/"))
        .otherwise(pl.col("id")),
        "record_version_at": value("updated_at"),
        "status": pl.when(pl.col("level").str.to_uppercase() == "ERROR").then(pl.lit("error")).otherwise(pl.lit("success")),
        "operation_name": pl.col("type").str.to_lowercase(),
        "primitive": pl.when(pl.col("type").str.to_uppercase() == "EMBEDDING").then(pl.lit("ai.embed"))
        .otherwise(pl.lit("ai.chat")),
        "model_raw": word("provided_model_name"),
        "user_id": word("user_id"),
        "project_id": word("project_id"),
        "session_id": word("session_id"),
        "feature_id": pl.coalesce("tag_feature", word(name)),
        "investigation_id": pl.col("tag_investigation"),
        "tag_set": pl.col("tag_set"),
    }  # fmt: skip


def _measures() -> dict[str, pl.Expr]:
    started_at, ended_at = value("start_time"), value("end_time")
    latency = pl.coalesce((ended_at - started_at).dt.total_milliseconds(), value("latency"))
    first = pl.coalesce((value("completion_start_time") - started_at).dt.total_milliseconds(), value("time_to_first_token"))
    return {
        "ended_at": pl.when(ended_at >= started_at).then(ended_at),
        "token_convention": pl.lit("cache_beside_input"),
        "reported_input_tokens": pl.col("usage input"),
        "reported_output_tokens": pl.col("usage output"),
        "reported_total_tokens": pl.col(TOTAL),
        "cache_read_tokens": pl.col("usage cache read"),
        "cache_write_tokens": pl.col("usage cache write"),
        "cache_write_1h_tokens": pl.col("usage cache write 1h"),
        "reasoning_tokens": pl.col("usage reasoning"),
        "input_audio_tokens": pl.col("usage audio input"),
        "cache_read_audio_tokens": pl.col("usage audio read"),
        "output_audio_tokens": pl.col("usage audio output"),
        "input_image_tokens": pl.col("usage image input"),
        "output_image_tokens": pl.col("usage image output"),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when((first >= 0) & (latency.is_null() | (first <= latency))).then(first),
        "source_cost_usd": value("total_cost"),
    }


MAPPING = RowMapping(types=TYPES, columns=_columns, rules=_rules, prepare=_prepared)
"""Observations, with the columns of their usage, to rows of STAGED_USAGE."""
