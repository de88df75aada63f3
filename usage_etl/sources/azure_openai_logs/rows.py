"""Rows of the logs to staged usage: the LLM log with tokens, the request log without, the gateway log for the owner."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl

from usage_etl.sources.azure_openai_logs.settings import AzureOpenAILogsSettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.request_words import http_code, http_outcome
from usage_etl.sources.rows.typed_text import INSTANT_FORMATS

TOKENS = ("promptTokens", "completionTokens", "totalTokens", "promptCachedTokens")

_ISO = "%Y-%m-%dT%H:%M:%S%.f%#z"
_TICKS_1970 = 621_355_968_000_000_000
"""``.NET`` ticks (tenths of a microsecond since the year 1) at 1970."""

_LAST_TICKS = 3_155_378_976_000_000_000
_NEVER = pl.lit(None, pl.Datetime("us", dt.UTC))

TYPES = FieldTypes(counts=TOKENS, instants=("time",), milliseconds=("durationMs",), spellings=(_ISO, *INSTANT_FORMATS))


def _ticks() -> pl.Expr:
    return pl.col("requestTime").cast(pl.Int64, strict=False)


_DERIVED = [
    pl.when(_ticks() >= _TICKS_1970).then((_ticks() - _TICKS_1970) // 10).cast(pl.Datetime("us", "UTC")).alias("requested_at"),
]


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    has_time = pl.col("requestTime").is_not_null()
    return {
        **id_rules("correlationId"),
        **instant_rules("time", context),
        "requestTime__not_ticks": has_time & ~_ticks().is_between(_TICKS_1970, _LAST_TICKS).fill_null(value=False),
        "requestTime__in_future": pl.col("requested_at") > context.received_at + dt.timedelta(hours=1),
    }


def _shared(context: ParseContext) -> dict[str, pl.Expr]:
    duration = value("durationMs")
    keeps_address = context.settings_as(AzureOpenAILogsSettings).keep_client_ip
    return {
        "event_id": pl.col("correlationId"),
        "host_raw": pl.lit(context.settings_as(AzureOpenAILogsSettings).host),
        "operation_name": pl.col("operationName"),
        "primitive": primitive(),
        "latency_ms": pl.when(duration >= 0).then(duration),
        "client_ip": pl.col("callerIpAddress") if keeps_address else pl.lit(None, pl.String),
    }


def primitive() -> pl.Expr:
    """What a call of this operation uses."""
    operation = pl.col("operationName").str.to_lowercase()
    return (
        pl.when(operation.str.contains("embedding", literal=True)).then(pl.lit("ai.embed"))
        .when(operation.str.contains("image", literal=True)).then(pl.lit("ai.image"))
        .otherwise(pl.lit("ai.chat"))
    )  # fmt: skip


def _llm_columns(context: ParseContext) -> dict[str, pl.Expr]:
    given, sent, cached = value("promptTokens"), value("completionTokens"), value("promptCachedTokens")
    is_claude = pl.col("modelName").str.to_lowercase().str.contains("claude", literal=True).fill_null(value=False)
    is_beside = (cached > 0) & (is_claude | (cached > given.fill_null(0)))
    beside, inside = pl.lit("cache_beside_input"), pl.lit("cache_in_input")
    return {
        **request_columns(value("time")),
        **_shared(context),
        "record_version_at": value("time"),
        "reported_input_tokens": given,
        "reported_output_tokens": sent,
        "reported_total_tokens": value("totalTokens"),
        "cache_read_tokens": cached,
        "token_convention": pl.when(is_beside).then(beside).otherwise(inside),
        "model_raw": pl.coalesce("modelName", "deploymentName"),
        "deployment": pl.col("deploymentName"),
    }


def _request_columns(context: ParseContext) -> dict[str, pl.Expr]:
    code = pl.col("resultSignature").cast(pl.Int64, strict=False)
    version = pl.col("modelVersion")
    is_part_of_name = version.str.contains(r"\d{4}").fill_null(value=False)
    return {
        **request_columns(pl.coalesce("requested_at", value("time"))),
        **_shared(context),
        **outcome(code, pl.lit(None, pl.String)),
        "model_raw": pl.coalesce(
            pl.when(is_part_of_name).then(pl.concat_str("modelName", version, separator="-")), "modelName", "modelDeploymentName"
        ),
        "deployment": pl.col("modelDeploymentName"),
        "user_id": word("objectId"),
    }


def outcome(code: pl.Expr, reason: pl.Expr) -> dict[str, pl.Expr]:
    """Status, HTTP status and class of error by the response's code; a client that left is 499."""
    return {
        "status": pl.coalesce(http_outcome(http_code(code)), pl.lit("unknown")),
        "http_status": http_code(code),
        "error_type": pl.when(code >= 400).then(reason),
    }


_BACKENDS = (
    (r"\.(openai|services\.ai|cognitiveservices|inference\.ai|models\.ai)\.azure\.(com|us|cn)|\.models\.ai\.azure\.com", "azure"),
    (r"api\.openai\.com", "openai"),
    (r"api\.anthropic\.com", "anthropic"),
    (r"bedrock-runtime[.-][^/]*amazonaws\.com", "bedrock"),
    (r"(generativelanguage|aiplatform)\.googleapis\.com", "google"),
)
"""What an address of a backend says of who serves the model."""


def host_of(url: pl.Expr) -> pl.Expr:
    """Host by a backend's address; null where it is another one."""
    lowered = url.str.to_lowercase()
    return pl.coalesce(*(pl.when(lowered.str.contains(pattern)).then(pl.lit(host)) for pattern, host in _BACKENDS))


def gateway_columns(context: ParseContext) -> dict[str, pl.Expr]:
    """What a row of the gateway log says of a call, with whether the LLM log has it or not."""
    shared = _shared(context)
    code = pl.col("responseCode").cast(pl.Int64, strict=False)
    refused = pl.when(pl.col("isRequestSuccess").str.to_lowercase() == "false").then(pl.lit("error"))
    said = outcome(code, pl.col("lastErrorReason"))
    return {
        "latency_ms": shared["latency_ms"],
        "client_ip": shared["client_ip"],
        **said,
        "status": pl.when(code.is_null()).then(refused).otherwise(said["status"]).fill_null("unknown"),
        "host_raw": host_of(pl.col("backendUrl")),
        "is_cache_hit": (pl.col("cache").str.to_lowercase() == "hit").fill_null(value=False),
        "user_id": pl.col("userId"),
        "api_key_id": pl.col("apimSubscriptionId"),
        "project_id": pl.col("productId"),
        "feature_id": pl.col("apiId"),
    }


def _gateway_request_columns(context: ParseContext) -> dict[str, pl.Expr]:
    said = gateway_columns(context)
    host = pl.coalesce(said["host_raw"], pl.lit(context.settings_as(AzureOpenAILogsSettings).host))
    return {**request_columns(value("time")), **_shared(context), **said, "host_raw": host, "record_version_at": _NEVER}


def _mapping(columns: Callable[[ParseContext], dict[str, pl.Expr]]) -> RowMapping:
    return RowMapping(types=TYPES, columns=columns, rules=_rules, derived=_DERIVED)


LLM_MAPPING = _mapping(_llm_columns)
"""Rows of the LLM log that hold tokens."""

REQUEST_MAPPING = _mapping(_request_columns)
"""Rows of Azure OpenAI's request log."""

GATEWAY_MAPPING = _mapping(_gateway_request_columns)
"""Rows of the gateway log that no row of the LLM log stands beside."""
