"""What a fetch hands over: one object of a source, with the cheap mark that tells a changed object from a known one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BundleMembers:
    """Which objects a bundle holds."""

    folder: str
    marks: tuple[bytes, ...]
    """``member_mark`` of each."""


def member_mark(key: str, version: str) -> bytes:
    """Mark of 12 bytes by which an object of a bundle is known again."""
    return hashlib.blake2b(f"{key}\n{version}".encode(), digest_size=12).digest()


@dataclass(frozen=True)
class FetchedObject:
    """One object or API answer, as the source sent it.

    ``content`` is the bytes themselves, or a function that writes them to a given local path: large objects never
    stand in memory.
    """

    dataset: str
    """What the object holds, for example ``spend_logs`` or ``costs``."""
    origin_key: str
    """Object key or request as the source names it; stable over deliveries of the same thing."""
    origin_version: str
    """Etag, size and time, or pull time: another version of the same key is another delivery."""
    content: bytes | Callable[[Path], None]
    members: BundleMembers | None = None
    """Set where the object is a bundle of several of the source's objects."""

    def save(self, target: Path) -> None:
        """Write the object to ``target``."""
        if isinstance(self.content, bytes):
            target.write_bytes(self.content)
        else:
            self.content(target)
