"""Row rules of SpendLogs records: what is refused, under which name. A record that breaks one goes to quarantine.

Rules are named ``<field>__<rule>`` after the field as LiteLLM spells it, so that the name leads to the fault in the line.
Expressions read fields as text under their own names and converted ones under ``typed(name)``.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from usage_etl.money import MAX_AMOUNT, MAX_TOKENS
from usage_etl.sources.litellm.record import COUNT_FIELDS, INSTANT_FIELDS, REASONING_BESIDE, typed

CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""How far after its arrival a request may claim to have started."""

EARLIEST = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
"""No model was called through a gateway before; an earlier start is a default value, not a time."""

MAX_ID_BYTES = 512


def row_rules(received_at: dt.datetime) -> dict[str, pl.Expr]:
    """Rule name to an expression that is true where the row breaks it; null passes."""
    started_at, spend = pl.col(typed("startTime")), pl.col(typed("spend"))
    prompt_tokens, completion_tokens = pl.col(typed("prompt_tokens")), pl.col(typed("completion_tokens"))
    is_prompt_read = pl.col("prompt_tokens").is_null() | prompt_tokens.is_not_null()
    cached = pl.col("cache_read").fill_null(0) + pl.col("cache_write").fill_null(0)
    is_inside = pl.col("token_convention") != REASONING_BESIDE
    return {
        "request_id__missing": pl.col("request_id").is_null() | (pl.col("request_id") == ""),
        "request_id__too_long": pl.col("request_id").str.len_bytes() > MAX_ID_BYTES,
        "startTime__missing": pl.col("startTime").is_null(),
        **{f"{name}__not_a_time": _is_unread(name) for name in INSTANT_FIELDS},
        "startTime__in_future": started_at > received_at + CLOCK_TOLERANCE,
        "startTime__too_early": started_at < EARLIEST,
        "request_duration_ms__not_a_number": _is_unread("request_duration_ms"),
        "spend__not_a_number": _is_unread("spend"),
        "spend__out_of_range": spend.abs() >= float(MAX_AMOUNT),
        **{f"{name}__not_a_count": _is_unread(name) for name in COUNT_FIELDS},
        **{f"{name}__out_of_range": ~pl.col(typed(name)).is_between(0, MAX_TOKENS) for name in COUNT_FIELDS},
        "cached_tokens__exceed_prompt_tokens": is_prompt_read & (cached > prompt_tokens.fill_null(0)),
        "ephemeral_1h_input_tokens__exceed_cache_creation_tokens": pl.col("cache_write_1h") > pl.col("cache_write"),
        "reasoning_tokens__exceed_completion_tokens": is_inside
        & (pl.col(typed("reasoning_tokens")) > completion_tokens.fill_null(0)),
        "request_tags__not_json": ~pl.col("tags_readable"),
    }


def _is_unread(name: str) -> pl.Expr:
    return pl.col(typed(name)).is_null() & pl.col(name).is_not_null()
