"""Rows of Ask Sage's activity log as its API answers them, one a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, write_records


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    model, _ = words.model()
    prompt, completion, _ = words.tokens()
    return {
        "id": 1_000_000 + ordinal,
        "date_time": f"{words.moment():%Y-%m-%d %H:%M:%S}",
        "user": f"user-{words.user()}@example.gov",
        "type": "query",
        "prompt": words.text(4),
        "model": model,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": (prompt + completion) // 14,
        "teach": False,
        "ip": "10.0.0.1",
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` rows."""
    write_records(path, rows, _record, seed=18)
