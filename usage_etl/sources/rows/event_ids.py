"""Ids for events of files that name none, and the buckets of files whose first and last day may be cut.

An id is a hash of what tells one event from another, numbered where events are alike.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Sequence

import polars as pl

LOG_CHUNKS = 3
"""Chunks of a log within which events that are alike are told apart."""


def quarter_hour(at: pl.Expr) -> pl.Expr:
    """Name of the quarter of an hour that an instant lies in.

    People export days of their own time zone. Every zone's midnight is on a quarter of a UTC hour, so two exports never cut
    such a bucket between them, as they would cut a UTC day.
    """
    return at.dt.truncate("15m").dt.strftime("%Y-%m-%dT%H:%MZ")


class EventIds:
    """Ids of one file. Events alike in everything get ``#2``, ``#3``: the same file gives the same ids, whatever its chunks."""

    def __init__(self, *, remembered_chunks: int | None = None) -> None:
        """``remembered_chunks``: how far back events alike are looked for; None is the whole file, some 100 bytes an event.

        Events of a log that are alike stand close together, so a log needs its last chunks only.
        """
        self._seen: deque[Counter[bytes]] = deque(maxlen=remembered_chunks)

    def with_ids(self, flat: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
        """``flat`` with the column ``own_id``, made of the texts in ``fields``."""
        told = pl.concat_str([pl.col(name).fill_null("").str.strip_chars() for name in fields], separator="\x1f")
        counts: Counter[bytes] = Counter()
        ids = [self._id(text, counts) for text in flat.select(told.alias("told")).to_series()]
        if self._seen.maxlen is None and self._seen:
            self._seen[0].update(counts)
        else:
            self._seen.append(counts)
        return flat.with_columns(pl.Series("own_id", ids, dtype=pl.String))

    def _id(self, text: str, counts: Counter[bytes]) -> str:
        digest = hashlib.sha256(text.encode())
        key = digest.digest()[:16]
        counts[key] += 1
        number = counts[key] + sum(seen[key] for seen in self._seen)
        return digest.hexdigest() if number == 1 else f"{digest.hexdigest()}#{number}"
