"""Identities of records that have no id of their own: a hash of what they say, and a number among those that say the same.

The number keeps two equal requests apart; the same file gives the same identities, and so does another file that holds the
same rows. Equal records of a log stand close together, so of a log only the last blocks are remembered.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Sequence

import polars as pl

_DIGITS = 32


class ContentIds:
    """Identities for the records of one file, block by block."""

    def __init__(self, fields: Sequence[str], *, remembered_blocks: int | None = 3) -> None:
        """``remembered_blocks``: how far back equal records are looked for; None is the whole file, some 100 bytes a row."""
        self._fields = list(fields)
        self._seen: deque[Counter[bytes]] = deque(maxlen=remembered_blocks)

    def of(self, flat: pl.DataFrame) -> pl.Series:
        """One identity per row of ``flat``, from the texts of the fields."""
        texts = flat.select(
            pl.concat_str([pl.col(name).fill_null("\x1e") for name in self._fields], separator="\x1f").alias("id")
        ).to_series()
        counts: Counter[bytes] = Counter()
        ids = []
        for text in texts:
            digest = hashlib.sha256(text.encode())
            key = digest.digest()[:16]
            counts[key] += 1
            number = counts[key] + sum(seen[key] for seen in self._seen)
            name = digest.hexdigest()[:_DIGITS]
            ids.append(name if number == 1 else f"{name}-{number}")
        self._remember(counts)
        return pl.Series("content_id", ids, dtype=pl.String)

    def _remember(self, counts: Counter[bytes]) -> None:
        if self._seen.maxlen is None and self._seen:
            self._seen[0].update(counts)
        else:
            self._seen.append(counts)
