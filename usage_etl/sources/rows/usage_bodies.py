"""A provider's own usage object, as it stands in answers and logs, as staged token columns.

Providers count differently: cache tokens inside or beside the input, reasoning inside or beside the output, thinking,
tools and citations in fields of their own. The shape of the object says which; two providers use a shape of others with
another meaning, so ``host`` decides for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from usage_etl.units import MODAL_TOKENS

Usage = Mapping[str, Any]
Path = tuple[str, ...]

TOKEN_COLUMNS = (
    "token_convention", "reported_input_tokens", "reported_output_tokens", "reported_total_tokens", "cache_read_tokens",
    "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens", *MODAL_TOKENS, "native_unit", "native_quantity",
)  # fmt: skip
"""Staged columns that a usage object fills; what it does not say is None."""

_PLACES: tuple[Path, ...] = (
    ("usage",), ("usageMetadata",), ("usage_metadata",), ("response", "usage"), ("response", "usageMetadata"),
    ("message", "usage"), ("result", "usage"), ("meta",), ("usage_info",), ("tokenUsage",),
)  # fmt: skip
_REASONING_BESIDE = frozenset({"x-ai", "xai", "perplexity"})
"""Hosts that answer in OpenAI's shape and count reasoning beside the completion."""


@dataclass(frozen=True)
class _Shape:
    """How one family of usage objects counts: columns as sums of paths, and the units it reports beside tokens."""

    convention: str
    input: tuple[Path, ...]
    output: tuple[Path, ...]
    total: tuple[Path, ...] = ()
    cache_read: tuple[Path, ...] = ()
    cache_write: tuple[Path, ...] = ()
    cache_write_1h: tuple[Path, ...] = ()
    reasoning: tuple[Path, ...] = ()
    modal: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Of whole input, cache reads and output, by ``input_audio`` and so on; a part of the input includes its cached part."""
    units: Mapping[str, Path] = field(default_factory=dict)


_INSIDE = "cache_in_input"
_CHAT = _Shape(
    _INSIDE,
    input=(("prompt_tokens",),),
    output=(("completion_tokens",),),
    total=(("total_tokens",),),
    cache_read=(
        ("prompt_tokens_details", "cached_tokens"), ("cached_tokens",), ("cached_prompt_text_tokens",),
        ("cache_read_input_tokens",), ("prompt_cache_hit_tokens",),
    ),
    cache_write=(("prompt_tokens_details", "cache_write_tokens"), ("prompt_tokens_details", "cache_creation_tokens"),
                 ("cache_creation_input_tokens",)),
    reasoning=(("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",)),
    modal={
        "input_audio": (("prompt_tokens_details", "audio_tokens"),),
        "input_image": (("prompt_tokens_details", "image_tokens"),),
        "output_audio": (("completion_tokens_details", "audio_tokens"),),
        "output_image": (("completion_tokens_details", "image_tokens"),),
    },
    units={"web_searches": ("num_search_queries",), "seconds": ("prompt_audio_seconds",)},
)  # fmt: skip
_RESPONSES = _Shape(
    _INSIDE,
    input=(("input_tokens",),),
    output=(("output_tokens",),),
    total=(("total_tokens",),),
    cache_read=(
        ("input_tokens_details", "cached_tokens"), ("input_token_details", "cached_tokens"),
        ("input_tokens_details", "cache_read_input_tokens"),
    ),
    cache_write=(("input_tokens_details", "cache_write_tokens"), ("input_token_details", "cache_write_tokens")),
    reasoning=(
        ("output_tokens_details", "reasoning_tokens"), ("output_token_details", "reasoning_tokens"),
        ("output_tokens_details", "thinking_tokens"),  # Anthropic's, where nothing was cached
    ),
    modal={
        **{f"input_{kind}": (("input_tokens_details", f"{kind}_tokens"), ("input_token_details", f"{kind}_tokens"))
           for kind in ("audio", "image")},
        **{f"cache_read_{kind}": (("input_tokens_details", "cached_tokens_details", f"{kind}_tokens"),
                                  ("input_token_details", "cached_tokens_details", f"{kind}_tokens"))
           for kind in ("audio", "image")},
        **{f"output_{kind}": (("output_tokens_details", f"{kind}_tokens"), ("output_token_details", f"{kind}_tokens"))
           for kind in ("audio", "image")},
    },
    units={"web_searches": ("tool_calls_details", "search_web", "invocation"), "seconds": ("billable_audio_seconds",)},
)  # fmt: skip
_ANTHROPIC = _Shape(
    "cache_beside_input",
    input=(("input_tokens",),),
    output=(("output_tokens",),),
    cache_read=(("cache_read_input_tokens",),),
    cache_write=(("cache_creation_input_tokens",),),
    cache_write_1h=(("cache_creation", "ephemeral_1h_input_tokens"),),
    reasoning=(("output_tokens_details", "thinking_tokens"),),
    units={"web_searches": ("server_tool_use", "web_search_requests")},
)
_CONVERSE = _Shape(
    "cache_beside_input",
    input=(("inputTokens",),),
    output=(("outputTokens",),),
    total=(("totalTokens",),),
    cache_read=(("cacheReadInputTokens",), ("cacheReadInputTokenCount",), ("cacheReadTokens",)),
    cache_write=(("cacheWriteInputTokens",), ("cacheWriteInputTokenCount",), ("cacheWriteTokens",)),
    cache_write_1h=(("cacheDetails", "ttl=1h", "inputTokens"),),
)
_GEMINI = _Shape(
    "cache_in_input_reasoning_beside_output",
    input=(("promptTokenCount",),),
    output=(("candidatesTokenCount",), ("responseTokenCount",)),
    total=(("totalTokenCount",),),
    cache_read=(("cachedContentTokenCount",),),
    reasoning=(("thoughtsTokenCount",),),
    modal={
        f"{part}_{kind}": tuple((details, f"modality={modality}", "tokenCount") for modality in modalities)
        for part, details in (
            ("input", "promptTokensDetails"), ("cache_read", "cacheTokensDetails"), ("output", "candidatesTokensDetails"),
        )
        for kind, modalities in (("audio", ("AUDIO",)), ("image", ("IMAGE", "DOCUMENT")))
    },
)  # fmt: skip


def find_usage(answer: Mapping[str, Any]) -> Usage | None:
    """The usage object inside a provider's answer, event or log record; None where it has none."""
    for place in _PLACES:
        found = _at(answer, place)
        if isinstance(found, Mapping) and found:
            return found
    return None


