"""Helicone requests to staged usage rows: Helicone's words to ours."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.helicone.settings import HeliconeSettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.attributes import attribute_columns, attribute_field
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.request_words import http_code, http_outcome, is_claude, is_readable, primitive_of_path

FIELDS: Mapping[str, tuple[str, ...]] = {
    name: (name,)
    for name in (
        "request_id", "response_id", "request_created_at", "response_created_at", "updated_at", "response_status",
        "request_path", "request_user_id", "helicone_user", "provider", "model", "response_model", "request_model",
        "model_override", "delay_ms", "time_to_first_token", "total_tokens", "prompt_tokens", "prompt_cache_write_tokens",
        "prompt_cache_read_tokens", "completion_tokens", "prompt_audio_tokens", "completion_audio_tokens", "cost", "costUSD",
        "cache_reference_id",
    )
}  # fmt: skip
"""Flat text column to the field's place in a record. Bodies, scores and addresses are not among them."""

PLACES = (("request_properties",), ("properties",))
"""Where generations of the export put the request's properties."""

_TOKENS = tuple(name for name in FIELDS if name.endswith("_tokens"))
_NO_REFERENCE = "00000000-0000-0000-0000-000000000000"
_OWN_CODES = {-1: "error", -3: "cancelled", -4: "blocked"}
"""Statuses that Helicone writes where there was no HTTP answer: timeout, cancelled by the client, stopped as a threat."""

TYPES = FieldTypes(
    counts=_TOKENS,
    instants=("request_created_at", "response_created_at", "updated_at"),
    milliseconds=("delay_ms", "time_to_first_token", "response_status"),
    numbers=("cost", "costUSD"),
    spellings=("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f"),
)


def mapping(settings: HeliconeSettings, *, id_field: str) -> RowMapping:
    """Requests to rows of STAGED_USAGE; ``id_field`` identifies them: the CSV has no ``request_id``."""
    return RowMapping(
        types=TYPES,
        columns=lambda _: _columns(settings, id_field),
        rules=lambda context: _rules(context, id_field),
        derived=_derived(settings),
    )


def _rules(context: ParseContext, id_field: str) -> dict[str, pl.Expr]:
    is_inside = pl.col("token_convention") == "cache_in_input"
    cached = value("prompt_cache_read_tokens").fill_null(0) + value("prompt_cache_write_tokens").fill_null(0)
    cost = pl.coalesce(value("cost"), value("costUSD"))
    return {
        **id_rules(id_field),
        **instant_rules("request_created_at", context),
        "cost__out_of_range": cost.abs() >= float(MAX_AMOUNT),
        "prompt_cache_tokens__exceed_prompt_tokens": is_inside
        & is_readable("prompt_tokens")
        & (cached > value("prompt_tokens").fill_null(0)),
        "prompt_audio_tokens__exceed_prompt_tokens": is_readable("prompt_tokens")
        & (value("prompt_audio_tokens") > value("prompt_tokens").fill_null(0)),
        "completion_audio_tokens__exceed_completion_tokens": is_readable("completion_tokens")
        & (value("completion_audio_tokens") > value("completion_tokens").fill_null(0)),
    }


def _derived(settings: HeliconeSettings) -> list[pl.Expr]:
    is_beside = {"inside": pl.lit(value=False), "beside": pl.lit(value=True)}.get(
        settings.cache_in_prompt_tokens, is_claude(pl.coalesce(word("response_model"), word("model"), word("request_model")))
    )
    return [pl.when(is_beside).then(pl.lit("cache_beside_input")).otherwise(pl.lit("cache_in_input")).alias("token_convention")]


def _columns(settings: HeliconeSettings, id_field: str) -> dict[str, pl.Expr]:
    started_at, ended_at = value("request_created_at"), value("response_created_at")
    latency = pl.coalesce(value("delay_ms"), (ended_at - started_at).dt.total_milliseconds())
    ttft, code = value("time_to_first_token"), value("response_status")
    primitive = primitive_of_path(pl.col("request_path"))
    own_status = code.replace_strict(_OWN_CODES, default=None, return_dtype=pl.String)
    reference = word("cache_reference_id")
    attributes = attribute_columns(settings.attributes, *PLACES)
    logged_user = pl.coalesce(word("request_user_id"), word("helicone_user"))
    return request_columns(started_at) | attributes | {
        "event_id": pl.col(id_field),
        "record_version_at": value("updated_at"),
        "ended_at": ended_at,
        "status": pl.coalesce(own_status, http_outcome(http_code(code)), pl.lit("unknown")),
        "http_status": http_code(code),
        "token_convention": pl.col("token_convention"),
        "reported_input_tokens": value("prompt_tokens"),
        "reported_output_tokens": value("completion_tokens"),
        "reported_total_tokens": value("total_tokens"),
        "cache_read_tokens": value("prompt_cache_read_tokens"),
        "cache_write_tokens": value("prompt_cache_write_tokens"),
        "input_audio_tokens": value("prompt_audio_tokens"),
        "output_audio_tokens": value("completion_audio_tokens"),
        "primitive": primitive,
        "quantity": pl.when(primitive == "safety.moderate").then(pl.lit(1)),
        "host_raw": word("provider"),
        "model_raw": pl.coalesce(word("response_model"), word("model"), word("model_override"), word("request_model")),
        "deployment": word("request_model"),
        "is_cache_hit": (reference.is_not_null() & (reference != _NO_REFERENCE)).fill_null(value=False),
        "user_id": pl.coalesce(attributes.get("user_id", pl.lit(None, pl.String)), logged_user),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when(ttft >= 0).then(ttft),
        "source_cost_usd": pl.coalesce(value("cost"), value("costUSD")),
    }  # fmt: skip


def with_properties(flat: pl.DataFrame, settings: HeliconeSettings) -> pl.DataFrame:
    """``flat`` of the CSV with a field per property that is read, from the JSON in ``request_properties``.

    The export tool doubles the quotes of that JSON once more than CSV asks for; both spellings are read.
    """
    text = pl.col("request_properties")
    is_doubled = text.str.starts_with('{""').fill_null(value=False)
    single = pl.when(is_doubled).then(text.str.replace_all('""', '"', literal=True)).otherwise(text)
    looks_whole = single.str.starts_with("{") & single.str.ends_with("}")
    readable = pl.when(looks_whole).then(single)
    found = [_json_text(readable, key).alias(attribute_field(key, *PLACES[0])) for key in settings.attributes.keys]
    absent = [pl.lit(None, pl.String).alias(attribute_field(key, *PLACES[1])) for key in settings.attributes.keys]
    return flat.with_columns(found).with_columns(absent)


def _json_text(document: pl.Expr, key: str) -> pl.Expr:
    return document.str.json_path_match(f"$['{key}']")
