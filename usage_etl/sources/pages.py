"""Saved API pages: one page object per file, or one per line; plain or gzip; with or without the line of a pull.

A file that our own fetch landed begins with a line ``{"usage_etl_pull": {...}}`` that says what was asked and when. Its
other lines, and every line of a file that a customer saved, are page bodies with the provider's own digits.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.exact_json import loads

PULL_KEY = "usage_etl_pull"
PAGE_BYTES_LIMIT = 256 * 1024**2
"""Largest page that is read; a week of a very large organisation is far below."""

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Page:
    """One page body. ``dataset`` is what the pull asked for, and when; both null where a customer saved the page."""

    document: Mapping[str, Any]
    dataset: str | None
    pulled: Mapping[str, Any] | None = None
    """What the pull asked and when; null where a customer saved the page."""

    @property
    def pulled_at(self) -> dt.datetime | None:
        """When it was pulled; null where a customer saved the page, or the pull does not say."""
        return _instant((self.pulled or {}).get("pulled_at"))


def pull_line(facts: Mapping[str, Any]) -> bytes:
    """First line of a landed pull: dataset, endpoint, parameters, window and instant."""
    return json.dumps({PULL_KEY: facts}, sort_keys=True, separators=(",", ":")).encode()


def page_line(body: bytes) -> bytes:
    """A page body on one line. Line ends in JSON are never inside a value, so no value changes."""
    return body.strip().replace(b"\r", b" ").replace(b"\n", b" ")


def read_pages(path: Path, *, source: str) -> Iterator[Page]:
    """Pages of one landed file, in order; none of an empty file. Raises UnreadableDeliveryError."""
    with closing(_open(path)) as stream:
        try:
            documents = _documents(stream, source)
            first = next(documents, None)
            if first is None:
                return
            pulled = _pull_facts(first)
            dataset = str(pulled.get("dataset")) if pulled is not None else None
            if pulled is None:
                yield Page(_mapping(first, source), None)
            for document in documents:
                yield Page(_mapping(document, source), dataset, pulled)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableDeliveryError(source, f"cut or damaged gzip file: {error}") from error


def _open(path: Path) -> BinaryIO:
    """By content, not by name: ``.gz`` files without compression exist, and the other way round."""
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == _GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip else path.open("rb")


def _documents(stream: BinaryIO, source: str) -> Iterator[Any]:
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


def _next_line(stream: BinaryIO, source: str) -> bytes | None:
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


def _pull_facts(document: Any) -> Mapping[str, Any] | None:
    """What a pull's first line says; null where the line is a page."""
    facts = document.get(PULL_KEY) if isinstance(document, dict) else None
    return facts if isinstance(facts, dict) else None


def _instant(text: object) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _mapping(document: Any, source: str) -> Mapping[str, Any]:
    if isinstance(document, dict):
        return document
    what = "list" if isinstance(document, list) else "single value"
    raise UnreadableDeliveryError(source, f"a {what}, not a page; save the API's answers as they were received")
