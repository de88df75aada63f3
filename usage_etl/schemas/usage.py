"""Usage after correction: events, and the facts that sum them."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from usage_etl.schemas.contract import Table, count, day, flag, instant, label, money, one_of, text, tokens
from usage_etl.schemas.contract import quantity as exact
from usage_etl.schemas.staged import PROCESSINGS, STATUSES
from usage_etl.units import PRIMITIVE_UNITS

PRICE_STATUSES = ("priced", "unpriced", "free", "needs_request_grain")
"""free: nothing was billable (gateway cache hit, failed without usage). unpriced: the price book knows no price."""

OWNER_BASES = ("user", "api_key", "project", "investigation", "team_id", "unallocated")
"""Which logged identifier the directories recognised first."""


LATENCY_BUCKETS = pl.List(pl.Struct({"bucket_number": pl.UInt8, "requests_count": pl.Int64}))
"""A latency histogram: buckets in order, each with how many requests lie in it; ``facts/latency.py`` says which durations."""


def _latency_buckets() -> dy.List:
    inner = dy.Struct({"bucket_number": dy.UInt8(nullable=True), "requests_count": dy.Int64(nullable=True)}, nullable=True)
    return dy.List(
        inner,
        nullable=True,
        description="histogram of known durations: log-spaced buckets in order, each with its requests; counts add up to "
        "latency_count; null in partitions that an earlier version wrote",
    )


class _Measures(dy.Schema):
    requests_count = count("requests", source="gen_ai.client.operation.count")
    errors_count = count("of requests_count, those with status error")
    cache_hits_count = count("of requests_count, those answered by the gateway's cache")
    input_uncached_tokens = tokens("input neither read from nor written to a provider cache")
    cache_read_tokens = tokens("input served from the provider's cache")
    cache_write_5m_tokens = tokens("input written to the cache, five-minute or unstated lifetime")
    cache_write_1h_tokens = tokens("input written to the cache, one-hour lifetime")
    output_tokens = tokens("output, reasoning included")
    reasoning_tokens = tokens("of output_tokens, thinking tokens")
    input_audio_tokens = tokens("of input_uncached_tokens, audio")
    cache_read_audio_tokens = tokens("of cache_read_tokens, audio")
    output_audio_tokens = tokens("of output_tokens, audio")
    input_image_tokens = tokens("of input_uncached_tokens, images")
    cache_read_image_tokens = tokens("of cache_read_tokens, images")
    output_image_tokens = tokens("of output_tokens, images")
    quantity = exact(
        "in the unit of the primitive, where that is not tokens; null where unknown", nullable=True, unit="unit of primitive"
    )
    native_quantity = exact("in native_unit; never added to tokens", nullable=True, unit="native_unit")


class _EventIdentity(dy.Schema):
    usage_date = day("UTC day of started_at")
    started_at = instant("when the request began")
    source = label("configured source", nullable=False)
    source_account = label("account or gateway instance", nullable=False)
    event_id = text("the source's own id; unique with source and source_account", nullable=False)
    call_id = text("shared by retries and fallbacks of one call")
    grain = label("request or bucket", nullable=False)
    status = label("outcome", nullable=False, check=one_of(*STATUSES))
    http_status = count("HTTP status", nullable=True)
    error_type = label("class of the error")
    operation_name = label("kind of interaction as logged", source="gen_ai.operation.name")
    provider = label("who made the model", nullable=False, source="gen_ai.provider.name")
    host = label("who served and bills it", nullable=False)
    model_id = label("canonical model; with provider the complete key", nullable=False)
    model_raw = label("model as sent")
    processing = label("price class", nullable=False, check=one_of(*PROCESSINGS))
    region = label("region or geography in which the model ran, as sent")
    native_unit = label("the source's own unit beside tokens")
    primitive = label("what was used", nullable=False, check=one_of(*PRIMITIVE_UNITS))
    department_id = label("owner on usage_date", nullable=False)
    team_id = label("owner on usage_date", nullable=False)
    cost_center_id = label("owner on usage_date", nullable=False)
    owner_basis = label("identifier that named the owner", nullable=False, check=one_of(*OWNER_BASES))
    user_id = label("user as logged", sensitivity="personal")
    api_key_id = label("key's id or hash")
    project_id = label("project or workspace")
    investigation_id = label("case or work item")
    product_id = label("product of the feature on usage_date")
    feature_id = label("feature")
    session_id = text("session or conversation")
    end_user_id = text("customer's own user", sensitivity="personal")
    tag_set = label("configured tags")
    client_ip = text("caller's address, where it is kept", sensitivity="personal")
    prompt_excerpt = text("first characters of the prompt, where they are kept", sensitivity="personal")


class _EventResult(dy.Schema):
    is_usage_missing = flag("a successful call that reported no tokens; its cost comes from billing only")
    latency_ms = count("duration", nullable=True, unit="ms")
    ttft_ms = count("time to first token", nullable=True, unit="ms")
    price_id = label("row of dim_price that priced it; null when unpriced or free")
    price_status = label("whether effective_cost stands", nullable=False, check=one_of(*PRICE_STATUSES))
    effective_cost = money("tokens times price; null when unpriced, never 0", nullable=True)
    currency = label("currency of effective_cost")
    source_cost_usd = dy.Float64(nullable=True, description="the source's own estimate, for comparison only")
    delivery_id = label("delivery that carried the winning copy", nullable=False)
    raw_ordinal = count("record number in that delivery's object")


class UsageEvent(_EventIdentity, _Measures, _EventResult):
    """One request, or one bucket of a bucket-grain source; owned and priced."""


USAGE_EVENTS = Table(
    name="usage_events",
    schema=UsageEvent,
    grain="one request, or one bucket of a bucket-grain source; owned and priced",
    partition="usage_date",
    sort_by=("started_at", "source", "source_account", "event_id"),
    group="2_facts",
    control_totals=("requests_count", "input_uncached_tokens", "output_tokens", "effective_cost"),
)

USAGE_DIMENSIONS = (
    "source",
    "source_account",
    "department_id",
    "team_id",
    "cost_center_id",
    "owner_basis",
    "user_id",
    "api_key_id",
    "project_id",
    "investigation_id",
    "product_id",
    "feature_id",
    "tag_set",
    "primitive",
    "provider",
    "host",
    "model_id",
    "processing",
    "region",
    "native_unit",
    "status",
    "price_id",
    "price_status",
    "currency",
)
"""Columns that, with the period, key a usage fact row."""


class _Hour(dy.Schema):
    usage_date = day("UTC day")
    hour_start_at = instant("start of the UTC hour")


class _Day(dy.Schema):
    usage_date = day("UTC day")


class _Month(dy.Schema):
    month = day("first day of the month")


class _UsageDimensions(dy.Schema):
    source = label("configured source", nullable=False)
    source_account = label("account or gateway instance", nullable=False)
    department_id = label("owner in the period", nullable=False)
    team_id = label("owner in the period", nullable=False)
    cost_center_id = label("owner in the period", nullable=False)
    owner_basis = label("identifier that named the owner", nullable=False, check=one_of(*OWNER_BASES))
    user_id = label("user as logged", sensitivity="personal")
    api_key_id = label("key's id or hash")
    project_id = label("project or workspace")
    investigation_id = label("case or work item")
    product_id = label("product of the feature")
    feature_id = label("feature")
    tag_set = label("configured tags")
    primitive = label("what was used", nullable=False, check=one_of(*PRIMITIVE_UNITS))
    provider = label("who made the model", nullable=False)
    host = label("who served and bills it", nullable=False)
    model_id = label("canonical model", nullable=False)
    processing = label("price class", nullable=False, check=one_of(*PROCESSINGS))
    region = label("region or geography in which the model ran, as sent")
    native_unit = label("the source's own unit beside tokens")
    status = label("outcome", nullable=False, check=one_of(*STATUSES))
    price_id = label("row of dim_price; null when unpriced or free")
    price_status = label("whether effective_cost stands", nullable=False, check=one_of(*PRICE_STATUSES))
    currency = label("currency of effective_cost")


class _UsageMeasures(_Measures):
    usage_missing_count = count("successful requests that reported no tokens")
    latency_ms_sum = count("sum of known durations", unit="ms")
    latency_count = count("requests with a known duration")
    latency_buckets = _latency_buckets()
    effective_cost = money("tokens times price; null when unpriced, never 0", nullable=True)


class FactUsageHourly(_Hour, _UsageDimensions, _UsageMeasures):
    """One (hour, owner, model, ...) of usage."""


class FactUsageDaily(_Day, _UsageDimensions, _UsageMeasures):
    """One (UTC day, owner, model, ...) of usage."""


class FactUsageMonthly(_Month, _UsageDimensions, _UsageMeasures):
    """One (calendar month in UTC, owner, model, ...) of usage."""


_TOTALS = ("requests_count", "input_uncached_tokens", "cache_read_tokens", "output_tokens", "effective_cost")

FACT_USAGE_HOURLY = Table(
    name="fact_usage_hourly",
    schema=FactUsageHourly,
    grain="one UTC hour, owner, user, key, feature, model, price and outcome",
    partition="usage_date",
    sort_by=("hour_start_at", *USAGE_DIMENSIONS),
    group="2_facts",
    control_totals=_TOTALS,
)
FACT_USAGE_DAILY = Table(
    name="fact_usage_daily",
    schema=FactUsageDaily,
    grain="one UTC day, owner, user, key, feature, model, price and outcome",
    partition="usage_date",
    sort_by=("usage_date", *USAGE_DIMENSIONS),
    group="2_facts",
    control_totals=_TOTALS,
)
FACT_USAGE_MONTHLY = Table(
    name="fact_usage_monthly",
    schema=FactUsageMonthly,
    grain="one calendar month, owner, user, key, feature, model, price and outcome",
    partition="month",
    sort_by=("month", *USAGE_DIMENSIONS),
    group="2_facts",
    control_totals=_TOTALS,
)


FACT_PROVIDER_USAGE_DAILY = Table(
    name="fact_provider_usage_daily",
    schema=FactUsageDaily,
    grain="one UTC day of a source kept for comparison: the provider's own usage report at our prices, never added to usage",
    partition="usage_date",
    sort_by=("usage_date", *USAGE_DIMENSIONS),
    group="2_facts",
    owner="team:finops",
    control_totals=_TOTALS,
)


class FactDeliveriesDaily(dy.Schema):
    """One delivery's part in one built day: where each of its staged rows went."""

    usage_date = day("UTC day")
    source = text("configured source", nullable=False)
    delivery_id = text("delivery", nullable=False)
    staged_count = count("staged rows of the delivery on this day, without buckets that another delivery answers for")
    loaded_count = count("of those, counted in the facts")
    duplicate_count = count("of those, replaced by a newer copy of the same event")
    reconciliation_count = count("of those, from a source kept for comparison only")


