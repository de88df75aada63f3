"""Several objects that are one delivery, landed as one: a run of an export with its manifest, or the small files of a folder.

A bundle is an uncompressed tar of the objects byte for byte as received, in the order given. The same objects give the same
bytes. It is told from a customer's own tar by its first member's name.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from usage_etl.errors import UnreadableDeliveryError

BUNDLE_MARK = ".usage_etl_bundle"
"""Name of the first, empty member."""

Content = bytes | Callable[[Path], None]
"""Bytes, or a function that writes them to a given local path."""


def write_bundle(target: Path, members: Iterable[tuple[str, Content]]) -> None:
    """Write ``members`` (key as the source names it, content) to ``target``. At most one member is held on disk beside it."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive, tempfile.TemporaryDirectory() as folder:
        archive.addfile(tarfile.TarInfo(BUNDLE_MARK))
        local = Path(folder) / "member"
        for name, content in members:
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                content(local)
                entry.size = local.stat().st_size
                with local.open("rb") as stream:
                    archive.addfile(entry, stream)


def is_bundle(path: Path) -> bool:
    """Whether the file is a bundle that we wrote."""
    with path.open("rb") as raw:
        return raw.read(len(BUNDLE_MARK) + 1) == BUNDLE_MARK.encode() + b"\0"


@contextmanager
def open_bundle(path: Path, source: str) -> Iterator[Iterator[tuple[str, Path]]]:
    """Members in order, each as (key, local file); a member's file is gone once the next one is asked for.

    Raises UnreadableDeliveryError when the bundle is cut or damaged.
    """
    with tempfile.TemporaryDirectory() as folder, bundle_members(path, source) as members:
        yield _saved(members, Path(folder) / "member")


@contextmanager
def open_parts(path: Path, source: str) -> Iterator[Iterator[Path]]:
    """The parts of a landed file in order: the file itself, or the members of a bundle, each gone once the next is asked for.

    Raises UnreadableDeliveryError.
    """
    if not is_bundle(path):
        yield iter((path,))
        return
    with open_bundle(path, source) as members:
        yield (local for _, local in members)


@contextmanager
def bundle_members(path: Path, source: str) -> Iterator[Iterator[tuple[str, BufferedIOBase]]]:
    """Members in order, each as (key, its bytes to read or read again). Raises UnreadableDeliveryError like open_bundle."""
    if not is_bundle(path):
        raise UnreadableDeliveryError(source, "a single file, not a delivery of several: give the folder that holds all of them")
    try:
        with tarfile.open(path, "r:") as archive:
            yield _members(archive)
    except tarfile.TarError as error:
        raise UnreadableDeliveryError(source, f"the bundle is cut or damaged: {error}") from error


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, BufferedIOBase]]:
    for entry in archive:
        if entry.name == BUNDLE_MARK or not entry.isfile():
            continue
        stream = archive.extractfile(entry)
        assert stream is not None, "a regular member has content"
        with stream:
            yield entry.name, cast(BufferedIOBase, stream)
        archive.members = []  # type: ignore[attr-defined]  # a tarfile remembers every member, and there may be very many


def _saved(members: Iterator[tuple[str, BufferedIOBase]], local: Path) -> Iterator[tuple[str, Path]]:
    for name, stream in members:
        with local.open("wb") as target:
            shutil.copyfileobj(stream, target, 1 << 20)
        yield name, local
