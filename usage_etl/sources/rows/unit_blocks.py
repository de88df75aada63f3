"""Units as bills write them (``1K``, ``10K``, ``1M Tokens``, ``100 Hours``, ``1/Hour``) to a block size and the unit in it."""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl

from usage_etl.money import MONEY
from usage_etl.sources.reading.distinct import read_distinct
from usage_etl.sources.rows.mapping import value
from usage_etl.sources.rows.typed_text import decimals

_BLOCK = re.compile(r"(?:(\d[\d,]*)\s*)?(?:(k|m|b|thousand|million|billion)(?![a-z]))?\s*(.*)", re.IGNORECASE | re.DOTALL)
_LARGE = {"": 0, "k": 3, "thousand": 3, "m": 6, "million": 6, "b": 9, "billion": 9}
_NAMES = {
    "": "Units",
    "/day": "Days",
    "/hour": "Hours",
    "/month": "Months",
    "character": "Characters",
    "characters": "Characters",
    "hour": "Hours",
    "hours": "Hours",
    "hrs": "Hours",
    "image": "Images",
    "images": "Images",
    "minute": "Minutes",
    "minutes": "Minutes",
    "request": "Requests",
    "requests": "Requests",
    "second": "Seconds",
    "seconds": "Seconds",
    "token": "Tokens",
    "tokens": "Tokens",
    "unit": "Units",
    "units": "Units",
}
"""What is left of a unit without its block, in small letters, to FOCUS's word; others are kept as sent."""

_MAX_DIGITS = 12
_MAX_QUANTITY = 1e19


@lru_cache(maxsize=4096)
def unit_block(text: str | None) -> tuple[int, str] | None:
    """(units in one block, unit) of a unit as sent; null where there is none. What has no number is a block of one."""
    stripped = (text or "").strip()
    if not stripped:
        return None
    match = _BLOCK.fullmatch(stripped)
    assert match is not None, "every part of the pattern is optional"
    number, large, rest = match.groups()
    block = int((number or "1").replace(",", "")) * 10 ** _LARGE[(large or "").lower()]
    if not 0 < block < 10**_MAX_DIGITS:
        return 1, stripped
    return block, _NAMES.get(rest.strip().lower(), rest.strip())


def with_consumed(flat: pl.DataFrame, quantity: str, unit: str) -> pl.DataFrame:
    """``flat`` with ``consumed_quantity`` and ``consumed_unit`` from the text columns, blocks multiplied out exactly.

    Both are null where one is absent or cannot be read, or where their product is too large (``consumed_rules``).
    """
    read = read_distinct(
        flat.select(unit),
        [unit],
        lambda text: unit_block(text) or (None, None),
        {"block": pl.Int64(), "consumed_unit": pl.String()},
    )
    exact = pl.DataFrame([decimals(flat[quantity]).alias("q"), read["block"]])
    in_range = pl.col("q").cast(pl.Float64).abs() * pl.col("block") < _MAX_QUANTITY
    product = exact.with_columns(pl.when(in_range).then("q")).select(pl.col("q") * pl.col("block").cast(MONEY))
    blocks = flat.with_columns(product.to_series().alias("consumed_quantity"), read["consumed_unit"])
    is_pair = pl.col("consumed_quantity").is_not_null() & pl.col("consumed_unit").is_not_null()
    return blocks.with_columns(pl.when(is_pair).then(pl.col("consumed_quantity", "consumed_unit")))


def consumed_rules(quantity: str, unit: str) -> dict[str, pl.Expr]:
    """Rule of a quantity that becomes too large when its block is multiplied out."""
    is_pair = value(quantity).is_not_null() & (pl.col(unit) != "")
    return {f"{quantity}__out_of_range": is_pair & pl.col("consumed_quantity").is_null()}
