"""A session of Claude Code: each answer stands between what a person or a tool said, and two or three times in itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.line_words import DAY, Words, iso, write_records


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    at, user = iso(DAY + timedelta(milliseconds=400 * ordinal)), ordinal // 400
    shared = {
        "parentUuid": words.id(),
        "isSidechain": ordinal % 40 == 3,
        "userType": "external",
        "cwd": f"/home/user-{user % 20}/work/project-{user % 35}",
        "sessionId": f"{user:032x}",
        "version": "2.0.14",
        "gitBranch": "main",
        "uuid": words.id(),
        "timestamp": at,
    }
    if ordinal % 4 == 0:
        content = [{"type": "tool_result", "tool_use_id": f"toolu_{ordinal}", "content": words.text(20)}]
        return shared | {
            "type": "user",
            "message": {"role": "user", "content": content},
            "toolUseResult": {"stdout": words.text(20)},
        }
    answer = ordinal // 4
    return shared | {
        "type": "assistant",
        "requestId": f"req_{answer:024x}",
        "message": {
            "id": f"msg_{answer:024x}",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [{"type": "text", "text": words.text(5)}],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 4,
                "cache_creation_input_tokens": 900 + answer % 100,
                "cache_read_input_tokens": 20_000 + answer % 1000,
                "cache_creation": {"ephemeral_5m_input_tokens": 900 + answer % 100, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 1 if ordinal % 4 == 1 else 200 + answer % 50,
                "service_tier": "standard",
            },
        },
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` lines; three in four are an answer or a copy of one."""
    write_records(path, rows, _record, seed=16)
