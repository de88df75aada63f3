"""Fields of the generic contract to staged charges: a provider's bill in FOCUS words."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.schemas.charge_line import CHARGE_CATEGORIES
from usage_etl.schemas.staged import PROCESSINGS, STAGED_CHARGES
from usage_etl.sources.generic.fields import CHARGE_WORDS
from usage_etl.sources.generic.flat import types_of
from usage_etl.sources.generic.periods import billing_end, bucket_key, charge_ends, charge_starts, instant
from usage_etl.sources.generic.settings import GenericSettings
from usage_etl.sources.generic.usage import known, quantity
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import EARLIEST, RowMapping, charge_columns, charge_day
from usage_etl.units import PRIMITIVE_UNITS

_FARTHEST = dt.timedelta(days=3700)
"""A commitment may be paid for years ahead; a period beyond is a wrong time."""


def charge_mapping(settings: GenericSettings) -> RowMapping:
    """Fields to rows of STAGED_CHARGES."""
    return RowMapping(
        types=types_of(settings),
        columns=lambda context: _columns(settings, context),
        rules=lambda context: _rules(settings, context),
        derived=[quantity(settings).alias("amount_of_primitive")],
        table=STAGED_CHARGES,
    )


def _in_currency(settings: GenericSettings, name: str) -> pl.Expr:
    """Amount in whole currency units; a cost is positive."""
    amount = known(settings, name)
    whole = amount / pl.lit(Decimal(100)) if settings.amount_in == "hundredths" else amount
    return pl.lit(Decimal(0)) - whole if settings.amounts_are == "debits" else whole


def _rules(settings: GenericSettings, context: ParseContext) -> dict[str, pl.Expr]:
    start, end = charge_starts(settings), charge_ends(settings)
    period_start, period_end = instant(settings, "billing_period_start"), billing_end(settings)
    return {
        "charge_start__missing": start.is_null(),
        "charge_start__too_early": start < EARLIEST,
        "charge_start__in_future": start > context.received_at + _FARTHEST,
        "charge_end__not_after_start": end <= start,
        "billing_period_end__not_after_start": period_end <= period_start,
        "amount__missing": pl.col("amount").is_null(),
        "amount__out_of_range": _in_currency(settings, "amount").abs() >= MAX_AMOUNT,
        "list_amount__out_of_range": _in_currency(settings, "list_amount").abs() >= MAX_AMOUNT,
        "currency__missing": pl.col("currency").is_null(),
        "currency__not_iso_4217": ~pl.col("currency").str.contains(r"^[A-Za-z]{3}$"),
        "provider_name__missing": pl.col("provider_name").is_null(),
        "service_name__missing": pl.col("service_name").is_null(),
        "charge_category__unknown_word": ~pl.col("charge_category").is_in(CHARGE_CATEGORIES),
        "charge_class__unknown_word": pl.col("charge_class") != "Correction",
        "processing__unknown_word": ~pl.col("processing").is_in(PROCESSINGS),
        "primitive__unknown": ~pl.col("primitive").is_in(list(PRIMITIVE_UNITS)),
    }


def _columns(settings: GenericSettings, context: ParseContext) -> dict[str, pl.Expr]:
    start, end, billed = charge_starts(settings), charge_ends(settings), _in_currency(settings, "amount")
    period_start, period_end = instant(settings, "billing_period_start"), billing_end(settings)
    listed = _in_currency(settings, "list_amount")
    is_usage = pl.coalesce(pl.col("charge_category"), pl.lit("Usage")) == "Usage"
    amount = pl.when(is_usage).then(pl.col("amount_of_primitive"))
    names_model = pl.col("model").is_not_null() & pl.col("token_class").is_not_null()
    is_of_model = pl.col("primitive").str.starts_with("ai.") | pl.col("model").is_not_null()
    words = {column: pl.col(name) for name, column in CHARGE_WORDS.items()}
    return words | charge_columns(billed) | {
        "bucket_key": bucket_key(settings, start, end),
        "charge_date": charge_day(start, period_start, period_end),
        "charge_period_start": start,
        "charge_period_end": end,
        "billing_period_start": period_start,
        "billing_period_end": period_end,
        "billing_account_id": pl.coalesce(pl.col("billing_account_id"), pl.lit(context.source_account)),
        "sub_account_id": pl.coalesce(pl.col("sub_account_id"), pl.col("project_id")),
        "region_id": pl.col("region"),
        "api_key_id": pl.col("api_key_id"),
        "user_id": pl.col("user_id"),
        "charge_category": pl.coalesce(
            pl.col("charge_category"), pl.when(billed < 0).then(pl.lit("Credit")), pl.lit("Usage")),
        "charge_class": pl.col("charge_class"),
        "meter_mapping": pl.when(names_model).then(pl.lit(None, pl.String))
        .when(is_of_model.fill_null(value=False) & is_usage).then(pl.lit("unmapped"))
        .otherwise(pl.lit("not_usage")),
        "model_raw": pl.col("model"),
        "processing": pl.col("processing"),
        "list_cost": pl.coalesce(listed, billed),
        "is_list_cost_estimated": listed.is_null(),
        "billing_currency": pl.col("currency").str.to_uppercase(),
        "consumed_quantity": amount,
        "consumed_unit": pl.when(amount.is_not_null()).then(
            pl.col("primitive").replace_strict(PRIMITIVE_UNITS, default=None, return_dtype=pl.String)),
    }  # fmt: skip
