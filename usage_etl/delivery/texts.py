"""Text from outside made fit for channels: one printable line, cut to what the other end takes, without its markup."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

_JOINERS = frozenset("\u200d\ufe0f")
"""Part of many emoji; every other invisible mark goes, because some of them turn the reading direction round."""
_ELLIPSIS = "…"


def one_line(text: str) -> str:
    """``text`` on one line: no control characters, no invisible marks, single spaces."""
    return " ".join("".join(_visible(text)).split())


def _visible(text: str) -> Iterable[str]:
    for character in text:
        if character in _JOINERS:
            yield character
        elif not character.isprintable():
            yield "" if unicodedata.category(character) == "Cf" else " "
        else:
            yield character


def clipped(text: str, limit: int, *, escape: Callable[[str], str] = str) -> str:
    """``text`` escaped and at most ``limit`` UTF-16 units long; what is cut ends in an ellipsis, never inside an escape."""
    if utf16_length(escape(text)) <= limit:
        return escape(text)
    kept, room = "", limit - 1
    for character in text:
        escaped = escape(character)
        room -= utf16_length(escaped)
        if room < 0:
            break
        kept += escaped
    return kept.rstrip() + _ELLIPSIS


def utf16_length(text: str) -> int:
    """Length as JavaScript, Java and .NET count: an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