def staged_tokens(usage: Usage, *, host: str | None = None) -> dict[str, Any]:
    """TOKEN_COLUMNS of a usage object. ``host`` is who served the call, as a source or the price book spells it.

    Raises ValueError for a count that is no whole number from 0, and for an object of no known shape.
    """
    billed = usage.get("billed_units") or usage.get("tokens")
    if isinstance(billed, Mapping):
        return _cohere(usage, billed)
    if entries := usage.get("iterations"):
        return _iterations(usage, entries)
    shape = _shape(usage)
    if shape is None:
        return _units_only(usage)
    columns = _columns(usage, shape)
    if shape is _GEMINI:
        _add_tool_prompts(columns, usage)
    if shape is _CHAT and (host or "").lower() in _REASONING_BESIDE:
        output = _added(columns["reported_output_tokens"], _count(usage, (("citation_tokens",),)))
        columns |= {"token_convention": _GEMINI.convention, "reported_output_tokens": output}
    return columns


def price_class(answer: Mapping[str, Any], usage: Usage | None = None) -> dict[str, str | None]:
    """``processing`` and ``region`` as an answer or its usage object names them; None where it says nothing."""
    said = [place for place in (usage if usage is not None else find_usage(answer), answer) if place]
    words = [str(place.get(key)).lower() for place in said for key in ("speed", "service_tier", "serviceTier", "trafficType")]
    known = ("fast", "priority", "flex", "batch")
    named = next((known_word for known_word in known for word in words if word.rsplit("_", 1)[-1] == known_word), None)
    is_said = any(word != "none" for word in words)
    geo = next((str(place["inference_geo"]) for place in said if place.get("inference_geo")), None)
    return {
        "processing": named or ("standard" if is_said else None),
        "region": None if geo in (None, "not_available") else geo,
    }


