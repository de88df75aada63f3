"""Stable identifiers and storage keys. Names from outside never become part of a path."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def is_slug(text: str) -> bool:
    """Whether ``text`` may stand in a storage key: 1-40 of ``a-z 0-9 _ -``, starting with a letter or digit."""
    return _SLUG.fullmatch(text) is not None


def sha256_hex(data: bytes) -> str:
    """Hex SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(parts: Mapping[str, object]) -> str:
    """Hex SHA-256 of a mapping in canonical JSON: equal content, equal text, in any order."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    return sha256_hex(text.encode())


def safe_name(name: str) -> str:
    """Injective, path-safe form of an outside name: a readable stem plus a hash of the whole."""
    stem = re.sub(r"[^a-z0-9.]+", "-", name.rsplit("/", 1)[-1].lower()).strip("-.")[:40] or "object"
    return f"{sha256_hex(name.encode())[:16]}-{stem}"


def partition_key(table: str, partition: str, value: str) -> str:
    """Key of a table partition's one object, for example ``fact_usage_daily/usage_date=2026-11-01/part.parquet``."""
    return f"{table}/{partition}={value}/part.parquet"
