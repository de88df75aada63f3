"""The chargeback: invoice lines, the shares that owners pay of them, what is booked of those, and the journal."""

from __future__ import annotations

from collections.abc import Iterable

import dataframely as dy

from usage_etl.schemas.charge_line import CHARGE_CATEGORIES
from usage_etl.schemas.contract import Table, count, day, flag, instant, money, one_of, text, tokens
from usage_etl.schemas.contract import quantity as exact

CHARGE_KINDS = (
    "usage",
    "capacity",
    "commitment",
    "seat",
    "overage",
    "prepaid",
    "support",
    "marketplace",
    "purchase",
    "tax",
    "credit",
    "adjustment",
)
"""What a charge is for. usage: metered use of models and tools. capacity: provisioned throughput. commitment: reservations and
savings plans. seat: licences. overage: use beyond what seats include. prepaid: credits bought in advance."""

LINE_KINDS = ("allocated", "unallocated", "unexplained", "estimate", "rounding", "dispute")
"""allocated: an owner pays. unallocated: nobody owns what is behind it. unexplained: billed, and no logged usage explains it.
estimate: metered cost of a provider without a bill. rounding: invoice above or below its lines. dispute: an accepted dispute."""

CHARGE_BASES = ("billed", "priced_usage")
PERIOD_STATUSES = ("open", "preliminary", "closed")
"""open: the month is still running. preliminary: it is over, and may still change. closed: its lines never change again.
In the order of a period's life, the least settled first."""

JOURNAL_KINDS = ("invoice_line", "rounding", "fx", "owner", "unallocated", "unexplained", "correction", "dispute")


def least_settled(statuses: Iterable[str]) -> str:
    """The status of a whole that has parts of ``statuses``: open before preliminary before closed. Open for nothing."""
    return min(statuses, key=PERIOD_STATUSES.index, default="open")


class _InvoiceLineKey(dy.Schema):
    month = day("first day of the billing month")
    invoice_line_id = text("stable id of the invoice line", nullable=False, unique=True)
    provider_name = text("who bills", nullable=False, source="FOCUS ProviderName")
    publisher_name = text("who made the service", source="FOCUS PublisherName")
    host_provider_name = text("on whose platform it runs", source="FOCUS HostProviderName")
    invoice_issuer_name = text("who issues the invoice", source="FOCUS InvoiceIssuerName")
    billing_account_id = text("billing account", nullable=False, source="FOCUS BillingAccountId")
    billing_account_name = text("its name", source="FOCUS BillingAccountName")
    sub_account_id = text("project, workspace or subscription", source="FOCUS SubAccountId")
    sub_account_name = text("its name", source="FOCUS SubAccountName")
    invoice_id = text("invoice, where the provider names it", source="FOCUS InvoiceId")
    service_name = text("service", nullable=False, source="FOCUS ServiceName")
    service_category = text("kind of service; null is AI and Machine Learning", source="FOCUS ServiceCategory")
    charge_kind = text("what the charge is for", nullable=False, check=one_of(*CHARGE_KINDS))
    charge_category = text("kind of charge", nullable=False, source="FOCUS ChargeCategory", check=one_of(*CHARGE_CATEGORIES))
    charge_class = text("null, or Correction by the provider", source="FOCUS ChargeClass", check=one_of("Correction"))
    commitment_discount_id = text("reservation, savings plan or commitment", source="FOCUS CommitmentDiscountId")
    commitment_discount_status = text("Used or Unused", source="FOCUS CommitmentDiscountStatus")
    model_id = text("canonical model; null where the line names none that is known")
    processing = text("standard, batch, flex, priority or fast where lines name it")
    user_id = text("user of a seat or of overage; null for other charges", sensitivity="personal")
    api_key_id = text("API key, where lines name it and a rule asks for it")
    owner_tags = text("JSON object of the tags that allocation.tag_keys names; null where lines have none of them")
    consumed_unit = text("unit of consumed_quantity", source="FOCUS ConsumedUnit")
    pricing_unit = text("unit of pricing_quantity", source="FOCUS PricingUnit")
    billing_currency = text("ISO 4217", nullable=False, source="FOCUS BillingCurrency")


