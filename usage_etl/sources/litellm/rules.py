"""Row rules of SpendLogs records: what is refused, under which name. A record that breaks one goes to quarantine.

Rules are named ``<field>__<rule>`` after the field as LiteLLM spells it, so that the name leads to the fault in the line.
"""

from __future__ import annotations

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.litellm.spend_logs import REASONING_BESIDE
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import id_rules, instant_rules, value


def record_rules(context: ParseContext) -> dict[str, pl.Expr]:
    """Rules over whole records: rule name to an expression that is true where the row breaks it; null passes."""
    return {**id_rules("request_id"), **instant_rules("startTime", context), **shared_rules(cost="spend")}


def shared_rules(*, cost: str) -> dict[str, pl.Expr]:
    """Rules of every shape of the log; ``cost`` is the field of LiteLLM's own estimate."""
    prompt_tokens, completion_tokens = value("prompt_tokens"), value("completion_tokens")
    is_prompt_read = pl.col("prompt_tokens").is_null() | prompt_tokens.is_not_null()
    is_completion_read = pl.col("completion_tokens").is_null() | completion_tokens.is_not_null()
    cached = pl.col("cache_read").fill_null(0) + pl.col("cache_write").fill_null(0)
    is_inside = pl.col("token_convention") != REASONING_BESIDE
    return {
        f"{cost}__out_of_range": value(cost).abs() >= float(MAX_AMOUNT),
        "cached_tokens__exceed_prompt_tokens": is_prompt_read & (cached > prompt_tokens.fill_null(0)),
        "ephemeral_1h_input_tokens__exceed_cache_creation_tokens": pl.col("cache_write_1h") > pl.col("cache_write"),
        "reasoning_tokens__exceed_completion_tokens": is_inside
        & is_completion_read
        & (value("reasoning_tokens") > completion_tokens.fill_null(0)),
        "request_tags__not_json": ~pl.col("tags_readable"),
    }
