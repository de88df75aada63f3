"""Row rules of SpendLogs records: what is refused, under which name. A record that breaks one goes to quarantine.

Rules are named ``<field>__<rule>`` after the field as LiteLLM spells it, so that the name leads to the fault in the line.
Expressions read fields as text under their own names and converted ones under ``typed(name)``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from usage_etl.money import MAX_AMOUNT, MAX_TOKENS
from usage_etl.sources.litellm.record import COUNT_FIELDS, INSTANT_FIELDS, REASONING_BESIDE, typed

CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""How far after its arrival a request may claim to have started."""

EARLIEST = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
"""No model was called through a gateway before; an earlier start is a default value, not a time."""

MAX_ID_BYTES = 512

_FAULTS = {
    **dict.fromkeys(INSTANT_FIELDS, "not_a_time"),
    **dict.fromkeys(("request_duration_ms", "spend"), "not_a_number"),
    **dict.fromkeys(COUNT_FIELDS, "not_a_count"),
}


def record_rules(received_at: dt.datetime) -> dict[str, pl.Expr]:
    """Rules over whole records: rule name to an expression that is true where the row breaks it; null passes."""
    started_at, spend = pl.col(typed("startTime")), pl.col(typed("spend"))
    prompt_tokens, completion_tokens = pl.col(typed("prompt_tokens")), pl.col(typed("completion_tokens"))
    is_prompt_read = pl.col("prompt_tokens").is_null() | prompt_tokens.is_not_null()
    cached = pl.col("cache_read").fill_null(0) + pl.col("cache_write").fill_null(0)
    is_inside = pl.col("token_convention") != REASONING_BESIDE
    return {
        "request_id__missing": pl.col("request_id").is_null() | (pl.col("request_id") == ""),
        "request_id__too_long": pl.col("request_id").str.len_bytes() > MAX_ID_BYTES,
        "startTime__missing": pl.col("startTime").is_null(),
        "startTime__in_future": started_at > received_at + CLOCK_TOLERANCE,
        "startTime__too_early": started_at < EARLIEST,
        "spend__out_of_range": spend.abs() >= float(MAX_AMOUNT),
        "cached_tokens__exceed_prompt_tokens": is_prompt_read & (cached > prompt_tokens.fill_null(0)),
        "ephemeral_1h_input_tokens__exceed_cache_creation_tokens": pl.col("cache_write_1h") > pl.col("cache_write"),
        "reasoning_tokens__exceed_completion_tokens": is_inside
        & (pl.col(typed("reasoning_tokens")) > completion_tokens.fill_null(0)),
        "request_tags__not_json": ~pl.col("tags_readable"),
    }


def field_rules() -> dict[str, pl.Expr]:
    """Rules over one converted field each: what has text has a value, and counts are in range."""
    return {
        **{f"{name}__{_FAULTS[name]}": pl.col(typed(name)).is_null() & pl.col(name).is_not_null() for name in _FAULTS},
        **{f"{name}__out_of_range": ~pl.col(typed(name)).is_between(0, MAX_TOKENS) for name in COUNT_FIELDS},
    }


def keeps_field_rules(rows: pl.DataFrame) -> bool:
    """Whether all rows keep all ``field_rules``: the same by counts and extremes of columns, at a tenth of the cost."""
    if any(rows[typed(name)].null_count() != rows[name].null_count() for name in _FAULTS):
        return False
    extremes: list[tuple[Any, Any]] = [(rows[typed(name)].min(), rows[typed(name)].max()) for name in COUNT_FIELDS]
    return all(least is None or 0 <= least <= most <= MAX_TOKENS for least, most in extremes)
