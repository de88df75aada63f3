"""Staged usage rows for tests: a plain success with every column filled, changed by keyword."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from usage_etl.schemas import STAGED_USAGE

DAY = dt.date(2026, 11, 2)


def staged(*changes: dict[str, Any]) -> pl.DataFrame:
    """One staged row per change; each row is a success of one request on ``DAY`` at noon."""
    rows = []
    for number, change in enumerate(changes or ({},), start=1):
        started_at = change.get("started_at", dt.datetime(2026, 11, 2, 12, 0, tzinfo=dt.UTC))
        row: dict[str, Any] = {
            "source": "gateway",
            "source_account": "default",
            "source_role": "usage",
            "delivery_id": "d1",
            "delivery_sequence": 1,
            "raw_ordinal": number,
            "event_id": f"request-{number}",
            "usage_date": started_at.date(),
            "started_at": started_at,
            "grain": "request",
            "requests_count": 1,
            "status": "success",
            "token_convention": "cache_in_input",
            "reported_input_tokens": 1000,
            "reported_output_tokens": 100,
            "primitive": "ai.chat",
            "host_raw": "openai",
            "model_raw": "gpt-5.2",
            "processing": "standard",
            "is_cache_hit": False,
            "user_id": "ada",
            "team_id": "platform",
            "api_key_id": "key-1",
            "feature_id": "ticket-suggest",
            "latency_ms": 900,
        }
        rows.append(row | change)
    schema = STAGED_USAGE.polars_schema
    plain = {name: pl.String if dtype == pl.Categorical else dtype for name, dtype in schema.items()}
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=plain, orient="row")
    return STAGED_USAGE.validate(STAGED_USAGE.conform(frame.lazy()).collect())
