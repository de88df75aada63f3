"""Rows of CUR 2.0 to charge lines, whatever columns the customer chose.

``unblended`` is what is billed. What is effective depends on the kind of line: covered usage costs its share of the
commitment, a commitment's fee only the part that nobody used, and its up-front payment and the negation of covered usage
nothing. So both sums are right over all lines of a month.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from usage_etl.money import MONEY
from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.aws_data_exports.cur_columns import CUR_DECIMALS, CUR_INSTANTS
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.reading.distinct import read_distinct
from usage_etl.sources.rows.aws_meters import read_meter
from usage_etl.sources.rows.focus_columns import FOCUS_INSTANTS, amount_rules, cleaned, period_rules, spelled
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, charge_day, value
from usage_etl.sources.rows.meters import meter_columns, with_meters
from usage_etl.sources.rows.tag_objects import merged_tags, tag_object
from usage_etl.sources.rows.unit_blocks import consumed_rules, with_consumed

_CATEGORIES = {
    **dict.fromkeys(("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage", "SavingsPlanNegation"), "Usage"),
    **dict.fromkeys(("Fee", "RIFee", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee"), "Purchase"),
    **dict.fromkeys(("Credit", "BundledDiscount", "Discount", "EdpDiscount", "PrivateRateDiscount"), "Credit"),
    **dict.fromkeys(("RiVolumeDiscount", "SppDiscount", "DistributorDiscount", "SolutionProviderProgramDiscount"), "Credit"),
    "Refund": "Adjustment",
    "Tax": "Tax",
}
"""Line item type to charge category."""

COST_CATEGORY = "cost_category/"
"""What keys of cost categories begin with among the tags."""

_MARKETPLACE_UNIT = r"(?i)\b(million|thousand|1m|1k)\b.*\btokens?\b"
_TYPE = pl.col("line_item_line_item_type").str.to_lowercase()


@dataclass(frozen=True)
class CurRun:
    """What the rows of one run share."""

    bucket_key: str
    period: tuple[dt.datetime, dt.datetime]
    """Billing period, half-open, for rows that name none."""


def cur_mapping(run: CurRun) -> RowMapping:
    """How rows with the fields of ``CUR_NAMES`` become charge lines."""
    return RowMapping(
        types=FieldTypes(instants=CUR_INSTANTS, decimals=CUR_DECIMALS, spellings=FOCUS_INSTANTS),
        columns=lambda context: _columns(run, context),
        rules=lambda _: _rules(),
        prepare=_prepared,
        derived=_derived(run),
        table=STAGED_CHARGES,
    )


def with_product_name(flat: pl.DataFrame) -> pl.DataFrame:
    """``flat`` with the product's name taken from the map ``product`` where it is no column of its own."""
    read = read_distinct(flat, ["product"], lambda text: (_product_name(text),), {"product name": pl.String()})
    return read.with_columns(product_name=pl.coalesce("product_name", "product name")).drop("product name")


@lru_cache(maxsize=65536)
def _product_name(text: str | None) -> str | None:
    found = json.loads(tag_object(text) or "{}")
    return found.get("product_name") or None


def with_all_tags(flat: pl.DataFrame, *names: str) -> pl.DataFrame:
    """``flat`` with ``all tags``: the objects in the columns ``names`` as one, the last of them being cost categories."""
    prefixes = [*("" for _ in names[1:]), COST_CATEGORY]

    def merged(*texts: str | None) -> tuple[str | None]:
        return (merged_tags(*zip(prefixes, texts, strict=True)),)

    return read_distinct(flat, names, merged, {"all tags": pl.String()})


