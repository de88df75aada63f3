"""Envoy AI Gateway's access log with the field names of its guide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, iso, write_records


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    model, provider = words.model()
    prompt, completion, cached = words.tokens()
    latency = words.rng.randrange(200, 30_000)
    return {
        ":authority": "api.gateway.example",
        "bytes_received": 4 * prompt,
        "bytes_sent": 4 * completion,
        "connection_termination_details": None,
        "downstream_local_address": "127.0.0.1:1975",
        "downstream_remote_address": f"10.0.{ordinal % 250}.7:64484",
        "duration": latency,
        "genai_backend_name": f"default/{provider}/route/llm/rule/0/ref/0",
        "genai_model_name": model,
        "genai_model_name_override": "-",
        "genai_tokens_cached_input": cached,
        "genai_tokens_input": prompt,
        "genai_tokens_output": completion,
        "genai_tokens_total": prompt + completion,
        "method": "POST",
        "protocol": "HTTP/1.1",
        "requested_server_name": None,
        "response_code": 429 if words.failed() else 200,
        "response_code_details": "via_upstream",
        "response_flags": "-",
        "route_name": "httproute/default/llm/rule/0/match/0/*",
        "start_time": iso(words.moment()),
        "upstream_cluster": "httproute/default/llm/rule/0",
        "upstream_host": "34.128.142.77:443",
        "upstream_transport_failure_reason": None,
        "user-agent": "python-httpx/0.28",
        "x-envoy-origin-path": "/v1/chat/completions",
        "x-envoy-upstream-service-time": str(latency - 5),
        "x-forwarded-for": f"10.0.{ordinal % 250}.7",
        "x-request-id": words.id(),
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` lines."""
    write_records(path, rows, _record, seed=15)
