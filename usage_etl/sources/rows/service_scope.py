"""Which lines of a bill are about AI: by patterns that the settings name, matched against whole texts, letter case aside."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

EVERYTHING = "all"
"""In place of patterns: every line counts."""


def matches_any(texts: Sequence[pl.Expr], patterns: Sequence[str]) -> pl.Expr:
    """True where one of ``texts`` fits one of ``patterns``, in which ``*`` stands for any text; a null text fits none.

    The pattern ``all`` fits every row.
    """
    if any(pattern.strip().lower() == EVERYTHING for pattern in patterns):
        return pl.lit(value=True)
    if not patterns:
        return pl.lit(value=False)
    whole = f"(?is)^(?:{'|'.join(map(_pattern, patterns))})$"
    return pl.any_horizontal([text.str.contains(whole).fill_null(value=False) for text in texts])


def _pattern(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.strip().split("*"))
