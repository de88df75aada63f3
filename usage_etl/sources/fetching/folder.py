"""Objects of a folder or bucket that match a pattern and are not landed yet."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from usage_etl.sources.fetched import FetchedObject

DateWindow = Sequence[dt.date]
"""Days in order."""


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

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Key and bytes of many small objects, in order; None for one that is not there."""
        ...


def list_objects(
    store: ReadableStore,
    *,
    pattern: str,
    known: Collection[tuple[str, str]],
    dataset: str | Callable[[str], str] = "objects",
    days: DateWindow | None = None,
) -> Iterator[FetchedObject]:
    """Objects whose key matches ``pattern`` and whose (key, version) is not in ``known``, in order of key.

    ``*`` and ``?`` match within one level, ``**/`` any number of levels, ``{date}``, ``{yyyy}``, ``{mm}`` and ``{dd}`` a
    day; with ``days`` only these are listed. An object that grows or is replaced has another version and comes again.
    Names that start with a dot, and empty folders' markers, are left out.
    """
    seen = set(known)
    for found in matching_objects(store, pattern=pattern, days=days):
        if (found.key, found.version) not in seen:
            yield single(store, found, dataset=dataset if isinstance(dataset, str) else dataset(found.key))


def single(store: ReadableStore, found: ListedObject, *, dataset: str) -> FetchedObject:
    """An object as a delivery of its own."""
    return FetchedObject(
        dataset=dataset, origin_key=found.key, origin_version=found.version, content=partial(store.download, found.key)
    )


def matching_objects(store: ReadableStore, *, pattern: str, days: DateWindow | None = None) -> Iterator[ListedObject]:
    """Every object whose key matches, whether landed or not."""
    matches = compile_pattern(pattern)
    for prefix in _prefixes(pattern, days):
        for found in store.list(prefix):
            if not _is_hidden(found.key) and matches.fullmatch(found.key):
                yield found


def _prefixes(pattern: str, days: DateWindow | None) -> list[str]:
    """What to list: the folder before the first wildcard, or one beginning per day where days come before it."""
    literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    if days is not None and _DATE.search(literal):
        return list(dict.fromkeys(_DATE.sub(partial(_day_text, day), literal) for day in days))
    folder = _DATE.split(literal, maxsplit=1)[0].rpartition("/")[0]
    return [f"{folder}/" if folder else ""]


def newest_day(pattern: str, keys: Iterable[str]) -> dt.date | None:
    """The newest day that a key of the pattern names before its first wildcard; None where none does."""
    literal = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    last = max((found.end() for found in _DATE.finditer(literal)), default=0)
    if not last:
        return None
    beginning = _compiled(literal[:last], is_captured=True)
    return max((day for key in keys if (found := beginning.match(key)) and (day := _day_of(found.groupdict()))), default=None)


def _day_text(day: dt.date, found: re.Match[str]) -> str:
    return {"date": f"{day}", "yyyy": f"{day:%Y}", "mm": f"{day:%m}", "dd": f"{day:%d}"}[found.group(1)]


def _day_of(parts: Mapping[str, str]) -> dt.date | None:
    text = parts.get("date") or "-".join((parts.get("yyyy", ""), parts.get("mm") or "01", parts.get("dd") or "01"))
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Glob to regular expression over whole keys: ``**/`` any levels, ``*`` and ``?`` within a level, ``[...]`` a set."""
    return _compiled(pattern, is_captured=False)


def _compiled(pattern: str, *, is_captured: bool) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|\{(?:date|yyyy|mm|dd)\})", pattern)
    texts, named = [], set[str]()
    for part in parts:
        found = _DATE.fullmatch(part)
        name = found.group(1) if found else ""
        if found and is_captured and name not in named:
            texts.append(f"(?P<{name}>{_DATES[name]})")
            named.add(name)
        else:
            texts.append(_DATES[name] if found else _GLOBS.get(part) or _set_or_literal(part))
    return re.compile("".join(texts))


_DATE = re.compile(r"\{(date|yyyy|mm|dd)\}")
_DATES = {"date": r"\d{4}-\d{2}-\d{2}", "yyyy": r"\d{4}", "mm": r"\d{2}", "dd": r"\d{2}"}
_GLOBS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _set_or_literal(part: str) -> str:
    if part.startswith("[") and part.endswith("]"):
        return f"[^/{re.escape(part[2:-1])}]" if part[1] == "!" else f"[{part[1:-1]}]"
    return re.escape(part)


def _is_hidden(key: str) -> bool:
    return key.endswith("/") or any(name.startswith(".") for name in key.split("/"))
