"""OpenAI's organization costs: results of the report as staged charges.

Amounts are whole currency units, numbers or text; a negative amount is a credit. The report gives one amount a line: list
and contracted cost are copies of it. Model and token class stand in the text of the line item.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.forms.reports import Bucket, Report
from usage_etl.sources.openai.line_items import LineItem, read_line_item
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.cells import Cells
from usage_etl.sources.rows.tags import tag_object

COSTS = "costs"
COSTS_OBJECT = "organization.costs.result"
COST_DIMENSIONS = ("project_id", "line_item", "api_key_id")
"""What costs are grouped by. Not by user: some organizations refuse it together with the project."""

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

_STORAGE_UNITS = frozenset({"gibibyte_hours"})
"""Units in which no model is metered."""

_FIELDS = frozenset(
    {"object", "amount", "line_item", "project_id", "api_key_id", "user_id", "quantity", "quantity_unit"}
    | {"organization_id", "organization_name", "project_name", "user_email", "api_source"}
)


def _charge(result: Mapping[str, Any], bucket: Bucket, cells: Cells, context: ParseContext) -> dict[str, Any]:
    """One charge line."""
    amount = result.get("amount")
    money: Mapping[str, Any] = amount if isinstance(amount, dict) else {}
    billed_cost = cells.amount(money.get("value"), "billed_cost")
    line_text = cells.text(result.get("line_item"), "charge_description")
    line = read_line_item(line_text)
    sent_unit = cells.text(result.get("quantity_unit"), "consumed_unit")
    quantity, unit = _consumed(result, sent_unit, cells, is_token_line=line.token_class is not None)
    if result.get("object") is None:
        cells.fault("object", "missing")
    return {
        "bucket_key": bucket.key,
        "charge_date": bucket.started_at.date(),
        "charge_period_start": bucket.started_at,
        "charge_period_end": bucket.ended_at,
        "provider_name": "openai",
        "billing_account_id": context.source_account,
        "billing_account_name": cells.text(result.get("organization_name"), "billing_account_name"),
        "sub_account_id": cells.text(result.get("project_id"), "sub_account_id"),
        "sub_account_name": cells.text(result.get("project_name"), "sub_account_name"),
        "service_name": "OpenAI API",
        "tags": tag_object({"api_source": cells.text(result.get("api_source"), "tags")}),
        "charge_category": "Credit" if billed_cost < 0 else "Usage",
        "charge_description": line_text,
        "sku_meter": line.meter or line_text,
        "meter_mapping": _mapping(line, billed_cost, sent_unit),
        "model_raw": line.model_raw,
        "token_class": line.token_class,
        "processing": line.processing,
        "context_band": line.context_band,
        "api_key_id": cells.text(result.get("api_key_id"), "api_key_id"),
        "user_id": cells.text(result.get("user_id"), "user_id"),
        "billed_cost": billed_cost,
        "effective_cost": billed_cost,
        "list_cost": billed_cost,
        "contracted_cost": billed_cost,
        "is_list_cost_estimated": True,
        "billing_currency": cells.currency(money.get("currency"), "billing_currency"),
        "consumed_quantity": quantity,
        "consumed_unit": unit,
    }


def _mapping(line: LineItem, billed_cost: Decimal, sent_unit: str | None) -> str:
    """Whether the tables know the meter. A credit of an unknown name, and storage, meter no model."""
    is_no_usage = line.meter_mapping == "unmapped" and (billed_cost < 0 or sent_unit in _STORAGE_UNITS)
    return "not_usage" if is_no_usage else line.meter_mapping


def _consumed(
    result: Mapping[str, Any], sent_unit: str | None, cells: Cells, *, is_token_line: bool
) -> tuple[Decimal | None, str | None]:
    """Quantity in its base unit, and the unit. A token line that states no unit counts tokens."""
    unit, block_digits = _UNITS.get(sent_unit or "", (sent_unit or ("Tokens" if is_token_line else "Units"), 0))
    quantity = cells.quantity(result.get("quantity"), "consumed_quantity", block_digits=block_digits)
    return quantity, unit if quantity is not None else None


COST_REPORT = Report(dataset=COSTS, table=STAGED_CHARGES, read_row=_charge, fields=_FIELDS)
