"""Where a team stands: its department, business unit and cost centers on a day, by the directories."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

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
    """Directories that say where a team stands: dim_team, dim_department and dim_business_unit."""

    teams: pl.DataFrame
    departments: pl.DataFrame
    business_units: pl.DataFrame

    def of_team(self, team_id: str, day: dt.date) -> list[tuple[dict[str, str], Decimal]]:
        """The team's owner columns on ``day``, each with its percentage; several where the team is split, none if unknown."""
        rows = _valid(self.teams, day).filter(pl.col("team_id") == team_id).sort("cost_center_id", "department_id")
        found = []
        for row in rows.iter_rows(named=True):
            path = {name: row[name] for name in OWNER_COLUMNS if name in row} | self._business_unit(row["department_id"], day)
            found.append((path, HUNDRED if row["split_pct"] is None else row["split_pct"]))
        return found

    def _business_unit(self, department_id: str, day: dt.date) -> dict[str, str]:
        departments = _valid(self.departments, day).filter(pl.col("department_id") == department_id)
        unit_id = departments["business_unit_id"].first() if departments.height else None
        if not isinstance(unit_id, str):
            return {name: UNALLOCATED_PATH[name] for name in ("business_unit_id", "business_unit_name")}
        units = _valid(self.business_units, day).filter(pl.col("business_unit_id") == unit_id)
        name = units["business_unit_name"].first() if units.height else unit_id
        return {"business_unit_id": unit_id, "business_unit_name": str(name)}


def _valid(directory: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    return directory.filter((pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day)))
