"""DeepSeek's table of costs: one line per interval, model and wallet, in the currency that the line states.

What is paid from a granted balance was used and is not billed: the line is a usage charge and a credit of the same amount.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.deepseek.intervals import (
    INSTANTS,
    INTERVAL_NAMES,
    SPELLINGS,
    bucket_key,
    ended_at,
    interval_rules,
    started_at,
)
from usage_etl.sources.deepseek.settings import DeepSeekSettings
from usage_etl.sources.forms.table_files import TableDialect, batch_of_parts, covered_by_rows, read_fields
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.rows.focus_columns import amount_rules
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, RowWriter, charge_columns, value

_NAMES: Mapping[str, tuple[str, ...]] = dict(INTERVAL_NAMES) | {
    name: (name,) for name in ("user_id", "model", "wallet_type", "cost", "currency")
}
_TYPES = FieldTypes(instants=INSTANTS, decimals=("cost",), spellings=SPELLINGS)
_CURRENCIES = ("CNY", "USD")


def parse_costs(path: Path, context: ParseContext, offset: int) -> Iterator[ParsedBatch]:
    """Batches of one table; lines are numbered on from ``offset``. Raises UnreadableDeliveryError."""
    dialect = TableDialect("DeepSeek's table of costs", _NAMES, frozenset({"model", "cost"}), (_CHARGE, _GRANT))
    charges, grants = RowWriter(_CHARGE, context), RowWriter(_GRANT, context)
    stated = context.settings_as(DeepSeekSettings).currency
    for table, flat in read_fields(path, context, dialect=dialect, offset=offset):
        lines = flat.with_columns(pl.coalesce(pl.col("currency").str.strip_chars().str.to_uppercase(), pl.lit(stated)))
        granted = lines.filter(pl.col("wallet_type").str.strip_chars().str.to_lowercase() == "granted")
        batch = batch_of_parts(table, [(charges, lines), (grants, granted)], context)
        yield replace(batch, covered=covered_by_rows(batch))


def _columns(context: ParseContext) -> dict[str, pl.Expr]:
    cost = value("cost")
    return {
        **charge_columns(cost),
        **_shared(context),
        "charge_category": pl.when(cost < 0).then(pl.lit("Credit")).otherwise(pl.lit("Usage")),
        "charge_frequency": pl.lit("Usage-Based"),
        "charge_description": pl.col("wallet_type"),
    }


def _grant_columns(context: ParseContext) -> dict[str, pl.Expr]:
    credit, none = pl.lit(0) - value("cost"), pl.lit(0)
    return {
        **_shared(context),
        "billed_cost": credit,
        "effective_cost": credit,
        "list_cost": none,
        "contracted_cost": none,
        "is_list_cost_estimated": pl.lit(value=False),
        "charge_category": pl.lit("Credit"),
        "charge_frequency": pl.lit("One-Time"),
        "charge_description": pl.lit("Paid from the granted balance"),
        "meter_mapping": pl.lit("not_usage"),
    }


def _shared(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        "bucket_key": bucket_key(context, "costs"),
        "charge_date": started_at().dt.date(),
        "charge_period_start": started_at(),
        "charge_period_end": ended_at(),
        "provider_name": pl.lit("deepseek"),
        "billing_account_id": pl.coalesce("user_id", pl.lit(context.source_account)),
        "service_name": pl.lit("DeepSeek API"),
        "model_raw": pl.col("model"),
        "billing_currency": pl.col("currency"),
    }


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **interval_rules(context),
        "model__missing": pl.col("model").is_null(),
        "cost__missing": pl.col("cost").is_null(),
        **amount_rules(("cost",)),
        "currency__missing": pl.col("currency").is_null(),
        "currency__not_cny_or_usd": ~pl.col("currency").is_in(_CURRENCIES),
    }


_CHARGE = RowMapping(types=_TYPES, columns=_columns, rules=_rules, table=STAGED_CHARGES)
_GRANT = RowMapping(types=_TYPES, columns=_grant_columns, rules=_rules, table=STAGED_CHARGES)
