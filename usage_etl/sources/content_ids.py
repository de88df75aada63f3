"""Identities of records that have no id of their own: a hash of what they say, and a number among those that say the same.

The number keeps two equal requests apart; the same file gives the same identities, and so does another file that holds the
same rows. Equal records stand close together in a log, so only the last blocks are remembered.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import polars as pl

_REMEMBERED_BLOCKS = 3
_DIGITS = 32


class ContentIds:
    """Identities for the records of one file, block by block."""

    def __init__(self, fields: Sequence[str], *salt: str) -> None:
        self._fields, self._salt = list(fields), "\x1f".join(salt)
        self._seen: list[Counter[str]] = []

    def of(self, flat: pl.DataFrame) -> pl.Series:
        """One identity per row of ``flat``, from the texts of the fields."""
        texts = flat.select(
            pl.concat_str([pl.col(name).fill_null("\x1e") for name in self._fields], separator="\x1f").alias("id")
        ).to_series()
        counts: Counter[str] = Counter()
        for text in texts:
            counts[text] = 0
        before = {text: sum(seen[text] for seen in self._seen) for text in counts}
        ids = []
        for text in texts:
            counts[text] += 1
            number = before[text] + counts[text]
            digest = hashlib.sha256(f"{self._salt}\x1f{text}".encode()).hexdigest()[:_DIGITS]
            ids.append(digest if number == 1 else f"{digest}-{number}")
        self._seen = [*self._seen, counts][-_REMEMBERED_BLOCKS:]
        return pl.Series("content_id", ids, dtype=pl.String)
