"""Flat SpendLogs records to staged usage rows: LiteLLM's words to ours, nothing corrected or priced yet.

``prompt_tokens`` includes cache reads and writes for every provider, Anthropic too. An unknown ``call_type`` is
``ai.chat``: the row is kept, and the landed line says what it was.

Nearly all rows pass at once: numbers written as numbers, times in the file's usual spelling. Those that do not are read
again with patience (``12.0``, other spellings of a time), and only then refused.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import polars as pl

from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.litellm.record import COUNT_FIELDS, FLAT_SCHEMA, INSTANT_FIELDS, REASONING_BESIDE, typed
from usage_etl.sources.litellm.rules import field_rules, keeps_field_rules, record_rules
from usage_etl.sources.litellm.tags import tag_columns
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.typed_text import INSTANT_FORMATS, counts, instants, milliseconds, numbers

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

Broken = dict[int, str]
"""Ordinal of each refused row, and the names of the rules it breaks, comma-separated."""


class RowWriter:
    """Turns flat records of one file into staged rows; remembers the spelling of times that fitted last."""

    def __init__(self, context: ParseContext) -> None:
        self._context = context
        of_records = record_rules(context.received_at)
        self._rules = of_records | field_rules()
        self._staged = _staged_columns(context)
        self._breaks_record_rules = [rule.any().alias(name) for name, rule in of_records.items()]
        self._spelling = INSTANT_FORMATS[0]

    def staged(self, flat: pl.DataFrame) -> tuple[pl.DataFrame, Broken]:
        """Rows of STAGED_USAGE, and those of ``flat`` (FLAT_SCHEMA after ``raw_ordinal``) that break a rule."""
        tagged = _with_hidden_keys(flat).hstack(tag_columns(flat["request_tags"], self._context.tags))
        rows = tagged.with_columns(_quick_conversions(self._spelling)).with_columns(_DERIVED)
        if keeps_field_rules(rows) and not any(rows.select(self._breaks_record_rules).row(0)):
            return rows.select(self._staged), {}
        is_broken = rows.select(pl.any_horizontal(self._rules.values()).fill_null(value=False)).to_series()
        again, broken = self._patiently(tagged.filter(is_broken))
        passed = [part.select(self._staged) for part in (rows.filter(~is_broken), again)]
        return pl.concat(passed).sort("raw_ordinal"), broken

    def _patiently(self, tagged: pl.DataFrame) -> tuple[pl.DataFrame, Broken]:
        """The rows that pass once they are read with patience, and those that are refused."""
        filled = tagged.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)) for name in FLAT_SCHEMA)
        self._spelling = _spelling_of(filled["startTime"]) or self._spelling
        rows = filled.with_columns(_patient_conversions(filled)).with_columns(_DERIVED)
        verdicts = rows.select("raw_ordinal", *(rule.fill_null(value=False).alias(name) for name, rule in self._rules.items()))
        is_broken = verdicts.select(pl.any_horizontal(list(self._rules))).to_series()
        broken = {
            verdict["raw_ordinal"]: ",".join(name for name in self._rules if verdict[name])
            for verdict in verdicts.filter(is_broken).iter_rows(named=True)
        }
        return rows.filter(~is_broken), broken


@lru_cache
def _quick_conversions(spelling: str) -> list[pl.Expr]:
    return [
        *(pl.col(name).cast(pl.Int64, strict=False).alias(typed(name)) for name in (*COUNT_FIELDS, "request_duration_ms")),
        *(
            pl.col(name).str.to_datetime(spelling, time_unit="us", time_zone="UTC", strict=False).alias(typed(name))
            for name in INSTANT_FIELDS
        ),
        pl.col("spend").cast(pl.Float64, strict=False).alias(typed("spend")),
    ]


def _patient_conversions(flat: pl.DataFrame) -> list[pl.Series]:
    return [
        *(counts(flat[name]).alias(typed(name)) for name in COUNT_FIELDS),
        *(instants(flat[name]).alias(typed(name)) for name in INSTANT_FIELDS),
        milliseconds(flat["request_duration_ms"]).alias(typed("request_duration_ms")),
        numbers(flat["spend"]).alias(typed("spend")),
    ]


def _spelling_of(times: pl.Series) -> str | None:
    """The first spelling that reads most of ``times``."""
    for spelling in INSTANT_FORMATS:
        read = times.str.to_datetime(spelling, time_unit="us", time_zone="UTC", strict=False)
        if read.null_count() * 2 < len(times):
            return spelling
    return None


def _derived() -> list[pl.Expr]:
    """Token parts from wherever a version of the gateway puts them, and how the record counts reasoning."""
    lifetimes = [
        pl.col(typed(f"{place}ephemeral_5m_input_tokens")) + pl.col(typed(f"{place}ephemeral_1h_input_tokens"))
        for place in ("", "prompt_")
    ]
    reasoning = pl.col(typed("reasoning_tokens"))
    counted = pl.col(typed("prompt_tokens")) + pl.col(typed("completion_tokens")) + reasoning
    is_beside = (reasoning > 0) & (pl.col(typed("total_tokens")) == counted)
    return [
        _largest("cache_read_input_tokens", "cached_tokens", "added_cache_read_input_tokens").alias("cache_read"),
        pl.max_horizontal(
            _largest("cache_creation_input_tokens", "cache_creation_tokens", "added_cache_creation_input_tokens"), *lifetimes
        ).alias("cache_write"),
        _largest("ephemeral_1h_input_tokens", "prompt_ephemeral_1h_input_tokens").alias("cache_write_1h"),
        pl.when(is_beside).then(pl.lit(REASONING_BESIDE)).otherwise(pl.lit("cache_in_input")).alias("token_convention"),
    ]


def _largest(*names: str) -> pl.Expr:
    return pl.max_horizontal(typed(name) for name in names)


_DERIVED = _derived()


def _staged_columns(context: ParseContext) -> list[pl.Expr]:
    """The columns of STAGED_USAGE in stored order and type."""
    shared = {name: pl.lit(found) for name, found in context.columns().items()}
    found = {**shared, **_measures(), **_words()}
    return [found[name].cast(kind).alias(name) for name, kind in STAGED_USAGE.polars_schema.items()]


def _measures() -> dict[str, pl.Expr]:
    started_at, ended_at = pl.col(typed("startTime")), pl.col(typed("endTime"))
    latency = pl.coalesce(typed("request_duration_ms"), (ended_at - started_at).dt.total_milliseconds())
    ttft = (pl.col(typed("completionStartTime")) - started_at).dt.total_milliseconds()
    return {
        "raw_ordinal": pl.col("raw_ordinal"),
        "requests_count": pl.lit(1),
        "record_version_at": pl.col(typed("updated_at")),
        "usage_date": started_at.dt.date(),
        "started_at": started_at,
        "ended_at": ended_at,
        "reported_input_tokens": pl.col(typed("prompt_tokens")),
        "reported_output_tokens": pl.col(typed("completion_tokens")),
        "reported_total_tokens": pl.col(typed("total_tokens")),
        "cache_read_tokens": pl.col("cache_read"),
        "cache_write_tokens": pl.col("cache_write"),
        "cache_write_1h_tokens": pl.col("cache_write_1h"),
        "reasoning_tokens": pl.col(typed("reasoning_tokens")),
        "units_count": pl.when(pl.col("call_type").is_in(["moderation", "amoderation"])).then(pl.lit(1)),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when(ttft >= 0).then(ttft),
        "source_cost_usd": pl.col(typed("spend")),
        "is_cache_hit": (pl.col("cache_hit").str.to_lowercase() == "true").fill_null(value=False),
    }


def _words() -> dict[str, pl.Expr]:
    tier = pl.col("service_tier").str.to_lowercase()
    is_batch = pl.col("call_type").str.contains("batch", literal=True) | (
        (pl.col("batch_models") != "") & ~pl.col("batch_models").is_in(["[]", "null"])
    ).fill_null(value=False)
    http_status = pl.col("error_code").cast(pl.Int64, strict=False)
    is_http = http_status.is_between(100, 599).fill_null(value=False)
    return {
        "grain": pl.lit("request"),
        "event_id": pl.col("request_id"),
        "call_id": _text("litellm_call_id"),
        "status": _status(),
        "http_status": pl.when(is_http).then(http_status),
        "error_type": pl.coalesce(_text("error_class"), pl.when(~is_http).then(_text("error_code"))),
        "token_convention": pl.col("token_convention"),
        "primitive": pl.col("call_type").replace_strict(PRIMITIVES, default="ai.chat").fill_null("ai.chat"),
        "processing": pl.when(is_batch).then(pl.lit("batch")).when(tier.is_in(_PROCESSINGS)).then(tier)
        .otherwise(pl.lit("standard")),
        "host_raw": _text("custom_llm_provider"),
        "model_raw": _text("model"),
        "deployment": _text("model_group"),
        "region": pl.lit(None),
        "user_id": pl.coalesce(_text("user"), _text("key_user_id")),
        "team_id": pl.coalesce(_text("team_id"), _text("key_team_id")),
        "api_key_id": _text("api_key"),
        "project_id": _text("project_id"),
        "investigation_id": pl.coalesce("tag_investigation", _text("noted_investigation")),
        "feature_id": pl.coalesce("tag_feature", _text("noted_feature")),
        "session_id": _text("session_id"),
        "end_user_id": _text("end_user"),
        "tag_set": pl.col("tag_set"),
    }  # fmt: skip


def _text(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name))


def _status() -> pl.Expr:
    said = pl.coalesce(_text("status"), _text("metadata_status"))
    error_class = _text("error_class")
    failed = said.is_in(["failure", "failed", "error"]) | error_class.is_not_null() | _text("error_code").is_not_null()
    return (
        pl.when(said == "success").then(pl.lit("success"))
        .when(error_class.is_in(BLOCKED_CLASSES)).then(pl.lit("blocked"))
        .when(error_class.is_in(CANCELLED_CLASSES)).then(pl.lit("cancelled"))
        .when(failed).then(pl.lit("error"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip


def _with_hidden_keys(flat: pl.DataFrame) -> pl.DataFrame:
    """A key logged in clear is replaced by the hash that LiteLLM itself would have logged."""
    is_secret = flat["api_key"].str.starts_with("sk-").fill_null(value=False)
    if not is_secret.any():
        return flat
    hashed = [hashlib.sha256(text.encode()).hexdigest() for text in flat["api_key"].filter(is_secret)]
    return flat.with_columns(flat["api_key"].scatter(is_secret.arg_true(), hashed))
