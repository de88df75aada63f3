"""Daily facts as series: exact sums per scope and day, and the matrices that detectors read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from usage_etl.units import TOKEN_CLASSES

Matrix = np.ndarray[Any, np.dtype[np.float64]]
"""Series x days."""
Flags = np.ndarray[Any, np.dtype[np.bool_]]

SUMS = ("effective_cost", "total_tokens", "requests_count", "errors_count", "latency_ms_sum", "latency_count")

MEMBERS: Mapping[str, pl.Expr] = {
    "team": pl.col("team_id"),
    "user": pl.col("user_id"),
    "api_key": pl.col("api_key_id"),
    "model": pl.concat_str("provider", pl.lit("/"), "model_id"),
    "feature": pl.col("feature_id"),
}
"""Kind of a scope to its member; null where a row names none."""

_DETAIL = ("team_id", "user_id", "api_key_id", "feature_id", "provider", "model_id", "processing", "price_id")


def detail_rows(daily: pl.LazyFrame, *, currency: str) -> pl.DataFrame:
    """One (day, team, user, key, feature, model, price) of fact_usage_daily: what series and factors are made of.

    Cost in another currency than ``currency`` is not known here.
    """
    cost = pl.when(pl.col("currency").cast(pl.String) == currency).then(pl.col("effective_cost"))
    plain = daily.with_columns(pl.col(_DETAIL).cast(pl.String), effective_cost=cost)
    counts = ("requests_count", "errors_count", "cache_hits_count", *TOKEN_CLASSES, "latency_ms_sum", "latency_count")
    return (
        plain.group_by("usage_date", *_DETAIL)
        .agg(pl.col(counts).sum(), pl.when(cost.count() > 0).then(cost.sum()).alias("effective_cost"))
        .with_columns(total_tokens=pl.sum_horizontal(TOKEN_CLASSES))
        .sort("usage_date", *_DETAIL)
        .collect()
    )


def scope_sums(detail: pl.DataFrame, *, kind: str, organization_id: str) -> pl.DataFrame:
    """One (day, scope_id) of a kind with the exact sums; cost is null where nothing has a price."""
    member = pl.lit(organization_id) if kind == "organization" else MEMBERS[kind]
    cost = pl.col("effective_cost")
    return (
        detail.with_columns(scope_id=member)
        .filter(pl.col("scope_id").is_not_null())
        .group_by("usage_date", "scope_id")
        .agg(pl.when(cost.count() > 0).then(cost.sum()), pl.col(SUMS[1:]).sum())
        .sort("scope_id", "usage_date")
    )


@dataclass(frozen=True)
class Panel:
    """Series of one kind of scope on one calendar. Days on which nobody has a row are unknown, not zero."""

    kind: str
    ids: Sequence[str]
    first_day: dt.date
    known: Flags
    """Days of which anybody has a row."""
    sums: pl.DataFrame

    @classmethod
    def of(cls, sums: pl.DataFrame, *, kind: str, first_day: dt.date, known: Flags) -> Panel:
        """The series of ``scope_sums``."""
        return cls(kind, sums["scope_id"].unique().sort().to_list(), first_day, known, sums)

    @cached_property
    def _places(self) -> tuple[Any, Any]:
        rows = {scope: row for row, scope in enumerate(self.ids)}
        row = self.sums["scope_id"].replace_strict(rows, return_dtype=pl.Int64).to_numpy()
        return row, (self.sums["usage_date"] - self.first_day).dt.total_days().to_numpy()

    def values(self, column: str) -> Matrix:
        """A sum per series and day: 0 without a row, NaN on unknown days and before the series' first row."""
        matrix = np.zeros((len(self.ids), self.known.size))
        row, day = self._places
        matrix[row, day] = self.sums[column].cast(pl.Float64).fill_null(0).to_numpy()
        matrix[:, ~self.known] = np.nan
        first = np.full(len(self.ids), self.known.size)
        np.minimum.at(first, row, day)
        matrix[np.arange(self.known.size)[None, :] < first[:, None]] = np.nan
        return matrix

    def day(self, index: int) -> dt.date:
        """Date of a column."""
        return self.first_day + dt.timedelta(days=int(index))

    @cached_property
    def exact(self) -> Mapping[tuple[str, dt.date], Mapping[str, Any]]:
        """Exact sums by (scope_id, day)."""
        return {(row["scope_id"], row["usage_date"]): row for row in self.sums.iter_rows(named=True)}
