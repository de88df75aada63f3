"""GitHub's usage reports to staged rows: use of models by user, and the metered report of all products by SKU.

Both state the same money, the first with the model and the second without. A day of a SKU in an organization is the unit that
a later report replaces, whichever of the two it is: so the money counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.forms.table_files import TableDialect, batch_of_parts, covered_by_rows, read_fields
from usage_etl.sources.github_copilot.settings import GitHubCopilotSettings
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.rows.event_ids import EventIds
from usage_etl.sources.rows.focus_columns import amount_rules
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, RowWriter, instant_rules, value
from usage_etl.sources.rows.money_cells import dollar_text
from usage_etl.sources.rows.service_scope import matches_any

PROVIDER = "github"

_TOKENS = ("input", "output", "cache_read", "cache_write")
_AMOUNTS = ("gross_amount", "discount_amount", "net_amount", "applied_cost_per_quantity")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "date": ("date",),
    "username": ("username", "user_login"),
    "product": ("product",),
    "sku": ("sku",),
    "model": ("model",),
    "quantity": ("quantity",),
    "unit_type": ("unit_type",),
    **{name: (name,) for name in (*_AMOUNTS, "organization", "repository", "cost_center_name")},
    "input": ("input", "input_tokens"),
    "output": ("output", "output_tokens"),
    "cache_read": ("cache_read", "cache_read_tokens"),
    "cache_write": ("cache_write", "cache_write_tokens"),
}
_UNREAD = frozenset({"exceeds_quota", "total_monthly_quota", "workflow_path", "aic_quantity", "aic_gross_amount"})
_OWN_FIELDS = ("date", "username", "model", "sku_id", "organization", "repository", "cost_center_name")
_UNITS = {
    "requests": "Requests",
    "request": "Requests",
    "ai_credits": "AI Credits",
    "ai_credit": "AI Credits",
    "user_months": "User-Months",
    "usermonths": "User-Months",
}
_NATIVE = {"Requests": "premium_requests", "AI Credits": "ai_credits"}
_SEATS = ("copilot_for_business", "copilot_business", "copilot_enterprise", "copilot_standalone")
_PRODUCT_NAMES = {
    "copilot": "GitHub Copilot",
    "spark": "GitHub Spark",
    "models": "GitHub Models",
    "github_models": "GitHub Models",
}
_TYPES = FieldTypes(
    counts=_TOKENS,
    instants=("date",),
    decimals=("quantity", *_AMOUNTS),
    spellings=("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f"),
)


def parse_report(path: Path, context: ParseContext, *, has_models: bool) -> Iterator[ParsedBatch]:
    """Batches of one report, and the days of SKUs that it answers for. Raises UnreadableDeliveryError."""
    required = frozenset({"date", "quantity", "net_amount", "sku"} | ({"model", "username"} if has_models else {"product"}))
    mappings = (_USAGE, _CHARGE) if has_models else (_CHARGE,)
    dialect = TableDialect("a usage report of GitHub", _NAMES, required, mappings, _UNREAD)
    usage, charges, ids = RowWriter(_USAGE, context), RowWriter(_CHARGE, context), EventIds()
    products = context.settings_as(GitHubCopilotSettings).products
    in_scope = matches_any([pl.coalesce("product", pl.lit("copilot"))], products)
    for table, flat in read_fields(path, context, dialect=dialect):
        counted = ids.with_ids(_prepared(flat.filter(in_scope)), _OWN_FIELDS)
        metered = counted.filter(~pl.col("is_seat"))
        parts = [(usage, metered), (charges, counted)] if has_models else [(charges, counted)]
        batch = batch_of_parts(table, parts, context)
        yield replace(batch, covered=covered_by_rows(batch), rows_out_of_scope=flat.height - counted.height)


def _prepared(flat: pl.DataFrame) -> pl.DataFrame:
    amounts = [dollar_text(pl.col(name), ("-",)).alias(name) for name in _AMOUNTS]
    unit = _snake(pl.col("unit_type"))
    read = flat.with_columns(*amounts, pl.col("product").fill_null("copilot")).with_columns(
        _snake(pl.col("sku")).alias("sku_id"),
        unit.replace_strict(_UNITS, default=pl.col("unit_type"), return_dtype=pl.String).alias("unit"),
        pl.struct(cost_center="cost_center_name", repository="repository").struct.json_encode().alias("tags"),
    )
    is_seat = pl.col("sku_id").is_in(_SEATS) | (pl.col("unit") == "User-Months")
    return read.with_columns(is_seat.fill_null(value=False).alias("is_seat"))


def _snake(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars().str.to_lowercase().str.replace_all(r"[\s\-]+", "_")


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        **instant_rules("date", context),
        "sku__missing": pl.col("sku").is_null(),
        "quantity__missing": pl.col("quantity").is_null(),
        "net_amount__missing": pl.col("net_amount").is_null(),
        **amount_rules(("gross_amount", "net_amount")),
        "net_amount__not_gross_less_discount": (value("gross_amount") - value("discount_amount") - value("net_amount")).abs()
        > pl.lit(1).cast(pl.Decimal(38, 18)) / 100,
    }


def _bucket(context: ParseContext, *parts: pl.Expr) -> pl.Expr:
    named = [part.fill_null("") for part in parts]
    return pl.concat_str([pl.lit(context.source_account), *named, value("date").dt.strftime("%Y-%m-%d")], separator="/")


def _usage_columns(context: ParseContext) -> dict[str, pl.Expr]:
    """One user's use of one model on one day. GitHub reports weighted quantities, and no number of calls."""
    day = value("date").dt.truncate("1d")
    return {
        "bucket_key": _bucket(context, pl.col("organization"), pl.lit("requests")),
        "event_id": pl.col("own_id"),
        "grain": pl.lit("bucket"),
        "requests_count": pl.lit(0),
        "usage_date": day.dt.date(),
        "started_at": day,
        "ended_at": day + pl.duration(days=1),
        "status": pl.lit("unknown"),
        "token_convention": pl.lit("cache_beside_input"),
        "reported_input_tokens": value("input"),
        "reported_output_tokens": value("output"),
        "cache_read_tokens": value("cache_read"),
        "cache_write_tokens": value("cache_write"),
        "primitive": pl.lit("ai.chat"),
        "native_unit": pl.col("unit").replace_strict(_NATIVE, default=pl.col("unit"), return_dtype=pl.String),
        "native_quantity": value("quantity"),
        "host_raw": pl.lit(PROVIDER),
        "model_raw": pl.col("model"),
        "deployment": pl.col("sku_id"),
        "processing": pl.lit("standard"),
        "is_cache_hit": pl.lit(value=False),
        "user_id": pl.col("username"),
        "team_id": pl.col("organization"),
        "source_cost_usd": value("gross_amount").cast(pl.Float64),
    }


