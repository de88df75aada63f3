"""Answers of Cloudflare's logs API as they come, fifty requests to an answer, one answer a line."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.line_words import Words
from benchmarks.log_lines.cloudflare_ai_gateway import request

KIND = "cloudflare_ai_gateway"
IS_JSON_LINES = False
_REQUESTS_PER_ANSWER = 50


def write_lines(path: Path, rows: int) -> None:
    """Write answers that hold ``rows`` requests."""
    words = Words(25)
    with path.open("w", encoding="utf-8") as sink:
        for first in range(0, rows, _REQUESTS_PER_ANSWER):
            found = [request(words, ordinal) for ordinal in range(first, min(first + _REQUESTS_PER_ANSWER, rows))]
            shown = {"count": len(found), "page": first // _REQUESTS_PER_ANSWER + 1, "per_page": _REQUESTS_PER_ANSWER}
            answer = {"success": True, "errors": [], "messages": [], "result": found, "result_info": shown}
            sink.write(json.dumps(answer, separators=(",", ":")) + "\n")
