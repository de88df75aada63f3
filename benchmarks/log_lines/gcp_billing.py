"""Rows of Google's detailed billing export as BigQuery writes them: two in three are of an AI service.

Half of these have credits. Amounts have all the digits of a float, as BigQuery writes them.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, write_records

_PIECES = ("Text Input", "Text Output", "Image Input", "Thinking Text Output", "Text Input Cached")
_SKUS = [f"Gemini 2.5 {size} {piece} - Predictions" for size in ("Pro", "Flash", "Flash Lite") for piece in _PIECES]
_AI = {"id": "C7E2-9256-1C43", "description": "Vertex AI"}
_OTHER = {"id": "6F81-5844-456A", "description": "Compute Engine"}


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    user, count = words.user(), int(words.rng.lognormvariate(9, 2))
    started = words.moment().replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    is_ai, cost = ordinal % 3 > 0, count * 2.5e-6 / 0.917
    sku = words.rng.choice(_SKUS) if is_ai else "E2 Instance Core running in EMEA"
    credit = {"id": "free-1", "full_name": "Free trial", "name": "Free trial: $300", "type": "PROMOTION", "amount": -cost}
    return {
        "billing_account_id": "01ABCD-234567-89EFGH",
        "invoice": {"month": "202610", "publisher_type": "google"},
        "cost_type": "regular",
        "service": _AI if is_ai else _OTHER,
        "sku": {"id": f"E0A5-FB5D-{sum(map(ord, sku)) % 10_000:04}", "description": sku},
        "usage_start_time": f"{started:%Y-%m-%d %H:%M:%S} UTC",
        "usage_end_time": f"{started + timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC",
        "project": {
            "id": f"project-{user % 35}",
            "number": "123456789",
            "name": f"Project {user % 35}",
            "labels": [{"key": "team", "value": f"team-{user % 12}"}],
            "ancestry_numbers": "/111/222/",
            "ancestors": [{"resource_name": "organizations/111", "display_name": "example.org"}],
        },
        "labels": [{"key": "feature", "value": f"feature-{user % 30}"}, {"key": "env", "value": "prod"}],
        "system_labels": [],
        "location": {"location": "europe-west4", "country": "NL", "region": "europe-west4", "zone": None},
        "tags": [{"key": "unit", "value": "retail", "inherited": True, "namespace": "111"}],
        "resource": {"name": f"endpoint-{user}", "global_name": f"//aiplatform.googleapis.com/projects/1/endpoints/{user}"},
        "price": {
            "effective_price": 0.0000025,
            "tier_start_amount": 0,
            "unit": "count",
            "pricing_unit_quantity": 1,
            "list_price": 0.0000025,
        },
        "subscription": {"instance_id": None},
        "transaction_type": "GOOGLE",
        "seller_name": "Google Cloud EMEA Limited",
        "export_time": f"{started + timedelta(hours=20):%Y-%m-%d %H:%M:%S}.926535 UTC",
        "cost": cost,
        "currency": "EUR",
        "currency_conversion_rate": 0.92,
        "usage": {"amount": count, "unit": "requests", "amount_in_pricing_units": count, "pricing_unit": "count"},
        "credits": [credit] if ordinal % 3 == 1 else [],
        "adjustment_info": None,
        "cost_at_list": cost,
        "consumption_model": {"id": "7754-699E-0EBF", "description": "Default"},
        "cost_at_effective_price_default": cost,
        "cost_at_list_consumption_model": cost,
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` rows."""
    write_records(path, rows, _record, seed=23)