def _shape(usage: Usage) -> _Shape | None:
    if usage.keys() & {"promptTokenCount", "candidatesTokenCount", "totalTokenCount", "toolUsePromptTokenCount"}:
        return _GEMINI
    if usage.keys() & {"inputTokens", "outputTokens"}:
        return _CONVERSE
    if usage.keys() & {"prompt_tokens", "completion_tokens"}:
        return _CHAT
    if usage.keys() & {"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "server_tool_use"}:
        return _ANTHROPIC
    return _RESPONSES if usage.keys() & {"input_tokens", "output_tokens", "billable_audio_seconds"} else None


def _columns(usage: Usage, shape: _Shape) -> dict[str, Any]:
    columns: dict[str, Any] = dict.fromkeys(TOKEN_COLUMNS)
    columns |= {
        "token_convention": shape.convention,
        "reported_input_tokens": _count(usage, shape.input),
        "reported_output_tokens": _count(usage, shape.output),
        "reported_total_tokens": _count(usage, shape.total),
        "cache_read_tokens": _count(usage, shape.cache_read),
        "cache_write_tokens": _count(usage, shape.cache_write),
        "cache_write_1h_tokens": _count(usage, shape.cache_write_1h),
        "reasoning_tokens": _count(usage, shape.reasoning),
    }
    is_summed = shape is _GEMINI
    parts = {name: _count(usage, paths, is_summed=is_summed) for name, paths in shape.modal.items()}
    for kind in ("audio", "image"):
        whole, cached = parts.get(f"input_{kind}"), parts.get(f"cache_read_{kind}")
        columns[f"input_{kind}_tokens"] = None if whole is None else max(whole - (cached or 0), 0)
        columns[f"cache_read_{kind}_tokens"] = cached
        columns[f"output_{kind}_tokens"] = parts.get(f"output_{kind}")
    return columns | _native(usage, shape.units)


def _native(usage: Usage, units: Mapping[str, Path]) -> dict[str, Any]:
    for unit, path in units.items():
        if quantity := _number(_at(usage, path)):
            return {"native_unit": unit, "native_quantity": quantity}
    return {}


def _cohere(usage: Usage, billed: Usage) -> dict[str, Any]:
    columns = _columns({**billed, "input_tokens_details": {"cached_tokens": usage.get("cached_tokens")}}, _RESPONSES)
    return columns | _native(billed, {"searches": ("search_units",), "images": ("images",)})


def _units_only(usage: Usage) -> dict[str, Any]:
    """An object that counts something else than tokens: pages of a document, seconds of audio."""
    columns = dict.fromkeys(TOKEN_COLUMNS) | {"token_convention": _INSIDE}
    native = _native(usage, {"pages": ("pages_processed",), "seconds": ("seconds",), "characters": ("characters",)})
    if not native:
        raise ValueError(f"usage of no known shape: {', '.join(sorted(map(str, usage))) or 'empty'}")
    return columns | native


def _iterations(usage: Usage, entries: Any) -> dict[str, Any]:
    """Anthropic: the top-level counts leave out what a compaction used; the sum of all iterations is what is billed."""
    if not isinstance(entries, Sequence) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError("iterations is not a list of usage objects")
    each = [_columns(entry, _ANTHROPIC) for entry in entries]
    columns = _columns(usage, _ANTHROPIC)
    for name in ("reported_input_tokens", "reported_output_tokens", "cache_read_tokens", "cache_write_tokens"):
        known = [entry[name] for entry in each if entry[name] is not None]
        columns[name] = sum(known) if known else columns[name]
    if any(entry["cache_write_1h_tokens"] is not None for entry in each):
        columns["cache_write_1h_tokens"] = sum(entry["cache_write_1h_tokens"] or 0 for entry in each)
    return columns


def _add_tool_prompts(columns: dict[str, Any], usage: Usage) -> None:
    """Gemini counts what tools put into the prompt beside the prompt."""
    columns["reported_input_tokens"] = _added(columns["reported_input_tokens"], _count(usage, (("toolUsePromptTokenCount",),)))
    for kind, modalities in (("audio", ("AUDIO",)), ("image", ("IMAGE", "DOCUMENT"))):
        paths = tuple(("toolUsePromptTokensDetails", f"modality={modality}", "tokenCount") for modality in modalities)
        columns[f"input_{kind}_tokens"] = _added(columns[f"input_{kind}_tokens"], _count(usage, paths, is_summed=True))


def _added(left: int | None, right: int | None) -> int | None:
    return right if left is None else left + (right or 0)


def _count(usage: Usage, paths: tuple[Path, ...], *, is_summed: bool = False) -> int | None:
    """The first count that is there, or the sum of all; None where none is."""
    found = [count for path in paths if (count := _whole(_at(usage, path), path)) is not None]
    if not found:
        return None
    return sum(found) if is_summed else found[0]


def _whole(value: Any, path: Path) -> int | None:
    if value is None:
        return None
    number = _number(value)
    if number is None or number < 0 or number != number.to_integral_value():
        raise ValueError(f"{'.'.join(path)} is no token count: {value!r}")
    return int(number)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() else None


def _at(found: Any, path: Path) -> Any:
    """What lies at a path; ``key=word`` adds up the items of a list whose key is the word."""
    for place, step in enumerate(path):
        key, equals, word = step.partition("=")
        if equals:
            counts = [count for item in _items(found, key, word) if (count := _at(item, path[place + 1 :])) is not None]
            return sum(counts) if counts else None
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _items(found: Any, key: str, word: str) -> Iterator[Mapping[str, Any]]:
    if isinstance(found, Sequence) and not isinstance(found, str):
        yield from (item for item in found if isinstance(item, Mapping) and item.get(key) == word)
