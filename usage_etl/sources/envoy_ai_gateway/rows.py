"""Lines of an Envoy AI Gateway access log to staged usage rows; what the operator names how is a setting."""

from __future__ import annotations

import polars as pl

from usage_etl.sources.envoy_ai_gateway.settings import EnvoyAIGatewaySettings, EnvoyFields
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.event_ids import LOG_CHUNKS, EventIds
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
from usage_etl.sources.rows.request_words import http_code, http_outcome, is_readable, primitive_of_path

FIELDS = tuple(EnvoyFields.model_fields)
"""Every field that can be read, by the name of its setting."""

MARKS = ("model", "model_override", "backend", "input_tokens", "output_tokens", "total_tokens")
"""Fields of which a call of a model has at least one; other traffic and MCP calls have none."""

_ABSENT = "-"
_OWNERS = (
    "user_id", "team_id", "project_id", "feature_id", "investigation_id", "session_id", "end_user_id", "api_key_id",
)  # fmt: skip
_TOKENS = tuple(name for name in FIELDS if name.endswith("_tokens"))
_DISCONNECTED = "DC"


def shape(settings: EnvoyAIGatewaySettings) -> RecordShape:
    """A line in the operator's own names."""
    named = {name: getattr(settings.fields, name) for name in FIELDS}
    return RecordShape(fields={name: (found,) for name, found in named.items() if found is not None})


def is_call(read: RecordShape) -> pl.Expr:
    """Whether a line is a call of a model: one of ``MARKS`` says something."""
    marks = [name for name in MARKS if name in read.fields]
    return pl.any_horizontal((pl.col(name).is_not_null() & (pl.col(name) != _ABSENT)).fill_null(value=False) for name in marks)


def mapping(settings: EnvoyAIGatewaySettings) -> RowMapping:
    """Calls to rows of STAGED_USAGE. A line without a request id is known by what it says."""
    ids = EventIds(remembered_chunks=LOG_CHUNKS)
    read = shape(settings).fields

    def prepare(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
        present = flat.with_columns(pl.when(pl.col(name) != _ABSENT).then(pl.col(name)) for name in read)
        whole = present.with_columns(pl.lit(None, pl.String).alias(name) for name in FIELDS if name not in read)
        if whole["request_id"].null_count():
            known = ids.with_ids(whole, FIELDS)
            whole = known.with_columns(pl.coalesce(pl.col("request_id"), pl.col("own_id")).alias("request_id"))
        return with_hashed_secrets(whole, "api_key_id")

    return RowMapping(
        types=FieldTypes(
            counts=_TOKENS,
            instants=("start_time",),
            milliseconds=("duration", "response_code"),
            spellings=("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z"),
        ),
        columns=lambda _: _columns(),
        rules=_rules,
        prepare=prepare,
    )


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    cached = value("cached_input_tokens").fill_null(0) + value("cache_creation_input_tokens").fill_null(0)
    return {
        **id_rules("request_id"),
        **instant_rules("start_time", context),
        "cached_input_tokens__exceed_input_tokens": is_readable("input_tokens") & (cached > value("input_tokens").fill_null(0)),
        "reasoning_tokens__exceed_output_tokens": is_readable("output_tokens")
        & (value("reasoning_tokens") > value("output_tokens").fill_null(0)),
    }


def _columns() -> dict[str, pl.Expr]:
    code, latency = value("response_code"), value("duration")
    is_gone = (code.fill_null(0) == 0) & pl.col("response_flags").str.split(",").list.contains(_DISCONNECTED)
    primitive = primitive_of_path(pl.col("path"))
    return request_columns(value("start_time")) | {name: word(name) for name in _OWNERS} | {
        "event_id": pl.col("request_id"),
        "status": pl.when(is_gone).then(pl.lit("cancelled")).otherwise(
            pl.coalesce(http_outcome(http_code(code)), pl.when(code == 0).then(pl.lit("error")), pl.lit("unknown"))),
        "http_status": http_code(code),
        "error_type": pl.when(~code.is_between(200, 399)).then(word("response_flags")),
        "reported_input_tokens": value("input_tokens"),
        "reported_output_tokens": value("output_tokens"),
        "reported_total_tokens": value("total_tokens"),
        "cache_read_tokens": value("cached_input_tokens"),
        "cache_write_tokens": value("cache_creation_input_tokens"),
        "reasoning_tokens": value("reasoning_tokens"),
        "primitive": primitive,
        "quantity": pl.when(primitive == "safety.moderate").then(pl.lit(1)),
        "host_raw": word("backend"),
        "model_raw": pl.coalesce(word("response_model"), word("model_override"), word("model")),
        "deployment": word("model"),
        "latency_ms": pl.when(latency >= 0).then(latency),
    }  # fmt: skip