def _charge_columns(context: ParseContext) -> dict[str, pl.Expr]:
    day, billed, is_seat = value("date").dt.truncate("1d"), value("net_amount"), pl.col("is_seat")
    month = day.dt.truncate("1mo")
    category = pl.when(billed < 0).then(pl.lit("Credit")).when(is_seat).then(pl.lit("Purchase")).otherwise(pl.lit("Usage"))
    product = _snake(pl.col("product"))
    return {
        "bucket_key": _bucket(context, pl.col("organization"), pl.col("sku_id")),
        "charge_date": day.dt.date(),
        "charge_period_start": day,
        "charge_period_end": day + pl.duration(days=1),
        "billing_period_start": month,
        "billing_period_end": month.dt.offset_by("1mo"),
        "provider_name": pl.lit(PROVIDER),
        "billing_account_id": pl.lit(context.source_account),
        "sub_account_id": pl.col("organization"),
        "user_id": pl.col("username"),
        "service_name": product.replace_strict(_PRODUCT_NAMES, default=pl.col("product"), return_dtype=pl.String),
        "tags": pl.when(pl.any_horizontal(pl.col("cost_center_name", "repository").is_not_null())).then(pl.col("tags")),
        "charge_category": category,
        "charge_frequency": pl.when(is_seat).then(pl.lit("Recurring")).otherwise(pl.lit("Usage-Based")),
        "charge_description": pl.col("sku"),
        "sku_id": pl.col("sku_id"),
        "sku_meter": pl.col("unit"),
        "meter_mapping": pl.when(is_seat).then(pl.lit("not_usage")).when(pl.col("model").is_null()).then(pl.lit("unmapped")),
        "model_raw": pl.when(~is_seat).then(pl.col("model")),
        "billed_cost": billed,
        "effective_cost": billed,
        "list_cost": pl.coalesce(value("gross_amount"), billed),
        "contracted_cost": billed,
        "is_list_cost_estimated": value("gross_amount").is_null(),
        "billing_currency": pl.lit("USD"),
        "consumed_quantity": pl.when(pl.col("unit").is_not_null()).then(value("quantity")),
        "consumed_unit": pl.col("unit"),
        "pricing_quantity": pl.when(pl.col("unit_type").is_not_null()).then(value("quantity")),
        "pricing_unit": pl.col("unit_type"),
        "list_unit_price": value("applied_cost_per_quantity"),
    }


_USAGE = RowMapping(types=_TYPES, columns=_usage_columns, rules=_rules)
_CHARGE = RowMapping(types=_TYPES, columns=_charge_columns, rules=_rules, table=STAGED_CHARGES)