class FactInvoiceLine(_InvoiceLineKey):
    """One line of a month's invoice: the charge lines that agree in everything an allocation rule may ask for."""

    charges_count = count("charge lines in billing_charges")
    billed_cost = money("charged amount, sign kept", source="FOCUS BilledCost")
    effective_cost = money("after discounts and amortisation", source="FOCUS EffectiveCost")
    list_cost = money("before discounts", source="FOCUS ListCost")
    contracted_cost = money("at negotiated prices", source="FOCUS ContractedCost")
    is_list_cost_estimated = flag("some list_cost was copied from billed_cost because the source gives none")
    consumed_quantity = exact(
        "in consumed_unit; null where no line names one", nullable=True, unit="consumed_unit", source="FOCUS ConsumedQuantity"
    )
    pricing_quantity = exact(
        "in pricing_unit; null where no line names one", nullable=True, unit="pricing_unit", source="FOCUS PricingQuantity"
    )


INVOICE_LINE_KEYS = tuple(name for name in _InvoiceLineKey.columns() if name not in ("month", "invoice_line_id"))
"""Columns that, with the month, make an invoice line; ``invoice_line_id`` is their fingerprint."""

FACT_INVOICE_LINES_MONTHLY = Table(
    name="fact_invoice_lines_monthly",
    schema=FactInvoiceLine,
    grain="one line of a month's invoice: charge lines that agree in all that an allocation rule may ask for",
    partition="month",
    sort_by=("provider_name", "billing_account_id", "charge_category", "model_id", "invoice_line_id"),
    group="2_facts",
    owner="team:finops",
    control_totals=("billed_cost", "effective_cost"),
)


class _LineOrigin(dy.Schema):
    month = day("first day of the billing month in which the line is booked")
    line_id = text("stable id of the line", nullable=False, unique=True)
    line_kind = text("who pays", nullable=False, check=one_of(*LINE_KINDS))
    charge_basis = text(
        "billed: share of a provider's bill. priced_usage: estimate, no bill delivered",
        nullable=False,
        check=one_of(*CHARGE_BASES),
    )
    invoice_line_id = text("invoice line it is a share of; null for estimates, rounding, corrections and disputes")
    invoice_id = text("invoice, where one is known", source="FOCUS InvoiceId")
    provider_name = text("who bills", nullable=False)
    billing_account_id = text("billing account; null for estimates")
    sub_account_id = text("project, workspace or subscription", source="FOCUS SubAccountId")
    service_name = text("service; null for estimates", source="FOCUS ServiceName")
    charge_kind = text("what the charge is for", nullable=False, check=one_of(*CHARGE_KINDS))
    charge_category = text("kind of charge", nullable=False, source="FOCUS ChargeCategory")
    charge_class = text("null, or Correction of a closed month", source="FOCUS ChargeClass", check=one_of("Correction"))
    commitment_discount_id = text("reservation, savings plan or commitment", source="FOCUS CommitmentDiscountId")
    model_id = text("canonical model; null where the charge names none")


class _LineOwner(dy.Schema):
    business_unit_id = text("owner", nullable=False)
    business_unit_name = text("owner, for people", nullable=False)
    department_id = text("owner", nullable=False)
    department_name = text("owner, for people", nullable=False)
    team_id = text("owner", nullable=False)
    team_name = text("owner, for people", nullable=False)
    cost_center_id = text("owner", nullable=False)
    cost_center_name = text("owner, for people", nullable=False)
    project_id = text("project, where allocation.detail asks for it and usage names one")
    investigation_id = text("investigation, where allocation.detail asks for it and usage names one")


class _LineAmounts(dy.Schema):
    requests_count = count("owner's requests behind the line")
    total_tokens = tokens("owner's tokens behind the line")
    metered_cost = money("owner's priced usage behind the line, where it was the weight of the split", nullable=True)
    allocated_cost = money("what the owner is charged, whole minor units; the billed view")
    allocated_effective_cost = money("the same share of the effective cost, whole minor units; the amortised view")
    billing_currency = text("ISO 4217, of both amounts", nullable=False)
    invoice_currency = text("currency that the invoice was converted from; null where it was not converted")
    invoice_cost = money("the same share in invoice_currency, whole minor units; null where it was not converted", nullable=True)
    fx_rate = exact("units of billing_currency for one of invoice_currency", nullable=True, unit="ratio")
    fx_rate_date = day("day of the rate", nullable=True)
    fx_rate_source = text("who published the rate")
    rule_name = text("allocation rule", nullable=False)
    allocation_rule = text("how the amount was found", nullable=False)


