"""Saved API pages: one page object per file, or one per line; plain or compressed; with or without the line of a pull.

A file that our own fetch landed begins with a line ``{"usage_etl_pull": {...}}`` that says what was asked and when. Its
other lines, and every line of a file that a customer saved, are page bodies with the provider's own digits.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Any, TypeVar

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.exact_json import loads
from usage_etl.sources.reading.plain import open_plain

PULL_KEY = "usage_etl_pull"
PAGE_BYTES_LIMIT = 256 * 1024**2
"""Largest page that is read; a week of a very large organisation is far below."""

_Moment = TypeVar("_Moment", dt.date, dt.datetime)
_WIDTH_PARAMETERS = ("bucket_width", "time_bucket_width")


@dataclass(frozen=True)
class Pulled:
    """What the first line of a landed pull says; null where it does not say it."""

    dataset: str | None = None
    first_day: dt.date | None = None
    last_day: dt.date | None = None
    pulled_at: dt.datetime | None = None
    width: str | None = None
    """Width of the buckets that were asked for, as the provider spells it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The line as it is."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Pulled:
        """From the facts of the line."""
        asked = facts.get("parameters")
        pairs = [pair for pair in asked if isinstance(pair, list) and len(pair) == 2] if isinstance(asked, list) else []
        widths = [str(text) for name, text in pairs if name in _WIDTH_PARAMETERS]
        pulled_at = _read(dt.datetime.fromisoformat, facts.get("pulled_at"))
        return cls(
            dataset=str(facts["dataset"]) if facts.get("dataset") is not None else None,
            first_day=_read(dt.date.fromisoformat, facts.get("first_day")),
            last_day=_read(dt.date.fromisoformat, facts.get("last_day")),
            pulled_at=pulled_at.astimezone(dt.UTC) if pulled_at is not None and pulled_at.tzinfo else None,
            width=next(iter(widths), None),
            facts=facts,
        )


@dataclass(frozen=True)
class Page:
    """One page body. ``pulled`` says nothing where a customer saved the page."""

    document: Mapping[str, Any]
    pulled: Pulled = Pulled()


def pull_line(facts: Mapping[str, Any]) -> bytes:
    """First line of a landed pull: dataset, endpoint, parameters, window and instant."""
    return json.dumps({PULL_KEY: facts}, sort_keys=True, separators=(",", ":")).encode()


def page_line(body: bytes) -> bytes:
    """A page body on one line. Line ends in JSON are never inside a value, so no value changes."""
    return body.strip().replace(b"\r", b" ").replace(b"\n", b" ")


def read_pages(path: Path, *, source: str) -> Iterator[Page]:
    """Pages of one landed file, in order; none of an empty file. Raises UnreadableDeliveryError."""
    with open_plain(path, source) as stream:
        documents = _documents(stream, source)
        first = next(documents, None)
        if first is None:
            return
        pulled = _pulled(first)
        if pulled is None:
            yield Page(_mapping(first, source))
        for document in documents:
            yield Page(_mapping(document, source), pulled or Pulled())


def _documents(stream: BufferedIOBase, source: str) -> Iterator[Any]:
    """One document per line, or the whole file as one document where its first line is not complete in itself."""
    line = _next_line(stream, source)
    if line is None:
        return
    text = _decoded(line, source, encoding="utf-8-sig")
    try:
        yield loads(text)
    except ValueError:
        rest = stream.read(PAGE_BYTES_LIMIT + 1)
        _check_size(rest, source)
        yield _loaded(text + _decoded(rest, source), source)
        return
    while (line := _next_line(stream, source)) is not None:
        yield _loaded(_decoded(line, source), source)


def _next_line(stream: BufferedIOBase, source: str) -> bytes | None:
    """Next line that is not blank."""
    while line := stream.readline(PAGE_BYTES_LIMIT + 1):
        _check_size(line, source)
        if line.strip(b" \t\r\n\xef\xbb\xbf"):
            return line
    return None


def _check_size(content: bytes, source: str) -> None:
    if len(content) > PAGE_BYTES_LIMIT:
        raise UnreadableDeliveryError(source, f"a page is larger than {PAGE_BYTES_LIMIT // 1024**2} MiB; save smaller windows")


def _decoded(content: bytes, source: str, *, encoding: str = "utf-8") -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableDeliveryError(source, f"not UTF-8 text ({error.reason} at byte {error.start})") from error


def _loaded(text: str, source: str) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise UnreadableDeliveryError(source, f"not JSON pages: {error}; the file may be cut") from error


def _pulled(document: Any) -> Pulled | None:
    """What a pull's first line says; null where the line is a page."""
    facts = document.get(PULL_KEY) if isinstance(document, dict) else None
    return Pulled.of(facts) if isinstance(facts, dict) else None


def _read(convert: Callable[[str], _Moment], cell: Any) -> _Moment | None:
    try:
        return convert(str(cell))
    except ValueError:
        return None


def _mapping(document: Any, source: str) -> Mapping[str, Any]:
    if isinstance(document, dict):
        return document
    what = "list" if isinstance(document, list) else "single value"
    raise UnreadableDeliveryError(source, f"a {what}, not a page; save the API's answers as they were received")
