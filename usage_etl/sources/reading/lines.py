"""A landed text file as blocks of whole lines, decompressed by content, in bounded memory.

A file that is not JSON lines at all, or whose compressed stream is cut or damaged, is refused whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import Path

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.bundles import bundle_members, is_bundle
from usage_etl.sources.reading.plain import open_plain, plain_stream

BLOCK_BYTES = 4 << 20
"""Plain bytes handed on at a time."""

MAX_LINE_BYTES = 16 << 20
"""Longest line that is read as a record; a longer one is quarantined by its beginning."""

MAX_SKIPPED_BYTES = 1 << 30
"""A line without end beyond this is no line: the file is refused (decompression bombs, binary data)."""

_BOMS = ((b"\xff\xfe\x00\x00", "UTF-32"), (b"\x00\x00\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_UTF8_BOM = b"\xef\xbb\xbf"
_OBJECT_LINE = re.compile(rb'^[ \t]*\{[ \t]*(?:"|\})', re.MULTILINE)
_SNIFFED_LINES = 100
_SHOWN_BYTES = 1 << 16


@dataclass(frozen=True)
class LineBlock:
    """Consecutive physical lines. ``first_ordinal`` is the 1-based number of the first one, blank lines included."""

    data: bytes
    first_ordinal: int
    lines_count: int
    """Physical lines by a counter of line ends, which knows nothing of JSON."""
    is_overlong: bool = False
    """``data`` is only the beginning of one line that is too long to read."""
    fault: str = ""
    """Rule that one record broke which could not be read as lines at all; ``data`` then says which and why."""


def read_line_blocks(path: Path, source: str, *, max_line_bytes: int | None = None) -> Iterator[LineBlock]:
    """Blocks of whole lines of a JSON-lines file: plain, gzip (also of several members), zstd or a zip of one file.

    ``max_line_bytes`` instead of the usual limit is for sources whose lines hold many records each.

    A bundle is read like the one file that its members would make, each decompressed for itself. Of a member that is not
    JSON lines, or is cut or damaged, the whole lines before the damage are read, and a block with a ``fault`` names it.

    Raises UnreadableDeliveryError when the file is UTF-16, a JSON array, CSV or binary, or its compression is broken.
    """
    if is_bundle(path):
        yield from _Joined(source, max_line_bytes or MAX_LINE_BYTES).blocks(path)
        return
    with open_plain(path, source) as stream:
        yield from _blocks(stream, source, max_line_bytes or MAX_LINE_BYTES)


class _Joined:
    """The lines of a bundle's members, joined to blocks."""

    def __init__(self, source: str, max_line_bytes: int) -> None:
        self._source, self._max_line_bytes = source, max_line_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._ordinal = 1

    def blocks(self, path: Path) -> Iterator[LineBlock]:
        """Blocks of all members, in order."""
        with bundle_members(path, self._source) as members:
            for name, raw in members:
                try:
                    for block in self._of_member(raw):
                        if block.is_overlong:
                            yield from self._flush()
                            yield replace(block, first_ordinal=self._next(1))
                        else:
                            self._hold(block.data)
                        if self._held_bytes >= BLOCK_BYTES:
                            yield from self._flush()
                except UnreadableDeliveryError as error:
                    yield from self._flush()
                    yield LineBlock(f"{name}: {error.reason}".encode(), self._next(1), lines_count=1, fault="member__unreadable")
        yield from self._flush()

    def _of_member(self, raw: BufferedIOBase) -> Iterator[LineBlock]:
        with plain_stream(raw, self._source) as stream:
            start = _read_up_to(stream, BLOCK_BYTES + 1)
            if len(start) <= BLOCK_BYTES:
                data = _on_one_line(start.removeprefix(_UTF8_BOM))
                refuse_other_formats(data, self._source)
                yield LineBlock(data, 1, lines_count=0)
                return
        raw.seek(0)
        with plain_stream(raw, self._source) as stream:
            yield from _blocks(stream, self._source, self._max_line_bytes)

    def _hold(self, data: bytes) -> None:
        if data:
            self._held += [data] if data.endswith(b"\n") else [data, b"\n"]
            self._held_bytes += len(data)

    def _flush(self) -> Iterator[LineBlock]:
        if self._held:
            block = _block(b"".join(self._held), self._ordinal)
            self._next(block.lines_count)
            self._held, self._held_bytes = [], 0
            yield block

    def _next(self, lines_count: int) -> int:
        """First of the next ``lines_count`` ordinals."""
        first, self._ordinal = self._ordinal, self._ordinal + lines_count
        return first


