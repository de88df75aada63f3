"""SpendLogs records and files for tests, and what a file became once parsed and staged."""

import datetime as dt
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.schemas.staged import STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.litellm.parse import parse
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.staging import stage

CONTEXT = ParseContext(
    source="gateway",
    source_account="eu-1",
    role="usage",
    delivery_id="0" * 32,
    delivery_sequence=3,
    object_key="landing/gateway/2026-11-03/log.jsonl",
    received_at=dt.datetime(2026, 11, 3, 6, tzinfo=dt.UTC),
)


def record(**changes: Any) -> dict[str, Any]:
    """A request that succeeded; a change to None with a key drops nothing, it sends null."""
    return {
        "request_id": "req-1",
        "call_type": "acompletion",
        "api_key": "a" * 64,
        "spend": 0.0021,
        "total_tokens": 1200,
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "startTime": "2026-11-02 09:20:46.847371",
        "endTime": "2026-11-02 09:20:48.847371",
        "completionStartTime": "2026-11-02 09:20:47.347371",
        "request_duration_ms": 2000,
        "model": "gpt-5.2",
        "model_group": "fast",
        "custom_llm_provider": "openai",
        "user": "user-1",
        "metadata": {"usage_object": {"prompt_tokens_details": {"cached_tokens": 400}}, "status": "success"},
        "cache_hit": "None",
        "request_tags": ["feature:search", "env:prod"],
        "team_id": "team-1",
        "end_user": "",
        "session_id": "session-1",
        "status": "success",
        "messages": [{"role": "user", "content": "the secret plan"}],
        "response": {"content": "the secret answer"},
        "requester_ip_address": "10.1.2.3",
    } | changes


def line(**changes: Any) -> str:
    """``record`` as one line without its end."""
    return json.dumps(record(**changes))


@dataclass
class Outcome:
    """Everything that one file became."""

    usage: pl.DataFrame
    quarantine: pl.DataFrame
    rows_read: int

    @property
    def refused(self) -> dict[int, str]:
        """Rule names by line number."""
        return dict(self.quarantine.sort("raw_ordinal").select("raw_ordinal", "reasons").rows())

    @property
    def row(self) -> dict[str, Any]:
        """The only staged row."""
        return self.usage.row(0, named=True) if self.usage.height == 1 else {}


def outcome_of(content: bytes | str, *, context: ParseContext = CONTEXT, name: str = "log.jsonl") -> Outcome:
    """Parse and stage a file, checking what must hold for every file: counts close, contracts are kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        staged = stage(parse(path, context), context=context, work_folder=Path(folder))
        parts = [pl.read_parquet(file.path, glob=False) for file in staged.files]
        for file, part in zip(staged.files, parts, strict=True):
            assert part["usage_date"].unique().to_list() == [file.day]
            assert file.rows_count == part.height
        usage = pl.concat([STAGED_USAGE.empty(), *parts]).sort("raw_ordinal")
        quarantine = pl.concat(
            [USAGE_EVENTS_QUARANTINE.empty(), *(pl.read_parquet(list(parts)) for parts in staged.quarantine.values())]
        )
    STAGED_USAGE.validate(usage)
    USAGE_EVENTS_QUARANTINE.validate(quarantine)
    assert staged.rows_read == usage.height + quarantine.height == staged.rows_staged + staged.rows_quarantined
    return Outcome(usage, quarantine, staged.rows_read)


def row_of(**changes: Any) -> dict[str, Any]:
    """The staged row of one changed record; empty when it was refused."""
    return outcome_of(line(**changes)).row


def reasons_of(**changes: Any) -> str:
    """Rule names of one changed record behind a good one; empty text when it was staged."""
    return outcome_of(f"{line(request_id='good')}\n{line(**changes)}\n").refused.get(2, "")
