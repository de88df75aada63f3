"""Who owned a request on its day. Directories are dated; what no directory knows is unallocated, never dropped."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from usage_etl.units import UNALLOCATED

_OWNER_COLUMNS = ("department_id", "team_id", "cost_center_id")
_LOGGED_TEAM = "logged_team_id"


@dataclass(frozen=True)
class Directories:
    """The dated directories: DIM_USER, DIM_TEAM, DIM_API_KEY, DIM_FEATURE frames."""

    users: pl.DataFrame
    teams: pl.DataFrame
    api_keys: pl.DataFrame
    features: pl.DataFrame

    def on(self, day: dt.date) -> Directories:
        """The rows in force on ``day``; at most one per user, team, key and feature."""
        is_valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
        return Directories(
            self.users.filter(is_valid),
            self.teams.filter(is_valid),
            self.api_keys.filter(is_valid),
            self.features.filter(is_valid),
        )


def own(frame: pl.LazyFrame, *, directories: Directories, day: dt.date) -> pl.LazyFrame:
    """``frame`` of one day with department_id, team_id, cost_center_id, owner_basis and product_id.

    The first identifier that a directory knows names the team: the user's team of that day, else the key's team, else
    the team the log names. Wants user_id, api_key_id, team_id and feature_id as logged; one row stays one row.
    """
    known = directories.on(day)
    teams = known.teams.select("team_id", "department_id", "cost_center_id")
    by_user = _lookup(known.users, "user_id", "team_id", "user_team_id").filter(
        pl.col("user_team_id").is_in(teams["team_id"].implode())
    )
    by_key = _lookup(known.api_keys, "api_key_id", "team_id", "key_team_id").filter(
        pl.col("key_team_id").is_in(teams["team_id"].implode())
    )
    logged = teams.select(pl.col("team_id").alias(_LOGGED_TEAM), pl.col("team_id").alias("logged_known_id"))
    products = _lookup(known.features, "feature_id", "product_id", "product_id")
    basis = (
        pl.when(pl.col("user_team_id").is_not_null()).then(pl.lit("user"))
        .when(pl.col("key_team_id").is_not_null()).then(pl.lit("api_key"))
        .when(pl.col("logged_known_id").is_not_null()).then(pl.lit("team_id"))
        .otherwise(pl.lit(UNALLOCATED))
    )  # fmt: skip
    named = (
        frame.rename({"team_id": _LOGGED_TEAM})
        .join(_labels(by_user).lazy(), on="user_id", how="left")
        .join(_labels(by_key).lazy(), on="api_key_id", how="left")
        .join(_labels(logged).lazy(), on=_LOGGED_TEAM, how="left")
        .join(_labels(products).lazy(), on="feature_id", how="left")
        .with_columns(
            team_id=pl.coalesce("user_team_id", "key_team_id", "logged_known_id"), owner_basis=basis.cast(pl.Categorical)
        )
    )
    owned = named.join(_labels(teams).lazy(), on="team_id", how="left")
    nobody = pl.lit(UNALLOCATED).cast(pl.Categorical)
    return owned.with_columns(pl.col(_OWNER_COLUMNS).fill_null(nobody)).drop(
        _LOGGED_TEAM, "user_team_id", "key_team_id", "logged_known_id"
    )


def _lookup(directory: pl.DataFrame, key: str, found: str, name: str) -> pl.DataFrame:
    return directory.select(pl.col(key), pl.col(found).alias(name))


def _labels(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.all().cast(pl.Categorical))
