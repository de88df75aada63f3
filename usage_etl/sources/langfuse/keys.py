"""How Langfuse names the objects of an export, and what its manifests look like."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

MANIFESTS, TRACES, OBSERVATIONS, OBSERVATIONS_V2 = "manifests", "traces", "observations", "observations_v2"

_KEY = re.compile(
    r"(?P<base>(?:.*/)?)(?P<table>manifests|traces|observations|observations_v2)/"
    r"(?P<end>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)\.(?:csv|jsonl?|parquet)(?:\.gz)?"
)


def parts_of(key: str) -> re.Match[str] | None:
    """``base`` (the folder of the tables' folders), ``table`` and ``end`` of an object; null where it is none of ours."""
    return _KEY.fullmatch(key)


def table_of(key: str) -> str | None:
    """Table that an object holds, by its key; null where it is none of ours."""
    found = parts_of(key)
    return found["table"] if found else None


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest's document. Raises ValueError when it is none."""
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document
