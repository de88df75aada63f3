"""What a charge line says, in FOCUS words in snake case: the columns that staged and billed charges share."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import day, flag, instant, money, one_of, quantity, text

CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
METER_MAPPINGS = ("mapped", "unmapped", "not_usage")
"""mapped: the maintained tables know model and token class of the meter. unmapped: a usage meter they do not know; counted.
not_usage: a charge that meters no model (tax, credit, seat, commitment, support, tools)."""

DEPLOYMENT_SCOPES = ("global", "data_zone", "cross_region", "regional")
"""Widest first; prices differ by it."""


class _Period(dy.Schema):
    charge_date = day("UTC day that the line is counted on: of charge_period_start, moved into the billing period")
    charge_period_start = instant("inclusive", source="FOCUS ChargePeriodStart")
    charge_period_end = instant("exclusive", source="FOCUS ChargePeriodEnd")
    billing_period_start = instant(
        "inclusive; null where the source names no billing period", nullable=True, source="FOCUS BillingPeriodStart"
    )
    billing_period_end = instant("exclusive", nullable=True, source="FOCUS BillingPeriodEnd")


class _Parties(dy.Schema):
    provider_name = text("who bills", nullable=False, source="FOCUS ProviderName / ServiceProviderName")
    publisher_name = text("who made the service", source="FOCUS PublisherName")
    host_provider_name = text("on whose platform it runs", source="FOCUS HostProviderName")
    invoice_issuer_name = text("who issues the invoice", source="FOCUS InvoiceIssuerName")
    billing_account_id = text("billing account", nullable=False, source="FOCUS BillingAccountId")
    billing_account_name = text("its name", source="FOCUS BillingAccountName")
    sub_account_id = text("project, workspace or subscription", source="FOCUS SubAccountId")
    sub_account_name = text("its name", source="FOCUS SubAccountName")
    invoice_id = text("invoice, once known", source="FOCUS InvoiceId")
    api_key_id = text("key, where the line names it")
    user_id = text("user, where the line names one", sensitivity="personal")


class _Service(dy.Schema):
    service_name = text("service", nullable=False, source="FOCUS ServiceName")
    service_category = text("kind of service; null is AI and Machine Learning", source="FOCUS ServiceCategory")
    service_subcategory = text("finer kind", source="FOCUS ServiceSubcategory")
    region_id = text("region", source="FOCUS RegionId")
    resource_id = text("resource", source="FOCUS ResourceId")
    resource_name = text("its name", source="FOCUS ResourceName")
    tags = text("JSON object of the resource's tags", source="FOCUS Tags")


class _Charge(dy.Schema):
    charge_category = text("kind of charge", nullable=False, source="FOCUS ChargeCategory", check=one_of(*CHARGE_CATEGORIES))
    charge_class = text("null, or Correction", source="FOCUS ChargeClass", check=one_of("Correction"))
    charge_frequency = text("One-Time, Recurring or Usage-Based", source="FOCUS ChargeFrequency")
    charge_description = text("line as delivered", source="FOCUS ChargeDescription")
    pricing_category = text("Standard, Committed, Dynamic or Other", source="FOCUS PricingCategory")
    commitment_discount_id = text("reservation, savings plan or other commitment", source="FOCUS CommitmentDiscountId")
    commitment_discount_status = text("Used or Unused", source="FOCUS CommitmentDiscountStatus")


class _Meter(dy.Schema):
    sku_id = text("SKU", source="FOCUS SkuId")
    sku_price_id = text("price of the SKU", source="FOCUS SkuPriceId")
    sku_meter = text("what the meter counts", source="FOCUS SkuMeter")
    meter_mapping = text(
        "whether the maintained tables know the meter; null where the source names its model and class itself",
        check=one_of(*METER_MAPPINGS),
    )
    model_raw = text("model named by the line, as sent")
    token_class = text("token class named by the line; null where the line names none")
    processing = text("standard, batch, flex, priority or fast where the line names it")
    context_band = text("context band where the line names it, as sent")
    deployment_scope = text("where the model may run, where the line names it", check=one_of(*DEPLOYMENT_SCOPES))


class _Amounts(dy.Schema):
    billed_cost = money("charged amount, sign kept", source="FOCUS BilledCost")
    effective_cost = money("after discounts and amortisation", source="FOCUS EffectiveCost")
    list_cost = money("before discounts", source="FOCUS ListCost")
    contracted_cost = money("at negotiated prices", source="FOCUS ContractedCost")
    is_list_cost_estimated = flag("list_cost was copied from billed_cost because the source gives none")
    billing_currency = text("ISO 4217, upper case", nullable=False, source="FOCUS BillingCurrency", regex=r"^[A-Z]{3}$")
    consumed_quantity = quantity(
        "quantity in consumed_unit", nullable=True, unit="consumed_unit", source="FOCUS ConsumedQuantity"
    )
    consumed_unit = text("unit of consumed_quantity, blocks such as 1K multiplied out", source="FOCUS ConsumedUnit")
    pricing_quantity = quantity("quantity in pricing_unit", nullable=True, unit="pricing_unit", source="FOCUS PricingQuantity")
    pricing_unit = text("unit that prices are per, as sent", source="FOCUS PricingUnit")
    list_unit_price = money("per pricing_unit", nullable=True, source="FOCUS ListUnitPrice")
    contracted_unit_price = money("per pricing_unit", nullable=True, source="FOCUS ContractedUnitPrice")


class ChargeLine(_Period, _Parties, _Service, _Charge, _Meter, _Amounts):
    """One charge line as a provider delivered it."""
