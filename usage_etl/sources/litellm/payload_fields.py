"""Which fields of a StandardLoggingPayload are read: what the S3, GCS and Pub/Sub loggers write, one object per call.

Prompts, responses and IP addresses are not among them, and neither is the file's folder: its date is the proxy's local clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from usage_etl.sources.litellm.spend_logs import FIELDS as SPEND_LOG_FIELDS
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.mapping import FieldTypes

_USAGE_PARTS = {name: place[2:] for name, place in SPEND_LOG_FIELDS.items() if place[:2] == ("metadata", "usage_object")}
_HIDDEN = ("hidden_params", "usage_object")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "trace_id": ("trace_id",),
    "litellm_call_id": ("litellm_call_id",),
    "call_type": ("call_type",),
    "stream": ("stream",),
    "response_cost": ("response_cost",),
    "total_tokens": ("total_tokens",),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "startTime": ("startTime",),
    "endTime": ("endTime",),
    "completionStartTime": ("completionStartTime",),
    "response_time": ("response_time",),
    "model": ("model",),
    "model_group": ("model_group",),
    "custom_llm_provider": ("custom_llm_provider",),
    "cache_hit": ("cache_hit",),
    "end_user": ("end_user",),
    "status": ("status",),
    "guardrail_status": ("status_fields", "guardrail_status"),
    "request_tags": ("request_tags",),
    "error_code": ("error_information", "error_code"),
    "error_class": ("error_information", "error_class"),
    "api_key": ("metadata", "user_api_key_hash"),
    "key_user_id": ("metadata", "user_api_key_user_id"),
    "key_team_id": ("metadata", "user_api_key_team_id"),
    "key_end_user_id": ("metadata", "user_api_key_end_user_id"),
    "project_id": ("metadata", "user_api_key_project_id"),
    "noted_feature": ("metadata", "spend_logs_metadata", "feature"),
    "noted_investigation": ("metadata", "spend_logs_metadata", "investigation"),
    **{name: ("metadata", "usage_object", *part) for name, part in _USAGE_PARTS.items()},
    "batch_models": ("hidden_params", "batch_models"),
    "added_cache_read_input_tokens": (*_HIDDEN, "cache_read_input_tokens"),
    "added_cache_creation_input_tokens": (*_HIDDEN, "cache_creation_input_tokens"),
    "hidden_cached_tokens": (*_HIDDEN, "prompt_tokens_details", "cached_tokens"),
}
"""Flat text column to the field's place; those that a row of the table has too bear the same name."""

SHAPE = RecordShape(fields=FIELDS, lists=frozenset({"request_tags", "batch_models"}))

TIMES = ("startTime", "endTime", "completionStartTime")

TYPES = FieldTypes(
    counts=tuple(name for name in FIELDS if name.endswith("_tokens")),
    epochs=dict.fromkeys(TIMES, "s"),
    seconds=("response_time",),
    numbers=("response_cost",),
)
