"""Bedrock's invocation log: answers as an object, as the events of a stream, and in an object of their own (no body)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, write_records

_MODELS = ("anthropic.claude-sonnet-5-20260501-v1:0", "us.anthropic.claude-haiku-5-20260601-v1:0", "amazon.nova-pro-v1:0")
_OPERATIONS = ("Converse", "Converse", "InvokeModelWithResponseStream", "InvokeModelWithResponseStream", "InvokeModel")


def invocation(words: Words, ordinal: int) -> dict[str, Any]:
    """One record of the log. One in fifty failed and has no answer."""
    prompt, completion, read = words.tokens()
    user, operation = words.user(), words.rng.choice(_OPERATIONS)
    message = {"role": "user", "content": [{"text": words.text(4)}]}
    counts = {"inputTokenCount": prompt - read, "cacheReadInputTokenCount": read, "cacheWriteInputTokenCount": 0}
    record: dict[str, Any] = {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": f"{words.moment():%Y-%m-%dT%H:%M:%SZ}",
        "accountId": "111122223333",
        "identity": {"arn": f"arn:aws:sts::111122223333:assumed-role/Service{user % 35}/user-{user}"},
        "region": "us-east-1",
        "requestId": words.id(),
        "operation": operation,
        "modelId": words.rng.choice(_MODELS),
        "input": {"inputContentType": "application/json", "inputBodyJson": {"messages": [message]}, **counts},
        "output": {},
        "inferenceRegion": "us-west-2",
        "requestMetadata": {"team": f"team-{user % 12}", "feature": f"feature-{user % 30}", "env": "prod"},
    }
    if words.failed():
        return record | {"errorCode": "ThrottlingException"}
    output: dict[str, Any] = {"outputContentType": "application/json", "outputTokenCount": completion}
    if operation == "Converse":
        output["outputBodyJson"] = _converse_body(words, prompt - read, completion, read)
    elif operation == "InvokeModel":
        output["outputBodyS3Path"] = f"s3://acme-logs/data/{ordinal}_output.json.gz"
    else:
        output["outputBodyJson"] = _events(words, prompt - read, completion, read)
    return record | {"output": output}


def _converse_body(words: Words, uncached: int, completion: int, read: int) -> dict[str, Any]:
    counts = {"inputTokens": uncached, "outputTokens": completion, "totalTokens": uncached + read + completion}
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": words.text(4)}]}},
        "stopReason": "end_turn",
        "metrics": {"latencyMs": words.rng.randrange(200, 30_000)},
        "usage": {**counts, "cacheReadInputTokens": read, "cacheWriteInputTokens": 0},
    }


def _events(words: Words, uncached: int, completion: int, read: int) -> list[dict[str, Any]]:
    """A stream of Anthropic's, one piece of text to a few words."""
    usage = {"input_tokens": uncached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": read, "output_tokens": 1}
    start = {
        "type": "message_start",
        "message": {"id": f"msg_{words.rng.getrandbits(96):024x}", "type": "message", "usage": usage},
    }
    pieces = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words.text(1)[:20]}}
        for _ in range(24)
    ]
    latency = words.rng.randrange(200, 30_000)
    metrics = {
        "inputTokenCount": uncached,
        "outputTokenCount": completion,
        "invocationLatency": latency,
        "firstByteLatency": latency // 5,
        "cacheReadInputTokenCount": read,
        "cacheWriteInputTokenCount": 0,
    }
    return [
        start,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *pieces,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": completion}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics},
    ]


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` records."""
    write_records(path, rows, invocation, seed=20)
