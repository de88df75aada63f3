"""Anthropic's cost reports of every family as staged charges.

Money of the API is decimal text in the currency's smallest unit: ``"123.45"`` in USD is 1.2345 dollars; the Console's
download writes whole dollars. A null workspace is the default workspace; a null key is console usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from usage_etl.money import minor_unit_digits
from usage_etl.sources.anthropic.fields import (
    PROVIDER,
    TOKEN_CLASSES,
    TOOL_COST_TYPES,
    identity,
    processing,
    region,
    tags,
)
from usage_etl.sources.forms.reports import Bucket
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.cells import Cells
from usage_etl.sources.rows.tags import tag_object


def read_charge(result: Mapping[str, Any], bucket: Bucket, cells: Cells, context: ParseContext) -> dict[str, Any]:
    """One charge line of a report of the API."""
    currency = cells.currency(result.get("currency"), "billing_currency")
    return _charge(result, bucket, cells, context, digits=minor_unit_digits(currency)) | {"billing_currency": currency}


def read_console_charge(result: Mapping[str, Any], bucket: Bucket, cells: Cells, context: ParseContext) -> dict[str, Any]:
    """One charge line of a download, whose amounts are whole dollars."""
    return _charge(result, bucket, cells, context, digits=0) | {"billing_currency": "USD"}


def _charge(result: Mapping[str, Any], bucket: Bucket, cells: Cells, context: ParseContext, *, digits: int) -> dict[str, Any]:
    billed_cost = cells.amount(result.get("amount"), "billed_cost", minor_digits=digits)
    has_list = result.get("list_amount") is not None
    list_cost = cells.amount(result["list_amount"], "list_cost", minor_digits=digits) if has_list else billed_cost
    token_type = cells.text(result.get("token_type"), "token_class")
    cost_type = cells.text(result.get("cost_type"), "sku_meter")
    model = cells.text(result.get("model"), "model_raw")
    return {
        "bucket_key": bucket.key,
        "charge_date": bucket.started_at.date(),
        "charge_period_start": bucket.started_at,
        "charge_period_end": bucket.ended_at,
        "provider_name": PROVIDER,
        "billing_account_id": context.source_account,
        "sub_account_id": cells.text(result.get("workspace_id"), "sub_account_id"),
        "sub_account_name": cells.text(result.get("workspace"), "sub_account_name"),
        "service_name": "Anthropic API",
        "region_id": region(result, cells, "region_id"),
        "tags": tag_object(tags(result, cells, "tags", "product", "session_id", "user_profile_id")),
        "charge_category": "Credit" if billed_cost < 0 else "Usage",
        "charge_description": cells.text(result.get("description"), "charge_description"),
        "sku_meter": token_type or cost_type,
        "meter_mapping": _mapping(token_type, cost_type, model, billed_cost),
        "model_raw": model,
        "token_class": TOKEN_CLASSES.get(token_type or ""),
        "processing": processing(result, cells),
        "context_band": cells.text(result.get("context_window"), "context_band"),
        "billed_cost": billed_cost,
        "effective_cost": billed_cost,
        "list_cost": list_cost,
        "contracted_cost": billed_cost,
        "is_list_cost_estimated": not has_list,
        **identity(result, cells),
    }


def _mapping(token_type: str | None, cost_type: str | None, model: str | None, billed_cost: Decimal) -> str | None:
    """Null where the report itself names model and class; a nameless credit and tools meter no model."""
    if token_type in TOKEN_CLASSES and model is not None:
        return None
    is_nameless_credit = token_type is None and cost_type is None and billed_cost < 0
    return "not_usage" if is_nameless_credit or cost_type in TOOL_COST_TYPES else "unmapped"
