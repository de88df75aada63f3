"""Fields of the generic contract to staged usage: requests or buckets of any of the ten primitives."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.schemas.staged import PROCESSINGS, STATUSES
from usage_etl.sources.generic.bodies import BODY_RULES, FAULT, body, with_bodies
from usage_etl.sources.generic.fields import KINDS, ONE_EACH, OWNERS, TOKENS, WORDS
from usage_etl.sources.generic.flat import types_of
from usage_etl.sources.generic.periods import bucket_key, ends, event_id, instant, starts
from usage_etl.sources.generic.settings import GenericSettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import RowMapping, id_rules, instant_rules, request_columns, typed
from usage_etl.sources.rows.request_words import http_code, http_outcome, is_readable, is_true
from usage_etl.units import PRIMITIVE_UNITS

EXCERPT_CHARACTERS = 120
"""Longest prompt that is kept."""

_MINUTES = ("voice.room", "phone.call")
_TYPES = {
    "count": pl.Int64(), "duration": pl.Int64(), "decimal": pl.Decimal(38, 18), "number": pl.Float64(), "text": pl.String(),
}  # fmt: skip


def usage_mapping(settings: GenericSettings) -> RowMapping:
    """Fields to rows of STAGED_USAGE."""
    return RowMapping(
        types=types_of(settings),
        columns=lambda _: _columns(settings),
        rules=lambda context: _rules(settings, context),
        derived=[quantity(settings).alias("amount_of_primitive")],
        prepare=lambda flat, _: with_bodies(flat),
    )


def known(settings: GenericSettings, name: str) -> pl.Expr:
    """The typed value of a field; null of its type where the field is not mapped."""
    kind = KINDS[name]
    if name not in settings.mapped:
        return pl.lit(None, _TYPES[kind])
    return pl.col(name) if kind == "text" else pl.col(typed(name))


def quantity(settings: GenericSettings) -> pl.Expr:
    """Quantity in the unit of the row's primitive, exact to 18 decimals; one each where that is what a request is."""
    given, is_minutes = known(settings, "quantity"), pl.col("primitive").is_in(_MINUTES)
    scaled = {
        "units": given,
        "thousands": given * pl.lit(Decimal(1000)),
        "hours": pl.when(is_minutes).then(given * pl.lit(Decimal(60))).otherwise(given),
        "seconds": pl.when(is_minutes).then(given / pl.lit(Decimal(60))).otherwise(given),
        "milliseconds": pl.when(is_minutes).then(given / pl.lit(Decimal(60_000))).otherwise(given),
    }[settings.quantity_in]
    rounded = scaled.ceil() if settings.quantity_rounding == "up" else scaled
    if "quantity" in settings.mapped:
        return rounded
    one = known(settings, "requests_count") if settings.grain == "bucket" else pl.lit(1)
    return pl.when(pl.col("primitive").is_in(ONE_EACH)).then(one.cast(pl.Decimal(38, 18)))


def _rules(settings: GenericSettings, context: ParseContext) -> dict[str, pl.Expr]:
    is_beside, is_reasoning_beside = (settings.tokens_counted.endswith(end) for end in ("cache_beside_input", "beside_output"))
    tokens = {name: known(settings, name) for name in TOKENS}
    cached = tokens["cache_read_tokens"].fill_null(0) + tokens["cache_write_tokens"].fill_null(0)
    beyond = pl.lit(value=False)
    moment = "started_at" if settings.grain == "request" else "period_start"
    of_id = id_rules("event_id") if settings.grain == "request" and "event_id" in settings.mapped else {}
    return {
        **of_id,
        **instant_rules(moment, context),
        "period_end__not_after_start": ends(settings) <= starts(settings) if settings.grain == "bucket" else beyond,
        "period_end__missing": ends(settings).is_null() if settings.grain == "bucket" else beyond,
        "ended_at__before_started_at": ends(settings) < starts(settings) if settings.grain == "request" else beyond,
        **{rule: pl.col(FAULT) == rule for rule in BODY_RULES},
        "primitive__unknown": pl.col("primitive").is_null() | ~pl.col("primitive").is_in(list(PRIMITIVE_UNITS)),
        "status__unknown_word": ~pl.col("status").is_in(STATUSES),
        "processing__unknown_word": ~pl.col("processing").is_in(PROCESSINGS),
        "quantity__negative": known(settings, "quantity") < 0,
        "native_quantity__negative": known(settings, "native_quantity") < 0,
        "quantity__out_of_range": pl.col("amount_of_primitive").abs() >= MAX_AMOUNT,
        "cost_estimate_usd__out_of_range": known(settings, "cost_estimate_usd").abs() >= float(MAX_AMOUNT),
        "cached_tokens__exceed_input_tokens": beyond
        if is_beside
        else _is_readable(settings, "input_tokens") & (cached > tokens["input_tokens"].fill_null(0)),
        "cache_write_1h_tokens__exceed_cache_write_tokens": tokens["cache_write_1h_tokens"]
        > tokens["cache_write_tokens"].fill_null(0),
        "reasoning_tokens__exceed_output_tokens": beyond
        if is_reasoning_beside
        else _is_readable(settings, "output_tokens") & (tokens["reasoning_tokens"] > tokens["output_tokens"].fill_null(0)),
    }


def _is_readable(settings: GenericSettings, name: str) -> pl.Expr:
    return is_readable(name) if name in settings.mapped else pl.lit(value=True)


def _columns(settings: GenericSettings) -> dict[str, pl.Expr]:
    start, end, is_bucket = starts(settings), ends(settings), settings.grain == "bucket"
    requests = pl.coalesce(known(settings, "requests_count"), pl.lit(1 if not is_bucket else None, pl.Int64), pl.lit(0))
    amount = pl.col("amount_of_primitive")
    columns = {
        "event_id": event_id(settings),
        "bucket_key": bucket_key(settings, start, end) if is_bucket else pl.lit(None, pl.String),
        "record_version_at": instant(settings, "record_version_at"),
        "ended_at": end,
        "grain": pl.lit(settings.grain),
        "requests_count": requests if is_bucket else pl.lit(1),
        "status": pl.lit("unknown") if is_bucket else _status(settings),
        "http_status": http_code(known(settings, "http_status")),
        "token_convention": pl.coalesce(body("token_convention"), pl.lit(settings.tokens_counted)),
        "primitive": pl.col("primitive"),
        "quantity": pl.when(pl.col("primitive") != "ai.chat").then(amount),
        "native_quantity": pl.coalesce(known(settings, "native_quantity"), body("native_quantity")),
        "native_unit": pl.coalesce(known(settings, "native_unit"), body("native_unit")),
        "region": pl.coalesce(known(settings, "region"), body("region")),
        "processing": pl.coalesce("processing", body("processing"), pl.lit("standard")),
        "is_cache_hit": is_true("cache_hit").fill_null(value=False),
        "latency_ms": known(settings, "latency"),
        "ttft_ms": known(settings, "ttft"),
        "prompt_excerpt": pl.col("prompt").str.slice(0, EXCERPT_CHARACTERS),
        "source_cost_usd": known(settings, "cost_estimate_usd"),
    }
    words = {column: known(settings, name) for name, column in WORDS.items()}
    counts = {column: pl.coalesce(known(settings, name), body(column)) for name, column in TOKENS.items()}
    return request_columns(start) | words | counts | {name: known(settings, name) for name in OWNERS} | columns


def _status(settings: GenericSettings) -> pl.Expr:
    code = http_code(known(settings, "http_status"))
    return pl.coalesce(pl.col("status"), http_outcome(code), pl.lit("unknown"))
