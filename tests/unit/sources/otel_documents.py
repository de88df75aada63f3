"""OTLP/JSON documents for tests, as exporters write them."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.unit.sources.outcomes import Outcome, outcome_of
from usage_etl.sources.otel_genai.settings import OtelGenAiSettings

START = int(datetime(2026, 11, 2, 9, 20, 46, tzinfo=UTC).timestamp()) * 10**9
TRACE = "5b8efff798038103d269b633813fc60c"
CALL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5.2",
    "gen_ai.response.model": "gpt-5.2-2026-09-01",
    "gen_ai.response.id": "chatcmpl-AbCdEf0123456789",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 200,
}
"""Attributes of a call that succeeded."""


def settings(**changes: Any) -> OtelGenAiSettings:
    """Settings with what matters changed."""
    return OtelGenAiSettings(kind="otel_genai", name="apps", location="landing/otel", **changes)


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Key-value pairs; 64-bit integers are text, as protobuf's JSON has them. None leaves the key out."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(element) for element in value]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue" if isinstance(value, float) else "stringValue": value}


def span(values: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A span of two seconds with these attributes; fields are those of the span itself."""
    return {
        "traceId": TRACE,
        "spanId": "eee19b7ec3c1b174",
        "parentSpanId": "",
        "name": "chat gpt-5.2",
        "kind": 3,
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 2 * 10**9),
        "attributes": attributes(CALL if values is None else values),
        "droppedAttributesCount": 0,
        "events": [],
        "status": {},
    } | fields


def call(**changes: Any) -> dict[str, Any]:
    """A span of ``CALL`` with attributes changed: ``_`` stands for a dot, two of them for an underscore."""
    named = {key.replace("__", "\0").replace("_", ".").replace("\0", "_"): value for key, value in changes.items()}
    return span(CALL | named)


def document(*spans: Any, resource: dict[str, Any] | None = None, scope: str = "opentelemetry.instrumentation.openai_v2") -> str:
    """One line with these spans."""
    shared = attributes({"service.name": "search"} if resource is None else resource)
    scoped = {"scope": {"name": scope, "version": "2.3b0"}, "spans": list(spans), "schemaUrl": ""}
    return json.dumps({"resourceSpans": [{"resource": {"attributes": shared}, "scopeSpans": [scoped]}]}, separators=(",", ":"))


def outcome(*lines: str, **changes: Any) -> Outcome:
    """What lines become under changed settings."""
    return outcome_of("\n".join(lines), settings(**changes))


def row_of(one: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The staged row of one span under changed settings."""
    return outcome(document(one), **changes).row
