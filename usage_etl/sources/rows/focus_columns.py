"""FOCUS cost and usage rows, versions 1.0-preview to 1.4, to charge lines: columns by name, values in any of their spellings.

Read with tolerance where meaning is not in doubt: literal ``NULL``, letter case of listed values, blanks instead of ``T`` and
``Z`` in instants, instants without seconds, tags in several dialects. An amount with a currency sign, a category that the
specification does not list, or a period that ends before it starts is a fault of the row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import EARLIEST, FieldTypes, RowMapping, charge_day, value
from usage_etl.sources.rows.meters import UNTOLD, ReadMeter, meter_columns, metered_unit, with_meters
from usage_etl.sources.rows.tag_objects import with_tag_objects
from usage_etl.sources.rows.unit_blocks import consumed_rules, with_consumed

_RENAMED = {
    "ChargeCategory": ("ChargeCategory", "ChargeType"),
    "ConsumedQuantity": ("ConsumedQuantity", "UsageQuantity"),
    "ConsumedUnit": ("ConsumedUnit", "UsageUnit"),
    "ContractedCost": ("ContractedCost", "x_ContractedCost", "x_OnDemandCost"),
    "ContractedUnitPrice": ("ContractedUnitPrice", "x_ContractedUnitPrice", "x_OnDemandUnitPrice"),
    "InvoiceId": ("InvoiceId", "x_InvoiceId"),
    "InvoiceIssuerName": ("InvoiceIssuerName", "InvoiceIssuer"),
    "RegionId": ("RegionId", "Region"),
    "SkuMeter": ("SkuMeter", "x_SkuMeterName"),
}
"""Columns that had other names before 1.0, or stood in a provider's own column until the specification took them up."""

_KEPT = (
    *("BilledCost", "EffectiveCost", "ListCost", "BillingCurrency"),
    *("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"),
    *("ProviderName", "ServiceProviderName", "HostProviderName", "PublisherName"),
    *("BillingAccountId", "BillingAccountName", "SubAccountId", "SubAccountName"),
    *("ServiceName", "ServiceCategory", "ServiceSubcategory", "ResourceId", "ResourceName", "Tags"),
    *("ChargeClass", "ChargeSubcategory", "ChargeFrequency", "ChargeDescription", "PricingCategory"),
    *("CommitmentDiscountId", "CommitmentDiscountStatus", "SkuId", "SkuPriceId"),
    *("PricingQuantity", "PricingUnit", "ListUnitPrice"),
)

FOCUS_NAMES: Mapping[str, tuple[str, ...]] = {**{name: (name,) for name in _KEPT}, **_RENAMED}
"""Field, named as in FOCUS 1.2, to the columns it may stand in, the newest first."""

FOCUS_REQUIRED = frozenset({"BilledCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd"})
"""Columns without which a file holds no FOCUS rows."""

FOCUS_UNREAD = frozenset(
    name.lower()
    for name in (
        *("AvailabilityZone", "BillingAccountType", "SubAccountType", "RegionName", "ResourceType", "SkuPriceDetails"),
        *("CapacityReservationId", "CapacityReservationStatus", "CommitmentDiscountCategory", "CommitmentDiscountName"),
        *("CommitmentDiscountQuantity", "CommitmentDiscountType", "CommitmentDiscountUnit", "ContractApplied"),
        *("PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost"),
        *("PricingCurrencyListUnitPrice", "AllocatedMethodId", "AllocatedMethodDetails", "AllocatedResourceId"),
        *("AllocatedResourceName", "AllocatedTags", "InvoiceDetailId", "CommitmentProgramEligibilityDetails"),
    )
)
"""Columns of the specification that are known and not read, in small letters."""

FOCUS_INSTANTS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%d",
)

PROVIDER_IDS: Mapping[str, str] = {
    "amazon web services": "aws",
    "amazon web services, inc.": "aws",
    "amazon": "aws",
    "microsoft azure": "azure",
    "microsoft": "azure",
    "google cloud": "google",
    "google cloud platform": "google",
    "gcp": "google",
}
"""Provider as bills write it, in small letters, to the id that usage and price lists have it under; others are kept as sent."""

_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
_FREQUENCIES = ("One-Time", "Recurring", "Usage-Based")
_PRICINGS = {"On-Demand": "Standard", "Commitment-Based": "Committed"} | {
    name: name for name in ("Standard", "Committed", "Dynamic", "Other")
}
_MONEY = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
_PERIODS = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")

