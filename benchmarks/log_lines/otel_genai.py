"""OTLP/JSON lines as the collector's file exporter writes them: seeded, about 200 spans a line, one in four no model call."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DAY_NANOS = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp()) * 10**9
SPANS_PER_LINE = 200
MODELS = (("gpt-5.2", "openai"), ("claude-sonnet-5", "anthropic"), ("gemini-3-flash", "gcp.vertex_ai"))
_PROMPT = "summarise the incident report for finance and list the open actions with owners and dates " * 3


def _attribute(key: str, value: str | int | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"doubleValue" if isinstance(value, float) else "stringValue": value}}


def _model_call(rng: random.Random) -> dict[str, Any]:
    model, provider = rng.choice(MODELS)
    prompt, output = int(rng.lognormvariate(7, 1.2)) + 1, int(rng.lognormvariate(5.5, 1)) + 1
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.response.model": f"{model}-2026-09-01",
        "gen_ai.response.id": f"chatcmpl-{rng.getrandbits(116):029x}",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.conversation.id": f"conv_{rng.getrandbits(64):016x}",
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": output,
        "gen_ai.usage.cache_read.input_tokens": prompt * rng.choice((0, 0, 0, 5, 8)) // 10,
        "gen_ai.usage.reasoning.output_tokens": output // 3,
        "gen_ai.response.time_to_first_chunk": round(rng.uniform(0.1, 2.0), 6),
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": _PROMPT}]}]),
        "enduser.id": f"user-{rng.randrange(5000)}",
        "team.id": f"team-{rng.randrange(40)}",
        "server.address": "api.example.com",
        "server.port": 443,
    } | ({"error.type": "timeout"} if rng.random() < 0.02 else {})


def _other(rng: random.Random) -> dict[str, Any]:
    return {"http.request.method": "POST", "url.path": "/v1/orders", "thread.id": rng.randrange(64)}


def _span(rng: random.Random) -> dict[str, Any]:
    start = DAY_NANOS + rng.randrange(86_400 * 10**9)
    attributes = _model_call(rng) if rng.random() < 0.75 else _other(rng)
    failed = "error.type" in attributes
    return {
        "traceId": f"{rng.getrandbits(128):032x}",
        "spanId": f"{rng.getrandbits(64):016x}",
        "parentSpanId": f"{rng.getrandbits(64):016x}",
        "flags": 257,
        "name": "chat" if "gen_ai.request.model" in attributes else "POST /v1/orders",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + rng.randrange(200, 30_000) * 10**6 + rng.randrange(10**6)),
        "attributes": [_attribute(key, value) for key, value in attributes.items()],
        "status": {"code": 2, "message": "timed out"} if failed else {},
    }


def _resource(service: str) -> dict[str, Any]:
    return {
        "attributes": [
            _attribute("service.name", service),
            _attribute("service.version", "3.4.1"),
            _attribute("deployment.environment.name", "prod"),
            _attribute("telemetry.sdk.language", "python"),
        ]
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` spans to ``path``, several to a line. The same ``rows`` give the same bytes."""
    rng = random.Random(20261102)
    with path.open("w", encoding="utf-8") as sink:
        for first in range(0, rows, SPANS_PER_LINE):
            spans = [_span(rng) for _ in range(min(SPANS_PER_LINE, rows - first))]
            scope = {"scope": {"name": "opentelemetry.instrumentation.openai_v2", "version": "2.3b0"}, "spans": spans}
            entry = {"resource": _resource(f"service-{rng.randrange(8)}"), "scopeSpans": [scope]}
            sink.write(json.dumps({"resourceSpans": [entry]}, separators=(",", ":")) + "\n")
