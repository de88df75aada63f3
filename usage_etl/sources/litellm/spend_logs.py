"""Which fields of a SpendLogs record are read. Prompts, responses and IP addresses are not among them."""

from __future__ import annotations

from collections.abc import Mapping

from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.mapping import FieldTypes

_USAGE = ("metadata", "usage_object")
_EXTRA = ("metadata", "additional_usage_values")
_PROMPT = (*_USAGE, "prompt_tokens_details")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "request_id": ("request_id",),
    "call_type": ("call_type",),
    "api_key": ("api_key",),
    "spend": ("spend",),
    "total_tokens": ("total_tokens",),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "startTime": ("startTime",),
    "endTime": ("endTime",),
    "completionStartTime": ("completionStartTime",),
    "request_duration_ms": ("request_duration_ms",),
    "updated_at": ("updated_at",),
    "model": ("model",),
    "model_group": ("model_group",),
    "custom_llm_provider": ("custom_llm_provider",),
    "user": ("user",),
    "cache_hit": ("cache_hit",),
    "team_id": ("team_id",),
    "end_user": ("end_user",),
    "session_id": ("session_id",),
    "status": ("status",),
    "litellm_call_id": ("litellm_call_id",),
    "request_tags": ("request_tags",),
    "metadata_status": ("metadata", "status"),
    "key_user_id": ("metadata", "user_api_key_user_id"),
    "key_team_id": ("metadata", "user_api_key_team_id"),
    "project_id": ("metadata", "user_api_key_project_id"),
    "error_code": ("metadata", "error_information", "error_code"),
    "error_class": ("metadata", "error_information", "error_class"),
    "service_tier": (*_USAGE, "service_tier"),
    "cache_read_input_tokens": (*_USAGE, "cache_read_input_tokens"),
    "cached_tokens": (*_PROMPT, "cached_tokens"),
    "added_cache_read_input_tokens": (*_EXTRA, "cache_read_input_tokens"),
    "cache_creation_input_tokens": (*_USAGE, "cache_creation_input_tokens"),
    "cache_creation_tokens": (*_PROMPT, "cache_creation_tokens"),
    "added_cache_creation_input_tokens": (*_EXTRA, "cache_creation_input_tokens"),
    "ephemeral_5m_input_tokens": (*_USAGE, "cache_creation_token_details", "ephemeral_5m_input_tokens"),
    "ephemeral_1h_input_tokens": (*_USAGE, "cache_creation_token_details", "ephemeral_1h_input_tokens"),
    "prompt_ephemeral_5m_input_tokens": (*_PROMPT, "cache_creation_token_details", "ephemeral_5m_input_tokens"),
    "prompt_ephemeral_1h_input_tokens": (*_PROMPT, "cache_creation_token_details", "ephemeral_1h_input_tokens"),
    "reasoning_tokens": (*_USAGE, "completion_tokens_details", "reasoning_tokens"),
    "batch_models": ("metadata", "batch_models"),
    "noted_feature": ("metadata", "spend_logs_metadata", "feature"),
    "noted_investigation": ("metadata", "spend_logs_metadata", "investigation"),
}
"""Flat text column to the field's place in the record."""

SHAPE = RecordShape(fields=FIELDS, lists=frozenset({"request_tags", "batch_models"}), opened=("metadata",))
"""A record; some versions of LiteLLM write ``metadata`` as JSON in text."""

TYPES = FieldTypes(
    counts=tuple(name for name in FIELDS if name.endswith("_tokens")),
    instants=("startTime", "endTime", "completionStartTime", "updated_at"),
    milliseconds=("request_duration_ms",),
    numbers=("spend",),
)

REASONING_BESIDE = "cache_in_input_reasoning_beside_output"
"""Token convention of the records whose total counts reasoning beside the completion."""
