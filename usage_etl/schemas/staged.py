"""Staged rows: what a source said, typed, before anything is corrected, owned or priced.

One staged object per (delivery, usage day). Staged objects are read by ``events`` (usage) and ``facts`` (charges) only.
"""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.charge_line import ChargeLine
from usage_etl.schemas.contract import Table, count, day, flag, instant, label, one_of, text, tokens
from usage_etl.schemas.contract import quantity as exact
from usage_etl.units import PRIMITIVE_UNITS

TOKEN_CONVENTIONS = ("cache_in_input", "cache_beside_input", "cache_in_input_reasoning_beside_output")
"""How a source counts: cache tokens inside or beside its input, reasoning inside or beside its output."""

STATUSES = ("success", "error", "blocked", "cancelled", "unknown")
PROCESSINGS = ("standard", "batch", "flex", "priority", "fast")


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
    bucket_key = text("replacement unit of a bucket row: all rows of a bucket are replaced together; null for requests")
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
    operation_name = label("kind of interaction as logged", source="gen_ai.operation.name")
    token_convention = label("how this row counts its tokens", nullable=False, check=one_of(*TOKEN_CONVENTIONS))
    reported_input_tokens = tokens("as sent", nullable=True, source="gen_ai.usage.input_tokens")
    reported_output_tokens = tokens("as sent", nullable=True, source="gen_ai.usage.output_tokens")
    reported_total_tokens = tokens("as sent, for checks only", nullable=True)
    cache_read_tokens = tokens("input served from the provider's cache", nullable=True)
    cache_write_tokens = tokens("input written to the provider's cache, all lifetimes", nullable=True)
    cache_write_1h_tokens = tokens("of cache_write_tokens, those with a one-hour lifetime", nullable=True)
    reasoning_tokens = tokens("thinking tokens", nullable=True, source="gen_ai.usage.reasoning.output_tokens")
    input_audio_tokens = tokens("of the uncached input, audio", nullable=True)
    cache_read_audio_tokens = tokens("of cache_read_tokens, audio", nullable=True)
    output_audio_tokens = tokens("of the output, audio", nullable=True)
    input_image_tokens = tokens("of the uncached input, images", nullable=True)
    cache_read_image_tokens = tokens("of cache_read_tokens, images", nullable=True)
    output_image_tokens = tokens("of the output, images", nullable=True)
    primitive = label("what was used", nullable=False, check=one_of(*PRIMITIVE_UNITS))
    quantity = exact(
        "in the unit of the primitive, where that is not tokens; null where unknown", nullable=True, unit="unit of primitive"
    )
    native_unit = label("the source's own unit beside tokens, for example asksage_tokens, credits, ptu_hours")
    native_quantity = exact("in native_unit; never added to tokens", nullable=True, unit="native_unit")
    host_raw = label("who served and bills the call, as sent", source="LiteLLM custom_llm_provider")
    model_raw = label("model as sent", source="gen_ai.response.model")
    deployment = label("alias or deployment the caller asked for", source="gen_ai.request.model")
    region = label("region or geography in which the model ran, as sent; may decide the price")
    context_min_tokens = count("lower bound of the context band that a bucket source names", nullable=True, unit="tokens")
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
    client_ip = text("caller's address; kept only where the source's settings say so", sensitivity="personal")
    prompt_excerpt = text("first characters of the prompt; kept only where the source's settings say so", sensitivity="personal")
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


class _ChargeIdentity(dy.Schema):
    source = text("configured source", nullable=False)
    source_account = text("account of the source", nullable=False)
    delivery_id = text("delivery that carried the row", nullable=False)
    delivery_sequence = count("order of arrival")
    raw_ordinal = count("1-based record number in the landed object")
    bucket_key = text("replacement unit: all rows of a bucket are replaced together", nullable=False)


class StagedCharge(_ChargeIdentity, ChargeLine):
    """One charge line of a provider's cost report or invoice export, FOCUS words."""


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
