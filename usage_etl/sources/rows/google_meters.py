"""What Google's SKU descriptions say of generative models: model, token class, modality, band and price class.

Google names the whole rate in the SKU: ``Gemini 2.5 Pro Text Input (Long) - Batch Predictions`` on Vertex AI, ``Generate
content cached input token count gemini 2.5 flash short input text`` on the Gemini API. A description is read whole or not at
all: a word that the tables below do not list leaves it unmapped, and its row is kept and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from usage_etl.sources.rows.meters import NOT_USAGE, UNMAPPED, Meter

_MODELS = (
    (re.compile(r"gemini (\d+(?:\.\d+)?) (pro|flash|ultra|nano)( lite)?( preview)?"), "gemini-{0}-{1}{2}{3}"),
    (re.compile(r"gemini embedding (\d+)( preview)?"), "gemini-embedding-{0}{1}"),
    (re.compile(r"text embedding (\d+)"), "text-embedding-{0}"),
    (re.compile(r"claude (opus|sonnet|haiku) (\d+(?:\.\d+)?)"), "claude-{0}-{1}"),
    (re.compile(r"claude (\d+(?:\.\d+)?) (opus|sonnet|haiku)( v2)?"), "claude-{0}-{1}{2}"),
)
"""Model as descriptions write it, to the name it is called by; hyphens are read as blanks."""

_MODALITIES = {"text": "Text", "image": "Image", "audio": "Audio", "video": "Video", "document": "Document", "pdf": "Document"}
_PROCESSINGS = {"batch": "batch", "flex": "flex", "priority": "priority"}
_BANDS = {"long": "long", "short": "short"}
_SCOPES = {"global": "global", "regional": "regional"}
_CACHE = frozenset({"cached", "caching", "cache"})
_NOISE = frozenset(
    {"a", "and", "api", "anthropic", "content", "count", "embed", "for", "ga", "generate", "generation", "gemini", "in", "of"}
    | {"off", "on", "online", "prediction", "predictions", "preview", "request", "requests", "standard", "the", "thinking"}
    | {"token", "tokens", "usage", "vertex", "ai"}
)
"""Words that change neither the token class nor the price class. Thinking is output."""

_KNOWN = frozenset(
    {*_MODALITIES, *_PROCESSINGS, *_BANDS, *_SCOPES, *_CACHE, *_NOISE, "input", "output", "read", "reads", "hit", "hits"}
    | {"write", "writes", "5m", "1h", "storage"}
)
_TOOLS = re.compile(
    r"\bgrounding\b|\bgrounded\b|\bprovisioned throughput\b|\bcommitment\b|\bsupport\b|\bcode execution\b|\bsearch tool\b"
)
"""Charges beside the metering of a model: searches for it, reserved throughput, commitments, support."""


@dataclass(frozen=True)
class GoogleSku:
    """What one SKU counts."""

    meter: Meter
    modality: str | None = None
    """Text, Image, Audio, Video or Document, where the description names one."""
    direction: str | None = None
    """``Input``, ``Output``, ``Cached Input`` and the like."""

    @property
    def counts(self) -> str | None:
        """What the meter counts, in words; null where that is not known."""
        return " ".join(part for part in (self.modality, self.direction) if part) or None


_UNKNOWN = GoogleSku(UNMAPPED)


def read_google_sku(description: str | None) -> GoogleSku:
    """What a SKU's description says; unmapped unless the whole text is known."""
    text = re.sub(r"[^a-z0-9.]+", " ", (description or "").lower().replace("generatecontent", "generate content"))
    text = " ".join(text.replace("embedcontent", "embed content").split())
    if _TOOLS.search(text):
        return GoogleSku(NOT_USAGE)
    model, rest = _model(text)
    words = rest.split()
    if model is None or not words or not _KNOWN.issuperset(words):
        return _UNKNOWN
    modalities = {_MODALITIES[word] for word in words if word in _MODALITIES}
    if len(modalities) > 1:
        return _UNKNOWN
    modality = next(iter(modalities), None)
    if "storage" in words:  # by the hour, not by the token
        return GoogleSku(Meter("not_usage", model_raw=model), modality, "Cache Storage")
    token_class, direction = _token_class(frozenset(words))
    if token_class is None:
        return _UNKNOWN
    meter = Meter(
        "mapped",
        model_raw=model,
        token_class=token_class,
        processing=_only(words, _PROCESSINGS) or "standard",
        context_band=None if "standard" in words else _only(words, _BANDS),
        deployment_scope=_only(words, _SCOPES),
        meter_unit="Tokens",
    )
    return GoogleSku(meter, modality, direction)


def _model(text: str) -> tuple[str | None, str]:
    """The model that a description names, and the words around its name."""
    for pattern, name in _MODELS:
        if match := pattern.search(text):
            parts = [(part or "").replace(" ", "-") for part in match.groups()]
            if name.startswith("claude-"):
                parts = [part.replace(".", "-") for part in parts]
            return name.format(*parts), f"{text[: match.start()]} {text[match.end() :]}"
    return None, text


def _token_class(words: frozenset[str]) -> tuple[str | None, str | None]:
    """Token class and its name in words; null for a description that names none, or two."""
    is_input, is_output, is_cache = "input" in words, "output" in words, bool(words & _CACHE)
    if is_output:
        return (None, None) if is_input or is_cache else ("output_tokens", "Output")
    if words & {"write", "writes"}:
        return (
            ("cache_write_1h_tokens" if "1h" in words else "cache_write_5m_tokens", "Cache Write") if is_cache else (None, None)
        )
    if is_cache:
        return "cache_read_tokens", "Cached Input"
    return ("input_uncached_tokens", "Input") if is_input else (None, None)


def _only(words: list[str], listed: dict[str, str]) -> str | None:
    """The one listed meaning among ``words``; null where there is none, or more than one."""
    found = {listed[word] for word in words if word in listed}
    return found.pop() if len(found) == 1 else None
