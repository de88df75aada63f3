"""Members of the cube's dimensions: which one a row of usage belongs to, and what people call it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from usage_etl.schemas.dimensions import names_on
from usage_etl.units import NO_MEMBER, PRIMITIVE_UNITS, TOKEN_CLASSES, UNALLOCATED

MEMBER_COLUMNS = {
    "business_unit": "business_unit_id",
    "department": "department_id",
    "team": "team_id",
    "cost_center": "cost_center_id",
    "user": "user_id",
    "api_key": "api_key_id",
    "project": "project_id",
    "investigation": "investigation_id",
    "product": "product_id",
    "feature": "feature_id",
    "provider": "provider",
    "primitive": "primitive",
    "status": "status",
    "tag_set": "tag_set",
}
"""Dimension to the column of usage that holds its member."""

CUBE_COLUMNS = (*MEMBER_COLUMNS.values(), "model_id")
"""Columns of usage that decide a row's members in every dimension."""

MODEL_KEY = pl.concat_str(pl.col("provider").cast(pl.String), pl.lit("/"), pl.col("model_id").cast(pl.String))
"""A model with its provider: the complete key."""

_NAMED_BY = {
    "business_unit": "dim_business_unit",
    "department": "dim_team",
    "team": "dim_team",
    "cost_center": "dim_team",
    "user": "dim_user",
    "api_key": "dim_api_key",
    "project": "dim_project",
    "investigation": "dim_investigation",
    "product": "dim_feature",
    "feature": "dim_feature",
}
"""Dimension to the directory that knows names of its members."""


@dataclass(frozen=True)
class Organization:
    """Whose usage it is, and the currency in which its cost is told."""

    id: str
    name: str
    currency: str


def with_business_unit(usage: pl.LazyFrame, departments: pl.DataFrame, days: pl.DataFrame) -> pl.LazyFrame:
    """``usage`` with ``business_unit_id`` of its department (DIM_DEPARTMENT) on ``usage_date``; null where none is known.

    ``days`` has every usage_date. It is the unit that the department's row names; units above it are not counted as well.
    """
    spans = departments.select("department_id", "business_unit_id", "valid_from", "valid_to").drop_nulls("business_unit_id")
    is_valid = (pl.col("valid_from") <= pl.col("usage_date")) & (
        pl.col("valid_to").is_null() | (pl.col("valid_to") > pl.col("usage_date"))
    )
    of_days = days.select("usage_date").unique().join(spans, how="cross").filter(is_valid)
    placed = of_days.select("usage_date", pl.col("department_id", "business_unit_id").cast(pl.Categorical))
    known = placed.unique(["usage_date", "department_id"], keep="first", maintain_order=True)
    return usage.join(known.lazy(), on=["usage_date", "department_id"], how="left")


def member_of(dimension: str, organization: Organization) -> pl.Expr:
    """The member of a row of usage, as text: ``(none)`` where it names none. For ``tag`` a list, of which each is a member."""
    if dimension == "organization":
        return pl.lit(organization.id)
    if dimension == "model":
        return MODEL_KEY
    if dimension == "token_kind":
        return _token_kind()
    if dimension == "tag":
        return pl.col("tag_set").cast(pl.String).fill_null(NO_MEMBER).str.split(",")
    return pl.col(MEMBER_COLUMNS[dimension]).cast(pl.String).fill_null(NO_MEMBER)


def _token_kind() -> pl.Expr:
    """embedding: of ai.embed. inference: of any other primitive that has tokens or counts them. Else no kind of tokens."""
    has_tokens = pl.sum_horizontal(pl.col(*TOKEN_CLASSES)) > 0
    primitive = pl.col("primitive").cast(pl.String)
    of_tokens = [name for name, unit in PRIMITIVE_UNITS.items() if unit == "tokens"]
    return (
        pl.when(primitive == "ai.embed").then(pl.lit("embedding"))
        .when(has_tokens | primitive.is_in(of_tokens)).then(pl.lit("inference"))
        .otherwise(pl.lit(NO_MEMBER))
    )  # fmt: skip


def member_names(directories: Mapping[str, pl.DataFrame], organization: Organization, day: dt.date) -> pl.DataFrame:
    """dimension, member_id and member_name of every member that a directory names, as of ``day``; directories by table name."""
    rows = [("organization", organization.id, organization.name)]
    for dimension, table in _NAMED_BY.items():
        if table in directories:
            known = names_on(directories[table], id_column=f"{dimension}_id", name_column=f"{dimension}_name", day=day)
            rows += [(dimension, member, name) for member, name in (known | {UNALLOCATED: "Unallocated"}).items()]
    return pl.DataFrame(rows, schema=["dimension", "member_id", "member_name"], orient="row")


def with_names(members: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """``members`` (dimension, member_id) with ``member_name``: the directory's, a model's own, else the id."""
    is_model = pl.col("dimension") == "model"
    own_name = pl.when(is_model).then(pl.col("member_id").str.replace(r"^[^/]*/", "")).otherwise(pl.col("member_id"))
    named = members.join(names, on=["dimension", "member_id"], how="left", validate="m:1")
    return named.with_columns(pl.col("member_name").fill_null(own_name))
