"""A landed file's plain bytes: gzip, zstd and zip are known by their first bytes, never by the file's name."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from backports import zstd

from usage_etl.errors import UnreadableDeliveryError

_SKIPPABLE_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # zstd as parallel compressors begin it
_ZIP = b"PK\x03\x04"
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError, zipfile.BadZipFile, NotImplementedError)
"""NotImplementedError: a zip member with a compression method that Python does not know."""


@contextmanager
def open_plain(path: Path, source: str) -> Iterator[BufferedIOBase]:
    """Stream of the decompressed bytes: plain, gzip (also of several members), zstd, or a zip of one file.

    Raises UnreadableDeliveryError, also while it is read inside the ``with``, when the compression is cut or damaged.
    """
    with path.open("rb") as raw, plain_stream(raw, source) as stream:
        yield stream


@contextmanager
def plain_stream(raw: BufferedIOBase, source: str) -> Iterator[BufferedIOBase]:
    """The same of an open file that can be read from its start."""
    try:
        magic = raw.read(4)
        raw.seek(0)
        if magic[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream
        elif magic == b"\x28\xb5\x2f\xfd" or _SKIPPABLE_FRAME.match(magic):
            with zstd.ZstdFile(raw) as stream:
                yield stream
        elif magic == _ZIP:
            with zipfile.ZipFile(raw) as archive, archive.open(_only_member(archive, source)) as member:
                yield cast(BufferedIOBase, member)
        else:
            yield raw
    except _BROKEN as error:
        raise UnreadableDeliveryError(source, f"the compressed file is cut or damaged: {error}") from error


def _only_member(archive: zipfile.ZipFile, source: str) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.is_dir() and not member.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise UnreadableDeliveryError(source, f"the zip holds {len(members)} files; one is read")
    if members[0].flag_bits & 0x1:
        raise UnreadableDeliveryError(source, "the zip is encrypted")
    return members[0]
