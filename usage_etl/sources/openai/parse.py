"""Pages of OpenAI's organization costs and completions usage, as staged charges and staged bucket usage.

Counting: ``input_tokens`` holds cached and cache-write tokens. Amounts are whole currency units, numbers or text; a
negative amount is a credit. A dimension that was not grouped by arrives null, like one that has no value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.cells import Cells
from usage_etl.sources.openai.line_items import read_line_item
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reports import Bucket, Dialect, Report, parse_reports

PARSER_VERSION = "2"
COSTS = "costs"
COMPLETIONS_USAGE = "usage_completions"

_PROVIDER = "openai"
_OBJECTS = {"organization.costs.result": COSTS, "organization.usage.completions.result": COMPLETIONS_USAGE}
_PROCESSINGS = {"batch": "batch", "flex": "flex", "priority": "priority"}
_UNITS = {
    "tokens": ("Tokens", 0),
    "1000_tokens": ("Tokens", 3),
    "duration_seconds": ("Seconds", 0),
    "duration_minutes": ("Minutes", 0),
    "duration_hours": ("Hours", 0),
    "gibibyte_hours": ("GiB-Hours", 0),
    "images": ("Images", 0),
    "characters": ("Characters", 0),
}
"""Quantity unit as sent, to FOCUS unit and the power of ten by which the sent unit is larger."""

_COST_FIELDS = frozenset(
    {"object", "amount", "line_item", "project_id", "api_key_id", "user_id", "api_source", "quantity", "quantity_unit"}
    | {"organization_id", "organization_name", "project_name", "user_email"}
)
_USAGE_DIMENSIONS = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source")
_USAGE_FIELDS = frozenset(
    {"object", "input_tokens", "output_tokens", "num_model_requests", *_USAGE_DIMENSIONS}
    | {"input_cached_tokens", "input_uncached_tokens", "input_cache_write_tokens"}
    | {"input_cache_write_30m_tokens", "input_cache_write_12h_tokens"}
    | {"input_text_tokens", "input_audio_tokens", "input_image_tokens"}
    | {"input_cached_text_tokens", "input_cached_audio_tokens", "input_cached_image_tokens"}
    | {"output_text_tokens", "output_audio_tokens", "output_image_tokens"}
)


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file of pages. Raises UnreadableDeliveryError for anything else."""
    return parse_reports(path, context, dialect=_DIALECT)


def _bounds(bucket: Mapping[str, Any], cells: Cells) -> tuple[dt.datetime, dt.datetime]:
    return cells.unix_instant(bucket.get("start_time"), "start_time"), cells.unix_instant(bucket.get("end_time"), "end_time")


def _dataset_of(result: Mapping[str, Any]) -> str | None:
    name = result.get("object")
    if name is not None and name not in _OBJECTS:
        raise ValueError(f"holds {name!r}; read are {', '.join(sorted(_OBJECTS))}")
    return _OBJECTS.get(str(name))


def _charge(result: Mapping[str, Any], bucket: Bucket, cells: Cells, context: ParseContext) -> dict[str, Any]:
    """One charge line. List and contracted cost are copies of the billed cost: the report gives none."""
    amount = result.get("amount")
    money: Mapping[str, Any] = amount if isinstance(amount, dict) else {}
    billed_cost = cells.amount(money.get("value"), "billed_cost")
    line_text = cells.text(result.get("line_item"), "charge_description")
    line = read_line_item(line_text)
    quantity, unit = _consumed(result, cells, is_token_line=line.token_class is not None)
    if _dataset_of(result) is None:
        cells.fault("object", "missing")
    return {
        "bucket_key": bucket.key,
        "charge_date": bucket.started_at.date(),
        "charge_period_start": bucket.started_at,
        "charge_period_end": bucket.ended_at,
        "provider_name": _PROVIDER,
        "billing_account_id": context.source_account,
        "sub_account_id": cells.text(result.get("project_id"), "sub_account_id"),
        "service_name": "OpenAI API",
        "charge_category": "Credit" if billed_cost < 0 else "Usage",
        "charge_description": line_text,
        "sku_meter": line.meter or line_text,
        "model_raw": line.model_raw,
        "token_class": line.token_class,
        "processing": line.processing,
        "api_key_id": cells.text(result.get("api_key_id"), "api_key_id"),
        "billed_cost": billed_cost,
        "effective_cost": billed_cost,
        "list_cost": billed_cost,
        "contracted_cost": billed_cost,
        "is_list_cost_estimated": True,
        "billing_currency": cells.currency(money.get("currency"), "billing_currency"),
        "consumed_quantity": quantity,
        "consumed_unit": unit,
    }


