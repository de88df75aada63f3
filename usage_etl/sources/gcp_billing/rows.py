"""Rows of the detailed export to charge lines: the cost as one line, each of its credits as a line of its own.

A cost is before credits; ``cost`` plus its credits is the net. A credit is never also netted into the cost's line. Google's
months are Pacific months; a line is counted in the month of its invoice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.gcp_billing.settings import AI_SERVICES
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.distinct import read_distinct
from usage_etl.sources.rows.focus_columns import amount_rules
from usage_etl.sources.rows.google_meters import read_google_sku
from usage_etl.sources.rows.mapping import EARLIEST, FieldTypes, RowMapping, charge_day, instant_rules, value
from usage_etl.sources.rows.meters import METER_COLUMNS
from usage_etl.sources.rows.service_scope import matches_any
from usage_etl.sources.rows.tag_objects import tag_object
from usage_etl.sources.rows.unit_blocks import with_consumed

SPELLINGS = (
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
)
"""Instants as BigQuery's JSON and Parquet exports and client libraries write them; without a zone they are UTC."""

_CATEGORIES = {"regular": "Usage", "tax": "Tax", "adjustment": "Adjustment", "rounding_error": "Adjustment"}
_PURCHASE = r"(?i)^commitment\b|\bprovisioned throughput\b"
_COUNTED = ("count", "Count", "Requests", "Units", "Tokens")
"""Units under which Google counts tokens."""

_NESTED = {
    "invoice_month": ("invoice", "month"),
    "service_id": ("service", "id"),
    "service_name": ("service", "description"),
    "sku_id": ("sku", "id"),
    "sku_description": ("sku", "description"),
    "project_id": ("project", "id"),
    "project_name": ("project", "name"),
    "region": ("location", "region"),
    "location_name": ("location", "location"),
    "resource_name": ("resource", "name"),
    "resource_id": ("resource", "global_name"),
    "usage_amount": ("usage", "amount"),
    "usage_unit": ("usage", "unit"),
    "pricing_amount": ("usage", "amount_in_pricing_units"),
    "pricing_unit": ("usage", "pricing_unit"),
    "effective_price": ("price", "effective_price"),
    "list_price": ("price", "list_price"),
    "price_quantity": ("price", "pricing_unit_quantity"),
    "adjustment_mode": ("adjustment_info", "mode"),
    "adjustment_type": ("adjustment_info", "type"),
    "consumption_model": ("consumption_model", "description"),
    "subscription_id": ("subscription", "instance_id"),
}
"""Flat field to its place in a row of the export."""

_FLAT = (
    *("raw_ordinal", "billing_account_id", "cost_type", "usage_start_time", "usage_end_time", "export_time"),
    *("currency", "cost", "cost_at_list", "transaction_type", "seller_name"),
)


def flat_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the export with one text column per field that is read, and the list of their credits."""
    nested = [pl.col(top).struct.field(inner).alias(name) for name, (top, inner) in _NESTED.items()]
    labels = pl.struct("labels", pl.col("project").struct.field("labels").alias("project"), "tags").struct.json_encode()
    flat = frame.select(*_FLAT, *nested, labels.alias("label_lists"), "credits")
    texts = [name for name, kind in flat.schema.items() if kind == pl.String]
    return flat.with_columns(pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in texts)


def prepared(flat: pl.DataFrame) -> pl.DataFrame:
    """With what Python reads from the texts, each distinct text once: meters, tags, quantities."""
    schema = {**METER_COLUMNS, "sku_counts": pl.String()}
    metered = read_distinct(flat, ["sku_description"], _meter, schema)
    tagged = read_distinct(metered, ["label_lists"], _tags, {"tags": pl.String()})
    return with_consumed(tagged, "usage_amount", "usage_unit")


def credit_rows(flat: pl.DataFrame) -> pl.DataFrame:
    """One row per credit of each row, under its ordinal."""
    exploded = flat.explode("credits").filter(pl.col("credits").is_not_null())
    names = ("id", "full_name", "name", "type", "amount")
    return exploded.with_columns(pl.col("credits").struct.field(name).alias(f"credit_{name}") for name in names)


def _meter(description: str | None) -> tuple[str | None, ...]:
    sku = read_google_sku(description)
    return (*astuple(sku.meter), sku.counts)


def _tags(label_lists: str | None) -> tuple[str | None]:
    """Labels of the resource, of its project and the inherited tags as one object; the resource's own win."""
    return (tag_object(_merged_labels(label_lists)),)


