"""Helicone's export as JSON lines, without bodies."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, iso, write_records


def request(words: Words, ordinal: int) -> dict[str, Any]:
    """One request."""
    model, provider = words.model()
    prompt, completion, cached = words.tokens()
    user, began, latency = words.user(), words.moment(), words.rng.randrange(200, 30_000)
    properties = {"team": f"team-{user % 12}", "feature": f"feature-{user % 30}", "environment": "prod"}
    return {
        "response_id": words.id(),
        "response_created_at": iso(began + timedelta(milliseconds=latency)),
        "response_status": 429 if words.failed() else 200,
        "response_model": model,
        "request_id": words.id(),
        "request_created_at": iso(began),
        "request_path": "https://oai.helicone.ai/v1/chat/completions",
        "request_user_id": f"user-{user}",
        "request_properties": properties,
        "request_model": model,
        "model_override": None,
        "helicone_user": None,
        "provider": provider.upper(),
        "delay_ms": latency,
        "time_to_first_token": latency // 5,
        "total_tokens": prompt + completion,
        "prompt_tokens": prompt,
        "prompt_cache_write_tokens": 0,
        "prompt_cache_read_tokens": cached,
        "completion_tokens": completion,
        "prompt_audio_tokens": 0,
        "completion_audio_tokens": 0,
        "cost": round(prompt * 1.25e-6 + completion * 1e-5, 12),
        "prompt_id": None,
        "prompt_version": None,
        "llmSchema": {
            "request": {"llm_type": "chat", "provider": provider, "messages": [{"_type": "message", "content": words.text(3)}]}
        },
        "country_code": "DE",
        "asset_ids": None,
        "asset_urls": None,
        "scores": {},
        "properties": properties,
        "assets": [],
        "target_url": "https://api.openai.com/v1/chat/completions",
        "model": model,
        "cache_reference_id": "00000000-0000-0000-0000-000000000000",
        "cache_enabled": False,
        "updated_at": iso(began + timedelta(milliseconds=latency)),
        "signed_body_url": f"https://storage.example/{ordinal}?{words.text(1)}",
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` requests."""
    write_records(path, rows, request, seed=11)
