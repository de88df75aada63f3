"""Writes LiteLLM-like SpendLogs lines for the staging benchmark: seeded, about 1.7 KB each, one UTC day."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backports import zstd

MODELS = (
    ("gpt-5.2", "openai", 0.34),
    ("gpt-5.2-mini", "openai", 0.2),
    ("claude-sonnet-5", "anthropic", 0.26),
    ("claude-haiku-5", "anthropic", 0.08),
    ("gemini-3-flash", "vertex_ai", 0.09),
    ("text-embedding-3-large", "openai", 0.03),
)
DAY = datetime(2026, 11, 2, tzinfo=UTC)
TEXT = (
    "summarise the incident report for finance and list the open actions with owners and dates please compare both drafts "
    "of this contract and highlight liability changes translate the paragraph into plain english keep all figures exact "
    "write unit tests for the parser that reads gateway logs and explain each failing case draft a reply to the customer"
)
WORDS = TEXT.split()


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def _metadata(user: int, tokens: tuple[int, int, int, int, int]) -> dict[str, object]:
    prompt, completion, read, write, reasoning = tokens
    return {
        "user_api_key_alias": f"key-{user % 400}",
        "user_api_key_project_id": f"project-{user % 35}",
        "attempted_retries": 0,
        "usage_object": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": read, "text_tokens": prompt - read},
            "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": None},
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": write,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": 0},
            "service_tier": "batch" if user % 50 == 7 else "default",
        },
        "additional_usage_values": {"cache_read_input_tokens": read, "cache_creation_input_tokens": write},
        "status": "success",
        "user_agent": "python-httpx/0.28",
    }


def spend_log(rng: random.Random, ordinal: int, metadata_as_text: bool) -> dict[str, object]:
    """One request as LiteLLM writes it to its SpendLogs table."""
    model, provider, _ = rng.choices(MODELS, weights=[share for _, _, share in MODELS])[0]
    user = int(rng.paretovariate(0.9) * 20) % 5000
    started = DAY + timedelta(microseconds=rng.randrange(86_400_000_000))
    latency = rng.randrange(200, 30_000)
    prompt, completion = int(rng.lognormvariate(7, 1.2)), int(rng.lognormvariate(5.5, 1))
    read = prompt * rng.choice((0, 0, 0, 5, 8)) // 10
    write = (prompt - read) // 4 if provider == "anthropic" and rng.random() < 0.3 else 0
    failed = rng.random() < 0.02
    tokens = (prompt, completion, read, write, completion // 3 if "5.2" in model else 0)
    metadata = _metadata(user, tokens)
    if failed:
        metadata["status"] = "failure"
        metadata["error_information"] = {"error_code": "429", "error_class": "RateLimitError", "llm_provider": provider}
    tags = [f"feature:feature-{user % 30}", f"env:{rng.choice(('prod', 'prod', 'dev'))}"]
    return {
        "request_id": f"chatcmpl-{rng.getrandbits(128):032x}",
        "call_type": "aembedding" if "embedding" in model else "acompletion",
        "api_key": f"{user % 400:064x}",
        "spend": round(prompt * 1.25e-6 + completion * 1e-5, 12),
        "total_tokens": prompt + completion,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "startTime": f"{started:%Y-%m-%d %H:%M:%S.%f}",
        "endTime": f"{started + timedelta(milliseconds=latency):%Y-%m-%d %H:%M:%S.%f}",
        "completionStartTime": f"{started + timedelta(milliseconds=latency // 5):%Y-%m-%d %H:%M:%S.%f}",
        "request_duration_ms": latency,
        "model": model,
        "model_id": f"deployment-{user % 9}",
        "model_group": model,
        "custom_llm_provider": provider,
        "api_base": f"https://api.{provider}.example/v1",
        "user": f"user-{user}",
        "metadata": json.dumps(metadata) if metadata_as_text else metadata,
        "cache_hit": "True" if rng.random() < 0.03 else "None",
        "request_tags": json.dumps(tags) if metadata_as_text else tags,
        "team_id": f"team-{user % 12}",
        "organization_id": "",
        "end_user": "" if user % 3 else f"customer-{user % 700}",
        "requester_ip_address": f"10.{user % 250}.0.{ordinal % 250}",
        "messages": [{"role": "user", "content": _text(rng, 10)}],
        "response": {"choices": [{"message": {"role": "assistant", "content": _text(rng, 4)}}]},
        "session_id": f"session-{ordinal // 6}",
        "status": "failure" if failed else "success",
        "litellm_call_id": f"{rng.getrandbits(128):032x}",
        "agent_id": None,
        "updated_at": f"{started:%Y-%m-%d %H:%M:%S.%f}",
    }


def _lines(rows: int, metadata_as_text: bool) -> Iterator[bytes]:
    rng = random.Random(20261102)
    for ordinal in range(rows):
        yield json.dumps(spend_log(rng, ordinal, metadata_as_text), separators=(",", ":")).encode() + b"\n"


def write_spend_logs(target: Path, *, rows: int, metadata_as_text: bool) -> int:
    """Write ``rows`` lines zstd-3 compressed; returns the plain size in bytes. Same arguments, same bytes."""
    size = 0
    part = target.with_suffix(".part")
    with zstd.open(part, "wb", level=3) as sink:
        for line in _lines(rows, metadata_as_text):
            size += sink.write(line)
    part.rename(target)
    return size
