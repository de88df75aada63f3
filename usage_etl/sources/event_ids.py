"""Ids for events of files that name none, and the buckets of files whose first and last day may be cut.

An id is a hash of what tells one event from another, numbered where events are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

from usage_etl.keys import sha256_hex


def quarter_hour(at: pl.Expr) -> pl.Expr:
    """Name of the quarter of an hour that an instant lies in.

    People export days of their own time zone. Every zone's midnight is on a quarter of a UTC hour, so two exports never cut
    such a bucket between them, as they would cut a UTC day.
    """
    return at.dt.truncate("15m").dt.strftime("%Y-%m-%dT%H:%MZ")


class EventIds:
    """Ids of one file. Events alike in everything get ``#2``, ``#3``: the same file gives the same ids, whatever its chunks."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def with_ids(self, flat: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
        """``flat`` with the column ``own_id``, made of the texts in ``fields``."""
        ids = [self._id(texts) for texts in flat.select(fields).iter_rows()]
        return flat.with_columns(pl.Series("own_id", ids, dtype=pl.String))

    def _id(self, texts: Sequence[str | None]) -> str:
        told = sha256_hex("\x1f".join("" if text is None else text.strip() for text in texts).encode())
        self._seen[told] += 1
        return told if self._seen[told] == 1 else f"{told}#{self._seen[told]}"
