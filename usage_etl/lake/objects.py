"""Objects by key, on a folder or in a bucket: what every store offers, and which keys it accepts."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from usage_etl.errors import LakeError, MissingObjectError

_READERS = 32
_KEYS_AT_ONCE = 16

MAX_KEY_BYTES = 1024
"""Longest key of S3, in UTF-8; folders keep to it too."""


AssertHeld = Callable[[], None]
"""Raises TransientLakeError when a lock has been lost, because its holder was slower than any holder should be."""


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object. ``version`` changes whenever its bytes are written anew."""

    key: str
    bytes_count: int
    version: str
    """ETag of a bucket's object, ``<size>-<mtime_ns>`` of a file."""
    modified_at: dt.datetime | None = field(default=None, compare=False)
    """When the store wrote it, where it says so; by the store's clock."""


class ObjectStore(Protocol):
    """Objects by key below one location. Writes are atomic: readers see the old object, the new one or none.

    All methods raise LakeError for a key that ``check_key`` refuses, and TransientLakeError when trying again can help.
    """

    @property
    def storage_options(self) -> dict[str, str] | None:
        """Options for Polars' own scans and sinks of ``address``; None for folders. Holds secrets: never log it."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with ``prefix``, in order of key."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """The object without its bytes; None when there is none."""
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes, complete. Raises MissingObjectError when there is none."""
        ...

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Key and bytes of many small objects, in order; None for one that is not there. Several are read at once."""
        ...

    def digest(self, key: str) -> str:
        """Hex SHA-256 of the stored bytes, read now. Raises MissingObjectError when there is none."""
        ...

    def download(self, key: str, target: Path) -> None:
        """Write the object's bytes, complete, to a local file. Raises MissingObjectError when there is none."""
        ...

    def write(self, key: str, data: bytes, *, only_if_absent: bool = False, content_type: str | None = None) -> bool:
        """Store ``data``. False only when ``only_if_absent`` lost to an object with other bytes."""
        ...

    def upload(self, key: str, source: Path | bytes) -> ObjectInfo:
        """Store bytes, or those of a local file; the object as it stands then."""
        ...

    def copy(self, key: str, target_key: str) -> None:
        """Store the same bytes under another key. Raises MissingObjectError when there is none."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...

    def discard_abandoned(self, *, older_than_days: float = 1.0) -> int:
        """Remove what broken writes left behind, invisible to readers; how many pieces."""
        ...

    def lock(self, name: str) -> AbstractContextManager[AssertHeld]:
        """The only holder of ``name`` among all processes that use the location, for the time of the block.

        Waits for another holder; one that died holds it no longer than a few minutes. Raises TransientLakeError when
        the wait is too long. The block calls what it is given before its decisive write.
        """
        ...

    def address(self, key: str) -> str:
        """What Polars scans: an absolute path or ``s3://bucket/key``."""
        ...


def read_in_order(keys: Sequence[str], read: Callable[[str], bytes]) -> Iterator[tuple[str, bytes | None]]:
    """``read`` of each key by several threads, given on in order; memory holds a few hundred objects."""

    def pieces(some: Sequence[str]) -> list[tuple[str, bytes | None]]:
        found: list[tuple[str, bytes | None]] = []
        for key in some:
            try:
                found.append((key, read(key)))
            except MissingObjectError:
                found.append((key, None))
        return found

    chunks = (keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE))
    with ThreadPoolExecutor(_READERS) as pool:
        waiting = deque(pool.submit(pieces, chunk) for chunk in itertools.islice(chunks, 2 * _READERS))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(pieces, chunk) for chunk in itertools.islice(chunks, 1))


def check_key(key: str) -> str:
    """``key`` itself when it names one place below any location.

    Raises LakeError for an absolute key, an empty, ``.`` or ``..`` segment (a backslash counts as a slash), NUL, text
    that is not valid Unicode, and more than ``MAX_KEY_BYTES``.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise LakeError(f"unsafe key {key!r}: not valid Unicode") from error
    if size > MAX_KEY_BYTES:
        raise LakeError(f"unsafe key {key[:60]!r}…: {size} bytes, at most {MAX_KEY_BYTES} are accepted")
    if "\0" in key or {"", ".", ".."} & set(key.replace("\\", "/").split("/")):
        raise LakeError(f"unsafe key {key!r}: use relative keys without empty, '.' or '..' segments")
    return key
