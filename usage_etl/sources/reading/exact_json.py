"""JSON whose numbers keep the text they were sent as: nothing passes through a float, nothing is re-printed."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


class JsonNumber(str):
    """A number of a JSON document, as its text. ``NaN`` and ``Infinity``, which JSON does not have, arrive so too."""

    __slots__ = ()


def loads(text: str) -> Any:
    """Document from ``text`` with every number a JsonNumber. Raises ValueError, also for a key that stands twice."""
    try:
        return json.loads(
            text, parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=JsonNumber, object_pairs_hook=unique_keys
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def dumps(document: Any) -> str:
    """``document`` on one line, numbers with their own digits. Raises ValueError where it is nested too deeply.

    Lone surrogates, which no UTF-8 file can hold, are written as their escapes.
    """
    try:
        return _text(document).encode("utf-8", "backslashreplace").decode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


_word = json.JSONEncoder(ensure_ascii=False).encode


def _text(document: Any) -> str:
    if isinstance(document, JsonNumber):
        return str(document)
    if isinstance(document, dict):
        return "{" + ",".join([f"{_word(name)}:{_text(part)}" for name, part in document.items()]) + "}"
    if isinstance(document, list):
        return "[" + ",".join([_text(part) for part in document]) + "]"
    return _word(document)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of ``pairs``, for a decoder. Raises ValueError for a key that stands twice."""
    document = dict(pairs)
    if len(document) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"key {counts.most_common(1)[0][0]!r} stands twice in one object")
    return document
