"""The fields of the generic contract: what a customer's column may be mapped to, and how its text is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

FieldKind = Literal["text", "count", "instant", "decimal", "number", "duration", "flag"]

OWNERS = ("user_id", "team_id", "api_key_id", "project_id", "investigation_id", "feature_id", "session_id", "end_user_id")
"""Whose a request is; each fills the column of its name."""

TOKENS: Mapping[str, str] = {
    "input_tokens": "reported_input_tokens",
    "output_tokens": "reported_output_tokens",
    "total_tokens": "reported_total_tokens",
    **{
        name: name
        for name in (
            "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens",
            "cache_read_audio_tokens", "output_audio_tokens", "input_image_tokens", "cache_read_image_tokens",
            "output_image_tokens",
        )
    },
}  # fmt: skip
"""Token counts to their columns."""

TIMES = ("started_at", "ended_at", "record_version_at", "period_start", "period_end")
CHARGE_TIMES = ("charge_start", "charge_end", "billing_period_start", "billing_period_end")

WORDS: Mapping[str, str] = {
    "call_id": "call_id",
    "error_type": "error_type",
    "operation": "operation_name",
    "native_unit": "native_unit",
    "host": "host_raw",
    "model": "model_raw",
    "deployment": "deployment",
    "region": "region",
    "client_ip": "client_ip",
}
"""Texts that become columns as they are."""

USAGE_KINDS: Mapping[str, FieldKind] = {
    **dict.fromkeys(("event_id", "status", "primitive", "processing", "prompt", "usage_body", *WORDS, *OWNERS), "text"),
    **dict.fromkeys((*TOKENS, "requests_count", "http_status"), "count"),
    **dict.fromkeys(TIMES, "instant"),
    **dict.fromkeys(("quantity", "native_quantity"), "decimal"),
    **dict.fromkeys(("latency", "ttft"), "duration"),
    "cost_estimate_usd": "number",
    "cache_hit": "flag",
}
"""Fields of a request or of a bucket of usage."""

CHARGE_WORDS: Mapping[str, str] = {
    "charge_description": "charge_description",
    "provider_name": "provider_name",
    "publisher_name": "publisher_name",
    "invoice_issuer_name": "invoice_issuer_name",
    "invoice_id": "invoice_id",
    "billing_account_id": "billing_account_id",
    "billing_account_name": "billing_account_name",
    "sub_account_id": "sub_account_id",
    "sub_account_name": "sub_account_name",
    "service_name": "service_name",
    "service_category": "service_category",
    "service_subcategory": "service_subcategory",
    "resource_id": "resource_id",
    "resource_name": "resource_name",
    "sku_id": "sku_id",
    "sku_meter": "sku_meter",
    "token_class": "token_class",
}
"""Texts of a charge that become columns as they are."""

CHARGE_KINDS: Mapping[str, FieldKind] = {
    **dict.fromkeys(("currency", "charge_category", "charge_class", *CHARGE_WORDS), "text"),
    **dict.fromkeys(("amount", "list_amount"), "decimal"),
    **dict.fromkeys(CHARGE_TIMES, "instant"),
}
"""Fields of a charge line, besides those of usage that it shares."""

KINDS: Mapping[str, FieldKind] = {**USAGE_KINDS, **CHARGE_KINDS}
"""Every field of the contract."""

ONE_EACH = ("phone.sms", "email.send", "governance.scan", "safety.moderate")
"""Primitives of which a request is one, where no quantity is mapped."""

MEASURED = ("voice.room", "phone.call", "web.crawl", "ai.image")
"""Primitives whose amount only a quantity tells."""
