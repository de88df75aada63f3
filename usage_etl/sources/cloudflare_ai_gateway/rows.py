"""Cloudflare AI Gateway records, of the API and of Logpush, to staged usage rows."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.cloudflare_ai_gateway.settings import CloudflareAIGatewaySettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.attributes import attribute_columns, attribute_fields
from usage_etl.sources.rows.event_ids import LOG_CHUNKS, EventIds
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.request_words import http_code, http_outcome, is_true, primitive_of_path

API_FIELDS: Mapping[str, tuple[str, ...]] = {
    name: (name,)
    for name in (
        "id", "created_at", "cached", "cost", "custom_cost", "duration", "model", "model_type", "path", "provider",
        "request_type", "status_code", "step", "success", "tokens_in", "tokens_out",
    )
}  # fmt: skip
"""Fields of a record of the logs API. Bodies, heads and addresses are not among them."""

PUSHED_FIELDS: Mapping[str, tuple[str, ...]] = {
    "cached": ("Cached",),
    "path": ("Endpoint",),
    "gateway": ("Gateway",),
    "model": ("Model",),
    "requested_model": ("RequestedModel",),
    "provider": ("Provider",),
    "rate_limited": ("RateLimited",),
    "status_code": ("StatusCode",),
    "timestamp": ("Timestamp",),
    "cost": ("Metrics", "cost"),
    "duration": ("Metrics", "durationMs"),
    "tokens_in": ("Metrics", "tokensIn"),
    "tokens_out": ("Metrics", "tokensOut"),
}
"""Fields of a record of Logpush's dataset ``ai_gateway_events``, under the names of the API where they mean the same."""

API_PLACE, PUSHED_PLACE = ("metadata",), ("Metadata",)
_COUNTS = ("tokens_in", "tokens_out")
_ISO = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z")


def api_shape(settings: CloudflareAIGatewaySettings) -> RecordShape:
    """A record of the API; its metadata is JSON in text, or an object."""
    attributes = attribute_fields(settings.attributes, *API_PLACE)
    return RecordShape(fields={**API_FIELDS, **attributes}, opened=API_PLACE if attributes else ())


def pushed_shape(settings: CloudflareAIGatewaySettings) -> RecordShape:
    """A record of Logpush; ``Metadata`` and ``Metrics`` are objects, or JSON in text where a job was set up so."""
    attributes = attribute_fields(settings.attributes, *PUSHED_PLACE)
    opened = ("Metrics", *(PUSHED_PLACE if attributes else ()))
    return RecordShape(fields={**PUSHED_FIELDS, **attributes}, opened=opened)


def api_mapping(settings: CloudflareAIGatewaySettings) -> RowMapping:
    """Records of the API to rows of STAGED_USAGE."""
    return RowMapping(
        types=FieldTypes(
            counts=_COUNTS,
            instants=("created_at",),
            milliseconds=("duration", "status_code"),
            numbers=("cost",),
            spellings=_ISO,
        ),
        columns=lambda _: _api_columns(settings),
        rules=lambda context: {**id_rules("id"), **instant_rules("created_at", context), **_cost_rule()},
    )


def pushed_mapping(settings: CloudflareAIGatewaySettings, *, is_text: bool) -> RowMapping:
    """Records of Logpush, which have no id of their own, to rows of STAGED_USAGE. ``is_text``: timestamps are RFC 3339."""
    fields = [*PUSHED_FIELDS, *attribute_fields(settings.attributes, *PUSHED_PLACE)]
    ids = EventIds(remembered_chunks=LOG_CHUNKS)

    def prepare(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
        return ids.with_ids(flat, fields)

    return RowMapping(
        types=FieldTypes(
            counts=_COUNTS,
            instants=("timestamp",) if is_text else (),
            epochs=None if is_text else {"timestamp": settings.timestamp_unit},
            milliseconds=("duration", "status_code"),
            numbers=("cost",),
            spellings=_ISO,
        ),
        columns=lambda _: _pushed_columns(settings),
        rules=lambda context: {**instant_rules("timestamp", context), **_cost_rule()},
        prepare=prepare,
    )


def _cost_rule() -> dict[str, pl.Expr]:
    return {"cost__out_of_range": value("cost").abs() >= float(MAX_AMOUNT)}


def _api_columns(settings: CloudflareAIGatewaySettings) -> dict[str, pl.Expr]:
    said = pl.when(is_true("success")).then(pl.lit("success")).when(word("success").is_not_null()).then(pl.lit("error"))
    status = pl.coalesce(http_outcome(http_code(value("status_code"))), said, pl.lit("unknown"))
    kind = word("model_type").fill_null("")
    primitive = (
        pl.when(kind.str.to_lowercase().str.contains("embedding", literal=True)).then(pl.lit("ai.embed"))
        .otherwise(primitive_of_path(pl.lit("/") + pl.col("path")))
    )  # fmt: skip
    return _shared(settings, "created_at", API_PLACE) | {
        "event_id": pl.col("id"),
        "status": status,
        "primitive": primitive,
        "quantity": pl.when(primitive == "safety.moderate").then(pl.lit(1)),
    }


def _pushed_columns(settings: CloudflareAIGatewaySettings) -> dict[str, pl.Expr]:
    status = pl.coalesce(http_outcome(http_code(value("status_code"))), pl.lit("unknown"))
    primitive = primitive_of_path(pl.lit("/") + pl.col("path"))
    return _shared(settings, "timestamp", PUSHED_PLACE) | {
        "event_id": pl.col("own_id"),
        "status": pl.when(is_true("rate_limited")).then(pl.lit("blocked")).otherwise(status),
        "error_type": pl.when(is_true("rate_limited")).then(pl.lit("rate_limited")),
        "deployment": word("requested_model"),
        "primitive": primitive,
        "quantity": pl.when(primitive == "safety.moderate").then(pl.lit(1)),
    }


def _shared(settings: CloudflareAIGatewaySettings, instant: str, place: tuple[str, ...]) -> dict[str, pl.Expr]:
    """Columns that both shapes fill alike."""
    latency = value("duration")
    return {
        **request_columns(value(instant)),
        **attribute_columns(settings.attributes, place),
        "http_status": http_code(value("status_code")),
        "reported_input_tokens": value("tokens_in"),
        "reported_output_tokens": value("tokens_out"),
        "host_raw": word("provider"),
        "model_raw": word("model"),
        "is_cache_hit": is_true("cached").fill_null(value=False),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "source_cost_usd": value("cost"),
    }
