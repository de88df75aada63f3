"""What scopes are called, by the directories."""

from __future__ import annotations

import datetime as dt

import polars as pl

from usage_etl.schemas.dimensions import names_on


def scope_names(
    users: pl.DataFrame,
    teams: pl.DataFrame,
    api_keys: pl.DataFrame,
    features: pl.DataFrame,
    *,
    organization: tuple[str, str],
    day: dt.date,
) -> pl.DataFrame:
    """One (scope_kind, scope_id) with scope_name as of ``day``. ``organization`` is its id and name."""
    places = {"user": users, "team": teams, "department": teams, "api_key": api_keys, "feature": features}
    named = {
        kind: names_on(frame, id_column=f"{kind}_id", name_column=f"{kind}_name", day=day) for kind, frame in places.items()
    } | {"organization": dict([organization])}
    rows = [(kind, member, name) for kind, members in named.items() for member, name in members.items()]
    schema = {"scope_kind": pl.String, "scope_id": pl.String, "scope_name": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
