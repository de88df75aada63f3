"""Where a team stands: its department, business unit and cost centers on a day, by the directories."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.allocation.owners import owner_names
from usage_etl.units import UNALLOCATED

HUNDRED = Decimal(100)
_NOBODY = "Unallocated"
OWNER_COLUMNS = tuple(
    f"{entity}_{part}" for entity in ("business_unit", "department", "team", "cost_center") for part in ("id", "name")
)

UNALLOCATED_PATH: dict[str, str] = {name: UNALLOCATED if name.endswith("_id") else _NOBODY for name in OWNER_COLUMNS}
"""Owner columns of what nobody owns."""


@dataclass(frozen=True)
class OwnerPaths:
    """Directories that say where a team stands and what its owners are called: dim_team, dim_department and so on."""

    teams: pl.DataFrame
    departments: pl.DataFrame
    business_units: pl.DataFrame
    cost_centers: pl.DataFrame

    def of_team(self, team_id: str, day: dt.date) -> list[tuple[dict[str, str], Decimal]]:
        """The team's owner columns on ``day``, each with its percentage; several where the team is split, none if unknown.

        Names are those that the allocation gives the same owners.
        """
        rows = _valid(self.teams, day).filter(pl.col("team_id") == team_id).sort("cost_center_id", "department_id")
        names = owner_names(
            day,
            teams=self.teams,
            departments=self.departments,
            business_units=self.business_units,
            cost_centers=self.cost_centers,
        )
        found = []
        for row in rows.iter_rows(named=True):
            ids = {level: row[f"{level}_id"] for level in ("department", "team", "cost_center")}
            ids["business_unit"] = self._business_unit(row["department_id"], day)
            path = {f"{level}_id": member for level, member in ids.items()}
            path |= {f"{level}_name": names[level].get(member, member) for level, member in ids.items()}
            found.append((path, HUNDRED if row["split_pct"] is None else row["split_pct"]))
        return found

    def _business_unit(self, department_id: str, day: dt.date) -> str:
        departments = _valid(self.departments, day).filter(pl.col("department_id") == department_id)
        unit_id = departments["business_unit_id"].first() if departments.height else None
        return unit_id if isinstance(unit_id, str) else UNALLOCATED


def _valid(directory: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    return directory.filter((pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day)))
