"""Billed money: charge lines and the facts that sum them. FOCUS words in snake case."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, flag, instant, money, one_of, quantity, text

CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")


class BillingCharge(dy.Schema):
    """One charge line of the newest delivery of its bucket."""

    source = text("configured source", nullable=False)
    source_account = text("account of the source", nullable=False)
    delivery_id = text("delivery that carried the row", nullable=False)
    raw_ordinal = count("record number in the landed object")
    bucket_key = text("replacement unit", nullable=False)
    charge_date = day("UTC day of charge_period_start")
    charge_period_start = instant("inclusive", source="FOCUS ChargePeriodStart")
    charge_period_end = instant("exclusive", source="FOCUS ChargePeriodEnd")
    provider_name = text("who bills", nullable=False, source="FOCUS ProviderName")
    billing_account_id = text("billing account", nullable=False, source="FOCUS BillingAccountId")
    sub_account_id = text("project or workspace", source="FOCUS SubAccountId")
    invoice_id = text("invoice, once known", source="FOCUS InvoiceId")
    service_name = text("service", nullable=False, source="FOCUS ServiceName")
    charge_category = text("kind", nullable=False, source="FOCUS ChargeCategory", check=one_of(*CHARGE_CATEGORIES))
    charge_class = text("null, or Correction", source="FOCUS ChargeClass")
    charge_description = text("line as delivered", source="FOCUS ChargeDescription")
    sku_meter = text("what the meter counts", source="FOCUS SkuMeter")
    model_id = text("canonical model; null where the line names none that is known")
    model_raw = text("model as sent")
    token_class = text("token class named by the line")
    processing = text("price class named by the line")
    api_key_id = text("key, where the line names it")
    billed_cost = money("charged amount, sign kept", source="FOCUS BilledCost")
    effective_cost = money("after discounts", source="FOCUS EffectiveCost")
    list_cost = money("before discounts", source="FOCUS ListCost")
    contracted_cost = money("at negotiated prices", source="FOCUS ContractedCost")
    is_list_cost_estimated = flag("list_cost was copied from billed_cost")
    billing_currency = text("ISO 4217", nullable=False, source="FOCUS BillingCurrency")
    consumed_quantity = quantity("quantity", nullable=True, unit="consumed_unit", source="FOCUS ConsumedQuantity")
    consumed_unit = text("unit of consumed_quantity", source="FOCUS ConsumedUnit")


BILLING_CHARGES = Table(
    name="billing_charges",
    schema=BillingCharge,
    grain="one charge line, from the newest delivery of its bucket",
    partition="charge_date",
    sort_by=("source", "source_account", "bucket_key", "delivery_id", "raw_ordinal"),
    group="2_facts",
    owner="team:finops",
    control_totals=("billed_cost", "effective_cost"),
)


class _ChargeFact(dy.Schema):
    provider_name = text("who bills", nullable=False, source="FOCUS ProviderName")
    billing_account_id = text("billing account", nullable=False, source="FOCUS BillingAccountId")
    service_name = text("service", nullable=False)
    charge_category = text("kind", nullable=False, check=one_of(*CHARGE_CATEGORIES))
    sku_meter = text("what the meter counts")
    model_id = text("canonical model; null where the line names none that is known")
    token_class = text("token class named by the line")
    billing_currency = text("ISO 4217", nullable=False)
    lines_count = count("charge lines")
    billed_cost = money("charged amount", source="FOCUS BilledCost")
    effective_cost = money("after discounts", source="FOCUS EffectiveCost")
    list_cost = money("before discounts", source="FOCUS ListCost")


class _Day(dy.Schema):
    charge_date = day("UTC day")


class _Month(dy.Schema):
    month = day("first day of the provider's billing month")


class FactChargesDaily(_Day, _ChargeFact):
    """One (UTC day, provider, account, SKU, model, token class, category, currency)."""


class FactChargesMonthly(_Month, _ChargeFact):
    """One (billing month, provider, account, SKU, model, token class, category, currency)."""


CHARGE_DIMENSIONS = (
    "provider_name",
    "billing_account_id",
    "service_name",
    "charge_category",
    "sku_meter",
    "model_id",
    "token_class",
    "billing_currency",
)
"""Columns that, with the period, key a charge fact row."""

FACT_CHARGES_DAILY = Table(
    name="fact_charges_daily",
    schema=FactChargesDaily,
    grain="one UTC day, provider, account, service, meter, model, token class, category and currency",
    partition="charge_date",
    sort_by=("charge_date", *CHARGE_DIMENSIONS),
    group="2_facts",
    owner="team:finops",
    control_totals=("billed_cost", "effective_cost"),
)
FACT_CHARGES_MONTHLY = Table(
    name="fact_charges_monthly",
    schema=FactChargesMonthly,
    grain="one billing month, provider, account, service, meter, model, token class, category and currency",
    partition="month",
    sort_by=("month", *CHARGE_DIMENSIONS),
    group="2_facts",
    owner="team:finops",
    control_totals=("billed_cost", "effective_cost"),
)
