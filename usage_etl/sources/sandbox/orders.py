"""What goes over the pipes between a run and the child that parses for it: orders there, answers back."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import TypeAdapter

from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.staging import StagedDelivery

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True)
class Order:
    """Parse one landed local file into a work folder."""

    kind: str
    path: str
    work_folder: str
    context: ParseContext
    cpu_s: int
    """Seconds of processor time that it may take."""


@dataclass(frozen=True)
class Answer:
    """What became of an order: staged, refused as unreadable, or failed by a fault of ours. One of the three is set."""

    staged: StagedDelivery | None = None
    refused: str | None = None
    failed: str | None = None
    is_permanent: bool = True

    def encoded(self) -> bytes:
        """As JSON: what comes back from a child that read a hostile file is data, never code."""
        return _ANSWER.dump_json(self)

    @staticmethod
    def decoded(frame: bytes) -> Answer:
        """Raises ValueError for anything but an answer."""
        return _ANSWER.validate_json(frame)


_ANSWER = TypeAdapter(Answer)


def write_frame(pipe: BinaryIO, content: bytes) -> None:
    """One message."""
    pipe.write(_LENGTH.pack(len(content)) + content)
    pipe.flush()


def read_frame(pipe: BinaryIO) -> bytes:
    """One message; empty at the end of the pipe, also where it ends within a message."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return b""
    (length,) = _LENGTH.unpack(head)
    content = pipe.read(length)
    return content if len(content) == length else b""
