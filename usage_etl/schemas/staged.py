"""Staged rows: what a source said, typed, before anything is corrected, owned or priced.

One staged object per (delivery, usage day). Staged objects are read by ``events`` (usage) and ``facts`` (charges) only.
"""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, flag, instant, label, money, one_of, quantity, text, tokens
from usage_etl.units import PRIMITIVE_UNITS

TOKEN_CONVENTIONS = ("cache_in_input", "cache_beside_input", "cache_in_input_reasoning_beside_output")
"""How a source counts: cache tokens inside or beside its input, reasoning inside or beside its output."""

STATUSES = ("success", "error", "blocked", "cancelled", "unknown")
PROCESSINGS = ("standard", "batch", "flex", "priority")


class StagedUsage(dy.Schema):
    """One request as a source logged it (``grain`` request), or one bucket of a usage report (``grain`` bucket)."""

    source = label("configured source that delivered the row", nullable=False)
    source_account = label("account or gateway instance of the source", nullable=False)
    source_role = label(
        "usage: counted in facts. reconciliation: compared only", nullable=False, check=one_of("usage", "reconciliation")
    )
    delivery_id = label("delivery that carried the row", nullable=False)
    delivery_sequence = count("order of arrival; among copies of one event the later one wins")
    raw_ordinal = count("1-based record number in the landed object")
    event_id = text("the source's own id of the call; with source and account it is the row's key", nullable=False)
    call_id = text("id shared by the retries and fallbacks of one call")
    record_version_at = instant("when the source last changed the record", nullable=True)
    usage_date = day("UTC day of started_at")
    started_at = instant("when the request began, or the bucket's start")
    ended_at = instant("when it ended, or the bucket's exclusive end", nullable=True)
    grain = label("request or bucket", nullable=False, check=one_of("request", "bucket"))
    requests_count = count("requests in the row; 1 for grain request")
    status = label("outcome", nullable=False, check=one_of(*STATUSES), source="OpenTelemetry error.type")
    http_status = count("HTTP status", nullable=True)
    error_type = label("class of the error", source="OpenTelemetry error.type")
    token_convention = label("how this row counts its tokens", nullable=False, check=one_of(*TOKEN_CONVENTIONS))
    reported_input_tokens = tokens("as sent", nullable=True, source="gen_ai.usage.input_tokens")
    reported_output_tokens = tokens("as sent", nullable=True, source="gen_ai.usage.output_tokens")
    reported_total_tokens = tokens("as sent, for checks only", nullable=True)
    cache_read_tokens = tokens("input served from the provider's cache", nullable=True)
    cache_write_tokens = tokens("input written to the provider's cache, all lifetimes", nullable=True)
    cache_write_1h_tokens = tokens("of cache_write_tokens, those with a one-hour lifetime", nullable=True)
    reasoning_tokens = tokens("thinking tokens", nullable=True, source="gen_ai.usage.reasoning.output_tokens")
    primitive = label("what was used", nullable=False, check=one_of(*PRIMITIVE_UNITS))
    units_count = count("whole native units other than tokens (embeddings, images, checks)", nullable=True)
    host_raw = label("who served and bills the call, as sent", source="LiteLLM custom_llm_provider")
    model_raw = label("model as sent", source="gen_ai.response.model")
    deployment = label("alias or deployment the caller asked for", source="gen_ai.request.model")
    region = label("region as sent")
    processing = label("price class of the request", nullable=False, check=one_of(*PROCESSINGS))
    is_cache_hit = flag("answered by the gateway's own cache, so not billed")
    user_id = label("user as logged", sensitivity="personal")
    team_id = label("team as logged")
    api_key_id = label("key's id or hash, never the secret")
    project_id = label("project or workspace as logged")
    investigation_id = label("case or work item as logged")
    feature_id = label("feature as logged")
    session_id = text("session or conversation id", source="gen_ai.conversation.id")
    end_user_id = text("customer's own user", sensitivity="personal")
    tag_set = label("configured tags of the request as sorted key=value pairs, comma-separated")
    latency_ms = count("duration", nullable=True, unit="ms")
    ttft_ms = count("time to first token", nullable=True, unit="ms")
    source_cost_usd = dy.Float64(
        nullable=True,
        allow_nan=False,
        allow_inf=False,
        description="the source's own estimate, a float64 at its origin; compared, never booked",
        metadata={"unit": "USD", "source": "LiteLLM spend"},
    )


