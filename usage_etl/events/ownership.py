"""Who owned a request on its day. Directories are dated; what no directory knows is unallocated, never dropped.

A member that is split among owners is shown under its main one; only money follows the shares, in the allocation.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.money import MONEY
from usage_etl.units import UNALLOCATED

_OWNER_COLUMNS = ("department_id", "team_id", "cost_center_id")
_LOGGED_TEAM = "logged_team_id"
_WHOLE_PCT = pl.lit(Decimal(100), dtype=MONEY)


@dataclass(frozen=True)
class Directories:
    """The dated directories: DIM_USER, DIM_TEAM, DIM_API_KEY, DIM_FEATURE, DIM_PROJECT, DIM_INVESTIGATION frames."""

    users: pl.DataFrame
    teams: pl.DataFrame
    api_keys: pl.DataFrame
    features: pl.DataFrame
    projects: pl.DataFrame
    investigations: pl.DataFrame

    def on(self, day: dt.date) -> Directories:
        """The main rows in force on ``day``: exactly one per member that has any."""
        return Directories(
            main_rows(self.users, "user_id", "team_id", day=day),
            main_rows(self.teams, "team_id", "cost_center_id", "department_id", day=day),
            main_rows(self.api_keys, "api_key_id", "team_id", day=day),
            main_rows(self.features, "feature_id", "product_id", day=day),
            main_rows(self.projects, "project_id", "team_id", day=day),
            main_rows(self.investigations, "investigation_id", "team_id", day=day),
        )

    def naming(self) -> tuple[tuple[str, str, pl.DataFrame], ...]:
        """Basis, column of the log and directory of what names an owner, the strongest first; the logged team is last."""
        return (
            ("user", "user_id", self.users),
            ("api_key", "api_key_id", self.api_keys),
            ("project", "project_id", self.projects),
            ("investigation", "investigation_id", self.investigations),
        )


def main_rows(directory: pl.DataFrame, member: str, *owners: str, day: dt.date) -> pl.DataFrame:
    """One row for each member in force on ``day``: its largest split_pct (null is 100), ties by the owners' ids."""
    is_valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    in_force = directory.filter(is_valid)
    shares = [pl.col("split_pct").fill_null(_WHOLE_PCT)] if "split_pct" in directory.columns else []
    descending = [False, *(True for _ in shares), *(False for _ in owners)]
    ranked = in_force.sort(member, *shares, *owners, descending=descending, maintain_order=True)
    return ranked.unique(member, keep="first", maintain_order=True)


def own(frame: pl.LazyFrame, *, directories: Directories, day: dt.date) -> pl.LazyFrame:
    """``frame`` of one day with department_id, team_id, cost_center_id, owner_basis and product_id.

    The first identifier that a directory knows names the team: the user, else the API key, the project, the
    investigation, else the team the log names. A row to team ``unallocated`` names nobody: the next identifier is asked.
    Wants user_id, api_key_id, project_id, investigation_id, team_id and feature_id as logged; one row stays one row.
    """
    known = directories.on(day)
    teams = known.teams.select("team_id", "department_id", "cost_center_id")
    products = known.features.select("feature_id", "product_id")
    logged = teams.select(pl.col("team_id").alias(_LOGGED_TEAM), pl.col("team_id").alias(_found("team_id")))
    named = frame.rename({"team_id": _LOGGED_TEAM})
    for basis, column, directory in known.naming():
        found = directory.select(column, pl.col("team_id").alias(_found(basis)))
        found = found.filter(pl.col(_found(basis)).is_in(teams["team_id"].implode()))
        named = named.join(_labels(found).lazy(), on=column, how="left")
    bases = (*(basis for basis, _, _ in known.naming()), "team_id")
    first = pl.coalesce(*(pl.when(pl.col(_found(name)).is_not_null()).then(pl.lit(name)) for name in bases), pl.lit(UNALLOCATED))
    owned = (
        named.join(_labels(logged).lazy(), on=_LOGGED_TEAM, how="left")
        .join(_labels(products).lazy(), on="feature_id", how="left")
        .with_columns(team_id=pl.coalesce(map(_found, bases)), owner_basis=first.cast(pl.Categorical))
        .join(_labels(teams).lazy(), on="team_id", how="left")
    )
    nobody = pl.lit(UNALLOCATED).cast(pl.Categorical)
    return owned.with_columns(pl.col(_OWNER_COLUMNS).fill_null(nobody)).drop(_LOGGED_TEAM, *map(_found, bases))


def _found(basis: str) -> str:
    """Column of the team that a basis names."""
    return f"team_id_by_{basis}"


def _labels(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.all().cast(pl.Categorical))
