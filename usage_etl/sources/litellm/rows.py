"""Flat SpendLogs records to staged usage rows: LiteLLM's words to ours, nothing corrected or priced yet.

``prompt_tokens`` includes cache reads and writes for every provider, Anthropic too. An unknown ``call_type`` is
``ai.chat``: the row is kept, and the landed line says what it was.
"""

from __future__ import annotations

import polars as pl

from usage_etl.sources.litellm.rules import record_rules
from usage_etl.sources.litellm.spend_logs import REASONING_BESIDE, TYPES
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import RowMapping, request_columns, typed, value, with_hashed_secrets, word
from usage_etl.sources.rows.tags import tag_columns

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
_PROCESSINGS = ("batch", "flex", "priority")


def prepared(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
    """With tags read, and a key logged in clear replaced by the hash that LiteLLM itself would have logged."""
    return with_hashed_secrets(flat, "api_key").hstack(tag_columns(flat["request_tags"], context.tags))


def token_parts(*cached_elsewhere: str) -> list[pl.Expr]:
    """Token parts from wherever a version of the gateway puts them, and how the record counts reasoning.

    ``cached_elsewhere``: further fields that hold cache reads.
    """
    lifetimes = [
        value(f"{place}ephemeral_5m_input_tokens") + value(f"{place}ephemeral_1h_input_tokens") for place in ("", "prompt_")
    ]
    reasoning = value("reasoning_tokens")
    counted = value("prompt_tokens") + value("completion_tokens") + reasoning
    is_beside = (reasoning > 0) & (value("total_tokens") == counted)
    return [
        _largest("cache_read_input_tokens", "cached_tokens", "added_cache_read_input_tokens", *cached_elsewhere).alias(
            "cache_read"
        ),
        pl.max_horizontal(
            _largest("cache_creation_input_tokens", "cache_creation_tokens", "added_cache_creation_input_tokens"), *lifetimes
        ).alias("cache_write"),
        _largest("ephemeral_1h_input_tokens", "prompt_ephemeral_1h_input_tokens").alias("cache_write_1h"),
        pl.when(is_beside).then(pl.lit(REASONING_BESIDE)).otherwise(pl.lit("cache_in_input")).alias("token_convention"),
    ]


def _largest(*names: str) -> pl.Expr:
    return pl.max_horizontal(typed(name) for name in names)


def _columns(_: ParseContext) -> dict[str, pl.Expr]:
    """The columns of STAGED_USAGE that the log fills."""
    return {**request_columns(value("startTime")), **token_columns(), **word_columns(), **_own_columns()}


def _own_columns() -> dict[str, pl.Expr]:
    """What only rows of the table say, or say in their own place."""
    started_at, ended_at = value("startTime"), value("endTime")
    latency = pl.coalesce(value("request_duration_ms"), (ended_at - started_at).dt.total_milliseconds())
    ttft = (value("completionStartTime") - started_at).dt.total_milliseconds()
    return {
        "event_id": pl.col("request_id"),
        "call_id": word("litellm_call_id"),
        "record_version_at": value("updated_at"),
        "ended_at": ended_at,
        "status": status_of(pl.coalesce(word("status"), word("metadata_status"))),
        "source_cost_usd": value("spend"),
        "user_id": pl.coalesce(word("user"), word("key_user_id")),
        "team_id": pl.coalesce(word("team_id"), word("key_team_id")),
        "api_key_id": word("api_key"),
        "session_id": word("session_id"),
        "end_user_id": word("end_user"),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when(ttft >= 0).then(ttft),
    }


def token_columns() -> dict[str, pl.Expr]:
    """Tokens as every shape of the log spells them, from ``token_parts``."""
    return {
        "reported_input_tokens": value("prompt_tokens"),
        "reported_output_tokens": value("completion_tokens"),
        "reported_total_tokens": value("total_tokens"),
        "cache_read_tokens": pl.col("cache_read"),
        "cache_write_tokens": pl.col("cache_write"),
        "cache_write_1h_tokens": pl.col("cache_write_1h"),
        "reasoning_tokens": value("reasoning_tokens"),
        "quantity": pl.when(pl.col("call_type").is_in(["moderation", "amoderation"])).then(pl.lit(1)),
        "is_cache_hit": (pl.col("cache_hit").str.to_lowercase() == "true").fill_null(value=False),
    }


def word_columns() -> dict[str, pl.Expr]:
    """Words as every shape of the log spells them."""
    tier = pl.col("service_tier").str.to_lowercase()
    is_batch = pl.col("call_type").str.contains("batch", literal=True) | (
        (pl.col("batch_models") != "") & ~pl.col("batch_models").is_in(["[]", "null"])
    ).fill_null(value=False)
    http_status = pl.col("error_code").cast(pl.Int64, strict=False)
    is_http = http_status.is_between(100, 599).fill_null(value=False)
    return {
        "http_status": pl.when(is_http).then(http_status),
        "error_type": pl.coalesce(word("error_class"), pl.when(~is_http).then(word("error_code"))),
        "token_convention": pl.col("token_convention"),
        "primitive": pl.col("call_type").replace_strict(PRIMITIVES, default="ai.chat").fill_null("ai.chat"),
        "processing": pl.when(is_batch).then(pl.lit("batch")).when(tier.is_in(_PROCESSINGS)).then(tier)
        .otherwise(pl.lit("standard")),
        "host_raw": word("custom_llm_provider"),
        "model_raw": word("model"),
        "deployment": word("model_group"),
        "project_id": word("project_id"),
        "investigation_id": pl.coalesce("tag_investigation", word("noted_investigation")),
        "feature_id": pl.coalesce("tag_feature", word("noted_feature")),
        "tag_set": pl.col("tag_set"),
    }  # fmt: skip


def status_of(said: pl.Expr) -> pl.Expr:
    """Outcome from LiteLLM's own word and the class of the error."""
    error_class = word("error_class")
    failed = said.is_in(["failure", "failed", "error"]) | error_class.is_not_null() | word("error_code").is_not_null()
    return (
        pl.when(said == "success").then(pl.lit("success"))
        .when(error_class.is_in(BLOCKED_CLASSES)).then(pl.lit("blocked"))
        .when(error_class.is_in(CANCELLED_CLASSES)).then(pl.lit("cancelled"))
        .when(failed).then(pl.lit("error"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip


MAPPING = RowMapping(types=TYPES, columns=_columns, rules=record_rules, derived=token_parts(), prepare=prepared)
"""SpendLogs records to rows of STAGED_USAGE."""
