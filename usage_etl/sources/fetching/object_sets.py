"""Objects that are one file cut into numbered parts, landed as one delivery: ``part-00000`` and its like in one folder.

A bucket that a delivery covers is replaced whole by the next one, so the parts of one export must not replace each other.
Parts are told by their names alone: the same folder, and names that differ in a part number only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

from usage_etl.config import SourceSettings
from usage_etl.keys import sha256_hex
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.folder import ReadableStore, list_objects
from usage_etl.sources.reading.bundles import write_bundle
from usage_etl.sources.source import OBJECTS, FetchContext

_PART = re.compile(
    r"(?<![A-Za-z0-9])part[-_.]?\d+(?:[-_]\d+)*(?:[-_]?[0-9a-f]{8}-[0-9a-f-]{27})?(?:[-_.]c\d+)?(?![A-Za-z0-9])"
    r"|(?<!\d)(?:0\d{11}|0\d{4})(?!\d)",
    re.IGNORECASE,
)
"""``part-00000-<uuid>.c000`` as Spark writes it, ``part_0_0001`` as Azure, ``000000000000`` as BigQuery, ``00001`` as AWS.
Dates and times of day, which begin otherwise or are shorter or longer, are no part numbers."""


def set_name(key: str) -> str:
    """The key that all parts of one file share: ``#`` in place of the last part number. Other keys stay as they are."""
    folder, slash, name = key.rpartition("/")
    numbers = list(_PART.finditer(name))
    if not numbers:
        return key
    last = numbers[-1]
    return f"{folder}{slash}{name[: last.start()]}#{name[last.end() :]}"


def fetch_sets(settings: SourceSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Every file below ``location`` that is not landed yet; the parts of a cut file as one bundle, all of them each time.

    A set whose parts grew in number or changed is another version of it. Raises LakeError.
    """
    assert settings.location is not None, "the settings of a folder source have a location"
    store = context.open_store(settings.location)
    known = set(context.known)
    found = list_objects(store, dataset=OBJECTS, pattern=settings.pattern, known=())
    for name, parts in groupby(sorted(found, key=lambda part: (set_name(part.origin_key), part.origin_key)), _set_of):
        landed = _delivery(name, tuple(parts), store)
        if (landed.origin_key, landed.origin_version) not in known:
            yield landed


def _set_of(part: FetchedObject) -> str:
    return set_name(part.origin_key)


def _delivery(name: str, parts: Sequence[FetchedObject], store: ReadableStore) -> FetchedObject:
    if len(parts) == 1 and name == parts[0].origin_key:
        return parts[0]
    versions = "\n".join(f"{part.origin_key} {part.origin_version}" for part in parts)
    members = tuple((part.origin_key, partial(store.download, part.origin_key)) for part in parts)
    return FetchedObject(
        dataset=OBJECTS,
        origin_key=name,
        origin_version=f"{len(parts)}-{sha256_hex(versions.encode())[:32]}",
        content=lambda target: write_bundle(target, members),
    )