def _merged_labels(label_lists: str | None) -> str | None:
    lists = json.loads(label_lists or "{}")
    found: dict[str, str | None] = {}
    for entry in lists.get("project") or ():
        found[f"project/{entry['key']}"] = entry["value"]
    for entry in lists.get("tags") or ():
        found[f"{entry['namespace']}/{entry['key']}"] = entry["value"]
    for entry in lists.get("labels") or ():
        found[str(entry["key"])] = entry["value"]
    return json.dumps(found, ensure_ascii=False) if found else None


def _shared(context: ParseContext) -> dict[str, pl.Expr]:
    """Columns that a cost and its credits have in common."""
    start, period_start = value("usage_start_time"), _period_start()
    period_end = period_start.dt.offset_by("1mo")
    is_agency = pl.col("transaction_type") == "THIRD_PARTY_AGENCY"
    return {
        "bucket_key": bucket_key(context, value("export_time")),
        "charge_date": charge_day(start, period_start, period_end),
        "charge_period_start": start,
        "charge_period_end": pl.coalesce(value("usage_end_time"), start),
        "billing_period_start": period_start,
        "billing_period_end": period_end,
        "provider_name": pl.lit("google"),
        "publisher_name": pl.coalesce("seller_name", pl.lit("Google")),
        "host_provider_name": pl.lit("Google Cloud"),
        "invoice_issuer_name": pl.when(is_agency).then(pl.col("seller_name")).otherwise(pl.lit("Google Cloud")),
        "billing_account_id": pl.coalesce("billing_account_id", pl.lit(context.source_account)),
        "sub_account_id": pl.col("project_id"),
        "sub_account_name": pl.col("project_name"),
        "service_name": pl.coalesce("service_name", "service_id", pl.lit("(not named)")),
        "service_category": pl.when(matches_any([pl.col("service_name")], AI_SERVICES))
        .then(pl.lit("AI and Machine Learning"))
        .otherwise(pl.lit("Other")),
        "region_id": pl.coalesce("region", "location_name"),
        "resource_id": pl.col("resource_id"),
        "resource_name": pl.col("resource_name"),
        "tags": pl.col("tags"),
        "charge_class": pl.when(_is_correction()).then(pl.lit("Correction")),
        "commitment_discount_id": pl.col("subscription_id"),
        "sku_id": pl.col("sku_id"),
        "sku_meter": pl.col("sku_counts"),
        "model_raw": pl.col("model_raw"),
        "billing_currency": pl.col("currency").str.to_uppercase(),
    }


def bucket_key(context: ParseContext, exported_at: pl.Expr) -> pl.Expr:
    """``account/day of the export``: the partition of the table, which a later delivery replaces."""
    return pl.concat_str(pl.lit(f"{context.source_account}/"), exported_at.dt.strftime("%Y-%m-%d"))


def _period_start() -> pl.Expr:
    first_day = (pl.col("invoice_month") + "01").str.to_date("%Y%m%d", strict=False)
    return first_day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _is_adjusted() -> pl.Expr:
    return pl.any_horizontal(
        pl.col("adjustment_mode").is_not_null(), pl.col("adjustment_type").is_not_null(), _cost_type() == "adjustment"
    )


def _is_correction() -> pl.Expr:
    """An adjustment of usage in an earlier month than the one that is invoiced."""
    return _is_adjusted() & (value("usage_start_time") < _period_start()).fill_null(value=False)


def _cost_type() -> pl.Expr:
    return pl.col("cost_type").str.to_lowercase().fill_null("regular")


def _is_purchase() -> pl.Expr:
    return pl.col("sku_description").str.contains(_PURCHASE).fill_null(value=False) & (_cost_type() == "regular")


def _category() -> pl.Expr:
    listed = _cost_type().replace_strict(_CATEGORIES, default=None, return_dtype=pl.String)
    is_adjusted_usage = _is_adjusted() & (listed == "Usage")
    return pl.when(is_adjusted_usage).then(pl.lit("Adjustment")).when(_is_purchase()).then(pl.lit("Purchase")).otherwise(listed)


