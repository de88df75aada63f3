"""The tie-out: four amounts of one thing, and every difference with its cause."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, day, money, one_of, text
from usage_etl.schemas.contract import quantity as exact

RESIDUAL_CAUSES = (
    "missing_logs",
    "bypassed_gateway",
    "timezone_cut",
    "cache_semantics",
    "tier_or_batch",
    "price_difference",
    "unmapped_meter",
    "credits",
    "not_billed",
    "rounding",
)
"""Why billed and metered cost differ. missing_logs: days that were billed and of which no usage was delivered.
bypassed_gateway: the provider counted more than the gateway. timezone_cut: the provider's day or month begins at another
instant. cache_semantics: the same input tokens in other classes. tier_or_batch: the same tokens in another price class.
price_difference: the same tokens at another price. unmapped_meter: a meter that no table knows. not_billed: used and not billed
(yet). rounding: less than a minor unit for each line."""

TIE_OUT_STATUSES = (
    "matched",
    "within_tolerance",
    "explained",
    "unexplained",
    "no_usage_seen",
    "usage_not_priced",
    "no_bill_yet",
)
"""matched: equal to the minor unit. explained: named causes leave less than the tolerance."""


class _Month(dy.Schema):
    month = day("first day of the billing month")


class _Day(_Month):
    charge_date = day("UTC day")


class _Key(dy.Schema):
    provider_name = text("who bills", nullable=False)
    billing_account_id = text("billing account; null where no bill has arrived", nullable=True)
    model_id = text("canonical model; null where the line names none")
    sku_meter = text("what the meter counts, where no model is known")
    token_class = text("token class; null where lines name none or are of no tokens")
    processing = text("price class where the bill names it")
    billing_currency = text("ISO 4217", nullable=False)


class _Amounts(dy.Schema):
    billed_cost = money("provider's cost report; null where no bill has arrived", nullable=True)
    reported_cost = money("the provider's own usage report at our prices; null where not delivered", nullable=True)
    metered_cost = money("the gateway's log at our prices; null where it shows no priced usage", nullable=True)
    billed_quantity = exact("of billed lines; null where they name none", nullable=True, unit="tokens of the class")
    reported_quantity = exact("of the provider's usage report", nullable=True, unit="tokens of the class")
    metered_quantity = exact("of the gateway's log", nullable=True, unit="tokens of the class")
    difference_cost = money(
        "billed minus metered, all of billed where nothing is metered; null where no bill has arrived", nullable=True
    )


class _Causes(dy.Schema):
    missing_logs_cost = money("of difference_cost, days billed without any logged usage")
    bypassed_gateway_cost = money("of difference_cost, usage that the provider counted and the gateway did not see")
    timezone_cut_cost = money("of difference_cost, usage of hours that belong to another day or month at the provider")
    cache_semantics_cost = money("of difference_cost, input that one side counts in another class")
    tier_or_batch_cost = money("of difference_cost, tokens that one side counts in another price class")
    price_difference_cost = money("of difference_cost, another price for the same tokens")
    unmapped_meter_cost = money("of difference_cost, meters that no maintained table knows")
    credits_cost = money("of difference_cost, credits on the lines")
    not_billed_cost = money("of difference_cost, usage that is logged and not billed")
    rounding_cost = money("of difference_cost, less than a minor unit")
    unexplained_cost = money("of difference_cost, what no cause explains")
    tie_out_status = text("verdict", nullable=False, check=one_of(*TIE_OUT_STATUSES))


class MartReconciliationMonthly(_Month, _Key, _Amounts, _Causes):
    """One (provider, account, month, model or meter, token class, price class): four amounts, and why they differ.

    Causes and unexplained_cost add up to difference_cost, exactly.
    """


class MartReconciliationDaily(_Day, _Key, _Amounts, _Causes):
    """The same for one UTC day of the bill."""


class MartInvoiceTieOut(dy.Schema):
    """One (provider, account, month, currency): the invoice beside the provider's cost report, and what is tied out below it."""

    month = day("first day of the billing month")
    provider_name = text("who bills", nullable=False)
    billing_account_id = text("billing account", nullable=False)
    billing_currency = text("ISO 4217", nullable=False)
    invoice_ids = text("registered invoices, comma-separated; null for none")
    invoice_cost = money("total of the registered invoices; null for none", nullable=True)
    billed_cost = money("all charge lines: usage, purchases, taxes, credits")
    usage_cost = money("of billed_cost, usage")
    credits_cost = money("of billed_cost, credits")
    tax_cost = money("of billed_cost, taxes")
    other_cost = money("of billed_cost, everything else")
    metered_cost = money("priced usage beside usage_cost; null where there is none", nullable=True)
    unexplained_cost = money("of usage_cost minus metered_cost, what no cause explains")
    invoice_difference_cost = money("invoice minus billed_cost; null without an invoice", nullable=True)
    gate = text("passed, or the gate that holds publication and by how much", nullable=False)


_ALLOCATE = {"partition": "month", "group": "3_allocate", "owner": "team:finops"}
_ORDER = ("provider_name", "billing_account_id", "model_id", "sku_meter", "token_class", "processing", "billing_currency")

MART_RECONCILIATION_MONTHLY = Table(
    name="mart_reconciliation_monthly",
    schema=MartReconciliationMonthly,
    grain="one provider, account, billing month, model or meter, token class and price class: billed, reported, metered, and why",
    sort_by=_ORDER,
    control_totals=("billed_cost", "metered_cost", "unexplained_cost"),
    **_ALLOCATE,
)
MART_RECONCILIATION_DAILY = Table(
    name="mart_reconciliation_daily",
    schema=MartReconciliationDaily,
    grain="the monthly tie-out of one UTC day",
    sort_by=("charge_date", *_ORDER),
    control_totals=("billed_cost", "metered_cost", "unexplained_cost"),
    **_ALLOCATE,
)
MART_INVOICE_TIE_OUT = Table(
    name="mart_invoice_tie_out",
    schema=MartInvoiceTieOut,
    grain="one provider, account, billing month and currency: the invoice beside the cost report and the tie-out below it",
    sort_by=("provider_name", "billing_account_id", "billing_currency"),
    control_totals=("invoice_cost", "billed_cost", "unexplained_cost"),
    **_ALLOCATE,
)
