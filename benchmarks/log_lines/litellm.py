"""LiteLLM SpendLogs, metadata as an object."""

from __future__ import annotations

import json
import random
from pathlib import Path

from benchmarks.spend_log_rows import spend_log


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` requests, plain. Same arguments, same bytes."""
    chance = random.Random(20261102)
    with path.open("w", encoding="utf-8") as target:
        for ordinal in range(rows):
            target.write(json.dumps(spend_log(chance, ordinal, False), separators=(",", ":")) + "\n")
