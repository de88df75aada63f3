"""Langfuse's ``usage_details``, a map of counters that add up, to our token classes.

``input`` and ``output`` are what their details (``input_cached_tokens``, ``output_reasoning_tokens``) leave over, so each
class is a sum: nothing is inside anything else. Keys that count no tokens (images, searches) are left out and named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import polars as pl

_PLAIN = r'^\{(?:\s*"[^"\\]*"\s*:\s*(?:null|"\d{1,15}"|\d{1,15}(?:\.0+)?)\s*(?:,|\}$))*\s*\}?$'
_PAIR = r'"[^"\\]*"\s*:\s*"?\d+'

IS_READABLE = "usage is readable"
TOTAL = "usage total"


def _is_read(key: str) -> bool:
    return "cache_read" in key or "cached" in key


def _is_write(key: str) -> bool:
    return "cache_creation" in key or "cache_write" in key


def _is_input(key: str) -> bool:
    return key.startswith(("input", "prompt")) and not _is_read(key) and not _is_write(key)


def _is_output(key: str) -> bool:
    return key.startswith(("output", "completion")) or key in ("reasoning_tokens", "thoughts_token_count")


MEASURES: Mapping[str, Callable[[str], bool]] = {
    "usage input": _is_input,
    "usage output": _is_output,
    "usage cache read": _is_read,
    "usage cache write": _is_write,
    "usage cache write 1h": lambda key: _is_write(key) and "1h" in key,
    "usage reasoning": lambda key: _is_output(key) and ("reasoning" in key or "thought" in key),
    "usage audio input": lambda key: _is_input(key) and "audio" in key,
    "usage audio read": lambda key: _is_read(key) and "audio" in key,
    "usage audio output": lambda key: _is_output(key) and "audio" in key,
    "usage image input": lambda key: _is_input(key) and "image" in key,
    "usage image output": lambda key: _is_output(key) and "image" in key,
    TOTAL: lambda key: key in ("total", "total_tokens"),
}
"""Column to the keys that it sums. A key of a modality or of reasoning is in its class and in the part of it."""


def usage_columns(texts: pl.Series) -> tuple[pl.DataFrame, set[str]]:
    """``MEASURES`` and ``IS_READABLE`` of each map in JSON text, and the keys that are in no measure.

    A measure is null where the map has none of its keys.
    """
    plain, readable = _as_plain(texts)
    frame = plain.to_frame("text").with_row_index("row")
    pairs = frame.select("row", pl.col("text").str.extract_all(_PAIR)).filter(pl.col("text").list.len() > 0).explode("text")
    counted = pairs.select(
        "row",
        pl.col("text").str.extract(r'^"([^"]*)"').str.to_lowercase().alias("key"),
        pl.col("text").str.extract(r"(\d+)$").cast(pl.Int64, strict=False).alias("count"),
    )
    by_key = {str(key): part for (key,), part in counted.partition_by("key", as_dict=True).items()}
    columns = [_summed(name, [by_key[key] for key in by_key if belongs(key)], frame.height) for name, belongs in MEASURES.items()]
    unknown = {key for key in by_key if not any(belongs(key) for belongs in MEASURES.values())}
    return pl.DataFrame([*columns, readable.alias(IS_READABLE)]), unknown


def _summed(name: str, parts: list[pl.DataFrame], height: int) -> pl.Series:
    columns = []
    for part in parts:
        empty = pl.repeat(None, height, dtype=pl.Int64, eager=True)
        columns.append(empty.scatter(part["row"], part["count"]))
    if not columns:
        return pl.repeat(None, height, dtype=pl.Int64, eager=True).alias(name)
    numbered = pl.DataFrame({str(at): column for at, column in enumerate(columns)})
    is_any = pl.any_horizontal(pl.all().is_not_null())
    return numbered.select(pl.when(is_any).then(pl.sum_horizontal(pl.all()))).to_series().alias(name)


def _as_plain(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Maps in the usual spelling, and whether each was readable; the few in another one are read by Python's json."""
    is_odd = texts.is_not_null() & ~texts.str.contains(_PLAIN).fill_null(value=False)
    readable = pl.repeat(True, len(texts), dtype=pl.Boolean, eager=True)
    if not is_odd.any():
        return texts, readable
    rows = is_odd.arg_true()
    found = [_respelled(text) for text in texts.gather(rows)]
    return texts.clone().scatter(rows, found), readable.scatter(rows, [text is not None for text in found])


def _respelled(text: str) -> str | None:
    try:
        pairs = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    if pairs is None:
        return "{}"
    if not isinstance(pairs, dict):
        return None
    counts = {str(key).replace('"', "").replace("\\", ""): _count(value) for key, value in pairs.items() if value is not None}
    return None if any(count is None for count in counts.values()) else json.dumps(counts, ensure_ascii=False)


def _count(value: object) -> int | None:
    """A whole number of tokens from its digits; null where it is none."""
    if not isinstance(value, str):
        return None
    whole, _, decimals = value.strip().partition(".")
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) <= 15 and not decimals.strip("0") else None
