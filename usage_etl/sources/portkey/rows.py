"""Portkey log records to staged usage rows: Portkey's words to ours."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.portkey.pairs import PAIRS_MATCH, PLACE, with_pairs
from usage_etl.sources.portkey.settings import PortkeySettings
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.attributes import attribute_columns, attribute_fields
from usage_etl.sources.rows.mapping import (
    FieldTypes,
    RowMapping,
    id_rules,
    instant_rules,
    request_columns,
    value,
    with_hashed_secrets,
    word,
)
from usage_etl.sources.rows.request_words import http_code, http_outcome, is_true, primitive_of_path

FIELDS: Mapping[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            "id", "created_at", "is_success", "ai_org", "ai_model", "req_units", "res_units", "total_units", "cost",
            "cost_currency", "request_url", "response_status_code", "response_time", "cache_status", "trace_id",
            "virtual_key", "api_key_id", "user_id", "workspace_slug", "prompt_slug", "config",
        )
    },
    "metadata.key": ("metadata", "key"),
    "metadata.value": ("metadata", "value"),
    "metadata_key": ("metadata.key",),
    "metadata_value": ("metadata.value",),
}  # fmt: skip
"""Flat text column to the field's place in a record. Requests and responses are not among them."""

_FLOATS = ("is_success", "req_units", "res_units", "total_units", "response_status_code", "response_time")
_GUARDRAIL_DENIED = 446
_SPELLINGS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%a %b %d %Y %H:%M:%S GMT%z (Coordinated Universal Time)",
)


def shape(settings: PortkeySettings) -> RecordShape:
    """A record; its metadata is a pair of lists, a plain object, or columns of dotted names."""
    lists = frozenset({"metadata.key", "metadata.value", "metadata_key", "metadata_value"})
    return RecordShape(fields={**FIELDS, **attribute_fields(settings.attributes, *PLACE)}, lists=lists)


def mapping(settings: PortkeySettings) -> RowMapping:
    """Log records to rows of STAGED_USAGE."""

    def prepare(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
        whole = flat.with_columns(pl.col(_FLOATS).str.strip_suffix(".0"))
        return with_pairs(with_hashed_secrets(whole, "virtual_key"), settings.attributes.keys)

    return RowMapping(
        types=FieldTypes(
            counts=("req_units", "res_units", "total_units"),
            instants=("created_at",),
            milliseconds=("response_time", "response_status_code"),
            numbers=("cost",),
            spellings=_SPELLINGS,
        ),
        columns=lambda _: _columns(settings),
        rules=_rules,
        prepare=prepare,
    )


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **id_rules("id"),
        **instant_rules("created_at", context),
        "cost__out_of_range": value("cost").abs() >= float(MAX_AMOUNT),
        "metadata__pairs_do_not_match": ~pl.col(PAIRS_MATCH),
    }


def _columns(settings: PortkeySettings) -> dict[str, pl.Expr]:
    code, latency, path = value("response_status_code"), value("response_time"), pl.col("request_url")
    primitive = primitive_of_path(path)
    is_dollars = word("cost_currency").fill_null("USD").str.to_uppercase() == "USD"
    cost = value("cost") / (100 if settings.cost_unit == "cents" else 1)
    attributes = attribute_columns(settings.attributes, PLACE)
    said = pl.when(is_true("is_success")).then(pl.lit("success")).when(word("is_success").is_not_null()).then(pl.lit("error"))
    return request_columns(value("created_at")) | attributes | {
        "event_id": pl.col("id"),
        "status": pl.when(code == _GUARDRAIL_DENIED).then(pl.lit("blocked")).otherwise(
            pl.coalesce(http_outcome(http_code(code)), said, pl.lit("unknown"))),
        "http_status": http_code(code),
        "reported_input_tokens": value("req_units"),
        "reported_output_tokens": value("res_units"),
        "reported_total_tokens": value("total_units"),
        "primitive": primitive,
        "quantity": pl.when(primitive == "safety.moderate").then(pl.lit(1)),
        "host_raw": word("ai_org"),
        "model_raw": word("ai_model"),
        "deployment": word("config"),
        "is_cache_hit": pl.col("cache_status").str.to_lowercase().str.contains("hit", literal=True).fill_null(value=False),
        "user_id": pl.coalesce(attributes.get("user_id", pl.lit(None, pl.String)), word("user_id")),
        "api_key_id": pl.coalesce(word("api_key_id"), word("virtual_key")),
        "project_id": pl.coalesce(attributes.get("project_id", pl.lit(None, pl.String)), word("workspace_slug")),
        "feature_id": pl.coalesce(attributes.get("feature_id", pl.lit(None, pl.String)), word("prompt_slug")),
        "session_id": pl.coalesce(attributes.get("session_id", pl.lit(None, pl.String)), word("trace_id")),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "source_cost_usd": pl.when(is_dollars).then(cost),
    }  # fmt: skip
