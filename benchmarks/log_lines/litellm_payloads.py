"""Payloads of LiteLLM's S3 logger, one call a line, with a prompt, an answer and the model's prices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, write_records

KIND = "litellm"


def _usage(prompt: int, completion: int, cached: int) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    prompt_details = {"audio_tokens": 0, "cached_tokens": cached}
    return {**counts, "prompt_tokens_details": prompt_details, "completion_tokens_details": {"reasoning_tokens": completion // 3}}


def _metadata(user: int, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "user_api_key_hash": f"{user % 400:064x}",
        "user_api_key_alias": f"key-{user % 400}",
        "user_api_key_spend": 12.5,
        "user_api_key_team_id": f"team-{user % 12}",
        "user_api_key_org_id": None,
        "user_api_key_project_id": f"project-{user % 35}",
        "user_api_key_user_id": f"user-{user}",
        "user_api_key_user_email": f"user-{user}@example.com",
        "user_api_key_end_user_id": None,
        "user_api_key_request_route": "/v1/chat/completions",
        "spend_logs_metadata": {"feature": f"feature-{user % 30}"},
        "requester_ip_address": "192.0.2.7",
        "requester_metadata": {},
        "applied_guardrails": [],
        "usage_object": usage,
    }


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    model, provider = words.model()
    prompt, completion, cached = words.tokens()
    user, started, seconds = words.user(), words.moment().timestamp(), words.rng.randrange(200, 30_000) / 1000
    cost = round(prompt * 1.25e-6 + completion * 1e-5, 12)
    usage = _usage(prompt, completion, cached)
    return {
        "id": f"chatcmpl-{ordinal:08}-{words.id()}",
        "trace_id": words.id(),
        "call_type": "acompletion",
        "cache_hit": None,
        "stream": True,
        "status": "failure" if words.failed() else "success",
        "status_fields": {"llm_api_status": "success", "guardrail_status": "not_run"},
        "custom_llm_provider": provider,
        "saved_cache_cost": 0.0,
        "startTime": started,
        "endTime": started + seconds,
        "completionStartTime": started + seconds / 5,
        "response_time": seconds,
        "model": model,
        "metadata": _metadata(user, usage),
        "response_cost": cost,
        "cost_breakdown": {"input_cost": cost / 2, "output_cost": cost / 2, "total_cost": cost, "tool_usage_cost": 0.0},
        "total_tokens": prompt + completion,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "request_tags": [f"feature:feature-{user % 30}", "env:prod", "User-Agent: python-httpx"],
        "end_user": f"customer-{user % 900}",
        "api_base": "https://api.example/v1",
        "model_group": model,
        "messages": [{"role": "user", "content": words.text(3)}],
        "response": {"choices": [{"message": {"role": "assistant", "content": words.text(2)}}], "usage": usage},
        "hidden_params": {"api_base": "https://api.example/v1", "response_cost": str(cost), "batch_models": None},
        "model_map_information": {"model_map_key": model, "model_map_value": {"input_cost_per_token": 1.25e-06}},
        "error_str": None,
        "error_information": {"error_code": "", "error_class": "", "llm_provider": "", "traceback": "", "error_message": ""},
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` calls."""
    write_records(path, rows, _record, seed=26)