class MartAllocation(_LineOrigin, _LineOwner, _LineAmounts):
    """One share of one invoice line as the rules give it now, or one estimate, whatever was booked before.

    Lines of charge_basis billed add up to the invoice, or to the bill where no invoice is registered, to the minor unit.
    """


class _Booking(dy.Schema):
    corrects_month = day("closed month that the line corrects; null for the month's own lines", nullable=True)
    correction_reason = text("what changed since the closed version; null for the month's own lines")
    dispute_id = text("accepted dispute that the line carries out")
    period_status = text("open, preliminary or closed", nullable=False, check=one_of(*PERIOD_STATUSES))


class MartChargeback(MartAllocation, _Booking):
    """One line as it is booked in the month: its own shares, corrections of closed months, accepted disputes.

    Lines of a closed provider are those of the closing, for ever.
    """


class MartChargebackClosed(MartChargeback):
    """One line of one closing of a provider's month. Lines of a closing that was reopened stay beside the next one's."""

    line_id = text("stable id of the line; once in each closing", nullable=False)
    closing_number = count("1 for the first closing of the provider's month", min=1)
    closed_at = instant("when it was closed")


_ALLOCATE = {"partition": "month", "group": "3_allocate", "owner": "team:finops"}
_LINE_ORDER = ("provider_name", "billing_account_id", "charge_category", "model_id", "cost_center_id", "team_id", "line_id")
_LINE_TOTALS = ("allocated_cost", "allocated_effective_cost", "metered_cost")

MART_ALLOCATION_MONTHLY = Table(
    name="mart_allocation_monthly",
    schema=MartAllocation,
    grain="one share of one invoice line as the rules give it now, or one estimate where no bill was delivered",
    sort_by=_LINE_ORDER,
    control_totals=_LINE_TOTALS,
    **_ALLOCATE,
)
MART_CHARGEBACK_CLOSED = Table(
    name="mart_chargeback_closed",
    schema=MartChargebackClosed,
    grain="one line of one closing of a provider's month; kept for ever",
    sort_by=("provider_name", "closing_number", *_LINE_ORDER[1:]),
    control_totals=_LINE_TOTALS,
    **_ALLOCATE,
)
MART_CHARGEBACK_MONTHLY = Table(
    name="mart_chargeback_monthly",
    schema=MartChargeback,
    grain="one line booked in the month: a share of a bill, an estimate, a correction of a closed month, or a dispute",
    sort_by=_LINE_ORDER,
    control_totals=_LINE_TOTALS,
    **_ALLOCATE,
)


class MartJournal(dy.Schema):
    """One entry of the clearing account: invoice lines debit it, owners credit it. Debits equal credits in each currency."""

    month = day("first day of the month in which the entry is booked")
    entry_id = text("stable id of the entry", nullable=False, unique=True)
    entry_kind = text("what the entry is", nullable=False, check=one_of(*JOURNAL_KINDS))
    provider_name = text("who bills", nullable=False)
    billing_account_id = text("billing account")
    invoice_id = text("invoice, where one is known")
    invoice_line_id = text("invoice line; null for other entries")
    line_id = text("line of the chargeback; null for other entries")
    corrects_month = day("closed month that the entry corrects", nullable=True)
    cost_center_id = text("cost center that is charged; null on the invoice's side")
    cost_center_name = text("cost center, for people")
    gl_account = text("account of the general ledger", nullable=False)
    debit_cost = money("debit; null on the other side", nullable=True, min=0)
    credit_cost = money("credit; null on the other side", nullable=True, min=0)
    currency = text("ISO 4217", nullable=False)
    memo = text("what it is for", nullable=False)


MART_JOURNAL_MONTHLY = Table(
    name="mart_journal_monthly",
    schema=MartJournal,
    grain="one entry of the clearing account: a debit of an invoice line, or a credit to who pays",
    sort_by=("currency", "entry_kind", "provider_name", "billing_account_id", "entry_id"),
    control_totals=("debit_cost", "credit_cost"),
    **_ALLOCATE,
)
