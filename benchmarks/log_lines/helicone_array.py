"""Helicone's export as one JSON array, printed as its page downloads it."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.line_words import Words
from benchmarks.log_lines.helicone import request

KIND = "helicone"
IS_JSON_LINES = False


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` requests, each over many lines."""
    words = Words(24)
    with path.open("w", encoding="utf-8") as sink:
        for ordinal in range(rows):
            sink.write(("[\n" if ordinal == 0 else ",\n") + json.dumps(request(words, ordinal), indent=2))
        sink.write("\n]\n")
