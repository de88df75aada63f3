"""Row rules of SpendLogs records: what is refused, under which name. A record that breaks one goes to quarantine.

Rules are named ``<field>__<rule>`` after the field as LiteLLM spells it, so that the name leads to the fault in the line.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from usage_etl.money import MAX_AMOUNT, MAX_TOKENS
from usage_etl.sources.litellm.record import COUNT_FIELDS, INSTANT_FIELDS, REASONING_BESIDE

CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""How far after its arrival a request may claim to have started."""

EARLIEST = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
"""No model was called through a gateway before; an earlier start is a default value, not a time."""

MAX_ID_LENGTH = 512

Rules = dict[str, pl.Series]
"""Rule name to a mask of the rows that break it."""


def broken_rules(flat: pl.DataFrame, typed: pl.DataFrame, *, received_at: dt.datetime) -> Rules:
    """Rules that at least one row breaks.

    ``flat`` holds the fields as text, ``typed`` the same rows with COUNT_FIELDS, INSTANT_FIELDS and spend converted and
    the derived columns of ``rows.typed_fields``.
    """
    rules: Rules = {}
    rules["request_id__missing"] = flat["request_id"].is_null()
    rules["request_id__too_long"] = flat["request_id"].str.len_bytes() > MAX_ID_LENGTH
    rules["startTime__missing"] = flat["startTime"].is_null()
    for name, fault in (*((name, "not_a_time") for name in INSTANT_FIELDS), *((name, "not_a_count") for name in COUNT_FIELDS)):
        rules[f"{name}__{fault}"] = _unread(flat[name], typed[name])
    rules["request_duration_ms__not_a_number"] = _unread(flat["request_duration_ms"], typed["request_duration_ms"])
    rules["spend__not_a_number"] = _unread(flat["spend"], typed["spend"])
    rules["startTime__in_future"] = typed["startTime"] > received_at + CLOCK_TOLERANCE
    rules["startTime__too_early"] = typed["startTime"] < EARLIEST
    rules["spend__out_of_range"] = typed["spend"].abs() >= float(MAX_AMOUNT)
    for name in COUNT_FIELDS:
        rules[f"{name}__out_of_range"] = (typed[name] < 0) | (typed[name] > MAX_TOKENS)
    cached = typed["cache_read"].fill_null(0) + typed["cache_write"].fill_null(0)
    is_prompt_read = ~rules["prompt_tokens__not_a_count"]
    rules["cached_tokens__exceed_prompt_tokens"] = is_prompt_read & (cached > typed["prompt_tokens"].fill_null(0))
    rules["ephemeral_1h_input_tokens__exceed_cache_creation_tokens"] = typed["cache_write_1h"] > typed["cache_write"]
    is_inside = typed["token_convention"] != REASONING_BESIDE
    rules["reasoning_tokens__exceed_completion_tokens"] = is_inside & (
        typed["reasoning_tokens"] > typed["completion_tokens"].fill_null(0)
    )
    rules["request_tags__not_json"] = ~typed["tags_readable"]
    return {name: mask.fill_null(value=False) for name, mask in rules.items() if mask.any()}


def _unread(text: pl.Series, typed: pl.Series) -> pl.Series:
    if text.null_count() == typed.null_count():
        return pl.Series([False])
    return typed.is_null() & text.is_not_null()
