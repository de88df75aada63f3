"""CSV exports of single generations from OpenRouter's activity page: one call per row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.forms.table_files import TableDialect, covered_by_rows, parse_table
from usage_etl.sources.openrouter.activity import PROVIDER
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.rows.event_ids import quarter_hour
from usage_etl.sources.rows.focus_columns import amount_rules
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, charge_columns, id_rules, instant_rules, request_columns, value

GENERATIONS = "generations"

_NAMES: Mapping[str, tuple[str, ...]] = {
    name: (name,)
    for name in (
        *("generation_id", "created_at", "cost_total", "byok_usage_inference", "model_permaslug", "provider_name", "variant"),
        *("cancelled", "user", "finish_reason_normalized", "api_key_name", "app_name"),
        *("tokens_prompt", "tokens_completion", "tokens_reasoning", "tokens_cached"),
        *("generation_time_ms", "time_to_first_token_ms"),
    )
}
_UNREAD = frozenset(
    {"cost_web_search", "cost_cache", "cost_file_processing", "streamed", "finish_reason_raw", "api_key_disabled"}
)
_COUNTS = ("tokens_prompt", "tokens_completion", "tokens_reasoning", "tokens_cached")
_TYPES = FieldTypes(
    counts=_COUNTS,
    instants=("created_at",),
    milliseconds=("generation_time_ms", "time_to_first_token_ms"),
    decimals=("cost_total", "byok_usage_inference"),
    spellings=("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z"),
)


def parse_generations(path: Path, context: ParseContext, *, is_counted: bool) -> Iterator[ParsedBatch]:
    """Batches of one file. Raises UnreadableDeliveryError."""
    usage = RowMapping(types=_TYPES, columns=lambda made: _usage(made, is_counted=is_counted), rules=_rules)
    charge = RowMapping(types=_TYPES, columns=_charge, rules=_rules, table=STAGED_CHARGES)
    dialect = TableDialect(
        title="OpenRouter's export of generations",
        names=_NAMES,
        required=frozenset({"generation_id", "created_at", "cost_total", "model_permaslug"}),
        mappings=(usage, charge) if is_counted else (usage,),
        ignored=_UNREAD,
    )
    for batch in parse_table(path, context, dialect=dialect):
        yield replace(batch, covered=covered_by_rows(batch))


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    prompt, completion = value("tokens_prompt").fill_null(0), value("tokens_completion").fill_null(0)
    return {
        **id_rules("generation_id"),
        **instant_rules("created_at", context),
        "cost_total__missing": pl.col("cost_total").is_null(),
        **amount_rules(("cost_total", "byok_usage_inference")),
        "tokens_cached__exceed_tokens_prompt": value("tokens_cached") > prompt,
        "model_permaslug__missing": pl.col("model_permaslug").is_null(),
        "tokens_completion__missing": completion.is_null(),
    }


def _is_true(name: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().is_in(["true", "t", "1", "yes"]).fill_null(value=False)


def _usage(context: ParseContext, *, is_counted: bool) -> dict[str, pl.Expr]:
    completion, reasoning = value("tokens_completion"), value("tokens_reasoning")
    is_beside = (reasoning > completion.fill_null(0)).fill_null(value=False)
    status = (
        pl.when(_is_true("cancelled")).then(pl.lit("cancelled"))
        .when(pl.col("finish_reason_normalized").str.to_lowercase() == "error").then(pl.lit("error"))
        .when(pl.col("finish_reason_normalized").is_not_null()).then(pl.lit("success"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip
    return {
        **request_columns(value("created_at")),
        "source_role": pl.lit(context.role if is_counted else "reconciliation"),
        "event_id": pl.col("generation_id"),
        "status": status,
        "token_convention": pl.when(is_beside)
        .then(pl.lit("cache_in_input_reasoning_beside_output"))
        .otherwise(pl.lit("cache_in_input")),
        "reported_input_tokens": value("tokens_prompt"),
        "reported_output_tokens": completion,
        "cache_read_tokens": value("tokens_cached"),
        "reasoning_tokens": reasoning,
        "host_raw": pl.lit(PROVIDER),
        "model_raw": pl.col("model_permaslug"),
        "api_key_id": pl.col("api_key_name"),
        "feature_id": pl.col("app_name"),
        "end_user_id": pl.col("user"),
        "latency_ms": value("generation_time_ms"),
        "ttft_ms": value("time_to_first_token_ms"),
        "source_cost_usd": (value("cost_total") + value("byok_usage_inference").fill_null(0)).cast(pl.Float64),
    }


def _charge(context: ParseContext) -> dict[str, pl.Expr]:
    created_at, billed = value("created_at"), value("cost_total")
    return {
        **charge_columns(billed),
        "bucket_key": pl.concat_str(pl.lit(f"{context.source_account}/generations/"), quarter_hour(created_at)),
        "charge_date": created_at.dt.date(),
        "charge_period_start": created_at,
        "charge_period_end": created_at + pl.duration(microseconds=1),
        "provider_name": pl.lit(PROVIDER),
        "host_provider_name": pl.col("provider_name"),
        "billing_account_id": pl.lit(context.source_account),
        "service_name": pl.lit("OpenRouter API"),
        "charge_category": pl.when(billed < 0).then(pl.lit("Credit")).otherwise(pl.lit("Usage")),
        "charge_frequency": pl.lit("Usage-Based"),
        "model_raw": pl.col("model_permaslug"),
        "api_key_id": pl.col("api_key_name"),
        "billing_currency": pl.lit("USD"),
        "consumed_quantity": pl.lit(1),
        "consumed_unit": pl.lit("Requests"),
    }
