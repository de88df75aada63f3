"""What a line item of an OpenAI cost report says about model, token class and price class: a maintained rule, no guess.

Line items are free text. Those of model usage read ``[tier | ]model[ modality], meter[, long context]``, for example
``gpt-5.2-2025-12-11, cached input`` or ``priority | gpt-5.2, output, long context``. Anything else (tools, storage,
audio minutes, a meter not listed here) names no model and no class; its row is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_METERS = {
    "input": "input_uncached_tokens",
    "input tokens": "input_uncached_tokens",
    "cached input": "cache_read_tokens",
    "cached input tokens": "cache_read_tokens",
    "cache write": "cache_write_5m_tokens",
    "cache writes": "cache_write_5m_tokens",
    "output": "output_tokens",
    "output tokens": "output_tokens",
}
"""Meter as written, underscores read as blanks, to token class. A write of unstated lifetime counts as the shorter one."""

_PROCESSINGS = frozenset({"batch", "flex", "priority"})
_QUALIFIERS = frozenset({"long context"})
_MODALITIES = frozenset({"text", "audio", "image"})
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


@dataclass(frozen=True)
class LineItem:
    """Model and meter as sent, token class of ``units.TOKEN_CLASSES``, price class; null where the text names none."""

    meter: str | None = None
    model_raw: str | None = None
    token_class: str | None = None
    processing: str | None = None


UNKNOWN = LineItem()


def read_line_item(text: str | None) -> LineItem:
    """Model, token class and price class that a line item names; ``UNKNOWN`` unless the whole text fits the rule."""
    tier, bar, rest = (text or "").rpartition(" | ")
    processing = tier.strip().lower() if bar else "standard"
    head, *parts = (part.strip() for part in rest.split(","))
    words = [part.lower().replace("_", " ") for part in parts]
    model, _, modality = head.partition(" ")
    is_known = (
        processing in _PROCESSINGS | {"standard"}
        and _MODEL.fullmatch(model) is not None
        and modality.lower() in _MODALITIES | {""}
        and bool(words)
        and words[0] in _METERS
        and set(words[1:]) <= _QUALIFIERS
    )
    return LineItem(parts[0], model, _METERS[words[0]], processing) if is_known else UNKNOWN
