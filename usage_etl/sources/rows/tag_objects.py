"""Resource tags as a JSON object, whatever a provider's dialect is; each distinct text is read once."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import polars as pl

from usage_etl.sources.reading.distinct import read_distinct

UNREADABLE = "(unreadable)"
"""Key under which tags are kept as text when they are in no known dialect: a charge is not refused for its tags."""


def with_tag_objects(flat: pl.DataFrame, name: str) -> pl.DataFrame:
    """``flat`` with the tags in column ``name`` rewritten by ``tag_object``."""
    if flat[name].null_count() == flat.height:
        return flat
    read = read_distinct(flat, [name], lambda text: (tag_object(text),), {"tag object": pl.String()})
    return read.with_columns(pl.col("tag object").alias(name)).drop("tag object")


@lru_cache(maxsize=65536)
def tag_object(text: str | None) -> str | None:
    """A JSON object of text by text, sorted by key; null where there are no tags.

    Reads an object, an object without its outer braces (Azure), a list of ``{key, value}`` pairs, and ``key=value`` pairs
    separated by semicolons. Blanks around keys go; of a key that stands twice the last value counts.
    """
    stripped = (text or "").strip()
    if stripped.lower() in ("", "{}", "[]", "null", "none"):
        return None
    pairs = _pairs(stripped)
    if pairs is None:
        pairs = {UNREADABLE: stripped}
    found = {key.strip(): _text(value) for key, value in pairs.items()}
    return json.dumps(found, ensure_ascii=False, sort_keys=True) if found else None


def merged_tags(*parts: tuple[str, str | None]) -> str | None:
    """One object of several (prefix, text): each text's keys after its prefix; of a key that stands twice the last counts."""
    found: dict[str, str | None] = {}
    for prefix, text in parts:
        found |= {f"{prefix}{key}": value for key, value in json.loads(tag_object(text) or "{}").items()}
    return json.dumps(found, ensure_ascii=False, sort_keys=True) if found else None


def _pairs(text: str) -> dict[str, Any] | None:
    for spelling in (text, f"{{{text}}}"):
        try:
            read = json.loads(spelling)
        except (ValueError, RecursionError):
            continue
        if isinstance(read, dict):
            return read
        if isinstance(read, list):
            return _listed_pairs(read)
    parts = [part.partition("=") for part in text.split(";") if part.strip()]
    return {key: value for key, _, value in parts} if parts and all(sign and key.strip() for key, sign, _ in parts) else None


def _listed_pairs(entries: list[Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            return None
        lowered = {str(key).lower(): value for key, value in entry.items()}
        if not isinstance(lowered.get("key"), str):
            return None
        found[lowered["key"]] = lowered.get("value")
    return found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
