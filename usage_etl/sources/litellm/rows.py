"""Flat SpendLogs records to staged usage rows: LiteLLM's words to ours, nothing corrected or priced yet.

``prompt_tokens`` includes cache reads and writes for every provider, Anthropic too. An unknown ``call_type`` is
``ai.chat``: the row is kept, and the landed line says what it was.
"""

from __future__ import annotations

import hashlib

import polars as pl

from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.litellm.record import COUNT_FIELDS, INSTANT_FIELDS, REASONING_BESIDE
from usage_etl.sources.litellm.tags import tag_columns
from usage_etl.sources.parsed import ParseContext, TagRules
from usage_etl.sources.typed_text import counts, instants, milliseconds, numbers

PRIMITIVES = {
    "embedding": "ai.embed",
    "aembedding": "ai.embed",
    "image_generation": "ai.image",
    "aimage_generation": "ai.image",
    "image_edit": "ai.image",
    "aimage_edit": "ai.image",
    "image_variation": "ai.image",
    "aimage_variation": "ai.image",
    "moderation": "safety.moderate",
    "amoderation": "safety.moderate",
}
"""``call_type`` to primitive; every other call type is ``ai.chat``."""

BLOCKED_CLASSES = (
    "GuardrailRaisedException",
    "BlockedPiiEntityError",
    "ContentPolicyViolationError",
    "GuardrailInterventionError",
)
CANCELLED_CLASSES = ("CancelledError", "ClientDisconnect", "ClientDisconnectedError")
_TYPES = STAGED_USAGE.polars_schema
_PROCESSINGS = ("batch", "flex", "priority")


def typed_fields(flat: pl.DataFrame, rules: TagRules) -> pl.DataFrame:
    """``flat`` with numbers and times converted (null where they do not convert), tags read and token parts combined."""
    converted = [
        *(counts(flat[name]) for name in COUNT_FIELDS),
        *(instants(flat[name]) for name in INSTANT_FIELDS),
        milliseconds(flat["request_duration_ms"]),
        numbers(flat["spend"]),
    ]
    typed = flat.with_columns(converted).hstack(tag_columns(flat["request_tags"], rules))
    lifetimes = pl.max_horizontal(
        pl.col("ephemeral_5m_input_tokens") + pl.col("ephemeral_1h_input_tokens"),
        pl.col("prompt_ephemeral_5m_input_tokens") + pl.col("prompt_ephemeral_1h_input_tokens"),
    )
    return typed.with_columns(
        cache_read=pl.max_horizontal("cache_read_input_tokens", "cached_tokens", "added_cache_read_input_tokens"),
        cache_write=pl.max_horizontal(
            "cache_creation_input_tokens", "cache_creation_tokens", "added_cache_creation_input_tokens", lifetimes
        ),
        cache_write_1h=pl.max_horizontal("ephemeral_1h_input_tokens", "prompt_ephemeral_1h_input_tokens"),
        token_convention=_token_convention(),
    )


def _token_convention() -> pl.Expr:
    """Reasoning stands beside the output where the record's own total says so (some providers behind LiteLLM)."""
    beside = (pl.col("reasoning_tokens") > 0) & (
        pl.col("total_tokens") == pl.col("prompt_tokens") + pl.col("completion_tokens") + pl.col("reasoning_tokens")
    )
    return pl.when(beside).then(pl.lit(REASONING_BESIDE)).otherwise(pl.lit("cache_in_input"))


