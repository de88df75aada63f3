"""Who a person is in marts about people: the id as logged, or a keyed hash of it."""

from __future__ import annotations

import hashlib
import hmac

import polars as pl

_DIGITS = 20


def pseudonym(user_id: str, key: bytes) -> str:
    """The first 80 bits of HMAC-SHA-256, as ``p-`` and hex: the same person has the same one for as long as the key stays."""
    return f"p-{hmac.digest(key, user_id.encode(), hashlib.sha256).hex()[:_DIGITS]}"


def with_user_key(people: pl.DataFrame, names: pl.DataFrame, *, key: bytes | None) -> pl.DataFrame:
    """``people`` with ``user_key`` and ``user_name`` in place of ``user_id``; with a ``key`` the pseudonym and no name.

    ``names`` has user_id and user_name.
    """
    if key is None:
        named = people.join(names, on="user_id", how="left", validate="m:1")
        return named.rename({"user_id": "user_key"})
    known = {user_id: pseudonym(user_id, key) for user_id in people["user_id"].unique() if user_id is not None}
    hidden = pl.col("user_id").replace_strict(known, default=None, return_dtype=pl.String)
    return people.with_columns(user_key=hidden, user_name=pl.lit(None, pl.String)).drop("user_id")
