"""What a line item of an OpenAI cost report says about model, token class and price class: maintained tables, no guess.

Line items are free text. Those of model usage read ``[tier | ]model[ modality], meter[, long context]``, for example
``gpt-5.2-2025-12-11, cached input``, ``gpt-image-1 image, output`` or ``priority | gpt-5.2, output, long context``. Items
of another form are known whole, or not at all: then the row is kept, names no model and is ``unmapped``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_METERS = {
    "input": "input_uncached_tokens",
    "input tokens": "input_uncached_tokens",
    "cached input": "cache_read_tokens",
    "cached input tokens": "cache_read_tokens",
    "cache write": "cache_write_5m_tokens",
    "cache writes": "cache_write_5m_tokens",
    "cache write tokens": "cache_write_5m_tokens",
    "output": "output_tokens",
    "output tokens": "output_tokens",
}
"""Meter as written, underscores read as blanks, to token class. A write of unstated lifetime counts as the shorter one."""

_PROCESSINGS = frozenset({"batch", "flex", "priority"})
_QUALIFIERS = {"long context": "long context"}
"""Words after the meter, to the context band that they name."""

_MODALITIES = frozenset({"text", "audio", "image"})
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


@dataclass(frozen=True)
class LineItem:
    """Model and meter as sent, token class of ``units.TOKEN_CLASSES``, price class; null where the text names none."""

    meter: str | None = None
    model_raw: str | None = None
    token_class: str | None = None
    processing: str | None = None
    context_band: str | None = None
    meter_mapping: str = "unmapped"
    """One of ``METER_MAPPINGS``."""


UNKNOWN = LineItem()
_TOOL = LineItem(meter_mapping="not_usage")

_WHOLE_ITEMS: Mapping[str, LineItem] = {
    "whisper": LineItem(model_raw="whisper", meter_mapping="mapped"),
    "web search tool calls": _TOOL,
    "file search tool calls": _TOOL,
    "assistants api | file search": _TOOL,
    "assistants api | code interpreter": _TOOL,
    "code interpreter": _TOOL,
    "code interpreter sessions": _TOOL,
    "vector storage": _TOOL,
    "vector stores": _TOOL,
    "promotional credit": _TOOL,
}
"""Items of another form, in small letters: models that are not metered in tokens, and what meters no model."""


def read_line_item(text: str | None) -> LineItem:
    """What a line item names; ``UNKNOWN`` unless the whole text fits the tables."""
    whole = (text or "").strip()
    if (item := _WHOLE_ITEMS.get(whole.lower())) is not None:
        return item
    tier, bar, rest = whole.rpartition(" | ")
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
        and set(words[1:]) <= _QUALIFIERS.keys()
    )
    if not is_known:
        return UNKNOWN
    band = next((_QUALIFIERS[word] for word in words[1:]), None)
    meter = f"{modality} {parts[0]}".strip()
    return LineItem(meter, model, _METERS[words[0]], processing, band, "mapped")
