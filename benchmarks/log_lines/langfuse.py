"""Lines of Langfuse's legacy observations export: seeded, two in three are generations, the others the spans around them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAY = datetime(2026, 11, 2, tzinfo=UTC)
MODELS = ("gpt-5.2-2026-09-01", "claude-sonnet-5", "gemini-3-flash")
_PROMPT = "summarise the incident report for finance and list the open actions with owners and dates " * 4


def _usage(rng: random.Random, model: str) -> dict[str, int]:
    whole, output = int(rng.lognormvariate(7, 1.2)) + 1, int(rng.lognormvariate(5.5, 1)) + 1
    read = whole * rng.choice((0, 0, 0, 5, 8)) // 10
    cached = {"input_cache_read": read, "input_cache_creation_5m": (whole - read) // 5}
    details = cached if model.startswith("claude") else {"input_cached_tokens": read, "output_reasoning_tokens": output // 3}
    return {"input": whole - sum(details.values()) if "claude" in model else whole - read, "output": output, **details} | {
        "total": whole + output + output // 3
    }


def _observation(rng: random.Random, ordinal: int) -> dict[str, Any]:
    is_call, model = rng.random() < 0.67, rng.choice(MODELS)
    started = DAY + timedelta(milliseconds=rng.randrange(86_400_000))
    ended = started + timedelta(milliseconds=rng.randrange(200, 30_000))
    text = "%Y-%m-%d %H:%M:%S.%f"
    return {
        "id": f"{rng.getrandbits(64):016x}",
        "trace_id": f"{rng.getrandbits(128):032x}",
        "project_id": "clkpwwm0m000gmm094odg11gi",
        "environment": "production",
        "type": "GENERATION" if is_call else "SPAN",
        "parent_observation_id": f"{rng.getrandbits(64):016x}",
        "start_time": started.strftime(text)[:-3],
        "end_time": ended.strftime(text)[:-3],
        "name": f"step-{ordinal % 30}",
        "metadata": {"attributes": '{"gen_ai.request.temperature":0.2}', "scope.name": "langfuse-sdk"},
        "level": "ERROR" if rng.random() < 0.02 else "DEFAULT",
        "status_message": None,
        "version": None,
        "input": json.dumps([{"role": "user", "content": _PROMPT}]),
        "output": json.dumps({"role": "assistant", "content": _PROMPT}),
        "provided_model_name": model if is_call else None,
        "model_parameters": '{"temperature":0.2,"max_tokens":4096}' if is_call else "",
        "usage_details": _usage(rng, model) if is_call else {},
        "cost_details": {"input": 0.00125, "output": 0.0021, "total": 0.00335} if is_call else {},
        "completion_start_time": (started + timedelta(milliseconds=150)).strftime(text)[:-3] if is_call else None,
        "prompt_name": None,
        "prompt_version": None,
        "total_cost": 0.00335 if is_call else None,
        "latency": (ended - started).total_seconds(),
        "time_to_first_token": 0.15 if is_call else None,
        "model_id": "clxm2gpt52" if is_call else None,
        "created_at": ended.strftime(text)[:-3],
        "updated_at": ended.strftime(text)[:-3],
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` observations to ``path``, one a line. The same ``rows`` give the same bytes."""
    rng = random.Random(20261102)
    with path.open("w", encoding="utf-8") as sink:
        for ordinal in range(rows):
            sink.write(json.dumps(_observation(rng, ordinal), separators=(",", ":")) + "\n")
