"""A landed OTLP/JSON file as a file of lines, whichever exporter wrote it.

The collector's file exporter writes one document per line; with compression it writes frames instead, each a length of four
bytes and a zstd stream. The S3 exporter writes one document per object. A document printed over many lines is folded.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO

from backports import zstd

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.plain import open_plain

MAX_DOCUMENT_BYTES = 64 << 20
"""Longest document that is read; a longer line is refused as a line, a longer frame with its file."""

_ZSTD = b"\x28\xb5\x2f\xfd"
_HEAD_BYTES = 1 << 16


@contextmanager
def as_lines(path: Path, source: str) -> Iterator[Path]:
    """A file of one document per line: ``path`` itself where it is one, else a copy that is gone afterwards.

    Raises UnreadableDeliveryError.
    """
    with path.open("rb") as raw:
        head = raw.read(8)
    is_framed = head[4:8] == _ZSTD or (head[:1] == b"\0" and head[4:5] == b"{")
    if not is_framed and not _is_folded(path, source):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "lines.jsonl"
        with copy.open("wb") as target:
            if is_framed:
                _unframe(path, target, source)
            else:
                target.write(_one_line(path, source))
        yield copy


def _unframe(path: Path, target: BinaryIO, source: str) -> None:
    """Write each frame's document as a line; all of them, or the file is refused: a cut frame has no next one."""
    with path.open("rb") as raw:
        while prefix := raw.read(4):
            size = int.from_bytes(prefix, "big")
            if len(prefix) < 4 or size > MAX_DOCUMENT_BYTES:
                raise UnreadableDeliveryError(source, "a frame of the file exporter is cut, damaged or too large")
            body = raw.read(size)
            if len(body) < size:
                raise UnreadableDeliveryError(source, "the last frame of the file exporter is cut: still written, or damaged")
            document = _decompressed(body, source) if body.startswith(_ZSTD) else body
            if not document.lstrip().startswith(b"{"):
                raise UnreadableDeliveryError(source, "the frames are not JSON; set the file exporter's format to json")
            target.write(document.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")


def _decompressed(body: bytes, source: str) -> bytes:
    try:
        found = zstd.ZstdDecompressor().decompress(body, MAX_DOCUMENT_BYTES + 1)
    except zstd.ZstdError as error:
        raise UnreadableDeliveryError(source, f"a frame of the file exporter is damaged: {error}") from error
    if len(found) > MAX_DOCUMENT_BYTES:
        raise UnreadableDeliveryError(source, f"a document is larger than {MAX_DOCUMENT_BYTES} bytes")
    return found


def _is_folded(path: Path, source: str) -> bool:
    """Whether the first line begins a document and does not end one, and more lines follow."""
    with open_plain(path, source) as stream:
        head = _read(stream, _HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    first, end, _ = head.partition(b"\n")
    return bool(end) and first.startswith(b"{") and not first.rstrip().endswith(b"}")


def _one_line(path: Path, source: str) -> bytes:
    with open_plain(path, source) as stream:
        text = _read(stream, MAX_DOCUMENT_BYTES + 1)
    if len(text) > MAX_DOCUMENT_BYTES:
        raise UnreadableDeliveryError(source, f"a document printed over many lines is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        return json.dumps(json.loads(text), separators=(",", ":")).encode() + b"\n"
    except (ValueError, RecursionError):
        return text


def _read(stream: BufferedIOBase, size: int) -> bytes:
    found = b""
    while len(found) < size and (block := stream.read(size - len(found))):
        found += block
    return found
