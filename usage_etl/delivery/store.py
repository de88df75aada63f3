"""What delivery needs of the out location; any object store of the lake fits."""

from __future__ import annotations

from typing import Protocol


class OutStore(Protocol):
    """Objects by key. ``write`` is atomic: a reader sees the old object, the new one or none, never a part."""

    def head(self, key: str) -> object | None:
        """Something when the object exists, None otherwise."""
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises LakeError when there is none."""
        ...

    def write(self, key: str, data: bytes, *, only_if_absent: bool = False, content_type: str | None = None) -> bool:
        """Store ``data``. False only when ``only_if_absent`` lost to an object with other bytes."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...
