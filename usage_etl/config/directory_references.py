"""Faults between directory files: owners that are unknown on some day, names that differ, business units in a circle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from usage_etl.config.cells import FileRows, Row
from usage_etl.config.directory_files import DIRECTORY_FILES, NAMES, REFERENCES, Name, Reference
from usage_etl.config.directory_members import doubtful_members, member_of, member_text, span_of
from usage_etl.config.spans import Span, left_out, merged, pieces, runs
from usage_etl.units import UNALLOCATED

SHOWN_MEMBERS = 5
"""How many members one message names."""
UNITS_FILE = "business_units.csv"


def reference_faults(files: Mapping[str, FileRows]) -> Iterator[str]:
    """Owners that their own file does not know on some day of the row that names them, with the days."""
    for reference in REFERENCES:
        target = files[reference.target]
        if target.rows or target.faulty or not reference.only_if_filled:
            yield from _unheld(reference, files)


def _unheld(reference: Reference, files: Mapping[str, FileRows]) -> Iterator[str]:
    target, file = DIRECTORY_FILES[reference.target], DIRECTORY_FILES[reference.file]
    known: dict[object, list[Span]] = defaultdict(list)
    for row in files[reference.target].rows:
        known[row.cells[target.key[0]]].append(span_of(row))
    known = defaultdict(list, {owner: merged(spans) for owner, spans in known.items()})
    passed = {UNALLOCATED, None} | {member[0] for member in doubtful_members(files[reference.target], target)}
    members: dict[tuple[object, Span], list[str]] = defaultdict(list)
    for row in files[reference.file].rows:
        owner = row.cells[reference.column]
        if owner not in passed:
            for span in left_out(span_of(row), known[owner]):
                members[owner, span].append(member_text(member_of(row, file)))
    for (owner, span), named_by in members.items():
        who = _listed(list(dict.fromkeys(named_by)))
        yield f"{reference.file}: {reference.noun} {owner} is not in {reference.target} {span}; named by {who}"


def _listed(members: Sequence[str]) -> str:
    more = len(members) - SHOWN_MEMBERS
    return ", ".join(members[:SHOWN_MEMBERS]) + (f" and {more} more" if more > 0 else "")


def name_faults(files: Mapping[str, FileRows]) -> Iterator[str]:
    """Things that are called differently on one day, in one file or in two."""
    for name in NAMES:
        yield from _differing(name, files)


def _differing(name: Name, files: Mapping[str, FileRows]) -> Iterator[str]:
    called: dict[str, dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for file, id_column, name_column in name.places:
        for row in files[file].rows:
            text = row.cells[name_column]
            if text is not None:
                called[row.cells[id_column]][text].append(span_of(row))
    where = " and ".join(dict.fromkeys(file for file, _, _ in name.places))
    for member, spans_by_text in called.items():
        if len(spans_by_text) > 1:
            items = [(span, text) for text, spans in spans_by_text.items() for span in merged(spans)]
            judged = ((span, _unlike(texts)) for span, texts in pieces(items))
            yield from (f"{where}: the {name.noun} {member} is {texts} {span}" for texts, span in runs(judged))


def _unlike(texts: Iterable[str]) -> str | None:
    differing = sorted(set(texts))
    return " and ".join(map(repr, differing)) if len(differing) > 1 else None


def circle_faults(files: Mapping[str, FileRows]) -> Iterator[str]:
    """Business units that lie above themselves, with the whole way round and the days."""
    found: dict[str, list[Span]] = defaultdict(list)
    rows: list[tuple[Span, Row]] = [(span_of(row), row) for row in files[UNITS_FILE].rows if row.cells["parent_id"] is not None]
    for span, in_force in pieces(rows):
        above = {str(row.cells["business_unit_id"]): str(row.cells["parent_id"]) for row in in_force}
        for circle in _circles(above):
            found[" > ".join([*circle, circle[0]])].append(span)
    for circle_text, spans in found.items():
        yield from (f"{UNITS_FILE}: {circle_text} is a circle {span}" for span in merged(spans))


def _circles(above: Mapping[str, str]) -> Iterator[list[str]]:
    """Each circle once, from its first name on upwards."""
    seen: set[str] = set()
    for start in sorted(above):
        way: dict[str, None] = {}
        unit = start
        while unit in above and unit not in seen and unit not in way:
            way[unit] = None
            unit = above[unit]
        if unit in way:
            names = list(way)
            circle = names[names.index(unit) :]
            first = circle.index(min(circle))
            yield circle[first:] + circle[:first]
        seen |= way.keys()
