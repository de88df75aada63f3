"""Who can pay: owners as paths through the dated directories, what a member is divided into, and names for people."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import polars as pl

from usage_etl.config.finance import OWNER_LEVELS
from usage_etl.periods import Month
from usage_etl.schemas.dimensions import names_on
from usage_etl.units import UNALLOCATED, UNEXPLAINED

LEVELS = OWNER_LEVELS
"""Levels of owners from the top down; the position of each is its place in ``Owner``."""

TEAM = LEVELS.index("team")


class Owner(NamedTuple):
    """Who answers for money. Ids that nobody knows are ``unallocated``; a project or investigation that none names is None."""

    business_unit_id: str
    department_id: str
    cost_center_id: str
    team_id: str
    project_id: str | None = None
    investigation_id: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether a team, a cost center, a department or a business unit is named."""
        return any(member != UNALLOCATED for member in self[: TEAM + 1])


OWNER_COLUMNS = Owner._fields
NOBODY_KNOWN = Owner(UNALLOCATED, UNALLOCATED, UNALLOCATED, UNALLOCATED)
NOTHING_SEEN = Owner(UNEXPLAINED, UNEXPLAINED, UNEXPLAINED, UNEXPLAINED)

Portions = Sequence[tuple[Owner, Fraction]]
"""Owners of one member with their parts of it, which add up to one."""

Path = Mapping[int, str | None]
"""Level (its place in ``LEVELS``) to the member that was chosen there."""


@dataclass(frozen=True)
class OwnerDirectories:
    """The dated directories of owners: the dim_ frames of the same names."""

    users: pl.DataFrame
    teams: pl.DataFrame
    api_keys: pl.DataFrame
    departments: pl.DataFrame
    business_units: pl.DataFrame
    cost_centers: pl.DataFrame
    projects: pl.DataFrame
    investigations: pl.DataFrame

    def names(self, day: dt.date) -> dict[str, dict[str, str]]:
        """``owner_names`` of these directories."""
        return owner_names(
            day,
            teams=self.teams,
            departments=self.departments,
            business_units=self.business_units,
            cost_centers=self.cost_centers,
        )


def owner_names(
    day: dt.date, *, teams: pl.DataFrame, departments: pl.DataFrame, business_units: pl.DataFrame, cost_centers: pl.DataFrame
) -> dict[str, dict[str, str]]:
    """Level to the names of its members as of ``day``, else the newest known. The rows of teams name what has no file."""
    named: dict[str, dict[str, str]] = {}
    for level, own in (
        ("business_unit", business_units),
        ("department", departments),
        ("cost_center", cost_centers),
        ("team", teams),
    ):
        id_column, name_column = f"{level}_id", f"{level}_name"
        sources = (own,) if level == "business_unit" else (teams, own)
        named[level] = {}
        for source in sources:
            named[level] |= names_on(source, id_column=id_column, name_column=name_column, day=day)
        named[level] |= {UNALLOCATED: "Unallocated", UNEXPLAINED: "Unexplained"}
    return named