FACT_DELIVERIES_DAILY = Table(
    name="fact_deliveries_daily",
    schema=FactDeliveriesDaily,
    grain="one delivery's staged rows of one usage day: loaded, duplicate, or kept for comparison",
    partition="usage_date",
    sort_by=("source", "delivery_id"),
    group="2_facts",
    control_totals=("staged_count", "loaded_count", "duplicate_count", "reconciliation_count"),
)


class FactSessionsDaily(dy.Schema):
    """One session's part in one UTC day, by what it used and who owned it; rows of one session may lie on several days."""

    usage_date = day("UTC day")
    session_key = text("source and session id; sessions are counted by it, never by adding rows", nullable=False)
    department_id = label("owner on usage_date", nullable=False)
    team_id = label("owner on usage_date", nullable=False)
    cost_center_id = label("owner on usage_date", nullable=False)
    user_id = label("user as logged", sensitivity="personal")
    api_key_id = label("key's id or hash")
    project_id = label("project or workspace")
    investigation_id = label("case or work item")
    product_id = label("product of the feature")
    feature_id = label("feature")
    tag_set = label("configured tags")
    primitive = label("what was used", nullable=False, check=one_of(*PRIMITIVE_UNITS))
    provider = label("who made the model", nullable=False)
    model_id = label("canonical model", nullable=False)
    status = label("outcome", nullable=False, check=one_of(*STATUSES))
    requests_count = count("requests")
    input_uncached_tokens = tokens("input neither read from nor written to a provider cache")
    cache_read_tokens = tokens("input served from the provider's cache")
    cache_write_5m_tokens = tokens("input written to the cache, five-minute or unstated lifetime")
    cache_write_1h_tokens = tokens("input written to the cache, one-hour lifetime")
    output_tokens = tokens("output, reasoning included")
    unpriced_requests_count = count("of requests_count, those without a price")
    effective_cost = money("priced usage; null where nothing has a price", nullable=True)
    currency = label("currency of effective_cost")


FACT_SESSIONS_DAILY = Table(
    name="fact_sessions_daily",
    schema=FactSessionsDaily,
    grain="one session's part in one UTC day, by owner, feature, model and outcome; only where request-level records are kept",
    partition="usage_date",
    sort_by=("usage_date", "session_key"),
    group="2_facts",
    control_totals=("requests_count", "effective_cost"),
)
