"""Quotas and pools on scopes that nobody knows: neither a directory nor, where that can be asked, the usage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import polars as pl

from usage_etl.config.quota_files import ENTITLEMENTS_FILE
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_DEPARTMENT,
    DIM_ENTITLEMENT,
    DIM_FEATURE,
    DIM_QUOTA,
    DIM_TEAM,
    DIM_USER,
    Table,
)

Members = Mapping[str, set[str]]
"""Kind of scope to the members of it that are known."""
KNOWN_BY_USAGE = ("user", "api_key", "feature")
"""Kinds whose members logs may name before any directory does."""
_PLACES: Mapping[str, tuple[tuple[Table, str], ...]] = {
    "department": ((DIM_TEAM, "department_id"), (DIM_DEPARTMENT, "department_id")),
    "team": ((DIM_TEAM, "team_id"),),
    "user": ((DIM_USER, "user_id"),),
    "api_key": ((DIM_API_KEY, "api_key_id"),),
    "feature": ((DIM_FEATURE, "feature_id"),),
}
_FILES: Mapping[str, str] = {
    "department": "teams.csv or departments.csv",
    "team": "teams.csv",
    "user": "users.csv",
    "api_key": "api_keys.csv",
    "feature": "features.csv",
}


def scope_faults(frames: Mapping[str, pl.DataFrame], *, organization_id: str, used: Members | None) -> Iterator[str]:
    """One line per unknown scope of dim_quota and dim_entitlement, with what it stands on and where it was looked for.

    ``frames`` are the directories by table name. ``used`` holds the members that usage names; with None, as before any usage
    is stored, users, API keys and features are not judged.
    """
    known = _known(frames, organization_id)
    for file, table in (("quotas.csv or budgets.csv", DIM_QUOTA), (ENTITLEMENTS_FILE, DIM_ENTITLEMENT)):
        scopes = frames[table.name].select("scope_kind", "scope_id").unique().sort("scope_kind", "scope_id")
        for kind, member in scopes.iter_rows():
            if member in known[kind] or (kind in KNOWN_BY_USAGE and (used is None or member in used.get(kind, set()))):
                continue
            yield f"{file}: {kind.replace('_', ' ')} {member} is not known: {_looked_for(kind, organization_id)}"


def _known(frames: Mapping[str, pl.DataFrame], organization_id: str) -> dict[str, set[str]]:
    known: dict[str, set[str]] = defaultdict(set, organization={organization_id})
    for kind, places in _PLACES.items():
        for table, column in places:
            known[kind] |= set(frames[table.name][column])
    return known


def _looked_for(kind: str, organization_id: str) -> str:
    if kind == "organization":
        return f"the settings name {organization_id}"
    usage = ", and no usage names it" if kind in KNOWN_BY_USAGE else ""
    return f"it is not in {_FILES[kind]}{usage}"
