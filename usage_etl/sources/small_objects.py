"""Many small objects of a folder or bucket as few deliveries: those of one folder and span of time are landed as one.

Loggers that write an object per call make a million objects a day; a delivery each would cost more than their content. A
pack is one bundle of the objects whose names fall together; when one more appears, the pack is landed again whole, and its
rows replace themselves by their ids. Which pack an object belongs to is told by its key alone.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.keys import sha256_hex
from usage_etl.sources.bundles import is_bundle, open_bundle, write_bundle
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.folder import ReadableStore, list_objects
from usage_etl.sources.plain import open_plain

_log = logging.getLogger(__name__)

PackOf = Callable[[str], str | None]
"""Object key to the key of its pack; null for an object that is landed by itself."""


def list_packed(
    store: ReadableStore,
    *,
    pattern: str,
    known: Collection[tuple[str, str]],
    dataset: str,
    pack_of: PackOf,
    is_wanted: Callable[[str], bool],
) -> Iterator[FetchedObject]:
    """Wanted objects that match ``pattern`` and are not landed yet, then the packs with one that is not, by key each."""
    packs: dict[str, list[tuple[str, str]]] = {}
    for found in list_objects(store, pattern=pattern, known=(), dataset=dataset):
        if not is_wanted(found.origin_key):
            continue
        pack = pack_of(found.origin_key)
        if pack is not None:
            packs.setdefault(pack, []).append((found.origin_key, found.origin_version))
        elif (found.origin_key, found.origin_version) not in known:
            yield found
    for pack, members in packs.items():
        version = f"{len(members)}-{sha256_hex(repr(members).encode())[:16]}"
        if (pack, version) not in known:
            yield FetchedObject(dataset, pack, version, partial(_write_pack, store, [key for key, _ in members]))


def _write_pack(store: ReadableStore, keys: list[str], target: Path) -> None:
    write_bundle(target, ((key, partial(store.download, key)) for key in keys))


@contextmanager
def lines_of(path: Path, source: str) -> Iterator[Path]:
    """``path`` itself, or the lines of all objects of a pack in one file, plain.

    An object of a pack that cannot be decompressed is one line that says so and is refused as a record; a single object is
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
