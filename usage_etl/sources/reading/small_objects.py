"""The lines of a bundle's objects in one plain file, for parsers that have to see a file as a whole first."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.bundles import is_bundle, open_bundle
from usage_etl.sources.reading.plain import open_plain

_log = logging.getLogger(__name__)


@contextmanager
def lines_of(path: Path, source: str) -> Iterator[Path]:
    """``path`` itself, or the lines of all objects of a bundle in one file, plain.

    An object of a bundle that cannot be decompressed is one line that says so and is refused as a record; a single object is
    refused whole. Raises UnreadableDeliveryError when the bundle itself is damaged.
    """
    if not is_bundle(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines.jsonl"
        with lines.open("wb") as target, open_bundle(path, source) as members:
            for key, local in members:
                _append(target, key, local, source)
        yield lines


def _append(target: BinaryIO, key: str, local: Path, source: str) -> None:
    start = target.tell()
    try:
        with open_plain(local, source) as stream:
            shutil.copyfileobj(stream, target, 1 << 20)
    except UnreadableDeliveryError as error:
        target.seek(start)
        target.truncate()
        _log.warning("source=%s object=%s unreadable=%s", source, key, error.reason)
        target.write(f"object {key} cannot be read: {error.reason}".encode())
    target.write(b"\n")
