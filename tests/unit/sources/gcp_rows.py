"""Rows of Google's detailed billing export for tests, as JSON lines with exact digits or as Parquet with NUMERIC columns."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.sources.reading.exact_json import JsonNumber, dumps

SKU = "Gemini 2.5 Pro Text Input (Long) - Predictions"


def number(text: str) -> JsonNumber:
    return JsonNumber(text)


def credit(amount: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": "free-1",
        "full_name": "Free trial",
        "name": "Free trial: $300",
        "type": "PROMOTION",
        "amount": number(amount),
    } | changes


def export_row(**changes: Any) -> dict[str, Any]:
    """One hour of one SKU in one project; every documented field is there."""
    return {
        "billing_account_id": "01ABCD-234567-89EFGH",
        "invoice": {"month": "202610", "publisher_type": "google"},
        "cost_type": "regular",
        "service": {"id": "C7E2-9256-1C43", "description": "Vertex AI"},
        "sku": {"id": "E0A5-FB5D-79F4", "description": SKU},
        "usage_start_time": "2026-10-05 07:00:00 UTC",
        "usage_end_time": "2026-10-05 08:00:00 UTC",
        "project": {
            "id": "search-prod",
            "number": "123456789",
            "name": "Search",
            "labels": [{"key": "team", "value": "search"}],
            "ancestry_numbers": "/111/222/",
            "ancestors": [{"resource_name": "organizations/111", "display_name": "example.org"}],
        },
        "labels": [{"key": "team", "value": "ranking"}, {"key": "env", "value": 'prod, "cost": 1'}],
        "system_labels": [],
        "location": {"location": "europe-west4", "country": "NL", "region": "europe-west4", "zone": None},
        "tags": [{"key": "unit", "value": "retail", "inherited": True, "namespace": "111"}],
        "resource": {"name": "endpoint-1", "global_name": "//aiplatform.googleapis.com/projects/1/endpoints/1"},
        "price": {
            "effective_price": number("0.0000025"),
            "tier_start_amount": number("0"),
            "unit": "count",
            "pricing_unit_quantity": number("1"),
            "list_price": number("0.0000025"),
        },
        "subscription": {"instance_id": None},
        "transaction_type": "GOOGLE",
        "seller_name": "Google Cloud EMEA Limited",
        "export_time": "2026-10-06 03:14:15.926535 UTC",
        "cost": number("2.662600000000000001"),
        "currency": "EUR",
        "currency_conversion_rate": number("0.92"),
        "usage": {
            "amount": number("1065040"),
            "unit": "requests",
            "amount_in_pricing_units": number("1065040"),
            "pricing_unit": "count",
        },
        "credits": [],
        "adjustment_info": None,
        "cost_at_list": number("3.1"),
        "consumption_model": {"id": "7754-699E-0EBF", "description": "Default"},
        "cost_at_effective_price_default": number("2.6626"),
        "cost_at_list_consumption_model": number("3.1"),
    } | changes


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_bytes("".join(f"{row if isinstance(row, str) else dumps(row)}\n" for row in rows).encode())
    return path


_NUMERIC = pl.Decimal(38, 9)


def write_parquet(path: Path, *rows: dict[str, Any]) -> Path:
    """As BigQuery writes it: NUMERIC columns as decimals of 9 places, timestamps with microseconds."""
    plain = [json.loads(dumps(row), parse_float=Decimal) for row in rows]
    frame = pl.DataFrame(
        [{name: row[name] for name in row if name not in ("adjustment_info", "system_labels", "subscription")} for row in plain],
        schema_overrides={
            "cost": _NUMERIC,
            "cost_at_list": _NUMERIC,
            "credits": pl.List(
                pl.Struct({**dict.fromkeys(("id", "full_name", "name", "type"), pl.String), "amount": pl.Float64})
            ),
        },
        infer_schema_length=None,
        strict=False,
    )
    instants = [
        pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S%.f UTC", time_unit="us", time_zone="UTC")
        for name in ("usage_start_time", "usage_end_time", "export_time")
    ]
    frame.with_columns(instants).write_parquet(path)
    return path