STAGED_USAGE = Table(
    name="staged_usage",
    schema=StagedUsage,
    grain="one request as a source logged it, or one bucket of a provider's usage report",
    partition="usage_date",
    sort_by=("raw_ordinal",),
    group="1_land",
    control_totals=("requests_count", "reported_input_tokens", "reported_output_tokens"),
)


class StagedCharge(dy.Schema):
    """One charge line of a provider's cost report or invoice export, FOCUS words."""

    source = text("configured source", nullable=False)
    source_account = text("account of the source", nullable=False)
    delivery_id = text("delivery that carried the row", nullable=False)
    delivery_sequence = count("order of arrival; the later delivery of a bucket replaces the earlier whole")
    raw_ordinal = count("1-based record number in the landed object")
    bucket_key = text("replacement unit: all rows of a bucket are replaced together", nullable=False)
    charge_date = day("UTC day of charge_period_start")
    charge_period_start = instant("inclusive", source="FOCUS ChargePeriodStart")
    charge_period_end = instant("exclusive", source="FOCUS ChargePeriodEnd")
    provider_name = text("who bills", nullable=False, source="FOCUS ProviderName / ServiceProviderName")
    billing_account_id = text("billing account", nullable=False, source="FOCUS BillingAccountId")
    sub_account_id = text("project or workspace", source="FOCUS SubAccountId")
    invoice_id = text("invoice, once known", source="FOCUS InvoiceId")
    service_name = text("service", nullable=False, source="FOCUS ServiceName")
    charge_category = text(
        "kind of charge",
        nullable=False,
        source="FOCUS ChargeCategory",
        check=one_of("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    )
    charge_class = text("null, or Correction", source="FOCUS ChargeClass", check=one_of("Correction"))
    charge_description = text("line as delivered", source="FOCUS ChargeDescription")
    sku_meter = text("what the meter counts", source="FOCUS SkuMeter")
    model_raw = text("model named by the line, as sent")
    token_class = text("token class named by the line; null where the line names none")
    processing = text("standard, batch, flex or priority where the line names it")
    api_key_id = text("key, where the line names it")
    billed_cost = money("charged amount, sign kept", source="FOCUS BilledCost")
    effective_cost = money("after discounts and amortisation", source="FOCUS EffectiveCost")
    list_cost = money("before discounts", source="FOCUS ListCost")
    contracted_cost = money("at negotiated prices", source="FOCUS ContractedCost")
    is_list_cost_estimated = flag("list_cost was copied from billed_cost because the source gives none")
    billing_currency = text("ISO 4217, upper case", nullable=False, source="FOCUS BillingCurrency", regex=r"^[A-Z]{3}$")
    consumed_quantity = quantity(
        "quantity in consumed_unit", nullable=True, unit="consumed_unit", source="FOCUS ConsumedQuantity"
    )
    consumed_unit = text("unit of consumed_quantity", source="FOCUS ConsumedUnit")


STAGED_CHARGES = Table(
    name="staged_charges",
    schema=StagedCharge,
    grain="one charge line as a provider delivered it",
    partition="charge_date",
    sort_by=("raw_ordinal",),
    group="1_land",
    owner="team:finops",
    control_totals=("billed_cost",),
)


class Quarantine(dy.Schema):
    """One unreadable or refused record, with all that is needed to mend and replay it."""

    source = text("configured source", nullable=False)
    delivery_id = text("delivery that carried the record", nullable=False)
    object_key = text("landed object", nullable=False)
    raw_ordinal = count("1-based record number in the object; 0 when the whole object is refused")
    raw_text = text("the record as received, cut at 4,096 characters", sensitivity="may hold personal data")
    reasons = text("rule names, comma-separated", nullable=False)
    received_at = instant("when the object was landed")


USAGE_EVENTS_QUARANTINE = Table(
    name="usage_events__quarantine",
    schema=Quarantine,
    grain="one usage record that could not be read or was refused",
    partition="delivery_id",
    sort_by=("raw_ordinal",),
    group="1_land",
)
BILLING_CHARGES_QUARANTINE = Table(
    name="billing_charges__quarantine",
    schema=Quarantine,
    grain="one charge record that could not be read or was refused",
    partition="delivery_id",
    sort_by=("raw_ordinal",),
    group="1_land",
    owner="team:finops",
)