def _read_up_to(stream: BufferedIOBase, size: int) -> bytes:
    data = stream.read(size)
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def _on_one_line(data: bytes) -> bytes:
    """A document that is written over several lines on one. Line ends in JSON are never inside a value."""
    text = data.strip()
    first_line = text.split(b"\n", 1)[0].rstrip()
    if len(first_line) == len(text) or (first_line.endswith(b"}") and len(first_line) > 1) or not text.endswith(b"}"):
        return data
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return data
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def _blocks(stream: BufferedIOBase, source: str, max_line_bytes: int) -> Iterator[LineBlock]:
    buffer = bytearray(BLOCK_BYTES)
    filled, ordinal, is_first = 0, 1, True
    while True:
        view = memoryview(buffer)
        count = _read_full(stream, view[filled:])
        filled += count
        if is_first:
            filled = _drop_bom(buffer, filled)
            refuse_other_formats(bytes(view[:filled]), source)
            is_first = False
        if filled < len(buffer):
            if filled:
                yield _block(bytes(view[:filled]), ordinal)
            return
        cut = buffer.rfind(b"\n", 0, filled) + 1
        if cut:
            block = _block(bytes(view[:cut]), ordinal)
            yield block
            ordinal += block.lines_count
            view[: filled - cut] = bytes(view[cut:filled])
            filled -= cut
            if len(buffer) > BLOCK_BYTES and filled < BLOCK_BYTES:
                buffer = bytearray(view[:BLOCK_BYTES])
        elif len(buffer) < max_line_bytes:
            buffer = bytearray(view) + bytearray(len(buffer))
        else:
            yield LineBlock(bytes(view[:_SHOWN_BYTES]), ordinal, lines_count=1, is_overlong=True)
            filled = _skip_line(stream, buffer, source)
            ordinal += 1


def _block(data: bytes, first_ordinal: int) -> LineBlock:
    lines_count, end = int(not data.endswith(b"\n")), data.find(b"\n")
    while end >= 0:  # for lines of this length several times faster than bytes.count
        lines_count += 1
        end = data.find(b"\n", end + 1)
    return LineBlock(data, first_ordinal, lines_count)


def _read_full(stream: BufferedIOBase, view: memoryview) -> int:
    """Fill ``view``; fewer bytes mean the end of the file."""
    filled = 0
    while filled < len(view):
        count = stream.readinto(view[filled:])
        if not count:
            break
        filled += count
    return filled


def _drop_bom(buffer: bytearray, filled: int) -> int:
    if not buffer.startswith(_UTF8_BOM):
        return filled
    size = len(_UTF8_BOM)
    buffer[: filled - size] = buffer[size:filled]
    return filled - size


def _skip_line(stream: BufferedIOBase, buffer: bytearray, source: str) -> int:
    """Read past the end of the current line; returns how many bytes of the next lines stand in ``buffer``."""
    skipped = len(buffer)
    while skipped <= MAX_SKIPPED_BYTES:
        count = _read_full(stream, memoryview(buffer)[:BLOCK_BYTES])
        end = buffer.find(b"\n", 0, count) + 1
        if end:
            buffer[: count - end] = buffer[end:count]
            return count - end
        if count < BLOCK_BYTES:
            return 0
        skipped += count
    raise UnreadableDeliveryError(source, f"one line is longer than {MAX_SKIPPED_BYTES} bytes")


def refuse_other_formats(start: bytes, source: str) -> None:
    """Raises UnreadableDeliveryError when a file that begins with ``start`` cannot be JSON lines. Empty is fine."""
    for bom, encoding in _BOMS:
        if start.startswith(bom):
            raise UnreadableDeliveryError(source, f"the file is {encoding}; JSON lines are UTF-8")
    head = start[:256]
    if len(head) >= 8 and head.count(0) * 3 > len(head) and b"{" in head:
        raise UnreadableDeliveryError(source, "the file is UTF-16 or UTF-32; JSON lines are UTF-8")
    text = start.lstrip()
    if text.startswith(b"["):
        raise UnreadableDeliveryError(source, "the file is a JSON array, not one JSON object per line")
    sniffed = b"\n".join(text.split(b"\n", _SNIFFED_LINES)[:_SNIFFED_LINES])
    if sniffed and _OBJECT_LINE.search(sniffed) is None:
        raise UnreadableDeliveryError(source, "no line begins a JSON object: not JSON lines")