def _prepared(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
    clean = cleaned(flat)
    tagged = with_all_tags(clean, "resource_tags", "tags", "cost_category")
    described = pl.col("line_item_line_item_description").str.extract(_MARKETPLACE_UNIT, 1).str.to_lowercase()
    block = described.replace_strict({"million": "1M", "1m": "1M", "thousand": "1K", "1k": "1K"}, default=None) + " Tokens"
    is_bare = pl.col("pricing_unit").str.to_lowercase() == "units"
    units = tagged.with_columns(pl.when(is_bare & block.is_not_null()).then(block).otherwise("pricing_unit").alias("unit"))
    metered = with_meters(units, ("line_item_line_item_type", "line_item_usage_type", "product_name"), read_meter)
    return with_consumed(metered, "line_item_usage_amount", "unit")


def _derived(run: CurRun) -> list[pl.Expr]:
    kind = pl.Datetime("us", "UTC")
    start, end = value("line_item_usage_start_date"), value("line_item_usage_end_date")
    return [
        pl.coalesce(value("bill_billing_period_start_date"), pl.lit(run.period[0], kind)).alias("period start"),
        pl.coalesce(value("bill_billing_period_end_date"), pl.lit(run.period[1], kind)).alias("period end"),
        pl.when(end.is_null() | (end == start)).then(start + pl.duration(hours=1)).otherwise(end).alias("charge end"),
    ]


def _columns(run: CurRun, context: ParseContext) -> dict[str, pl.Expr]:
    start = value("line_item_usage_start_date")
    return {
        "bucket_key": pl.lit(run.bucket_key),
        "charge_date": charge_day(start, pl.col("period start"), pl.col("period end")),
        "charge_period_start": start,
        "charge_period_end": pl.col("charge end"),
        "billing_period_start": pl.col("period start"),
        "billing_period_end": pl.col("period end"),
        **_party_columns(context),
        **_service_columns(),
        **_charge_columns(),
        **_amount_columns(),
        **meter_columns(),
    }


def _party_columns(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        "provider_name": pl.lit("aws"),
        "publisher_name": pl.col("line_item_legal_entity"),
        "invoice_issuer_name": pl.col("bill_invoicing_entity"),
        "billing_account_id": pl.coalesce("bill_payer_account_id", pl.lit(context.source_account)),
        "billing_account_name": pl.col("bill_payer_account_name"),
        "sub_account_id": pl.col("line_item_usage_account_id"),
        "sub_account_name": pl.col("line_item_usage_account_name"),
        "invoice_id": pl.col("bill_invoice_id"),
        "user_id": pl.coalesce("line_item_iam_principal", "line_item_user_identifier"),
    }


def _service_columns() -> dict[str, pl.Expr]:
    return {
        "service_name": pl.coalesce(
            "product_name", "product_servicecode", "line_item_product_code", "line_item_usage_type", pl.lit("(not named)")
        ),
        "service_category": pl.lit("AI and Machine Learning"),
        "region_id": pl.coalesce("product_region_code", "line_item_availability_zone"),
        "resource_id": pl.col("line_item_resource_id"),
        "tags": pl.col("all tags"),
        "sku_id": pl.col("product_sku"),
        "sku_price_id": pl.col("pricing_rate_id"),
        "sku_meter": pl.col("line_item_usage_type"),
        "charge_description": pl.col("line_item_line_item_description"),
    }


def _charge_columns() -> dict[str, pl.Expr]:
    is_covered = _TYPE.is_in(["discountedusage", "savingsplancoveredusage"])
    is_recurring = _TYPE.is_in(["rifee", "savingsplanrecurringfee"])
    category = spelled(pl.col("line_item_line_item_type"), _CATEGORIES)
    return {
        "charge_category": category,
        "charge_frequency": pl.when(is_recurring)
        .then(pl.lit("Recurring"))
        .when(category == "Usage")
        .then(pl.lit("Usage-Based"))
        .otherwise(pl.lit("One-Time")),
        "pricing_category": pl.when(is_covered).then(pl.lit("Committed")).when(category == "Usage").then(pl.lit("Standard")),
        "commitment_discount_id": pl.coalesce("savings_plan_savings_plan_a_r_n", "reservation_reservation_a_r_n"),
        "commitment_discount_status": pl.when(is_covered).then(pl.lit("Used")),
    }


def _amount_columns() -> dict[str, pl.Expr]:
    billed, nothing = value("line_item_unblended_cost"), pl.lit(0, MONEY)
    is_negation = _TYPE == "savingsplannegation"
    is_listed = spelled(pl.col("line_item_line_item_type"), _CATEGORIES) == "Usage"
    public = value("pricing_public_on_demand_cost")
    has_public = is_listed & public.is_not_null() & (public != 0)
    has_quantity = pl.col("consumed_quantity").is_not_null() & ~is_negation
    is_pair = value("line_item_usage_amount").is_not_null() & pl.col("pricing_unit").is_not_null() & ~is_negation
    return {
        "billed_cost": billed,
        "effective_cost": _effective(billed, nothing),
        "list_cost": pl.when(is_negation).then(nothing).when(has_public).then(public).otherwise(billed),
        "contracted_cost": pl.when(is_negation).then(nothing).otherwise(billed),
        "is_list_cost_estimated": ~has_public & ~is_negation,
        "billing_currency": pl.col("line_item_currency_code").str.to_uppercase(),
        "consumed_quantity": pl.when(has_quantity).then(pl.col("consumed_quantity")),
        "consumed_unit": pl.when(has_quantity).then(pl.col("consumed_unit")),
        "pricing_quantity": pl.when(is_pair).then(value("line_item_usage_amount")),
        "pricing_unit": pl.when(is_pair).then(pl.col("pricing_unit")),
        "list_unit_price": pl.when(is_pair).then(value("pricing_public_on_demand_rate")),
    }


def _effective(billed: pl.Expr, nothing: pl.Expr) -> pl.Expr:
    """Effective cost by kind of line; negotiated discounts are in the ``net`` columns where the export has them."""
    net = pl.coalesce(value("line_item_net_unblended_cost"), billed)
    unused_fee = _either("reservation_{}unused_amortized_upfront_fee_for_billing_period", nothing) + _either(
        "reservation_{}unused_recurring_fee", nothing
    )
    total, used = value("savings_plan_total_commitment_to_date"), value("savings_plan_used_commitment")
    return (
        pl.when(_TYPE == "discountedusage")
        .then(_either("reservation_{}effective_cost", net))
        .when(_TYPE == "savingsplancoveredusage")
        .then(pl.coalesce(value("savings_plan_net_savings_plan_effective_cost"), _SAVINGS_EFFECTIVE, net))
        .when(_TYPE == "rifee")
        .then(unused_fee)
        .when(_TYPE == "savingsplanrecurringfee")
        .then(pl.coalesce(total - used, net))
        .when(_TYPE.is_in(["savingsplanupfrontfee", "savingsplannegation"]))
        .then(nothing)
        .when((_TYPE == "fee") & pl.col("reservation_reservation_a_r_n").is_not_null())
        .then(nothing)
        .otherwise(net)
    )


_SAVINGS_EFFECTIVE = value("savings_plan_savings_plan_effective_cost")


def _either(name: str, without: pl.Expr) -> pl.Expr:
    """The ``net`` spelling of an amount where it has one, else the other, else ``without``."""
    return pl.coalesce(value(name.format("net_")), value(name.format("")), without)


def _rules() -> dict[str, pl.Expr]:
    required = ("line_item_line_item_type", "line_item_usage_start_date", "line_item_unblended_cost", "line_item_currency_code")
    start = value("line_item_usage_start_date")
    types = spelled(pl.col("line_item_line_item_type"), _CATEGORIES)
    periods = period_rules("line_item_usage_start_date", "line_item_usage_end_date")
    return {
        **{f"{name}__missing": pl.col(name).is_null() for name in required},
        **consumed_rules("line_item_usage_amount", "unit"),
        **amount_rules([name for name in CUR_DECIMALS if name.endswith(("_cost", "_fee"))]),
        **{name: rule for name, rule in periods.items() if not name.endswith("__not_after_start")},
        "line_item_usage_end_date__before_start": value("line_item_usage_end_date") < start,
        "bill_billing_period_end_date__not_after_start": pl.col("period end") <= pl.col("period start"),
        "line_item_currency_code__not_iso_4217": ~pl.col("line_item_currency_code").str.contains(r"^[A-Za-z]{3}$"),
        "line_item_line_item_type__unknown": pl.col("line_item_line_item_type").is_not_null() & types.is_null(),
    }
