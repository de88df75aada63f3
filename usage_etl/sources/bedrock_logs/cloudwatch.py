"""What CloudWatch Logs makes of the records: lines that begin with a time, or messages inside of envelopes.

An export task writes each record behind its time of arrival. A subscription (Firehose, Lambda) writes envelopes of many
records, one after the other, often without any end of line between them.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from usage_etl.sources.reading.lines import MAX_LINE_BYTES
from usage_etl.sources.reading.plain import open_plain

_ARRIVED = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z[ \t]+(?=\{)")
_ENVELOPE = re.compile(rb'^\s*\{[^{}\[]*"(?:messageType|logEvents)"\s*:')
_SNIFFED_BYTES = 1 << 16


@contextmanager
def records_of(path: Path, source: str) -> Iterator[Path]:
    """``path`` itself, or the records that CloudWatch Logs wrapped as lines of a file of their own.

    What is no envelope among envelopes stays a line and is refused as one. Raises UnreadableDeliveryError.
    """
    with open_plain(path, source) as stream:
        start = stream.read(_SNIFFED_BYTES)
    is_enveloped = _ENVELOPE.match(start) is not None
    if not is_enveloped and _ARRIVED.match(start) is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "records.jsonl"
        with lines.open("wb") as target, open_plain(path, source) as stream:
            target.writelines(_messages(stream) if is_enveloped else _without_times(stream))
        yield lines


def _without_times(stream: BufferedIOBase) -> Iterator[bytes]:
    for line in iter(lambda: stream.readline(MAX_LINE_BYTES), b""):
        yield _ARRIVED.sub(b"", line, count=1)


def _messages(stream: BufferedIOBase) -> Iterator[bytes]:
    """Messages of the envelopes. Text is read on until an envelope is whole."""
    decoder, text, is_more = json.JSONDecoder(), "", True
    pending = b""
    while is_more or text.strip():
        try:
            envelope, end = decoder.raw_decode(text := text.lstrip())
        except (ValueError, RecursionError):
            read = stream.read(1 << 20)
            is_more = bool(read)
            if is_more and len(text) < 8 * MAX_LINE_BYTES:
                whole, pending = _cut_utf8(pending + read)
                text += whole
                continue
            line, _, text = text.partition("\n")
            yield line.encode() + b"\n"
            continue
        text = text[end:]
        yield from _lines_of(envelope)


def _cut_utf8(data: bytes) -> tuple[str, bytes]:
    """Text of whole characters, and the bytes of one that goes on."""
    for cut in range(4):
        try:
            return data[: len(data) - cut].decode(), data[len(data) - cut :]
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace"), b""


def _lines_of(envelope: object) -> Iterator[bytes]:
    events = envelope.get("logEvents") if isinstance(envelope, dict) else None
    if not isinstance(events, list):
        yield json.dumps(envelope).encode() + b"\n"
        return
    if isinstance(envelope, dict) and envelope.get("messageType") == "CONTROL_MESSAGE":
        return
    for event in events:
        message = event.get("message") if isinstance(event, dict) else event
        text = message if isinstance(message, str) else json.dumps(message)
        yield text.replace("\r", " ").replace("\n", " ").encode("utf-8", "replace") + b"\n"
