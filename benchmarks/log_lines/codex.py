"""A rollout of Codex: one line in four counts tokens, the others say what was said and done."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.line_words import DAY, Words, iso, write_records


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    at, turn = iso(DAY + timedelta(milliseconds=500 * ordinal)), ordinal // 4
    if ordinal == 0:
        meta = {"id": words.id(), "timestamp": at, "cwd": "/home/ana/work/project-1", "model_provider": "openai", "source": "cli"}
        return {"timestamp": at, "type": "session_meta", "payload": meta}
    if ordinal % 40 == 1:
        context = {"cwd": "/home/ana/work/project-1", "model": "gpt-5.2-codex", "approval_policy": "on-request"}
        return {"timestamp": at, "type": "turn_context", "payload": context}
    if ordinal % 4 == 3:
        last = {"input_tokens": 21_000, "cached_input_tokens": 18_000, "output_tokens": 300, "reasoning_output_tokens": 60}
        total = {name: count * (turn + 1) for name, count in last.items()}
        info = {"total_token_usage": total, "last_token_usage": last, "model_context_window": 258_400}
        return {"timestamp": at, "type": "event_msg", "payload": {"type": "token_count", "info": info, "rate_limits": {}}}
    content = [{"type": "output_text", "text": words.text(15)}]
    return {"timestamp": at, "type": "response_item", "payload": {"type": "message", "role": "assistant", "content": content}}


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` lines; one in four is a turn."""
    write_records(path, rows, _record, seed=17)
