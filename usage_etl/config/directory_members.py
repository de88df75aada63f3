"""Faults of one directory file: spans that overlap, shares that are no whole, days without a row, words that are taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from usage_etl.config.cells import FileRows, Row, plain
from usage_etl.config.directory_files import DirectoryFile
from usage_etl.config.spans import OPEN_END, Span, pieces, runs
from usage_etl.units import UNALLOCATED, UNEXPLAINED

WHOLE_PCT = Decimal(100)
NO_ROW = "has no row"
OWNER_COLUMNS = ("team_id", "department_id", "cost_center_id", "business_unit_id", "parent_id")
"""Columns that hold ids of owners, in whatever file."""
Member = tuple[Any, ...]


def span_of(row: Row) -> Span:
    """Days for which the row is valid."""
    return Span(row.cells["valid_from"], row.cells["valid_to"] or OPEN_END)


def member_of(row: Row, file: DirectoryFile) -> Member:
    """Who the row is about; None stands for a cell that could not be read."""
    return tuple(row.cells.get(name) for name in file.key)


def member_text(member: Member) -> str:
    """A member for messages."""
    return "/".join(map(str, member))


def set_aside(found: FileRows, file: DirectoryFile, problems: list[str]) -> None:
    """Moves rows that no rule can judge to ``found.faulty``, and names why: days that run backwards, shares out of range."""
    sound: list[Row] = []
    for row in found.rows:
        faults = list(_row_faults(row, file))
        problems += [f"{row.place}: {member_text(member_of(row, file))} {fault}" for fault in faults]
        (found.faulty if faults else sound).append(row)
    found.rows = sound


def _row_faults(row: Row, file: DirectoryFile) -> Iterator[str]:
    start, end = span_of(row)
    if end <= start:
        yield f"ends on {end}, not after its start {start}"
    share = row.cells.get("split_pct")
    if share is not None and not 0 < share <= WHOLE_PCT:
        yield f"has a split_pct of {plain(share)}; a share is above 0 and at most 100"
    for column in OWNER_COLUMNS:
        owner = row.cells.get(column)
        if owner == UNEXPLAINED:
            yield f"names {UNEXPLAINED} as {column}, which is kept for billed money that no usage explains"
        elif owner == UNALLOCATED and (column in file.key or column == "parent_id"):
            yield f"names {UNALLOCATED} as {column}, which is kept for what belongs to nobody"


def doubtful_members(found: FileRows, file: DirectoryFile) -> set[Member]:
    """Members of whom a row could not be read: what is missing of them may stand in it."""
    return {member_of(row, file) for row in found.faulty}


def member_faults(found: FileRows, name: str, file: DirectoryFile) -> Iterator[str]:
    """Overlaps, shares that do not add up to 100 and gaps, each with the member and the days."""
    doubtful = doubtful_members(found, file)
    by_member: dict[Member, list[tuple[Span, Row]]] = defaultdict(list)
    for row in found.rows:
        by_member[member_of(row, file)].append((span_of(row), row))
    for member, rows in by_member.items():
        asked = (_clash,) if member in doubtful else (_clash, _lack)
        judged = ((span, _first(rule(in_force, file) for rule in asked)) for span, in_force in pieces(rows))
        for fault, span in runs(judged):
            remedy = f"; {file.covers_gaps}" if fault == NO_ROW else ""
            yield f"{name}: {member_text(member)} {fault} {span}{remedy}"


def _first(faults: Iterable[str | None]) -> str | None:
    return next((fault for fault in faults if fault), None)


def _clash(in_force: Sequence[Row], file: DirectoryFile) -> str | None:
    """What is wrong between the rows of one member that are in force together; the days follow."""
    count = len(in_force)
    if count < 2:
        return None
    if not file.owners:
        return f"has {count} rows in force"
    if any(row.cells["split_pct"] is None for row in in_force):
        return f"has {count} rows in force, not all with a split_pct,"
    owners = [tuple(row.cells[name] for name in file.owners) for row in in_force]
    if len(set(owners)) < count:
        repeated = sorted({member_text(owner) for owner in owners if owners.count(owner) > 1})
        return f"has more than one row in force that names {', '.join(repeated)}"
    if any(UNALLOCATED in owner for owner in owners):
        return f"shares with {UNALLOCATED}, which takes a member wholly or not at all,"
    return None


def _lack(in_force: Sequence[Row], file: DirectoryFile) -> str | None:
    """What is missing on days of one member: a row, or a part of the whole."""
    if not in_force:
        return NO_ROW if file.covers_gaps else None
    shares = [row.cells.get("split_pct") for row in in_force]
    total = sum((WHOLE_PCT if share is None else share for share in shares), Decimal(0))
    return None if total == WHOLE_PCT else f"has shares that add up to {plain(total)} %, not to 100 %,"
