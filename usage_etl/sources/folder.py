"""Objects of a folder or bucket that match a pattern and are not landed yet."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from usage_etl.sources.fetched import FetchedObject


class ListedObject(Protocol):
    """One object of a listing."""

    @property
    def key(self) -> str:
        """Where it lies below the store's location."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the object's bytes are written anew."""
        ...

    @property
    def bytes_count(self) -> int:
        """Its size."""
        ...

    @property
    def modified_at(self) -> dt.datetime | None:
        """When its bytes were written; null where the store does not say."""
        ...


class ReadableStore(Protocol):
    """A folder or bucket that can be listed and read."""

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """All objects whose key starts with ``prefix``, in order of key."""
        ...

    def download(self, key: str, target: Path) -> None:
        """Write the object's bytes to a local file."""
        ...


def list_objects(
    store: ReadableStore,
    *,
    pattern: str,
    known: Collection[tuple[str, str]],
    dataset: str | Callable[[str], str] = "objects",
) -> Iterator[FetchedObject]:
    """Objects whose key matches ``pattern`` and whose (key, version) is not in ``known``, in order of key.

    ``*`` and ``?`` match within one level, ``**/`` any number of levels. An object that grows or is replaced has
    another version and comes again. Names that start with a dot, and empty folders' markers, are left out.
    """
    matches = compile_pattern(pattern)
    prefix = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]
    seen = set(known)
    for found in store.list(f"{prefix}/" if prefix else ""):
        if _is_hidden(found.key) or not matches.fullmatch(found.key) or (found.key, found.version) in seen:
            continue
        yield FetchedObject(
            dataset=dataset if isinstance(dataset, str) else dataset(found.key),
            origin_key=found.key,
            origin_version=found.version,
            content=partial(store.download, found.key),
        )


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Glob to regular expression over whole keys: ``**/`` any levels, ``*`` and ``?`` within a level, ``[...]`` a set."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\]]+\])", pattern)
    return re.compile("".join(_GLOBS.get(part) or _set_or_literal(part) for part in parts))


_GLOBS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _set_or_literal(part: str) -> str:
    if part.startswith("[") and part.endswith("]"):
        return f"[^/{re.escape(part[2:-1])}]" if part[1] == "!" else f"[{part[1:-1]}]"
    return re.escape(part)


def _is_hidden(key: str) -> bool:
    return key.endswith("/") or any(name.startswith(".") for name in key.split("/"))
