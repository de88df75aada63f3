"""Portkey's metadata: parallel lists of keys and values, or a plain object."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from usage_etl.sources.reading.records import LIST_SEPARATOR
from usage_etl.sources.rows.attributes import attribute_field

PLACE = ("metadata",)
PAIRS_MATCH = "pairs_match"
"""Column that says whether a record has as many keys as values."""


def with_pairs(flat: pl.DataFrame, keys: Iterable[str]) -> pl.DataFrame:
    """``flat`` with a field per key, from the lists ``metadata.key`` and ``metadata.value`` where a record has them.

    A key that stands twice has its last value. Lists of unequal length say nothing: the record is refused by a rule.
    """
    names = pl.coalesce("metadata.key", "metadata_key").str.split(LIST_SEPARATOR)
    values = pl.coalesce("metadata.value", "metadata_value").str.split(LIST_SEPARATOR)
    lists = flat.select(names.alias("names"), values.alias("values"))
    if lists["names"].null_count() == lists.height and lists["values"].null_count() == lists.height:
        return flat.with_columns(pl.lit(value=True).alias(PAIRS_MATCH))
    counts = pl.col("names").list.len().fill_null(0) == pl.col("values").list.len().fill_null(0)
    found = lists.select(counts.alias(PAIRS_MATCH), *(_value_of(key).alias(attribute_field(key, *PLACE)) for key in keys))
    merged = [pl.coalesce(found[name], flat[name]).alias(name) for name in found.columns if name != PAIRS_MATCH]
    return flat.with_columns(found[PAIRS_MATCH], *merged)


def _value_of(key: str) -> pl.Expr:
    """Value at the last place of ``key`` among the names."""
    at = pl.col("names").list.eval(pl.element().eq(key).arg_true()).list.last()
    return pl.col("values").list.get(at, null_on_oob=True)
