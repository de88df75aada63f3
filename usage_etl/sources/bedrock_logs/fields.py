"""Which fields of a model invocation log are read. Of bodies only their usage, of prompts and answers nothing.

The body of an answer is an object, a list of the events of a stream, text, or somewhere else (an object of its own in a
``data/`` folder); each model writes it as it likes. Counts stand at its side in the record; caches stood in the body alone
before 2026, so both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from usage_etl.sources.bedrock_logs.settings import MetadataKeys
from usage_etl.sources.reading.json_lines import Variant
from usage_etl.sources.reading.records import ELEMENTS, RecordShape
from usage_etl.sources.rows.mapping import FieldTypes

Place = tuple[str, ...]

BODY = ("output", "outputBodyJson")
_METRICS = "amazon-bedrock-invocationMetrics"
_ACTION = "amazon-bedrock-guardrailAction"

_RECORD: Mapping[str, Place] = {
    "schemaType": ("schemaType",),
    "timestamp": ("timestamp",),
    "accountId": ("accountId",),
    "arn": ("identity", "arn"),
    "region": ("region",),
    "inferenceRegion": ("inferenceRegion",),
    "requestId": ("requestId",),
    "operation": ("operation",),
    "modelId": ("modelId",),
    "errorCode": ("errorCode",),
    "inputTokenCount": ("input", "inputTokenCount"),
    "cacheReadInputTokenCount": ("input", "cacheReadInputTokenCount"),
    "cacheWriteInputTokenCount": ("input", "cacheWriteInputTokenCount"),
    "outputTokenCount": ("output", "outputTokenCount"),
}

_CONVERSE_USAGE: Mapping[str, Place] = {
    "inputTokens": ("inputTokens",),
    "outputTokens": ("outputTokens",),
    "totalTokens": ("totalTokens",),
    "cacheReadInputTokens": ("cacheReadInputTokens",),
    "cacheWriteInputTokens": ("cacheWriteInputTokens",),
}
_ANTHROPIC_USAGE: Mapping[str, Place] = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cache_read_input_tokens": ("cache_read_input_tokens",),
    "cache_creation_input_tokens": ("cache_creation_input_tokens",),
    "ephemeral_1h_input_tokens": ("cache_creation", "ephemeral_1h_input_tokens"),
}
_OBJECT: Mapping[str, Place] = {
    **{name: ("usage", *place) for name, place in {**_CONVERSE_USAGE, **_ANTHROPIC_USAGE}.items()},
    "reasoning_tokens": ("usage", "completion_tokens_details", "reasoning_tokens"),
    "ttls": ("usage", "cacheDetails", ELEMENTS, "ttl"),
    "ttl_tokens": ("usage", "cacheDetails", ELEMENTS, "inputTokens"),
    "latencyMs": ("metrics", "latencyMs"),
    "stop_reason": ("stopReason",),
    "guardrail_action": (_ACTION,),
    "service_tier": ("serviceTier", "type"),
    "body_model": ("model",),
}
_EVENT: Mapping[str, Place] = {
    **{f"start_{name}": ("message", "usage", *place) for name, place in _ANTHROPIC_USAGE.items()},
    **{name: ("usage", *place) for name, place in _ANTHROPIC_USAGE.items()},
    **{name: ("metadata", "usage", *place) for name, place in _CONVERSE_USAGE.items()},
    "latencyMs": ("metadata", "metrics", "latencyMs"),
    "metrics_input": (_METRICS, "inputTokenCount"),
    "metrics_output": (_METRICS, "outputTokenCount"),
    "metrics_cache_read": (_METRICS, "cacheReadInputTokenCount"),
    "metrics_cache_write": (_METRICS, "cacheWriteInputTokenCount"),
    "invocationLatency": (_METRICS, "invocationLatency"),
    "firstByteLatency": (_METRICS, "firstByteLatency"),
    "guardrail_action": (_ACTION,),
    "stop_reason": ("messageStop", "stopReason"),
    "body_model": ("message", "model"),
}

OF_BODY = tuple(dict.fromkeys([*_OBJECT, *_EVENT]))
"""Columns that a body fills; all null where there is none."""

WORDS_OF_BODY = ("stop_reason", "guardrail_action", "service_tier", "body_model", "ttls", "ttl_tokens")
COUNTS_OF_BODY = tuple(name for name in OF_BODY if name not in WORDS_OF_BODY and not name.endswith(("Ms", "Latency")))
DURATIONS_OF_BODY = ("latencyMs", "invocationLatency", "firstByteLatency")

TYPES = FieldTypes(
    counts=(*(name for name in _RECORD if name.endswith("Count")), *COUNTS_OF_BODY),
    instants=("timestamp",),
    milliseconds=DURATIONS_OF_BODY,
    spellings=("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f"),
)


def metadata_column(key: str) -> str:
    """Flat column of a key of ``requestMetadata``."""
    return f"requestMetadata {key}"


@lru_cache
def shapes(keys: MetadataKeys) -> tuple[RecordShape, tuple[Variant, ...]]:
    """Shape of a record without a body that is read, and those of records with one."""
    named = (keys.user, keys.team, keys.project, keys.feature, keys.investigation, keys.session, keys.end_user, *keys.keep)
    noted = {metadata_column(key): ("requestMetadata", key) for key in named if key is not None}
    plain = RecordShape(fields={**_RECORD, **noted})
    with_object = {name: (*BODY, *place) for name, place in _OBJECT.items()}
    with_events = {name: (*BODY, ELEMENTS, *place) for name, place in _EVENT.items()}
    return plain, (
        Variant(r'"outputBodyJson"\s*:\s*\{', RecordShape(fields={**plain.fields, **with_object}, optional=(BODY,))),
        Variant(
            r'"outputBodyJson"\s*:\s*\[',
            RecordShape(fields={**plain.fields, **with_events}, optional=(BODY,)),
            rewritten=(r',\s*"\[DONE\]"\s*\]', "]"),
        ),
    )
