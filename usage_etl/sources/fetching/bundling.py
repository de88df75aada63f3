"""New objects of a folder as deliveries: the small ones of a folder together, or each on its own."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from usage_etl.keys import sha256_hex
from usage_etl.sources.fetched import BundleMembers, FetchedObject, member_mark
from usage_etl.sources.fetching.folder import ListedObject, ReadableStore, single
from usage_etl.sources.reading.bundles import write_bundle

_log = logging.getLogger(__name__)

MEMBER_BYTES = 1 << 20
"""Largest object that is put into a bundle."""

BUNDLE_OBJECTS = 20_000
BUNDLE_BYTES = 256 << 20
"""A bundle that is fuller is closed, so that a run that is cut short loses little."""

MANY_OBJECTS = 1_000
"""A folder with so many objects, landed or new, is one of small objects."""

_SUFFIX = ".bundle"


@dataclass(frozen=True)
class Bundler:
    """How the objects of one source are put together, and which are landed already."""

    store: ReadableStore
    dataset: str
    mode: str
    """``none``, ``folder`` or ``auto``, as in the settings."""
    known: Collection[tuple[str, str]]
    """(key, version) of every object that was landed on its own."""
    known_members: Callable[[str], Collection[bytes]]
    """Marks of the objects of a folder that were landed in bundles."""
    is_small: Callable[[str], bool] = lambda _: False
    """Whether a key is that of one of very many objects: with ``auto`` they are bundled from the first one on."""

    def deliveries(self, objects: Iterable[ListedObject]) -> Iterator[FetchedObject]:
        """The new ones of ``objects``, which come in order of key."""
        for folder, found in itertools.groupby(objects, key=_folder):
            yield from self._of_folder(folder, found)

    def _of_folder(self, folder: str, objects: Iterable[ListedObject]) -> Iterator[FetchedObject]:
        members = self.known_members(folder) if folder in self._bundled else ()
        held: list[ListedObject] = []
        bytes_count = 0
        for found in objects:
            if (found.key, found.version) in self._seen or (members and member_mark(found.key, found.version) in members):
                continue
            if self.mode == "none" or found.bytes_count > MEMBER_BYTES:
                yield single(self.store, found, dataset=self.dataset)
                continue
            held.append(found)
            bytes_count += found.bytes_count
            if len(held) >= BUNDLE_OBJECTS or bytes_count >= BUNDLE_BYTES:
                yield self._bundle(folder, held)
                held, bytes_count = [], 0
        is_many = members or len(held) + self._singles[folder] >= MANY_OBJECTS
        if held and (self.mode == "folder" or is_many or self.is_small(held[0].key)):
            yield self._bundle(folder, held)
        else:
            yield from (single(self.store, found, dataset=self.dataset) for found in held)

    def _bundle(self, folder: str, objects: Sequence[ListedObject]) -> FetchedObject:
        marks = tuple(member_mark(found.key, found.version) for found in objects)
        digest = sha256_hex(b"".join(marks))[:16]
        return FetchedObject(
            dataset=self.dataset,
            origin_key=f"{folder}/{digest}{_SUFFIX}" if folder else f"{digest}{_SUFFIX}",
            origin_version=f"{len(objects)} objects",
            content=partial(_write, self.store, [found.key for found in objects]),
            members=BundleMembers(folder, marks),
        )

    @cached_property
    def _seen(self) -> set[tuple[str, str]]:
        return set(self.known)

    @cached_property
    def _bundled(self) -> set[str]:
        """Folders of which a bundle is landed."""
        return {key.rpartition("/")[0] for key, _ in self.known if key.endswith(_SUFFIX)}

    @cached_property
    def _singles(self) -> Counter[str]:
        return Counter(key.rpartition("/")[0] for key, _ in self.known)


def _write(store: ReadableStore, keys: Sequence[str], target: Path) -> None:
    """Objects that are gone since they were listed are left out, and named in the log."""

    def found() -> Iterator[tuple[str, bytes]]:
        for key, data in store.read_many(keys):
            if data is None:
                _log.warning("key=%s: listed, and gone before it was read; it is in no delivery", key)
            else:
                yield key, data

    write_bundle(target, found())


def _folder(found: ListedObject) -> str:
    return found.key.rpartition("/")[0]
