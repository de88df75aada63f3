"""A landed text file as blocks of whole lines, decompressed by content, in bounded memory.

A file that is not JSON lines at all, or whose compressed stream is cut or damaged, is refused whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.plain import open_plain

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


def read_line_blocks(path: Path, source: str, *, max_line_bytes: int | None = None) -> Iterator[LineBlock]:
    """Blocks of whole lines of a JSON-lines file: plain, gzip (also of several members), zstd or a zip of one file.

    ``max_line_bytes`` instead of the usual limit is for sources whose lines hold many records each.

    Raises UnreadableDeliveryError when the file is UTF-16, a JSON array, CSV or binary, or its compression is broken.
    """
    with open_plain(path, source) as stream:
        yield from _blocks(stream, source, max_line_bytes or MAX_LINE_BYTES)


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
