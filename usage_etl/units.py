"""What is counted, in which unit: the ten primitives and the disjoint token classes."""

from __future__ import annotations

PRIMITIVE_UNITS = {
    "ai.chat": "tokens",
    "ai.embed": "embeddings",
    "ai.image": "images",
    "voice.room": "participant_minutes",
    "phone.call": "call_minutes",
    "phone.sms": "messages",
    "web.crawl": "pages",
    "email.send": "emails",
    "governance.scan": "scans",
    "safety.moderate": "checks",
}
"""Primitive to its one unit; quantities of different units are never added."""

INPUT_TOKEN_CLASSES = (
    "input_uncached_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
)
"""Disjoint parts of a request's input; their sum is ``input_tokens``."""

TOKEN_CLASSES = (*INPUT_TOKEN_CLASSES, "output_tokens")
"""Disjoint parts of a request; their sum is ``total_tokens``. ``reasoning_tokens`` is a subset of output."""

MODAL_TOKENS = (
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "cache_read_image_tokens",
    "output_image_tokens",
)
"""Audio and image subsets of uncached input, cache reads and output; what is left of a class is text."""

UNALLOCATED = "unallocated"
"""Owner of usage whose owner the directories do not know. Shown as a line of its own, never spread."""

NO_MEMBER = "(none)"
"""Member of a dimension for usage that names none."""

UNEXPLAINED = "unexplained"
"""Owner of billed money that no logged usage explains."""
