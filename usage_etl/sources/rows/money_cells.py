"""Dollar cells of files that people download: ``$0.12``, ``$1,234.50``, ``Included``, ``-``.

Only a dollar sign is taken off, and commas only behind one, where they can be nothing but separators of thousands. A cell in
another currency or with a decimal comma stays as it is, and is refused when it is converted: never a dollar by mistake.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

_DOLLARS = r"^([+-]?)(?:US\s?)?\$\s?([0-9.]+(?:[eE][+-]?[0-9]+)?)$"
_THOUSANDS = r"^([+-]?)(?:US\s?)?\$\s?([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?)$"


def dollar_text(cell: pl.Expr, no_amount: Collection[str]) -> pl.Expr:
    """The digits of a dollar cell, ready to be converted; null where it says in words of ``no_amount`` that there is none."""
    text = cell.str.strip_chars()
    is_grouped = text.str.contains(_THOUSANDS)
    without_sign = text.str.replace(_DOLLARS, "$1$2")
    without_groups = text.str.replace(_THOUSANDS, "$1$2").str.replace_all(",", "")
    digits = pl.when(is_grouped).then(without_groups).otherwise(without_sign)
    return pl.when(~text.str.to_lowercase().is_in([*no_amount, ""])).then(digits)
