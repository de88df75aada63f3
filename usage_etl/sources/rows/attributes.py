"""Attributes that callers attach to a request (properties, metadata, labels): which of them fill which columns.

Every gateway lets its callers send free pairs of key and value. Which key names the team or the feature is the customer's
own choice, so it is a setting; values of keys that are not named there are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from usage_etl.sources.rows.mapping import word
from usage_etl.sources.rows.tags import tag_set

AttributeKey = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^'\\\x00-\x1f]+$")]


class AttributeMapping(BaseModel):
    """Which attribute fills which column. A key that a request does not have leaves the column as it was logged."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    user_id: AttributeKey | None = None
    """Key whose value is the ``user_id``; null keeps the user that the gateway logged."""
    team_id: AttributeKey | None = "team"
    """Key whose value is the ``team_id``."""
    project_id: AttributeKey | None = "project"
    """Key whose value is the ``project_id``."""
    feature_id: AttributeKey | None = "feature"
    """Key whose value is the ``feature_id``."""
    investigation_id: AttributeKey | None = "investigation"
    """Key whose value is the ``investigation_id``."""
    session_id: AttributeKey | None = None
    """Key whose value is the ``session_id``."""
    end_user_id: AttributeKey | None = None
    """Key whose value is the ``end_user_id``: the customer's own user."""
    keep: Annotated[tuple[AttributeKey, ...], Field(max_length=20)] = ()
    """Keys that are kept in ``tag_set`` as ``key=value``."""

    @property
    def by_column(self) -> Mapping[str, str]:
        """Column to the key that fills it."""
        named = {name: getattr(self, name) for name in type(self).model_fields if name != "keep"}
        return {name: key for name, key in named.items() if key is not None}

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that is read, each once."""
        return tuple(dict.fromkeys((*self.by_column.values(), *self.keep)))


def attribute_field(key: str, *place: str) -> str:
    """Flat field that holds the attribute ``key`` found under ``place`` of a record."""
    return ".".join((*place, key))


def attribute_fields(mapping: AttributeMapping, *place: str) -> dict[str, tuple[str, ...]]:
    """Fields of a record shape: each attribute that is read, where it stands in an object under ``place``."""
    return {attribute_field(key, *place): (*place, key) for key in mapping.keys}


def attribute_columns(mapping: AttributeMapping, *places: tuple[str, ...]) -> dict[str, pl.Expr]:
    """Columns that attributes fill; of several places the first that has a value counts."""

    def found(key: str) -> pl.Expr:
        return pl.coalesce([word(attribute_field(key, *place)) for place in places])

    columns = {column: found(key) for column, key in mapping.by_column.items()}
    if mapping.keep:
        columns["tag_set"] = tag_set({key: found(key) for key in mapping.keep})
    return columns
