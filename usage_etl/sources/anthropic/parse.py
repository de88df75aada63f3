"""Pages of Anthropic's cost report and messages usage report (Admin API), as staged charges and staged bucket usage.

Money: ``amount`` is decimal text in the currency's smallest unit: ``"123.45"`` in USD is 1.2345 dollars. Counting:
``uncached_input_tokens`` holds no cache tokens. A null workspace is the default workspace; a null key is console usage.
Usage rows carry no request count: the report has none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from usage_etl.money import minor_unit_digits
from usage_etl.schemas.staged import PROCESSINGS, STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.cells import Cells
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reports import Bucket, Dialect, Report, parse_reports

PARSER_VERSION = "2"
COST_REPORT = "cost_report"
MESSAGES_USAGE = "usage_messages"

_PROVIDER = "anthropic"
_TOKEN_CLASSES = {
    "uncached_input_tokens": "input_uncached_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h_tokens",
    "output_tokens": "output_tokens",
}
"""Token type as sent, to token class."""

_COST_FIELDS = frozenset(
    {"amount", "currency", "description", "cost_type", "token_type", "context_window", "model", "service_tier"}
    | {"workspace_id", "inference_geo", "speed"}
)
_USAGE_DIMENSIONS = ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo", "speed")
_USAGE_FIELDS = frozenset(
    {"uncached_input_tokens", "cache_read_input_tokens", "cache_creation", "output_tokens", "server_tool_use"}
    | set(_USAGE_DIMENSIONS)
)
_ANALYTICS_FIELDS = frozenset({"list_amount", "product", "rbac_group_id", "slack_channel_id", "actor"})


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file of pages. Raises UnreadableDeliveryError for anything else."""
    return parse_reports(path, context, dialect=_DIALECT)


def _bounds(bucket: Mapping[str, Any], cells: Cells) -> tuple[dt.datetime, dt.datetime]:
    starting_at = cells.rfc3339_instant(bucket.get("starting_at"), "starting_at")
    return starting_at, cells.rfc3339_instant(bucket.get("ending_at"), "ending_at")


def _dataset_of(result: Mapping[str, Any]) -> str | None:
    analytics = sorted(_ANALYTICS_FIELDS & result.keys())
    if analytics:
        raise ValueError(
            f"an analytics report (it has {', '.join(analytics)}): its groups may overlap and end after the first hundred; "
            "save /v1/organizations/cost_report and /v1/organizations/usage_report/messages"
        )
    if "amount" in result and "uncached_input_tokens" in result:
        raise ValueError("a result has both an amount and token counts")
    if "amount" in result:
        return COST_REPORT
    return MESSAGES_USAGE if "uncached_input_tokens" in result else None


def _charge(result: Mapping[str, Any], bucket: Bucket, cells: Cells, context: ParseContext) -> dict[str, Any]:
    """One charge line. List and contracted cost are copies of the billed cost: the report gives none."""
    currency = cells.currency(result.get("currency"), "billing_currency")
    billed_cost = cells.amount(result.get("amount"), "billed_cost", minor_digits=minor_unit_digits(currency))
    token_type = cells.text(result.get("token_type"), "token_class")
    cost_type = cells.text(result.get("cost_type"), "sku_meter")
    return {
        "bucket_key": bucket.key,
        "charge_date": bucket.started_at.date(),
        "charge_period_start": bucket.started_at,
        "charge_period_end": bucket.ended_at,
        "provider_name": _PROVIDER,
        "billing_account_id": context.source_account,
        "sub_account_id": cells.text(result.get("workspace_id"), "sub_account_id"),
        "service_name": "Anthropic API",
        "charge_category": "Credit" if billed_cost < 0 else "Usage",
        "charge_description": cells.text(result.get("description"), "charge_description"),
        "sku_meter": token_type or cost_type,
        "model_raw": cells.text(result.get("model"), "model_raw"),
        "token_class": _TOKEN_CLASSES.get(token_type or ""),
        "processing": _processing(result, cells),
        "billed_cost": billed_cost,
        "effective_cost": billed_cost,
        "list_cost": billed_cost,
        "contracted_cost": billed_cost,
        "is_list_cost_estimated": True,
        "billing_currency": currency,
    }


def _usage(result: Mapping[str, Any], bucket: Bucket, cells: Cells, _: ParseContext) -> dict[str, Any]:
    """One group of one bucket."""
    written_5m, written_1h = _cache_writes(result, cells)
    return {
        "usage_date": bucket.started_at.date(),
        "started_at": bucket.started_at,
        "ended_at": bucket.ended_at,
        "grain": "bucket",
        "requests_count": 0,
        "status": "unknown",
        "token_convention": "cache_beside_input",
        "reported_input_tokens": cells.whole(result.get("uncached_input_tokens"), "reported_input_tokens", is_required=True),
        "reported_output_tokens": cells.whole(result.get("output_tokens"), "reported_output_tokens", is_required=True),
        "cache_read_tokens": cells.whole(result.get("cache_read_input_tokens"), "cache_read_tokens"),
        "cache_write_tokens": written_5m + written_1h,
        "cache_write_1h_tokens": written_1h,
        "primitive": "ai.chat",
        "host_raw": _PROVIDER,
        "model_raw": cells.text(result.get("model"), "model_raw"),
        "region": cells.text(result.get("inference_geo"), "region"),
        "processing": _processing(result, cells) or "standard",
        "is_cache_hit": False,
        "api_key_id": cells.text(result.get("api_key_id"), "api_key_id"),
        "project_id": cells.text(result.get("workspace_id"), "project_id"),
    }


def _cache_writes(result: Mapping[str, Any], cells: Cells) -> tuple[int, int]:
    """Tokens written to the cache with a five-minute and with a one-hour lifetime."""
    created = result.get("cache_creation")
    if created is not None and not isinstance(created, dict):
        cells.fault("cache_write_tokens", "not_an_object")
        return 0, 0
    counts = created or {}
    written_5m = cells.whole(counts.get("ephemeral_5m_input_tokens"), "cache_write_tokens")
    written_1h = cells.whole(counts.get("ephemeral_1h_input_tokens"), "cache_write_1h_tokens")
    return written_5m or 0, written_1h or 0


def _processing(result: Mapping[str, Any], cells: Cells) -> str | None:
    """Price class that the row names; null where it names none, or a tier without a price class of its own."""
    tier = cells.text(result.get("service_tier"), "processing")
    return tier if tier in PROCESSINGS else None


REPORTS = {
    COST_REPORT: Report(dataset=COST_REPORT, table=STAGED_CHARGES, read_row=_charge, fields=_COST_FIELDS),
    MESSAGES_USAGE: Report(
        dataset=MESSAGES_USAGE,
        table=STAGED_USAGE,
        read_row=_usage,
        fields=_USAGE_FIELDS,
        dimensions=_USAGE_DIMENSIONS,
    ),
}
"""Reports that are read, by dataset."""

_DIALECT = Dialect(
    provider_name="Anthropic",
    reports=REPORTS,
    bounds=_bounds,
    dataset_of=_dataset_of,
)
