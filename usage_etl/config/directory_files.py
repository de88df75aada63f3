"""Which directory files there are: their tables, who is a member, what may be shared out, and what refers to what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from usage_etl.money import parse_quantity
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_BUDGET,
    DIM_BUSINESS_UNIT,
    DIM_COST_CENTER,
    DIM_DEPARTMENT,
    DIM_ENTITLEMENT,
    DIM_FEATURE,
    DIM_INVESTIGATION,
    DIM_PROJECT,
    DIM_QUOTA,
    DIM_TEAM,
    DIM_USER,
    Table,
)
from usage_etl.schemas.quotas import QUOTA_KEY


@dataclass(frozen=True)
class DirectoryFile:
    """One CSV file of the directory folder."""

    table: Table
    key: tuple[str, ...]
    """Columns that name a member."""
    optional: tuple[str, ...] = ()
    """Columns that the header may leave out; their cells are empty then."""
    owners: tuple[str, ...] = ()
    """Columns that name who takes a share; none where a member has one row a day."""
    covers_gaps: str | None = None
    """How days between two rows are left to nobody; null where a member may have such days."""
    parsers: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    """Columns that are not read as their type alone says."""


_TO_NOBODY = "for days that belong to nobody, add a row to team unallocated"

DIRECTORY_FILES: Mapping[str, DirectoryFile] = {
    "users.csv": DirectoryFile(
        DIM_USER, ("user_id",), optional=("split_pct",), owners=("team_id",), covers_gaps=_TO_NOBODY,
    ),
    "teams.csv": DirectoryFile(
        DIM_TEAM, ("team_id",), optional=("split_pct",), owners=("department_id", "cost_center_id"),
        covers_gaps="for days without a place, add a row with department and cost center unallocated",
    ),
    "api_keys.csv": DirectoryFile(
        DIM_API_KEY, ("api_key_id",), optional=("split_pct",), owners=("team_id",), covers_gaps=_TO_NOBODY,
    ),
    "features.csv": DirectoryFile(
        DIM_FEATURE, ("feature_id",), covers_gaps="for days without a product, add a row to product unallocated",
    ),
    "budgets.csv": DirectoryFile(DIM_BUDGET, ("scope_kind", "scope_id")),
    "quotas.csv": DirectoryFile(DIM_QUOTA, QUOTA_KEY, optional=("currency",), parsers={"limit_quantity": parse_quantity}),
    "entitlements.csv": DirectoryFile(DIM_ENTITLEMENT, ("purchase_id",)),
    "business_units.csv": DirectoryFile(
        DIM_BUSINESS_UNIT, ("business_unit_id",), optional=("parent_id", "owner_email"),
        covers_gaps="give it a row for those days too",
    ),
    "departments.csv": DirectoryFile(
        DIM_DEPARTMENT, ("department_id",), optional=("business_unit_id", "owner_email"),
        covers_gaps="for days without a business unit, add a row that leaves it empty",
    ),
    "cost_centers.csv": DirectoryFile(
        DIM_COST_CENTER, ("cost_center_id",), optional=("gl_account", "owner_email"),
        covers_gaps="give it a row for those days too",
    ),
    "projects.csv": DirectoryFile(
        DIM_PROJECT, ("project_id",), optional=("project_name", "split_pct"), owners=("team_id",), covers_gaps=_TO_NOBODY,
    ),
    "investigations.csv": DirectoryFile(
        DIM_INVESTIGATION, ("investigation_id",), optional=("investigation_name", "split_pct"), owners=("team_id",),
        covers_gaps=_TO_NOBODY,
    ),
}  # fmt: skip
"""File name to what the file holds. A missing file is an empty directory."""


@dataclass(frozen=True)
class Reference:
    """A column that names a member of another file; it must hold on every day of the row's span."""

    file: str
    column: str
    target: str
    noun: str
    only_if_filled: bool = False
    """Not asked for while the other file has no row."""


REFERENCES = (
    Reference("users.csv", "team_id", "teams.csv", "team"),
    Reference("api_keys.csv", "team_id", "teams.csv", "team"),
    Reference("projects.csv", "team_id", "teams.csv", "team"),
    Reference("investigations.csv", "team_id", "teams.csv", "team"),
    Reference("teams.csv", "department_id", "departments.csv", "department", only_if_filled=True),
    Reference("teams.csv", "cost_center_id", "cost_centers.csv", "cost center", only_if_filled=True),
    Reference("departments.csv", "business_unit_id", "business_units.csv", "business unit"),
    Reference("business_units.csv", "parent_id", "business_units.csv", "business unit"),
)
"""Owner ids that must be known; ``unallocated`` always is, but for the parent of a business unit."""


@dataclass(frozen=True)
class Name:
    """Columns that give one thing its name; on any one day they must agree."""

    noun: str
    places: tuple[tuple[str, str, str], ...]
    """File, column of the id and column of the name."""


NAMES = (
    Name("name of user", (("users.csv", "user_id", "user_name"),)),
    Name("e-mail of user", (("users.csv", "user_id", "user_email"),)),
    Name("name of team", (("teams.csv", "team_id", "team_name"),)),
    Name("owner e-mail of team", (("teams.csv", "team_id", "owner_email"),)),
    Name(
        "name of department",
        (("teams.csv", "department_id", "department_name"), ("departments.csv", "department_id", "department_name")),
    ),
    Name(
        "name of cost center",
        (("teams.csv", "cost_center_id", "cost_center_name"), ("cost_centers.csv", "cost_center_id", "cost_center_name")),
    ),
    Name("name of API key", (("api_keys.csv", "api_key_id", "api_key_name"),)),
    Name("name of project", (("projects.csv", "project_id", "project_name"),)),
    Name("name of investigation", (("investigations.csv", "investigation_id", "investigation_name"),)),
    Name("name of product", (("features.csv", "product_id", "product_name"),)),
)
