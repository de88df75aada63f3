"""Calls of models in Kong's access log to staged usage rows: Kong's words to ours."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.kong.settings import PROXIES, KongSettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.attributes import attribute_columns, attribute_fields
from usage_etl.sources.rows.event_ids import LOG_CHUNKS, EventIds
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.request_words import http_code, http_outcome, primitive_of_path

FIELDS: Mapping[str, tuple[str, ...]] = {
    "request_id": ("request", "id"),
    "uri": ("request", "uri"),
    "started_at": ("started_at",),
    "status": ("response", "status"),
    "latency": ("latencies", "request"),
    "consumer_id": ("consumer", "id"),
    "consumer_username": ("consumer", "username"),
    "consumer_custom_id": ("consumer", "custom_id"),
    "credential_id": ("authenticated_entity", "id"),
    "workspace": ("workspace_name",),
    "service": ("service", "name"),
    "route": ("route", "name"),
}
"""Fields of the line itself. Addresses, bodies and headers that no setting names are not among them."""

CALL_FIELDS: Mapping[str, tuple[str, ...]] = {
    "provider_name": ("meta", "provider_name"),
    "request_model": ("meta", "request_model"),
    "response_model": ("meta", "response_model"),
    "llm_latency": ("meta", "llm_latency"),
    "prompt_tokens": ("usage", "prompt_tokens"),
    "completion_tokens": ("usage", "completion_tokens"),
    "total_tokens": ("usage", "total_tokens"),
    "prompt_token": ("usage", "prompt_token"),
    "completion_token": ("usage", "completion_token"),
    "total_token": ("usage", "total_token"),
    "time_to_first_token": ("usage", "time_to_first_token"),
    "cost": ("usage", "cost"),
    "cache_status": ("cache", "cache_status"),
}
"""Fields of one call below ``ai.<plugin>``; older versions write token counts in the singular."""

HEADERS = ("request", "headers")
PLUGIN = "plugin"
"""Column that names the plugin of a call."""


def shape(settings: KongSettings) -> RecordShape:
    """A line with the calls of every plugin that is read."""
    calls = {f"{plugin} {name}": ("ai", plugin, *place) for plugin in settings.plugins for name, place in CALL_FIELDS.items()}
    return RecordShape(fields={**FIELDS, **attribute_fields(settings.headers, *HEADERS), **calls})


def has_call(plugin: str) -> pl.Expr:
    """Whether a line holds a call of the plugin."""
    return pl.any_horizontal(pl.col(f"{plugin} {name}").is_not_null() for name in CALL_FIELDS)


def calls_of(flat: pl.DataFrame, plugin: str, settings: KongSettings) -> pl.DataFrame:
    """The calls of one plugin, with its fields under their plain names."""
    own = {f"{plugin} {name}": name for name in CALL_FIELDS}
    kept = ["raw_ordinal", *FIELDS, *attribute_fields(settings.headers, *HEADERS)]
    rows = flat.filter(has_call(plugin)).select(*kept, *own).rename(own)
    return rows.with_columns(pl.lit(plugin).alias(PLUGIN))


def mapping(settings: KongSettings) -> RowMapping:
    """Calls to rows of STAGED_USAGE. A line without a request id is known by what it says."""
    ids = EventIds(remembered_chunks=LOG_CHUNKS)

    def prepare(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
        if not flat["request_id"].null_count():
            return flat
        known = ids.with_ids(flat, [*FIELDS, *CALL_FIELDS, PLUGIN])
        return known.with_columns(pl.coalesce(word("request_id"), pl.col("own_id")).alias("request_id"))

    return RowMapping(
        types=FieldTypes(
            counts=("prompt_tokens", "completion_tokens", "total_tokens", "prompt_token", "completion_token", "total_token"),
            epochs={"started_at": "ms"},
            milliseconds=("latency", "llm_latency", "time_to_first_token", "status"),
            numbers=("cost",),
        ),
        columns=lambda _: _columns(settings),
        rules=_rules,
        prepare=prepare,
    )


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **id_rules("request_id"),
        **instant_rules("started_at", context),
        "cost__out_of_range": value("cost").abs() >= float(MAX_AMOUNT),
    }


def _columns(settings: KongSettings) -> dict[str, pl.Expr]:
    code, latency, ttft = value("status"), pl.coalesce(value("llm_latency"), value("latency")), value("time_to_first_token")
    is_main, request_id = pl.col(PLUGIN).is_in(PROXIES), pl.col("request_id")
    consumer = pl.coalesce(word("consumer_custom_id"), word("consumer_username"), word("consumer_id"))
    primitive = primitive_of_path(pl.col("uri"))
    logged = {
        "api_key_id": word("credential_id"),
        "project_id": word("workspace"),
        "feature_id": word("route"),
        settings.consumer_is: consumer,
    }
    attributes = attribute_columns(settings.headers, HEADERS)
    named = {name: pl.coalesce(found, logged.get(name, pl.lit(None, pl.String))) for name, found in attributes.items()}
    return request_columns(value("started_at")) | logged | named | {
        "event_id": pl.when(is_main).then(request_id).otherwise(pl.format("{}/{}", request_id, pl.col(PLUGIN))),
        "call_id": request_id,
        "operation_name": pl.col(PLUGIN),
        "status": pl.coalesce(http_outcome(http_code(code)), pl.lit("unknown")),
        "http_status": http_code(code),
        "reported_input_tokens": pl.coalesce(value("prompt_tokens"), value("prompt_token")),
        "reported_output_tokens": pl.coalesce(value("completion_tokens"), value("completion_token")),
        "reported_total_tokens": pl.coalesce(value("total_tokens"), value("total_token")),
        "primitive": primitive,
        "quantity": pl.when(primitive == "safety.moderate").then(pl.lit(1)),
        "host_raw": _named("provider_name"),
        "model_raw": pl.coalesce(_named("response_model"), _named("request_model")),
        "deployment": _named("request_model"),
        "is_cache_hit": (pl.col("cache_status").str.to_lowercase() == "hit").fill_null(value=False),
        "latency_ms": pl.when(latency >= 0).then(latency),
        "ttft_ms": pl.when(ttft >= 0).then(ttft),
        "source_cost_usd": value("cost"),
    }  # fmt: skip


def _named(name: str) -> pl.Expr:
    """Kong writes UNSPECIFIED where it knows no model or provider."""
    return pl.when(pl.col(name) != "UNSPECIFIED").then(word(name))
