"""Flat invocation records to staged usage rows: AWS's words to ours, nothing corrected or priced yet.

Counts leave caches out: a cached prompt of 95,000 tokens may stand there as an input of 2. ``timestamp`` is the second in
which the call was logged, after its answer; it is taken for the start, because most records do not say how long it took.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.sources.bedrock_logs.fields import COUNTS_OF_BODY, DURATIONS_OF_BODY, OF_BODY, TYPES, metadata_column
from usage_etl.sources.bedrock_logs.settings import BedrockLogsSettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.records import LIST_SEPARATOR
from usage_etl.sources.rows.mapping import RowMapping, id_rules, instant_rules, request_columns, typed, value, word
from usage_etl.sources.rows.tags import tag_set

_PRINCIPAL = r"^arn:[^:]*:(?:iam|sts)::[^:]*:(.+)$"
_MODEL = r"^arn:[^:]*:bedrock:[^:]*:[^:]*:(foundation-model|inference-profile)/(.+)$"
_OPAQUE = r"^arn:[^:]*:bedrock:[^:]*:[^:]*:(application-inference-profile|default-prompt-router|prompt-router)/"
_IMAGE_MODELS = r"(?:^|[./])(?:stability\.|amazon\.(?:titan-image|nova-canvas)|luma\.|amazon\.nova-reel)"
_TIERS = ("flex", "priority")


def _prepared(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
    """With the last of a stream's texts, the hour's share of cache writes, and the model that was meant."""
    absent = [pl.lit(None, pl.String).alias(name) for name in OF_BODY if name not in flat.columns]
    whole = flat.with_columns(absent)
    lasts = [name for name in (*COUNTS_OF_BODY, *DURATIONS_OF_BODY, "body_model", "stop_reason") if name in flat.columns]
    one = pl.col(lasts).str.extract(f"([^{LIST_SEPARATOR}]*)$")
    profiles = context.settings_as(BedrockLogsSettings).profiles
    return whole.with_columns(one, _one_hour(whole).alias("ttl_1h_tokens")).with_columns(_model(profiles).alias("model"))


def _one_hour(flat: pl.DataFrame) -> pl.Series:
    """Tokens written for an hour, from the parallel lists of lifetimes and tokens; null where no list is."""
    pairs = flat.select("ttls", "ttl_tokens").unique().drop_nulls()
    sums = [(ttls, tokens, _sum_of_hour(ttls, tokens)) for ttls, tokens in pairs.rows()]
    found = pl.DataFrame(sums, schema={"ttls": pl.String, "ttl_tokens": pl.String, "hour": pl.Int64}, orient="row")
    return flat.select("ttls", "ttl_tokens").join(found, on=["ttls", "ttl_tokens"], how="left", maintain_order="left")["hour"]


def _sum_of_hour(ttls: str, tokens: str) -> int | None:
    pairs = list(zip(ttls.split(LIST_SEPARATOR), tokens.split(LIST_SEPARATOR), strict=False))
    if not all(count.isdigit() for _, count in pairs) or ttls.count(LIST_SEPARATOR) != tokens.count(LIST_SEPARATOR):
        return None
    return sum(int(count) for ttl, count in pairs if ttl == "1h")


def _model(profiles: Mapping[str, str]) -> pl.Expr:
    """The model behind an ARN: named by it, by the settings, or by an answer of a profile; else the ARN itself."""
    model_id = word("modelId")
    tail = model_id.str.extract(r"([^/]+)$")
    known = pl.coalesce(*(column.replace_strict(profiles, default=None, return_dtype=pl.String) for column in (model_id, tail)))
    answered = pl.when(model_id.str.contains(_OPAQUE)).then(word("body_model"))
    return pl.coalesce(known, model_id.str.extract(_MODEL, 2), answered, model_id)


def _derived() -> list[pl.Expr]:
    read = ("cacheReadInputTokenCount", "cacheReadInputTokens", "cache_read_input_tokens", "start_cache_read_input_tokens")
    write = (
        "cacheWriteInputTokenCount",
        "cacheWriteInputTokens",
        "cache_creation_input_tokens",
        "start_cache_creation_input_tokens",
    )
    hour = ("ephemeral_1h_input_tokens", "start_ephemeral_1h_input_tokens")
    inputs = ("inputTokenCount", "metrics_input", "inputTokens", "input_tokens", "start_input_tokens")
    outputs = ("outputTokenCount", "metrics_output", "outputTokens", "output_tokens", "start_output_tokens")
    principal = pl.col("arn").str.extract(_PRINCIPAL)
    return [
        pl.coalesce(value(name) for name in inputs).alias("input"),
        pl.coalesce(value(name) for name in outputs).alias("output"),
        pl.max_horizontal(typed(name) for name in (*read, "metrics_cache_read")).alias("cache_read"),
        pl.max_horizontal(typed(name) for name in (*write, "metrics_cache_write")).alias("cache_write"),
        pl.max_horizontal(*(typed(name) for name in hour), "ttl_1h_tokens").alias("cache_write_1h"),
        principal.alias("principal"),
    ]


def _columns(context: ParseContext) -> dict[str, pl.Expr]:
    latency = pl.coalesce(value("latencyMs"), value("invocationLatency"))
    ttft = value("firstByteLatency")
    settings = context.settings_as(BedrockLogsSettings)
    return {
        **request_columns(value("timestamp")),
        **_people(settings),
        "event_id": pl.concat_str(pl.col("accountId", "region").fill_null(""), "requestId", separator="/"),
        "status": _status(),
        "error_type": word("errorCode"),
        "operation_name": word("operation"),
        "token_convention": pl.lit("cache_beside_input"),
        "reported_input_tokens": pl.col("input"),
        "reported_output_tokens": pl.col("output"),
        "reported_total_tokens": value("totalTokens"),
        "cache_read_tokens": pl.col("cache_read"),
        "cache_write_tokens": pl.col("cache_write"),
        "cache_write_1h_tokens": pl.col("cache_write_1h"),
        "reasoning_tokens": value("reasoning_tokens"),
        "primitive": _primitive(),
        "host_raw": pl.lit("bedrock"),
        "model_raw": pl.col("model"),
        "deployment": pl.when(pl.col("model") != pl.col("modelId")).then(word("modelId")),
        "region": pl.coalesce(word("inferenceRegion"), word("region")),
        "processing": _processing(),
        "tag_set": tag_set({key: _noted(key) for key in settings.metadata.keep}),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when(ttft >= 0).then(ttft),
    }


def _people(settings: BedrockLogsSettings) -> dict[str, pl.Expr]:
    """Who called: by the metadata of the request, else by the identity that signed it."""
    keys, principal = settings.metadata, pl.col("principal")
    role, session = principal.str.extract(r"^assumed-role/([^/]+)"), principal.str.extract(r"^assumed-role/[^/]+/(.+)$")
    assumed = {"session": pl.coalesce(session, role), "role": role, "none": pl.lit(None, pl.String)}[settings.user_from]
    own = principal.str.extract(r"^(?:user|federated-user)/(?:.*/)?([^/]+)$")
    by_role = pl.concat_str(pl.lit("assumed-role/"), role)
    return {
        "user_id": pl.coalesce(_noted(keys.user), own, assumed),
        "team_id": _noted(keys.team),
        "project_id": pl.coalesce(_noted(keys.project), word("accountId")),
        "feature_id": _noted(keys.feature),
        "investigation_id": _noted(keys.investigation),
        "session_id": _noted(keys.session),
        "end_user_id": _noted(keys.end_user),
        "api_key_id": pl.coalesce(by_role, principal, word("arn")),
    }


def _noted(key: str | None) -> pl.Expr:
    return pl.lit(None, pl.String) if key is None else word(metadata_column(key))


def _status() -> pl.Expr:
    stepped_in = pl.col("guardrail_action").str.contains("INTERVENED", literal=True) | (
        pl.col("stop_reason") == "guardrail_intervened"
    )
    return (
        pl.when(stepped_in.fill_null(value=False)).then(pl.lit("blocked"))
        .when(word("errorCode").is_not_null()).then(pl.lit("error"))
        .otherwise(pl.lit("success"))
    )  # fmt: skip


def _primitive() -> pl.Expr:
    model = pl.col("model").fill_null("")
    return (
        pl.when(model.str.contains("embed", literal=True)).then(pl.lit("ai.embed"))
        .when(model.str.contains(_IMAGE_MODELS)).then(pl.lit("ai.image"))
        .otherwise(pl.lit("ai.chat"))
    )  # fmt: skip


def _processing() -> pl.Expr:
    operation, tier = pl.col("operation").fill_null(""), pl.col("service_tier").str.to_lowercase()
    is_batch = operation.str.contains("Batch", literal=True) | operation.str.contains("ModelInvocationJob", literal=True)
    return pl.when(is_batch).then(pl.lit("batch")).when(tier.is_in(_TIERS)).then(tier).otherwise(pl.lit("standard"))


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **id_rules("requestId"),
        **instant_rules("timestamp", context),
        "schemaType__not_an_invocation": word("schemaType") != "ModelInvocationLog",
        "ephemeral_1h_input_tokens__exceed_cache_writes": pl.col("cache_write_1h") > pl.col("cache_write").fill_null(0),
        "reasoning_tokens__exceed_output": value("reasoning_tokens") > pl.col("output").fill_null(0),
    }


MAPPING = RowMapping(types=TYPES, columns=_columns, rules=_rules, derived=_derived(), prepare=_prepared)
"""Invocation records to rows of STAGED_USAGE."""