def staged_usage(typed: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
    """One row of STAGED_USAGE per row of ``typed`` (see ``typed_fields``), which must have passed the rules."""
    return STAGED_USAGE.conform(
        typed.lazy()
        .with_columns(http_status=_http_status(typed))
        .with_columns(_api_key_id(typed["api_key"]))
        .select(
            *(pl.lit(shared, dtype=_TYPES[name]).alias(name) for name, shared in context.columns().items()),
            "raw_ordinal",
            pl.lit("request").alias("grain"),
            pl.lit(1, dtype=pl.Int64).alias("requests_count"),
            pl.lit(None, dtype=pl.String).alias("region"),
            *_measures(),
            *_words(),
        )
    ).collect()


def _measures() -> list[pl.Expr]:
    latency = pl.coalesce("request_duration_ms", (pl.col("endTime") - pl.col("startTime")).dt.total_milliseconds())
    ttft = (pl.col("completionStartTime") - pl.col("startTime")).dt.total_milliseconds()
    return [
        pl.col("updated_at").alias("record_version_at"),
        pl.col("startTime").dt.date().alias("usage_date"),
        pl.col("startTime").alias("started_at"),
        pl.col("endTime").alias("ended_at"),
        pl.col("prompt_tokens").alias("reported_input_tokens"),
        pl.col("completion_tokens").alias("reported_output_tokens"),
        pl.col("total_tokens").alias("reported_total_tokens"),
        pl.col("cache_read").alias("cache_read_tokens"),
        pl.col("cache_write").alias("cache_write_tokens"),
        pl.col("cache_write_1h").alias("cache_write_1h_tokens"),
        pl.col("reasoning_tokens"),
        pl.col("http_status"),
        pl.col("token_convention"),
        pl.when(pl.col("call_type").is_in(["moderation", "amoderation"])).then(pl.lit(1, dtype=pl.Int64)).alias("units_count"),
        pl.when(latency >= 0).then(latency).alias("latency_ms"),
        pl.when(ttft >= 0).then(ttft).alias("ttft_ms"),
        pl.col("spend").alias("source_cost_usd"),
        (pl.col("cache_hit").str.to_lowercase() == "true").fill_null(value=False).alias("is_cache_hit"),
    ]


def _words() -> list[pl.Expr]:
    tier = pl.col("service_tier").str.to_lowercase()
    is_batch = pl.col("call_type").str.contains("batch", literal=True) | ~pl.col("batch_models").is_in(["[]", "null"]).fill_null(
        value=True
    )
    return [
        pl.col("request_id").alias("event_id"),
        pl.col("litellm_call_id").alias("call_id"),
        _status().alias("status"),
        pl.coalesce("error_class", pl.when(pl.col("http_status").is_null()).then("error_code")).alias("error_type"),
        pl.col("call_type").replace_strict(PRIMITIVES, default="ai.chat").fill_null("ai.chat").alias("primitive"),
        pl.when(is_batch).then(pl.lit("batch")).when(tier.is_in(_PROCESSINGS)).then(tier)
        .otherwise(pl.lit("standard")).alias("processing"),
        pl.col("custom_llm_provider").alias("host_raw"),
        pl.col("model").alias("model_raw"),
        pl.col("model_group").alias("deployment"),
        pl.coalesce("user", "key_user_id").alias("user_id"),
        pl.coalesce("team_id", "key_team_id").alias("team_id"),
        pl.col("api_key_id"),
        pl.col("project_id"),
        pl.coalesce("tag_investigation", "noted_investigation").alias("investigation_id"),
        pl.coalesce("tag_feature", "noted_feature").alias("feature_id"),
        pl.col("session_id"),
        pl.col("end_user").alias("end_user_id"),
        pl.col("tag_set"),
    ]  # fmt: skip


def _status() -> pl.Expr:
    said = pl.coalesce("status", "metadata_status")
    failed = said.is_in(["failure", "failed", "error"]) | pl.col("error_class").is_not_null() | pl.col("error_code").is_not_null()
    return (
        pl.when(said == "success").then(pl.lit("success"))
        .when(pl.col("error_class").is_in(BLOCKED_CLASSES)).then(pl.lit("blocked"))
        .when(pl.col("error_class").is_in(CANCELLED_CLASSES)).then(pl.lit("cancelled"))
        .when(failed).then(pl.lit("error"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip


def _http_status(typed: pl.DataFrame) -> pl.Series:
    """The error code where it is an HTTP status; other codes stay text and name the error when no class does."""
    code = typed["error_code"].cast(pl.Int64, strict=False)
    return code.set(~code.is_between(100, 599), None)


def _api_key_id(api_key: pl.Series) -> pl.Series:
    """The key's hash. A key logged in clear is replaced by the hash that LiteLLM itself would have logged."""
    is_secret = api_key.str.starts_with("sk-").fill_null(value=False)
    if is_secret.any():
        hashed = [hashlib.sha256(text.encode()).hexdigest() for text in api_key.filter(is_secret)]
        api_key = api_key.scatter(is_secret.arg_true(), hashed)
    return api_key.alias("api_key_id")