class OwnerTree:
    """The directories as a month sees them: each member as on the last day of the month on which it is in force."""

    def __init__(self, directories: OwnerDirectories, month: Month) -> None:
        self._directories = directories
        self._month = month

    @cached_property
    def team_owners(self) -> dict[str, Portions]:
        """Team to its owners: one for each cost center or department that it is divided into."""
        units = self._business_units
        found: dict[str, Portions] = {}
        for team_id, rows in self._rows(self._directories.teams, "team_id", ("department_id", "cost_center_id")).items():
            found[team_id] = [
                (Owner(units.get(department, UNALLOCATED), department, cost_center, team_id), share)
                for (department, cost_center), share in rows
            ]
        return found

    @cached_property
    def user_owners(self) -> dict[str, Portions]:
        """User to the owners of the user's teams."""
        return self._member_owners(self._directories.users, "user_id")

    @cached_property
    def api_key_owners(self) -> dict[str, Portions]:
        """API key to the owners of its teams."""
        return self._member_owners(self._directories.api_keys, "api_key_id")

    @cached_property
    def project_owners(self) -> dict[str, Portions]:
        """Project to the owners of its teams; each names the project."""
        owners = self._member_owners(self._directories.projects, "project_id")
        return {name: [(owner._replace(project_id=name), share) for owner, share in found] for name, found in owners.items()}

    @cached_property
    def investigation_owners(self) -> dict[str, Portions]:
        """Investigation to the owners of its teams; each names the investigation."""
        owners = self._member_owners(self._directories.investigations, "investigation_id")
        return {
            name: [(owner._replace(investigation_id=name), share) for owner, share in found] for name, found in owners.items()
        }

    @cached_property
    def known(self) -> tuple[Owner, ...]:
        """Every owner that the directories know, those that have no team among them."""
        found = {owner for owners in self.team_owners.values() for owner, _ in owners}
        found |= {owner for owners in self.project_owners.values() for owner, _ in owners}
        found |= {owner for owners in self.investigation_owners.values() for owner, _ in owners}
        found |= {NOBODY_KNOWN._replace(business_unit_id=unit, department_id=name) for name, unit in self._business_units.items()}
        for frame, column in (
            (self._directories.business_units, OWNER_COLUMNS[0]),
            (self._directories.cost_centers, OWNER_COLUMNS[2]),
        ):
            found |= {NOBODY_KNOWN._replace(**{column: name}) for name in self._in_month(frame)[column]}
        return tuple(sorted(found, key=owner_order))

    def members(self, level: int, within: Path) -> list[str]:
        """Members of a level that the directories know inside the members chosen above it."""
        found = {owner[level] for owner in self._matching(within)} - {None, UNALLOCATED}
        return sorted(member for member in found if member is not None)

    def knows(self, level: int, member: str) -> bool:
        """Whether a directory knows the member in the month."""
        return member != UNALLOCATED and member in self._by_member[level]

    def own(self, path: Path) -> Portions:
        """The lowest member of ``path`` itself, with nobody below it; from the team down as the directories divide it."""
        path = {level: member for level, member in path.items() if member not in (None, UNALLOCATED)}
        if not path:
            return [(NOBODY_KNOWN, Fraction(1))]
        lowest, matching = max(path), self._matching(path)
        if lowest >= TEAM:
            portions = self._divided(lowest, path[lowest], matching)
            if portions:
                return portions
        ids: list[str | None] = []
        for level in range(len(LEVELS)):
            above = {owner[level] for owner in matching} if level < lowest else set()
            ids.append(path[level] if level in path else above.pop() if len(above) == 1 else None)
        return [(owner_of(ids), Fraction(1))]

    def headcount(self, level: int, within: Path) -> dict[str, Fraction]:
        """Member to the people of the directory inside it on the last day; a person of two teams counts by the split."""
        counts: dict[str, Fraction] = defaultdict(Fraction)
        for owner, share in self._people:
            member = owner[level]
            if member is not None and member != UNALLOCATED and all(owner[at] == name for at, name in within.items()):
                counts[member] += share
        return dict(counts)

    @cached_property
    def _people(self) -> Portions:
        """Owners of everyone whom the directory knows on the last day."""
        on_last_day = self._on(self._directories.users, self._month.last_day)["user_id"].unique().sort()
        return [portion for user_id in on_last_day for portion in self.user_owners[user_id]]

    @cached_property
    def _by_member(self) -> list[dict[str | None, list[Owner]]]:
        """For each level, member to its known owners."""
        found: list[dict[str | None, list[Owner]]] = [defaultdict(list) for _ in LEVELS]
        for owner in self.known:
            for level, member in enumerate(owner):
                found[level][member].append(owner)
        return found

    def _matching(self, path: Path) -> Sequence[Owner]:
        if not path:
            return self.known
        lowest = max(path)
        found = self._by_member[lowest].get(path[lowest], [])
        return [owner for owner in found if all(owner[at] == name for at, name in path.items())]

    def _divided(self, level: int, member: str | None, matching: Iterable[Owner]) -> Portions:
        directory = {TEAM: self.team_owners, TEAM + 1: self.project_owners, TEAM + 2: self.investigation_owners}[level]
        allowed = set(matching)
        portions = [(owner, share) for owner, share in directory.get(member or "", ()) if owner in allowed]
        total = sum((share for _, share in portions), Fraction(0))
        return [(owner, share / total) for owner, share in portions]

    def _member_owners(self, frame: pl.DataFrame, key: str) -> dict[str, Portions]:
        found: dict[str, Portions] = {}
        for member, teams in self._rows(frame, key, ("team_id",)).items():
            found[member] = [
                (owner, share * part)
                for (team_id,), share in teams
                for owner, part in self.team_owners.get(team_id, [(NOBODY_KNOWN, Fraction(1))])
            ]
        return found

    @cached_property
    def _business_units(self) -> dict[str, str]:
        rows = self._rows(self._directories.departments, "department_id", ("business_unit_id",))
        return {department: found[0][0][0] or UNALLOCATED for department, found in rows.items()}

    def _in_month(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(
            pl.col("valid_from") <= self._month.last_day,
            pl.col("valid_to").is_null() | (pl.col("valid_to") > self._month.first_day),
        )

    def _on(self, frame: pl.DataFrame, day: dt.date) -> pl.DataFrame:
        return frame.filter(pl.col("valid_from") <= day, pl.col("valid_to").is_null() | (pl.col("valid_to") > day))

    def _rows(self, frame: pl.DataFrame, key: str, columns: Sequence[str]) -> dict[str, list[tuple[tuple[str, ...], Fraction]]]:
        """Member to what its rows name, with the part of each row, on the member's last day in the month."""
        spans = self._in_month(frame).with_columns(
            last=pl.min_horizontal(pl.col("valid_to").fill_null(dt.date.max) - pl.duration(days=1), pl.lit(self._month.last_day))
        )
        newest = spans.filter(pl.col("last") == pl.col("last").max().over(key)).sort(key, *columns, nulls_last=True)
        found: dict[str, list[tuple[tuple[str, ...], Fraction]]] = defaultdict(list)
        for row in newest.iter_rows(named=True):
            found[row[key]].append((tuple(row[name] for name in columns), percent(row.get("split_pct"))))
        return {member: _scaled(rows) for member, rows in found.items()}


def percent(split_pct: object) -> Fraction:
    """Part of a member that a directory row takes; null is the whole."""
    return Fraction(1) if split_pct is None else Fraction(str(split_pct)) / 100


def owner_of(ids: Sequence[str | None]) -> Owner:
    """The owner with these ids, from the top level down."""
    return Owner(*(member if level > TEAM or member is not None else UNALLOCATED for level, member in enumerate(ids)))  # type: ignore[arg-type] # the ids of teams and above are never None here


def owner_order(owner: Owner) -> tuple[str, ...]:
    """Sorts owners by their ids, those that name nothing first."""
    return tuple(member or "" for member in owner)


def _scaled(rows: list[tuple[tuple[str, ...], Fraction]]) -> list[tuple[tuple[str, ...], Fraction]]:
    total = sum((share for _, share in rows), Fraction(0))
    return [(names, share / total) for names, share in rows if share]
