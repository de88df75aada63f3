"""Numbers in JSON lines with more digits than a float keeps: put in quotes, so that no decoder rounds them.

Shorter numbers read the same either way and stay as they are. So the text of a number depends on the number alone, never on
the lines around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from usage_etl.sources.reading.exact_json import JsonNumber

_SHORT = 15
"""Characters of a number, its sign aside, from which on a float may not keep all of its digits."""

_LONG = rf"-?[0-9][0-9.eE+\-]{{{_SHORT - 1},}}"


def with_long_numbers_quoted(lines: pl.DataFrame, names: Iterable[str]) -> pl.DataFrame:
    """``lines`` with every long number in ``line`` that stands under a key of ``names`` as text. Costs a scan where none does."""
    keys = "|".join(re.escape(name) for name in sorted(set(names)))
    pattern = rf'"({keys})"\s*:\s*({_LONG})'
    if not keys or not lines.select(pl.col("line").str.contains(pattern).any()).item():
        return lines
    return lines.with_columns(pl.col("line").str.replace_all(pattern, '"$1":"$2"'))


def read_float(text: str) -> JsonNumber | float:
    """For ``json.loads(parse_float=...)``: a long number as its text, any other as a float."""
    return JsonNumber(text) if len(text.removeprefix("-")) >= _SHORT else float(text)
