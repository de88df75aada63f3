"""A provider's own usage object in a column: token counts as that provider counts them, without a mapping of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from usage_etl.money import MAX_TOKENS
from usage_etl.sources.rows.usage_bodies import TOKEN_COLUMNS, find_usage, price_class, staged_tokens

FAULT = "usage_body fault"
"""Column with the name of the rule that a body breaks; null where it breaks none."""

BODY_RULES = (
    "usage_body__not_json",
    "usage_body__not_an_object",
    "usage_body__unknown_shape",
    "usage_body__out_of_range",
    "usage_body__cached_tokens_exceed_input",
)

_WORDS = ("token_convention", "native_unit", "processing", "region")
_SCHEMA = pl.Schema(
    {
        FAULT: pl.String(),
        **{f"body {name}": pl.Int64() for name in TOKEN_COLUMNS if name not in ("native_quantity", *_WORDS)},
        **{f"body {name}": pl.String() for name in _WORDS},
        "body native_quantity": pl.Decimal(38, 18),
    }
)


def body(name: str) -> pl.Expr:
    """What the row's usage object says of a staged column."""
    return pl.col(f"body {name}")


def with_bodies(flat: pl.DataFrame) -> pl.DataFrame:
    """``flat`` with what each row's ``usage_body`` says; ``host`` decides where two providers count one shape differently."""
    if flat["usage_body"].null_count() == flat.height:
        return flat.with_columns(pl.lit(None, kind).alias(name) for name, kind in _SCHEMA.items())
    read = [_read(text, host) for text, host in flat.select("usage_body", "host").iter_rows()]
    return flat.hstack(pl.DataFrame(read, schema=_SCHEMA, orient="row"))


def _read(text: str | None, host: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {FAULT: "usage_body__not_json"}
    if not isinstance(document, dict):
        return {FAULT: "usage_body__not_an_object"}
    usage = find_usage(document) or document
    try:
        tokens = staged_tokens(usage, host=host)
    except ValueError:
        return {FAULT: "usage_body__unknown_shape"}
    if fault := _fault(tokens):
        return {FAULT: fault}
    return {f"body {name}": found for name, found in {**tokens, **price_class(document, usage)}.items()}


def _fault(tokens: Mapping[str, Any]) -> str | None:
    counts = {name: found or 0 for name, found in tokens.items() if name.endswith("_tokens")}
    if any(not 0 <= count <= MAX_TOKENS for count in counts.values()):
        return "usage_body__out_of_range"
    cached = counts["cache_read_tokens"] + counts["cache_write_tokens"]
    is_cache_inside = tokens["token_convention"].startswith("cache_in_input")
    if is_cache_inside and cached > counts["reported_input_tokens"]:
        return "usage_body__cached_tokens_exceed_input"
    return None
