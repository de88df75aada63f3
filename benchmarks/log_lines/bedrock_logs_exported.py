"""Bedrock's invocation log as an export task of CloudWatch Logs writes it: each record behind its time of arrival."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.line_words import Words
from benchmarks.log_lines.bedrock_logs import invocation

KIND = "bedrock_logs"
IS_JSON_LINES = False


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` records."""
    words = Words(21)
    with path.open("w", encoding="utf-8") as sink:
        for ordinal in range(rows):
            record = invocation(words, ordinal)
            arrived = record["timestamp"].replace("Z", ".000Z")
            sink.write(f"{arrived} {json.dumps(record, separators=(',', ':'))}\n")
