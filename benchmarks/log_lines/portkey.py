"""Portkey's log export: numbers as floats, metadata as parallel lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, iso, write_records


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    model, provider = words.model()
    prompt, completion, _ = words.tokens()
    user, failed, latency = words.user(), words.failed(), words.rng.randrange(200, 30_000)
    return {
        "id": words.id(),
        "organisation_id": words.id(),
        "organisation_name": "Acme Corp",
        "user_id": f"user-{user}",
        "prompt_id": None,
        "config_id": f"config-{user % 7}",
        "created_at": iso(words.moment()),
        "is_success": 0.0 if failed else 1.0,
        "ai_org": provider,
        "ai_org_auth_hash": words.id(),
        "ai_model": model,
        "req_units": float(prompt),
        "res_units": float(completion),
        "total_units": float(prompt + completion),
        "cost": round(prompt * 1.25e-4 + completion * 1e-3, 10),
        "cost_currency": "USD",
        "request_url": "https://api.openai.com/v1/chat/completions",
        "request_method": "POST",
        "response_status_code": 429.0 if failed else 200.0,
        "response_time": float(latency),
        "is_proxy_call": 0.0,
        "cache_status": "MISS",
        "cache_type": "SIMPLE",
        "stream_mode": 0.0,
        "retry_success_count": "0",
        "_environment": "production",
        "trace_id": words.id(),
        "mode": "SINGLE",
        "virtual_key": f"vk-{user % 400}",
        "source": "web-app",
        "runtime": "node",
        "runtime_version": "18.17.0",
        "sdk_version": "2.1.4",
        "config": f"pc-{user % 7}",
        "metadata": {
            "key": ["team", "feature", "_user", "environment"],
            "value": [f"team-{user % 12}", f"feature-{user % 30}", f"user-{user}", "prod"],
        },
        "workspace_slug": f"workspace-{user % 35}",
        "span_id": words.id(),
        "span_name": "chat_completion",
        "api_key_id": words.id(),
        "gateway_version": f"v2.3.{ordinal % 4}",
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` requests."""
    write_records(path, rows, _record, seed=12)