def _consumed(result: Mapping[str, Any], cells: Cells, *, is_token_line: bool) -> tuple[Decimal | None, str | None]:
    """Quantity in its base unit, and the unit. A token line that states no unit counts tokens."""
    sent_unit = cells.text(result.get("quantity_unit"), "consumed_unit")
    unit, block_digits = _UNITS.get(sent_unit or "", (sent_unit or ("Tokens" if is_token_line else "Units"), 0))
    quantity = cells.quantity(result.get("quantity"), "consumed_quantity", block_digits=block_digits)
    return quantity, unit if quantity is not None else None


def _usage(result: Mapping[str, Any], bucket: Bucket, cells: Cells, _: ParseContext) -> dict[str, Any]:
    """One group of one bucket."""
    reported_input = cells.whole(result.get("input_tokens"), "reported_input_tokens", is_required=True)
    cache_read = cells.whole(result.get("input_cached_tokens"), "cache_read_tokens")
    cache_write = cells.whole(result.get("input_cache_write_tokens"), "cache_write_tokens")
    if reported_input is not None and (cache_read or 0) + (cache_write or 0) > reported_input:
        cells.fault("cache_read_tokens", "more_than_input")
    if _dataset_of(result) is None:
        cells.fault("object", "missing")
    return {
        "usage_date": bucket.started_at.date(),
        "started_at": bucket.started_at,
        "ended_at": bucket.ended_at,
        "grain": "bucket",
        "requests_count": cells.whole(result.get("num_model_requests"), "requests_count", is_required=True),
        "status": "unknown",
        "token_convention": "cache_in_input",
        "reported_input_tokens": reported_input,
        "reported_output_tokens": cells.whole(result.get("output_tokens"), "reported_output_tokens", is_required=True),
        "cache_read_tokens": cache_read,
        "cache_write_tokens": cache_write,
        "primitive": "ai.chat",
        "host_raw": _PROVIDER,
        "model_raw": cells.text(result.get("model"), "model_raw"),
        "processing": _processing(result, cells),
        "is_cache_hit": False,
        "user_id": cells.text(result.get("user_id"), "user_id"),
        "api_key_id": cells.text(result.get("api_key_id"), "api_key_id"),
        "project_id": cells.text(result.get("project_id"), "project_id"),
    }


def _processing(result: Mapping[str, Any], cells: Cells) -> str:
    """Price class. Tiers without a price class of their own (default, auto, scale, none stated) count as standard."""
    if result.get("batch") is True:
        return "batch"
    return _PROCESSINGS.get(cells.text(result.get("service_tier"), "processing") or "", "standard")


REPORTS = {
    COSTS: Report(dataset=COSTS, table=STAGED_CHARGES, read_row=_charge, fields=_COST_FIELDS),
    COMPLETIONS_USAGE: Report(
        dataset=COMPLETIONS_USAGE,
        table=STAGED_USAGE,
        read_row=_usage,
        fields=_USAGE_FIELDS,
        dimensions=_USAGE_DIMENSIONS,
    ),
}
"""Reports that are read, by dataset."""

_DIALECT = Dialect(
    provider_name="OpenAI",
    reports=REPORTS,
    bounds=_bounds,
    dataset_of=_dataset_of,
)
