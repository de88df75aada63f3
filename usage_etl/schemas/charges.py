"""Billed money: charge lines and the facts that sum them. FOCUS words in snake case."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.charge_line import CHARGE_CATEGORIES, ChargeLine
from usage_etl.schemas.contract import Table, count, day, money, one_of, text


class _ChargeOrigin(dy.Schema):
    source = text("configured source", nullable=False)
    source_account = text("account of the source", nullable=False)
    delivery_id = text("delivery that carried the row", nullable=False)
    raw_ordinal = count("record number in the landed object")
    bucket_key = text("replacement unit", nullable=False)
    model_id = text("canonical model; null where the line names none that is known")


class BillingCharge(_ChargeOrigin, ChargeLine):
    """One charge line of the newest delivery of its bucket."""


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
