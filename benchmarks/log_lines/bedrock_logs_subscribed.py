"""Bedrock's invocation log as a subscription of CloudWatch Logs writes it: envelopes of many records with no line's end."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.line_words import Words
from benchmarks.log_lines.bedrock_logs import invocation

KIND = "bedrock_logs"
IS_JSON_LINES = False
_RECORDS_PER_ENVELOPE = 50


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` records, all on one line."""
    words = Words(22)
    named = {"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/bedrock", "logStream": "invocations"}
    with path.open("w", encoding="utf-8") as sink:
        for first in range(0, rows, _RECORDS_PER_ENVELOPE):
            events = [
                {"id": f"{ordinal:056}", "timestamp": 1793573697000, "message": json.dumps(invocation(words, ordinal))}
                for ordinal in range(first, min(first + _RECORDS_PER_ENVELOPE, rows))
            ]
            sink.write(json.dumps({**named, "subscriptionFilters": ["all"], "logEvents": events}, separators=(",", ":")))
