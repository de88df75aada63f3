"""What Azure's meter names say: a maintained grammar of their words, and a maintained list of the models they name.

A token meter reads ``<model> <words> [1M] Tokens``, its parts separated by blanks or hyphens; the words say direction,
cache, price class, context band and where the model may run, in spellings that differ by family and release. A meter of
which one word is not listed here, or whose model is not, is unmapped.
"""

from __future__ import annotations

import re

from usage_etl.sources.rows.meters import NOT_USAGE, UNMAPPED, Meter

_DIRECTIONS = {
    **dict.fromkeys(("inp", "input", "in", "prompt"), "input"),
    **dict.fromkeys(("outp", "opt", "out", "output", "completion"), "output"),
}
_SCOPES = {
    **dict.fromkeys(("gl", "glbl", "global"), "global"),
    **dict.fromkeys(("dz", "dzn", "dzone", "datazone"), "data_zone"),
    **dict.fromkeys(("rg", "rgnl", "regnl", "regional"), "regional"),
}
_CACHES = frozenset({"cached", "cache", "cchd", "ccchd", "cd"})
_WRITES = frozenset({"wr", "write"})
_PROCESSINGS = {"std": "standard", "batch": "batch", "btch": "batch", "flex": "flex", "pp": "priority", "priority": "priority"}
_BANDS = {"shortco": "short", "longco": "long"}

_TOKENS = re.compile(r"(?P<words>.+?)(?: 1[km])? tokens?")
_PROVISIONED = re.compile(r"provisioned managed( global| data ?zone| regional)? units?")
_EMBEDDINGS = "text-embedding-"

_DATES = {
    "gpt-4o": {"0513": "2024-05-13", "0806": "2024-08-06", "1120": "2024-11-20"},
    "gpt-4o-mini": {"0718": "2024-07-18"},
    "o1": {"1217": "2024-12-17"},
    "o1-mini": {"0912": "2024-09-12"},
    "o1-preview": {"0912": "2024-09-12"},
    "o3": {"0416": "2025-04-16"},
    "o3-mini": {"0131": "2025-01-31"},
    "o4-mini": {"0416": "2025-04-16"},
}
"""Model to the releases that meters name by month and day."""

_GPT_5 = re.compile(r"(5(?:\.\d)?)( mini| nano| pro| chat| codex(?: mini| max)?| sol| terra| luna)?")
_MODELS = (
    (re.compile(r"(?:gpt )?4o( mini)?"), "gpt-4o{0}"),
    (re.compile(r"gpt (4\.1|4\.5)( mini| nano)?"), "gpt-{0}{1}"),
    (re.compile(rf"gpt {_GPT_5.pattern}"), "gpt-{0}{1}"),
    (re.compile(r"gpt oss (\d+b)"), "gpt-oss-{0}"),
    (re.compile(r"gpt 4( turbo)?"), "gpt-4{0}"),
    (re.compile(r"gpt 35 turbo"), "gpt-3.5-turbo"),
    (re.compile(r"o(1|3|4)( mini| pro| preview)?"), "o{0}{1}"),
    (re.compile(r"codex mini"), "codex-mini"),
    (re.compile(r"text embedding 3 (large|small)"), "text-embedding-3-{0}"),
    (re.compile(r"(?:text )?embedding ada(?: 002)?"), "text-embedding-ada-002"),
    (re.compile(r"deepseek (r1|v3(?:\.\d)?)"), "deepseek-{0}"),
    (re.compile(r"phi 4( mini instruct| multimodal instruct| reasoning(?: plus)?)?"), "phi-4{0}"),
    (re.compile(r"grok (\d(?:\.\d)?)( mini| fast)?"), "grok-{0}{1}"),
)
"""Models as meters name them, words joined by blanks, to the id they are called by."""

_KIMI = re.compile(r"(k2(?:\.\d)?)( thinking)?")
_BARE = (
    ("openai", _GPT_5, "gpt-{0}{1}"),
    ("deepseek", re.compile(r"(r1|v3(?:\.\d)?)"), "deepseek-{0}"),
    ("kimi", _KIMI, "kimi-{0}{1}"),
    ("moonshot", _KIMI, "kimi-{0}{1}"),
)
"""Families whose meters leave the family's name out: a word of the meter's subcategory, then as in ``_MODELS``."""


def read_meter(charge_type: str | None, meter_name: str | None, subcategory: str | None) -> Meter:
    """What a meter counts. ``charge_type`` of Azure or FOCUS: what is no usage meters no model."""
    if (charge_type or "usage").lower() != "usage":
        return NOT_USAGE
    words = " ".join(re.split(r"[\s_\-]+", (meter_name or "").strip().lower()))
    if found := _PROVISIONED.fullmatch(words):
        return Meter("not_usage", deployment_scope=_SCOPES.get((found[1] or "").replace(" ", "")))
    if found := _TOKENS.fullmatch(words.replace("data zone", "datazone")):
        return _token_meter(found["words"].split(" "), re.sub(r"[\s\-]+", "", (subcategory or "").lower()))
    return UNMAPPED


def _token_meter(words: list[str], subcategory: str) -> Meter:
    listed = (_DIRECTIONS, _SCOPES, _CACHES, _WRITES, _PROCESSINGS, _BANDS)
    end = len(words)
    while end and any(words[end - 1] in names for names in listed):
        end -= 1
    model, said = _model(words[:end], subcategory), words[end:]
    token_class = _token_class(said, is_embedding=model is not None and model.startswith(_EMBEDDINGS))
    told = {name: [names[word] for word in said if word in names] for name, names in _NAMED.items()}
    if model is None or token_class is None or any(len(set(found)) > 1 for found in told.values()):
        return UNMAPPED
    processing, scope, band = (next(iter(told[name]), None) for name in _NAMED)
    return Meter("mapped", model, token_class, processing or "standard", band, scope, "Tokens")


_NAMED = {"processing": _PROCESSINGS, "scope": _SCOPES, "band": _BANDS}


def _token_class(said: list[str], *, is_embedding: bool) -> str | None:
    directions = {_DIRECTIONS[word] for word in said if word in _DIRECTIONS}
    is_cached, is_write = not _CACHES.isdisjoint(said), not _WRITES.isdisjoint(said)
    if is_cached and is_write and directions <= {"input"}:
        return "cache_write_5m_tokens"
    if is_write or len(directions) > 1:
        return None
    if is_cached:
        return None if directions == {"output"} else "cache_read_tokens"
    if directions == {"output"}:
        return "output_tokens"
    return "input_uncached_tokens" if directions or is_embedding else None


def _model(words: list[str], subcategory: str) -> str | None:
    name = " ".join(words)
    patterns = [*_MODELS, *((pattern, spelling) for family, pattern, spelling in _BARE if family in subcategory)]
    date = words[-1] if words and re.fullmatch(r"\d{4}", words[-1]) else None
    for text, release in ((name, None), (" ".join(words[:-1]), date)):
        for pattern, spelling in patterns:
            if (text is name or release) and (found := pattern.fullmatch(text)):
                model = spelling.format(*((part or "").replace(" ", "-") for part in found.groups()))
                return model if release is None else _dated(model, release)
    return None


def _dated(model: str, release: str) -> str | None:
    day = _DATES.get(model, {}).get(release)
    return f"{model}-{day}" if day else None
