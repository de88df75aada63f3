"""Rows of ActualCost and AmortizedCost exports, of every generation and agreement, to charge lines.

Enterprise, customer and older agreements name the same columns differently and in different letter case. Dates are written
``9/2/2023`` or ISO; the billing period's end is its last day and becomes exclusive. A row is one day of one meter. Quantities
are in blocks of the unit (``10K``), which are multiplied out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from usage_etl.money import MONEY
from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.azure_meters import read_meter
from usage_etl.sources.rows.focus_columns import FOCUS_INSTANTS, amount_rules, cleaned, period_rules, spelled
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, charge_day, value
from usage_etl.sources.rows.meters import meter_columns, metered_unit, with_meters
from usage_etl.sources.rows.tag_objects import with_tag_objects
from usage_etl.sources.rows.unit_blocks import consumed_rules, with_consumed

COST_NAMES: Mapping[str, tuple[str, ...]] = {
    "Date": ("Date", "UsageDateTime", "UsageDate"),
    "Cost": ("CostInBillingCurrency", "PreTaxCost", "Cost"),
    "BillingCurrency": ("BillingCurrencyCode", "BillingCurrency", "Currency"),
    "BillingPeriodStart": ("BillingPeriodStartDate", "BillingPeriodStart"),
    "BillingPeriodEnd": ("BillingPeriodEndDate", "BillingPeriodEnd"),
    "Quantity": ("Quantity", "UsageQuantity", "ConsumedQuantity"),
    "UnitOfMeasure": ("UnitOfMeasure",),
    "UnitPrice": ("UnitPrice",),
    "PayGPrice": ("PayGPrice",),
    "PaygCost": ("PaygCostInBillingCurrency",),
    "PricingCurrency": ("PricingCurrency", "PricingCurrencyCode"),
    "ChargeType": ("ChargeType",),
    "Frequency": ("Frequency",),
    "PricingModel": ("PricingModel",),
    "MeterCategory": ("MeterCategory",),
    "MeterSubCategory": ("MeterSubCategory", "MeterSubcategory"),
    "MeterId": ("MeterId",),
    "MeterName": ("MeterName", "Meter"),
    "PartNumber": ("PartNumber",),
    "ProductName": ("ProductName", "Product"),
    "PublisherName": ("PublisherName",),
    "BillingAccountId": ("BillingAccountId", "BillingAccount", "EnrollmentNumber"),
    "BillingAccountName": ("BillingAccountName",),
    "SubscriptionId": ("SubscriptionId", "SubscriptionGuid"),
    "SubscriptionName": ("SubscriptionName",),
    "InvoiceId": ("InvoiceId", "InvoiceNumber"),
    "ResourceId": ("ResourceId", "InstanceId", "InstanceName"),
    "ResourceName": ("ResourceName",),
    "ResourceLocation": ("ResourceLocation", "ResourceLocationNormalized", "MeterRegion"),
    "ReservationId": ("BenefitId", "ReservationId"),
    "Tags": ("Tags",),
}
"""Field to the columns it may stand in; letter case does not matter."""

COST_REQUIRED = frozenset({"Date", "Cost", "BillingCurrency"})

COST_UNREAD = frozenset(
    (
        *("accountid", "accountname", "accountownerid", "additionalinfo", "availabilityzone", "benefitname", "billingprofileid"),
        *(
            "billingprofilename",
            "consumedservice",
            "consumedserviceid",
            "costallocationrulename",
            "costcenter",
            "costinpricingcurrency",
        ),
        *(
            "costinusd",
            "customername",
            "customertenantid",
            "departmentname",
            "effectiveprice",
            "exchangerate",
            "exchangeratedate",
        ),
        *("exchangeratepricingtobilling", "invoicesectionid", "invoicesectionname", "isazurecrediteligible", "location"),
        *("meterregion", "offerid", "partnerearnedcreditapplied", "partnerearnedcreditrate", "partnername", "partnertenantid"),
        *("paygcostinusd", "planname", "previousinvoiceid", "productid", "productorderid", "productordername", "provider"),
        *("publisherid", "publishertype", "resellermpnid", "resellername", "reservationid", "reservationname", "resourcegroup"),
        *("resourcegroupname", "resourcelocationid", "resourcerate", "resourcetype", "roundingadjustment", "servicefamily"),
        *(
            "serviceinfo1",
            "serviceinfo2",
            "serviceperiodenddate",
            "serviceperiodstartdate",
            "serviceperiodend",
            "serviceperiodstart",
        ),
        *("servicename", "servicetier", "storeserviceidentifier", "term", "unitprice"),
    )
)
"""Columns that are known and not read, in small letters."""

COST_SCOPE = ("MeterCategory", "MeterSubCategory", "ProductName", "PublisherName")
"""Fields that say which service a row is of."""

_CATEGORIES = {
    "Usage": "Usage",
    "UnusedReservation": "Usage",
    "UnusedSavingsPlan": "Usage",
    "Purchase": "Purchase",
    "Refund": "Adjustment",
    "RoundingAdjustment": "Adjustment",
    "Adjustment": "Adjustment",
    "Credit": "Credit",
    "Tax": "Tax",
}
_UNUSED = ("unusedreservation", "unusedsavingsplan")
_FREQUENCIES = {"OneTime": "One-Time", "One-Time": "One-Time", "Recurring": "Recurring"} | dict.fromkeys(
    ("UsageBased", "Usage-Based"), "Usage-Based"
)
_PRICINGS = {
    "OnDemand": "Standard",
    "Spot": "Dynamic",
    "Reservation": "Committed",
    "SavingsPlan": "Committed",
    "Savings Plan": "Committed",
    "Commitment": "Committed",
}
_INSTANTS = ("%m/%d/%Y", *FOCUS_INSTANTS, "%m/%d/%Y %H:%M:%S", "%Y%m%d")
_DECIMALS = ("Cost", "Quantity", "UnitPrice", "PayGPrice", "PaygCost")


@dataclass(frozen=True)
class CostRun:
    """What the rows of one run share."""

    bucket_key: str
    is_billed: bool
    """Whether the rows fill the billed, list and contracted amounts, and the quantities."""
    is_effective: bool
    """Whether they fill the effective amount."""
    period: tuple[dt.datetime, dt.datetime] | None
    """Billing period, half-open, for rows that name none."""


def cost_mapping(run: CostRun) -> RowMapping:
    """How rows with the fields of ``COST_NAMES`` become charge lines."""
    return RowMapping(
        types=FieldTypes(instants=("Date", "BillingPeriodStart", "BillingPeriodEnd"), decimals=_DECIMALS, spellings=_INSTANTS),
        columns=lambda context: _columns(run, context),
        rules=lambda _: _rules(),
        prepare=_prepared,
        derived=_derived(run),
        table=STAGED_CHARGES,
    )


def _prepared(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
    clean = with_tag_objects(cleaned(flat), "Tags")
    return with_meters(
        with_consumed(clean, "Quantity", "UnitOfMeasure"), ("ChargeType", "MeterName", "MeterSubCategory"), read_meter
    )


def _derived(run: CostRun) -> list[pl.Expr]:
    """The billing period half-open, under the names that rules and columns read."""
    start, end = value("BillingPeriodStart"), value("BillingPeriodEnd")
    is_exclusive = (end.dt.day() == 1) & (end > start)
    after = pl.when(is_exclusive).then(end.dt.truncate("1d")).otherwise(end.dt.truncate("1d") + pl.duration(days=1))
    first, last = run.period or (None, None)
    kind = pl.Datetime("us", "UTC")
    return [
        pl.coalesce(start, pl.lit(first, kind)).alias("period start"),
        pl.coalesce(after, pl.lit(last, kind)).alias("period end"),
    ]


def _columns(run: CostRun, context: ParseContext) -> dict[str, pl.Expr]:
    start = value("Date").dt.truncate("1d")
    return {
        "bucket_key": pl.lit(run.bucket_key),
        "charge_date": charge_day(start, pl.col("period start"), pl.col("period end")),
        "charge_period_start": start,
        "charge_period_end": start + pl.duration(days=1),
        "billing_period_start": pl.col("period start"),
        "billing_period_end": pl.col("period end"),
        **_party_columns(context),
        **_service_columns(),
        **_charge_columns(),
        **_amount_columns(run),
        **meter_columns(),
    }


def _party_columns(context: ParseContext) -> dict[str, pl.Expr]:
    return {
        "provider_name": pl.lit("azure"),
        "publisher_name": pl.col("PublisherName"),
        "invoice_issuer_name": pl.lit("Microsoft"),
        "billing_account_id": pl.coalesce("BillingAccountId", pl.lit(context.source_account)),
        "billing_account_name": pl.col("BillingAccountName"),
        "sub_account_id": pl.col("SubscriptionId"),
        "sub_account_name": pl.col("SubscriptionName"),
        "invoice_id": pl.col("InvoiceId"),
    }


def _service_columns() -> dict[str, pl.Expr]:
    return {
        "service_name": pl.coalesce("MeterCategory", "ProductName", "PublisherName", pl.lit("(not named)")),
        "service_category": pl.lit("AI and Machine Learning"),
        "region_id": pl.col("ResourceLocation"),
        "resource_id": pl.col("ResourceId"),
        "resource_name": pl.col("ResourceName"),
        "tags": pl.col("Tags"),
        "sku_id": pl.col("MeterId"),
        "sku_price_id": pl.col("PartNumber"),
        "sku_meter": pl.col("MeterName"),
        "charge_description": pl.col("ProductName"),
    }


def _charge_type() -> pl.Expr:
    return pl.coalesce("ChargeType", pl.lit("Usage"))


def _charge_columns() -> dict[str, pl.Expr]:
    pricing = spelled(pl.col("PricingModel"), _PRICINGS)
    is_unused = _charge_type().str.to_lowercase().is_in(_UNUSED)
    return {
        "charge_category": spelled(_charge_type(), _CATEGORIES),
        "charge_frequency": spelled(pl.col("Frequency"), _FREQUENCIES),
        "pricing_category": pl.coalesce(pricing, "PricingModel"),
        "commitment_discount_id": pl.col("ReservationId"),
        "commitment_discount_status": pl.when(is_unused)
        .then(pl.lit("Unused"))
        .when((pricing == "Committed") & (_charge_type().str.to_lowercase() == "usage"))
        .then(pl.lit("Used")),
    }


def _amount_columns(run: CostRun) -> dict[str, pl.Expr]:
    cost, nothing = value("Cost"), pl.lit(0, MONEY)
    is_in_billing_currency = pl.col("PricingCurrency").is_null() | (pl.col("PricingCurrency") == pl.col("BillingCurrency"))
    amounts = {
        "billed_cost": cost if run.is_billed else nothing,
        "effective_cost": cost if run.is_effective else nothing,
        "list_cost": pl.coalesce(value("PaygCost"), cost) if run.is_billed else nothing,
        "contracted_cost": cost if run.is_billed else nothing,
        "is_list_cost_estimated": value("PaygCost").is_null() if run.is_billed else pl.lit(value=False),
        "billing_currency": pl.col("BillingCurrency").str.to_uppercase(),
    }
    if not run.is_billed:
        return amounts
    is_pair = value("Quantity").is_not_null() & pl.col("UnitOfMeasure").is_not_null()
    return amounts | {
        "consumed_quantity": pl.col("consumed_quantity"),
        "consumed_unit": metered_unit(pl.col("consumed_unit")),
        "pricing_quantity": pl.when(is_pair).then(value("Quantity")),
        "pricing_unit": pl.when(is_pair).then(pl.col("UnitOfMeasure")),
        "list_unit_price": pl.when(is_in_billing_currency).then(value("PayGPrice")),
        "contracted_unit_price": pl.when(is_in_billing_currency).then(value("UnitPrice")),
    }


def _rules() -> dict[str, pl.Expr]:
    dates = period_rules("Date", "Date")
    return {
        **{f"{name}__missing": pl.col(name).is_null() for name in ("Date", "Cost", "BillingCurrency")},
        **amount_rules(("Cost", "PaygCost")),
        **consumed_rules("Quantity", "UnitOfMeasure"),
        **{name: rule for name, rule in dates.items() if not name.endswith("__not_after_start")},
        "BillingPeriodEnd__not_after_start": pl.col("period end") <= pl.col("period start"),
        "BillingCurrency__not_iso_4217": ~pl.col("BillingCurrency").str.contains(r"^[A-Za-z]{3}$"),
        "ChargeType__unknown": spelled(_charge_type(), _CATEGORIES).is_null(),
    }
