"""Files of Langfuse's export for tests, in every format, as its exporter writes them."""

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from tests.unit.sources.outcomes import Outcome, outcome_of_path
from usage_etl.sources.langfuse.settings import LangfuseSettings
from usage_etl.sources.reading.bundles import write_bundle

PROJECT = "clkpwwm0m000gmm094odg11gi"
BASE = f"{PROJECT}/"
END = "2026-11-02T10-00-00"


def settings(**changes: Any) -> LangfuseSettings:
    """Settings with what matters changed."""
    return LangfuseSettings(kind="langfuse", name="traces", location="landing/langfuse", **changes)


def observation(**changes: Any) -> dict[str, Any]:
    """A generation of the legacy table that succeeded."""
    return {
        "id": "obs-1",
        "trace_id": "trace-1",
        "project_id": PROJECT,
        "environment": "production",
        "type": "GENERATION",
        "parent_observation_id": None,
        "start_time": "2026-11-02 09:20:46.847",
        "end_time": "2026-11-02 09:20:48.847",
        "name": "answer",
        "metadata": {"usage_details": "no map", "note": '{"usage_details":{"input":9}}'},
        "level": "DEFAULT",
        "input": '[{"role":"user","content":"secret, \\"usage_details\\":{\\"input\\":7}"}]',
        "output": "an answer\nover two lines",
        "provided_model_name": "gpt-5.2-2026-09-01",
        "usage_details": {"input": 600, "input_cached_tokens": 400, "output": 150, "output_reasoning_tokens": 50, "total": 1200},
        "cost_details": {"input": 0.001, "output": 0.002, "total": 0.003},
        "completion_start_time": "2026-11-02 09:20:47.347",
        "total_cost": 0.003,
        "latency": 2,
        "time_to_first_token": 0.5,
        "updated_at": "2026-11-02 09:20:49.000",
    } | changes


def observation_v2(**changes: Any) -> dict[str, Any]:
    """The same of the newer table, which knows what the trace knows."""
    owners = {"user_id": "ana", "session_id": "session-1", "tags": ["feature:search"], "trace_name": "assistant"}
    return observation(**owners) | changes


def trace(**changes: Any) -> dict[str, Any]:
    """The trace of ``observation``."""
    return {
        "id": "trace-1",
        "timestamp": "2026-11-02 09:20:46.000",
        "name": "assistant",
        "environment": "production",
        "project_id": PROJECT,
        "metadata": {},
        "user_id": "ana",
        "session_id": "session-1",
        "tags": ["feature:search", "team:x"],
        "input": "secret",
    } | changes


def written(rows: list[dict[str, Any]], form: str) -> bytes:
    """Rows as the exporter writes them: ``jsonl``, ``json``, ``csv``, ``parquet``, or one of them with ``.gz``."""
    kind, _, gz = form.partition(".")
    content = {"jsonl": _jsonl, "json": _json, "csv": _csv, "parquet": _parquet}[kind](rows)
    return gzip.compress(content) if gz else content


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


def _json(rows: list[dict[str, Any]]) -> bytes:
    return b"[" + ",".join(json.dumps(row, separators=(",", ":")) for row in rows).encode() + b"]"


def _csv(rows: list[dict[str, Any]]) -> bytes:
    sink = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sink, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: json.dumps(cell) if isinstance(cell, dict | list) else cell for name, cell in row.items()} for row in rows
    )
    return sink.getvalue().encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    """As ClickHouse does: maps are lists of keys and values, times are typed."""
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [row.get(name) for row in rows]
        if any(isinstance(cell, dict) for cell in cells):
            cells = [[{"key": key, "value": value} for key, value in (cell or {}).items()] for cell in cells]
        columns[name] = pl.Series(name, cells, strict=False)
    frame = pl.DataFrame(list(columns.values())).with_columns(
        pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S.%3f", time_unit="ms")
        for name in columns
        if name.endswith(("_time", "_at", "timestamp"))
    )
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


def manifest(*files: tuple[str, int | None]) -> bytes:
    """The commit point of a window with these files and their numbers of rows."""
    entries = [{"key": f"exports/{key}", "table": key.split("/")[-2], "rowCount": count} for key, count in files]
    window = {"minTimestamp": "2026-11-02T09:00:00.000Z", "maxTimestamp": "2026-11-02T10:00:00.000Z"}
    return json.dumps({"version": 1, "projectId": PROJECT, "window": window, "files": entries}).encode()


def outcome_of_window(*members: tuple[str, bytes], **changes: Any) -> Outcome:
    """What a window of these objects becomes under changed settings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "window"
        write_bundle(path, [(BASE + key, content) for key, content in members])
        return outcome_of_path(path, settings(**changes))
