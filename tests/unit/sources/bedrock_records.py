"""Bedrock invocation records for tests, and what a file of them became."""

import copy
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from tests.unit.sources.spend_logs import CONTEXT, Outcome
from usage_etl.schemas.staged import STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.bedrock_logs.parse import parse
from usage_etl.sources.bedrock_logs.settings import BedrockLogsSettings
from usage_etl.sources.staging import stage

RECORDED = Path(__file__).parents[2] / "recorded" / "bedrock_logs"
RECORDS = [json.loads(text) for text in (RECORDED / "invocations.json").read_text().splitlines()]
OBJECT, STREAM, CONVERSE, STOPPED, STOPPED_AFTER, THROTTLED, EMBEDDING, ASIDE = range(8)


def record(number: int = OBJECT, **changes: Any) -> dict[str, Any]:
    """A recorded call with changes; ``a__b`` changes ``b`` within ``a``."""
    found = copy.deepcopy(RECORDS[number])
    for name, cell in changes.items():
        *above, last = name.split("__")
        place = found
        for part in above:
            place = place.setdefault(part, {})
        place[last] = cell
    return found


def outcome_of(content: bytes | str, **settings: Any) -> Outcome:
    """Parse and stage a file under settings, checking that counts close and contracts are kept."""
    own = BedrockLogsSettings(**({"kind": "bedrock_logs", "name": "bedrock", "location": "logs"} | settings))
    context = dataclasses.replace(CONTEXT, source="bedrock", settings=own)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        staged = stage(parse(path, context), context=context, work_folder=Path(folder))
        usage = pl.concat([STAGED_USAGE.empty(), *(pl.read_parquet(file.path, glob=False) for file in staged.files)])
        refused = [pl.read_parquet(parts, glob=False) for parts in map(list, staged.quarantine.values())]
        quarantine = pl.concat([USAGE_EVENTS_QUARANTINE.empty(), *refused])
    assert staged.rows_read == usage.height + quarantine.height
    return Outcome(usage.sort("raw_ordinal"), quarantine, staged.rows_read)


def lines(*records: dict[str, Any]) -> str:
    """Records as one file."""
    return "".join(f"{json.dumps(one)}\n" for one in records)


def row_of(number: int = OBJECT, /, settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The staged row of one changed record; empty when it was refused."""
    return outcome_of(lines(record(number, **changes)), **(settings or {})).row
