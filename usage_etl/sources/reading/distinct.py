"""Python readings of text that is the same on most rows: each distinct text is read once, however long the column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

Reading = Callable[..., Sequence[Any]]
"""Takes one text (or null) per key column and gives one value per result column."""


def read_distinct(frame: pl.DataFrame, keys: Sequence[str], read: Reading, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """``frame`` with the columns of ``schema`` added, as ``read`` gives them for the texts in ``keys``; rows keep their order."""
    distinct = frame.select(keys).unique()
    found = pl.DataFrame([read(*texts) for texts in distinct.iter_rows()], schema=dict(schema), orient="row")
    return frame.join(distinct.hstack(found), on=list(keys), how="left", nulls_equal=True, maintain_order="left")