def _cost_columns(context: ParseContext) -> dict[str, pl.Expr]:
    cost, category = value("cost"), _category()
    is_usage = category == "Usage"
    is_unit_price = value("price_quantity").is_null() | (value("price_quantity") == 1)
    is_token_count = pl.col("token_class").is_not_null() & pl.col("consumed_unit").is_in(_COUNTED)
    is_priced_pair = value("pricing_amount").is_not_null() & pl.col("pricing_unit").is_not_null()
    return {
        **_shared(context),
        "charge_category": category,
        "charge_frequency": pl.when(is_usage).then(pl.lit("Usage-Based")).when(_is_purchase()).then(pl.lit("Recurring")),
        "charge_description": pl.col("sku_description"),
        "pricing_category": pl.when(pl.col("consumption_model").is_not_null() & (pl.col("consumption_model") != "Default"))
        .then(pl.lit("Committed"))
        .when(is_usage)
        .then(pl.lit("Standard")),
        "meter_mapping": pl.when(is_usage).then(pl.col("meter_mapping")).otherwise(pl.lit("not_usage")),
        "token_class": pl.when(is_usage).then(pl.col("token_class")),
        "processing": pl.when(is_usage).then(pl.col("processing")),
        "context_band": pl.when(is_usage).then(pl.col("context_band")),
        "deployment_scope": pl.when(is_usage).then(pl.col("deployment_scope")),
        "billed_cost": cost,
        "effective_cost": cost,
        "list_cost": pl.coalesce(value("cost_at_list"), cost),
        "contracted_cost": cost,
        "is_list_cost_estimated": value("cost_at_list").is_null(),
        "consumed_quantity": pl.col("consumed_quantity"),
        "consumed_unit": pl.when(is_token_count).then(pl.lit("Tokens")).otherwise(pl.col("consumed_unit")),
        "pricing_quantity": pl.when(is_priced_pair).then(value("pricing_amount")),
        "pricing_unit": pl.when(is_priced_pair).then(pl.col("pricing_unit")),
        "list_unit_price": pl.when(is_unit_price).then(value("list_price")),
        "contracted_unit_price": pl.when(is_unit_price).then(value("effective_price")),
    }


def _credit_columns(context: ParseContext) -> dict[str, pl.Expr]:
    """A credit lowers what is billed, not what the usage costs by list or contract: those were stated by its cost's line."""
    amount, none = value("credit_amount"), pl.lit(0)
    return {
        **_shared(context),
        "charge_category": pl.lit("Credit"),
        "charge_frequency": pl.lit("One-Time"),
        "charge_description": pl.coalesce("credit_full_name", "credit_name", "credit_type", "credit_id"),
        "commitment_discount_id": pl.col("subscription_id"),
        "meter_mapping": pl.lit("not_usage"),
        "billed_cost": amount,
        "effective_cost": amount,
        "list_cost": none,
        "contracted_cost": none,
        "is_list_cost_estimated": pl.lit(value=False),
    }


def _row_rules(context: ParseContext) -> dict[str, pl.Expr]:
    start, end = value("usage_start_time"), value("usage_end_time")
    return {
        **instant_rules("export_time", context),
        "usage_start_time__missing": pl.col("usage_start_time").is_null(),
        "usage_start_time__too_early": start < EARLIEST,
        "usage_end_time__before_start": end < start,
        "invoice_month__not_a_month": pl.col("invoice_month").is_not_null() & _period_start().is_null(),
        "cost__missing": pl.col("cost").is_null(),
        **amount_rules(("cost", "cost_at_list")),
        "cost_type__unknown": _category().is_null(),
        "currency__missing": pl.col("currency").is_null(),
        "currency__not_iso_4217": ~pl.col("currency").str.contains(r"^[A-Za-z]{3}$"),
    }


def _credit_rules(_: ParseContext) -> dict[str, pl.Expr]:
    return {"credit_amount__missing": pl.col("credit_amount").is_null(), **amount_rules(("credit_amount",))}


_INSTANTS = ("usage_start_time", "usage_end_time", "export_time")
_QUANTITIES = ("usage_amount", "pricing_amount", "effective_price", "list_price", "price_quantity")


def _mapping(
    decimals: tuple[str, ...],
    columns: Callable[[ParseContext], dict[str, pl.Expr]],
    rules: Callable[[ParseContext], dict[str, pl.Expr]],
) -> RowMapping:
    types = FieldTypes(instants=_INSTANTS, decimals=decimals, spellings=SPELLINGS)
    return RowMapping(types=types, columns=columns, rules=rules, table=STAGED_CHARGES)


COSTS = _mapping(("cost", "cost_at_list", *_QUANTITIES), _cost_columns, _row_rules)
"""What each row of the export becomes."""

CREDITS = _mapping(("credit_amount",), _credit_columns, _credit_rules)
"""What each credit of a row becomes; the rules of its row hold for it too."""
