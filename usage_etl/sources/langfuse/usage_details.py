"""Langfuse's ``usage_details``, a map of counters that add up, to our token classes.

``input`` and ``output`` are what their details (``input_cached_tokens``, ``output_reasoning_tokens``) leave over, so each
class is a sum: nothing is inside anything else. Keys that count no tokens (images, searches) are left out and named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

import polars as pl

from usage_etl.sources.rows.typed_text import counts

_COUNT = r':\s*(?:"\d{1,15}"|\d{1,15}(?:\.0+)?)'
_PLAIN_SHAPE = re.compile(r'\{(?:\s*"[^"\\:]*"\s*:\s*(?:0|null)\s*(?:,(?=\s*")|(?=\}$)))*\s*\}')
"""A map in which each count is written as 0."""

_NO_PLAIN_CHARACTER = re.compile(r"[^ !#-9;-\[\]-~]")

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
    plain, readable, keys = _as_plain(texts)
    decoded = plain.str.json_decode(pl.Struct(dict.fromkeys(keys, pl.String))).struct.unnest() if keys else pl.DataFrame()
    by_key = {column.name: counts(column) for column in decoded.get_columns()}
    columns = [
        _summed(name, [by_key[key] for key in keys if belongs(key.lower())], len(texts)) for name, belongs in MEASURES.items()
    ]
    unknown = {key for key in keys if not any(belongs(key.lower()) for belongs in MEASURES.values())}
    return pl.DataFrame([*columns, readable.alias(IS_READABLE)]), unknown


def _summed(name: str, parts: list[pl.Series], height: int) -> pl.Series:
    if not parts:
        return pl.repeat(None, height, dtype=pl.Int64, eager=True).alias(name)
    numbered = pl.DataFrame({str(at): column for at, column in enumerate(parts)})
    is_any = pl.any_horizontal(pl.all().is_not_null())
    return numbered.select(pl.when(is_any).then(pl.sum_horizontal(pl.all()))).to_series().alias(name)


def _as_plain(texts: pl.Series) -> tuple[pl.Series, pl.Series, list[str]]:
    """Maps in the usual spelling, whether each was readable, and all their keys.

    Few maps differ in more than their counts, so keys are taken from those shapes. Maps in another spelling are read by
    Python's json.
    """
    readable = pl.repeat(True, len(texts), dtype=pl.Boolean, eager=True)
    shapes, odd = _shapes(texts)
    if odd:
        rows = texts.str.replace_all(_COUNT, ":0").is_in(odd).fill_null(value=False).arg_true()
        found = [_respelled(text) for text in texts.gather(rows)]
        texts = texts.clone().scatter(rows, found)
        readable = readable.scatter(rows, [text is not None for text in found])
        shapes, _ = _shapes(texts)
    return texts, readable, sorted({key for shape in shapes for key in json.loads(shape)})


def _shapes(texts: pl.Series) -> tuple[list[str], list[str]]:
    """The distinct maps with every count written as 0: those in the usual spelling, and the others."""
    distinct = texts.str.replace_all(_COUNT, ":0").unique().drop_nulls().to_list()
    return [one for one in distinct if _is_plain(one)], [one for one in distinct if not _is_plain(one)]


def _is_plain(shape: str) -> bool:
    if not _PLAIN_SHAPE.fullmatch(shape):
        return False
    keys = json.loads(shape, object_pairs_hook=lambda pairs: [key for key, _ in pairs])
    return len(set(keys)) == len(keys)


def _respelled(text: str) -> str | None:
    try:
        pairs = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    if pairs is None or pairs == []:  # Parquet's map without entries
        return "{}"
    if not isinstance(pairs, dict):
        return None
    found = {_NO_PLAIN_CHARACTER.sub("", str(key)): _count(value) for key, value in pairs.items() if value is not None}
    return None if None in found.values() else json.dumps(found, ensure_ascii=False)


def _count(value: object) -> int | None:
    """A whole number of tokens from its digits; null where it is none."""
    if not isinstance(value, str):
        return None
    whole, _, decimals = value.strip().partition(".")
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) <= 15 and not decimals.strip("0") else None