FOCUS_TYPES = FieldTypes(
    instants=_PERIODS,
    decimals=(*_MONEY, "ConsumedQuantity", "PricingQuantity", "ListUnitPrice", "ContractedUnitPrice"),
    spellings=FOCUS_INSTANTS,
)


@dataclass(frozen=True)
class FocusSource:
    """What one source of FOCUS rows adds to the mapping that all share."""

    bucket_key: pl.Expr
    """Replacement unit. ``value("BillingPeriodStart")`` is the billing period's start."""
    read_meter: ReadMeter = lambda *_: UNTOLD
    """Reads the meter of a row from the texts of ``meter_fields``."""
    meter_fields: Sequence[str] = ("ChargeCategory", "SkuMeter", "ChargeDescription")
    provider_name: str | None = None
    """Who bills, where that is known without the rows; else each row says it."""
    service_name: pl.Expr = field(default_factory=lambda: pl.col("ServiceName"))
    """The service; where it is null, the row's meter or description stands for it."""
    is_period_required: bool = False
    """Whether a row without a billing period is refused."""
    prepare: Callable[[pl.DataFrame, ParseContext], pl.DataFrame] = lambda flat, _: flat
    """What the source mends in its texts beforehand."""


def focus_mapping(source: FocusSource) -> RowMapping:
    """How FOCUS rows, with the fields of ``FOCUS_NAMES`` and those of the source as text, become charge lines."""

    def prepare(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
        clean = with_tag_objects(cleaned(source.prepare(flat, context)), "Tags")
        return with_meters(with_consumed(clean, "ConsumedQuantity", "ConsumedUnit"), source.meter_fields, source.read_meter)

    return RowMapping(
        types=FOCUS_TYPES,
        columns=lambda context: _columns(source, context),
        rules=lambda _: _rules(source),
        prepare=prepare,
        table=STAGED_CHARGES,
    )


def provider_id(name: pl.Expr) -> pl.Expr:
    """The id of a provider as bills write it."""
    lowered = name.str.to_lowercase()
    return lowered.replace_strict(PROVIDER_IDS, default=lowered, return_dtype=pl.String)


def spelled(name: pl.Expr, known: Mapping[str, str]) -> pl.Expr:
    """Listed values in their listed letter case; null where a value is not listed."""
    by_small = {spelling.lower(): meaning for spelling, meaning in known.items()}
    return name.str.to_lowercase().replace_strict(by_small, default=None, return_dtype=pl.String)


def cleaned(flat: pl.DataFrame) -> pl.DataFrame:
    """Texts without surrounding blanks; null where nothing or a written null stands."""
    texts = [name for name, kind in flat.schema.items() if kind == pl.String]
    stripped = flat.with_columns(pl.col(texts).str.strip_chars())
    return stripped.with_columns(
        pl.when(~pl.col(name).str.to_lowercase().is_in(["", "null"])).then(pl.col(name)) for name in texts
    )


def _columns(source: FocusSource, context: ParseContext) -> dict[str, pl.Expr]:
    return {
        "bucket_key": source.bucket_key,
        **_period_columns(),
        **_party_columns(source, context),
        **_charge_columns(source),
        **_amount_columns(),
        **meter_columns(),
    }


def _period_columns() -> dict[str, pl.Expr]:
    start, period_start, period_end = value("ChargePeriodStart"), value("BillingPeriodStart"), value("BillingPeriodEnd")
    return {
        "charge_date": charge_day(start, period_start, period_end),
        "charge_period_start": start,
        "charge_period_end": value("ChargePeriodEnd"),
        "billing_period_start": period_start,
        "billing_period_end": period_end,
    }


def _provider(source: FocusSource) -> pl.Expr:
    if source.provider_name is not None:
        return pl.lit(source.provider_name)
    return provider_id(pl.coalesce("ServiceProviderName", "ProviderName"))


def _party_columns(source: FocusSource, context: ParseContext) -> dict[str, pl.Expr]:
    return {
        "provider_name": _provider(source),
        "publisher_name": pl.col("PublisherName"),
        "host_provider_name": pl.col("HostProviderName"),
        "invoice_issuer_name": pl.col("InvoiceIssuerName"),
        "billing_account_id": pl.coalesce("BillingAccountId", pl.lit(context.source_account)),
        "billing_account_name": pl.col("BillingAccountName"),
        "sub_account_id": pl.col("SubAccountId"),
        "sub_account_name": pl.col("SubAccountName"),
        "invoice_id": pl.col("InvoiceId"),
    }


def _charge_columns(source: FocusSource) -> dict[str, pl.Expr]:
    return {
        "service_name": pl.coalesce(source.service_name, "SkuMeter", "ChargeDescription", "SkuId", pl.lit("(not named)")),
        "service_category": pl.col("ServiceCategory"),
        "service_subcategory": pl.col("ServiceSubcategory"),
        "region_id": pl.col("RegionId"),
        "resource_id": pl.col("ResourceId"),
        "resource_name": pl.col("ResourceName"),
        "tags": pl.col("Tags"),
        "charge_category": _category(),
        "charge_class": spelled(pl.col("ChargeClass"), {"Correction": "Correction"}),
        "charge_frequency": spelled(pl.col("ChargeFrequency"), {name: name for name in _FREQUENCIES}),
        "charge_description": pl.col("ChargeDescription"),
        "pricing_category": pl.coalesce(spelled(pl.col("PricingCategory"), _PRICINGS), "PricingCategory"),
        "commitment_discount_id": pl.col("CommitmentDiscountId"),
        "commitment_discount_status": pl.coalesce("CommitmentDiscountStatus", _preview_commitment_status()),
        "sku_id": pl.col("SkuId"),
        "sku_price_id": pl.col("SkuPriceId"),
        "sku_meter": pl.col("SkuMeter"),
    }


def _category() -> pl.Expr:
    """The charge's category; before 1.0 a credit was an adjustment of the subcategory Credit."""
    category = spelled(pl.col("ChargeCategory"), {name: name for name in _CATEGORIES})
    is_credit = (category == "Adjustment") & (pl.col("ChargeSubcategory").str.to_lowercase() == "credit").fill_null(value=False)
    return pl.when(is_credit).then(pl.lit("Credit")).otherwise(category)


def _preview_commitment_status() -> pl.Expr:
    return spelled(pl.col("ChargeSubcategory"), {"Used Commitment": "Used", "Unused Commitment": "Unused"})


def _amount_columns() -> dict[str, pl.Expr]:
    billed, unit = value("BilledCost"), metered_unit(pl.col("consumed_unit"))
    is_priced_pair = value("PricingQuantity").is_not_null() & pl.col("PricingUnit").is_not_null()
    return {
        "billed_cost": billed,
        "effective_cost": pl.coalesce(value("EffectiveCost"), billed),
        "list_cost": pl.coalesce(value("ListCost"), billed),
        "contracted_cost": pl.coalesce(value("ContractedCost"), billed),
        "is_list_cost_estimated": value("ListCost").is_null(),
        "billing_currency": pl.col("BillingCurrency").str.to_uppercase(),
        "consumed_quantity": pl.col("consumed_quantity"),
        "consumed_unit": unit,
        "pricing_quantity": pl.when(is_priced_pair).then(value("PricingQuantity")),
        "pricing_unit": pl.when(is_priced_pair).then(pl.col("PricingUnit")),
        "list_unit_price": value("ListUnitPrice"),
        "contracted_unit_price": value("ContractedUnitPrice"),
    }


def _rules(source: FocusSource) -> dict[str, pl.Expr]:
    required = ["BilledCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd"]
    required += ["BillingPeriodStart"] if source.is_period_required else []
    return {
        **{f"{name}__missing": pl.col(name).is_null() for name in required},
        **amount_rules(_MONEY),
        **consumed_rules("ConsumedQuantity", "ConsumedUnit"),
        **period_rules("ChargePeriodStart", "ChargePeriodEnd"),
        **period_rules("BillingPeriodStart", "BillingPeriodEnd"),
        "BillingCurrency__not_iso_4217": ~pl.col("BillingCurrency").str.contains(r"^[A-Za-z]{3}$"),
        "ChargeCategory__unknown": pl.col("ChargeCategory").is_not_null() & _category().is_null(),
        "ChargeClass__unknown": pl.col("ChargeClass").is_not_null() & (pl.col("ChargeClass").str.to_lowercase() != "correction"),
        "ProviderName__missing": _provider(source).is_null(),
    }


def amount_rules(names: Sequence[str]) -> dict[str, pl.Expr]:
    """Rules of converted amounts: within what is accepted on one row."""
    return {f"{name}__out_of_range": value(name).abs() >= MAX_AMOUNT for name in names}


def period_rules(start: str, end: str) -> dict[str, pl.Expr]:
    """Rules of a half-open period of converted instants."""
    return {
        f"{start}__too_early": value(start) < EARLIEST,
        f"{end}__not_after_start": value(end) <= value(start),
        f"{end}__too_late": value(end) > _LATEST,
    }


_LATEST = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
"""A later end is a placeholder for "never", not a time."""
