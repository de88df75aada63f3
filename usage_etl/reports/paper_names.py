"""Names under which papers of a cost center are published and mailed: safe in paths and headers, one for each cost center."""

from __future__ import annotations

import re

from usage_etl.keys import sha256_hex

SLUG_LENGTH = 30
"""Longest slug: ``statement_`` and it are the 40 characters that the ledger keeps of a report's name."""

_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9_]|-(?!-))*")
_CAPITALS = "_uc"
_STEM_LENGTH = 16


def paper_slug(cost_center_id: str) -> str:
    """``cc-1100`` for itself, ``cc-1100_uc`` for ``CC-1100``; for any other id a readable stem, two hyphens and a hash of it.

    No two cost centers share a slug: plain ones hold no two hyphens in a row, and ids that themselves end in ``_uc``
    are hashed.
    """
    lower = cost_center_id.lower()
    if len(lower) <= SLUG_LENGTH - len(_CAPITALS) and _PLAIN.fullmatch(lower) and not lower.endswith(_CAPITALS):
        if cost_center_id == lower:
            return lower
        if cost_center_id == lower.upper():
            return f"{lower}{_CAPITALS}"
    stem = re.sub(r"[^a-z0-9]+", "-", lower)[:_STEM_LENGTH].strip("-") or "x"
    return f"{stem}--{sha256_hex(cost_center_id.encode())[:12]}"


def statement_report(cost_center_id: str) -> str:
    """Name of a cost center's statement in the ledger of sends, and stem of its files."""
    return f"statement_{paper_slug(cost_center_id)}"
