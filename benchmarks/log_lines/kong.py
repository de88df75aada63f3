"""Kong's access log of a file logger: one line in four calls no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, write_records


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    model, provider = words.model()
    prompt, completion, _ = words.tokens()
    user, failed, latency = words.user(), words.failed(), words.rng.randrange(200, 30_000)
    line: dict[str, Any] = {
        "workspace": words.id(),
        "workspace_name": f"workspace-{user % 35}",
        "started_at": int(words.moment().timestamp() * 1000),
        "client_ip": f"10.{user % 250}.0.{ordinal % 250}",
        "request": {
            "id": words.id().replace("-", ""),
            "method": "POST",
            "uri": "/v1/chat/completions",
            "url": "https://gateway.example/v1/chat/completions",
            "size": 4 * prompt,
            "querystring": {},
            "headers": {"host": "gateway.example", "user-agent": "python-httpx/0.28", "content-type": "application/json"},
        },
        "response": {"status": 429 if failed else 200, "size": 4 * completion, "headers": {"content-type": "application/json"}},
        "latencies": {"request": latency, "kong": 12, "proxy": latency - 12, "receive": 1},
        "tries": [{"balancer_latency": 0, "port": 443, "ip": "10.1.1.1"}],
        "service": {"id": words.id(), "name": "llm", "host": "api.example", "port": 443, "protocol": "https"},
        "route": {"id": words.id(), "name": f"feature-{user % 30}", "paths": ["/v1"]},
        "consumer": {"id": words.id(), "username": f"user-{user}"},
        "authenticated_entity": {"id": words.id()},
        "upstream_status": "200",
    }
    if ordinal % 4:
        line["ai"] = {
            "proxy": {
                "meta": {
                    "plugin_id": words.id(),
                    "provider_name": provider,
                    "request_model": model,
                    "response_model": model,
                    "llm_latency": latency,
                },
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "total_tokens": prompt + completion,
                    "time_per_token": 33.5,
                    "cost": round(prompt * 1.25e-6 + completion * 1e-5, 12),
                },
            }
        }
    return line


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` lines."""
    write_records(path, rows, _record, seed=14)
