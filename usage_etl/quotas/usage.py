"""Daily usage of the scopes that quotas are set on, and the feeds that it came from."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.money import MONEY
from usage_etl.schemas.quotas import EMBEDDING_PRIMITIVE, MONEY_MEASURES
from usage_etl.units import TOKEN_CLASSES

SCOPE_COLUMNS: Mapping[str, str] = {
    "department": "department_id",
    "team": "team_id",
    "user": "user_id",
    "api_key": "api_key_id",
    "feature": "feature_id",
}
"""Kind of scope to the column of the facts that names its members; the organization is everything."""
COUNTED = ("total_tokens", "inference_tokens", "embedding_tokens", "requests_count")
"""Measures that are whole numbers."""


def total_tokens() -> pl.Expr:
    """Input and output of a fact row."""
    return pl.sum_horizontal(TOKEN_CLASSES)


def is_embedding() -> pl.Expr:
    """Whether a fact row's tokens are embedding tokens."""
    return pl.col("primitive").cast(pl.String) == EMBEDDING_PRIMITIVE


def series_id() -> pl.Expr:
    """Name of what a quota counts: scope, measure and, of money, currency."""
    parts = [pl.col(name).cast(pl.String).fill_null("") for name in ("scope_kind", "scope_id", "measure", "currency")]
    return pl.concat_str(parts, separator="\x1f").alias("series_id")


def quota_usage(daily: pl.LazyFrame, quotas: pl.DataFrame, *, organization_id: str) -> pl.DataFrame:
    """One (series_id, usage_date): quantity of what each quota counts, rows_count, priced_rows_count, unpriced_count.

    ``daily`` is fact_usage_daily. Days without a row had none of it. Money is what is priced in the quota's currency; requests
    priced in another one, or not at all, are unpriced_count. Every quota of one scope, measure and currency shares a series.
    """
    wanted = quotas.select("scope_kind", "scope_id", "measure", "currency", series_id()).cast(pl.String).unique()
    measured = daily.with_columns(**_measured())
    by_kind = {
        kind: pl.lit(organization_id) if kind == "organization" else pl.col(SCOPE_COLUMNS[kind]).cast(pl.String)
        for kind in wanted["scope_kind"].unique().sort()
    }
    parts = [_of_kind(measured, kind, member, wanted) for kind, member in by_kind.items()]
    usage = pl.concat([_EMPTY_USAGE, *(pl.collect_all(parts) if parts else [])])
    return pl.concat([_counted(usage, wanted), _money(usage, wanted)]).sort("series_id", "usage_date")


def _measured() -> dict[str, pl.Expr]:
    tokens = total_tokens()
    return {
        "total_tokens": tokens,
        "embedding_tokens": pl.when(is_embedding()).then(tokens).otherwise(0),
        "inference_tokens": pl.when(is_embedding()).then(0).otherwise(tokens),
        "currency": pl.col("currency").cast(pl.String),
    }


_EMPTY_USAGE = pl.DataFrame(
    schema={
        "scope_kind": pl.String, "scope_id": pl.String, "usage_date": pl.Date, "currency": pl.String,
        **dict.fromkeys(COUNTED, pl.Int64), "effective_cost": MONEY, "priced_requests_count": pl.Int64,
        "rows_count": pl.Int64, "priced_rows_count": pl.Int64,
    }
)  # fmt: skip


def _of_kind(measured: pl.LazyFrame, kind: str, member: pl.Expr, wanted: pl.DataFrame) -> pl.LazyFrame:
    """One (member that has a quota, day, currency) with every measure."""
    members = wanted.filter(pl.col("scope_kind") == kind)["scope_id"].unique()
    is_priced = pl.col("effective_cost").is_not_null()
    grouped = measured.group_by("usage_date", "currency", scope_id=member).agg(
        *(pl.col(name).sum() for name in COUNTED),
        pl.col("effective_cost").sum(),
        priced_requests_count=pl.col("requests_count").filter(is_priced).sum(),
        rows_count=pl.len().cast(pl.Int64),
        priced_rows_count=is_priced.sum().cast(pl.Int64),
    )
    chosen = grouped.filter(pl.col("scope_id").is_in(members.implode())).with_columns(scope_kind=pl.lit(kind))
    return chosen.select(_EMPTY_USAGE.columns)


def _counted(usage: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Series of tokens and requests."""
    by_day = usage.group_by("scope_kind", "scope_id", "usage_date").agg(pl.col(*COUNTED, "rows_count").sum())
    index = ["scope_kind", "scope_id", "usage_date", "rows_count"]
    long = by_day.unpivot(COUNTED, index=index, variable_name="measure", value_name="counted")
    joined = long.join(wanted.filter(~pl.col("measure").is_in(MONEY_MEASURES)), on=["scope_kind", "scope_id", "measure"])
    return joined.select(
        "series_id",
        "usage_date",
        "rows_count",
        quantity=pl.col("counted").cast(MONEY),
        priced_rows_count=pl.col("rows_count"),
        unpriced_count=pl.lit(0, pl.Int64),
    )


def _money(usage: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Series of money: of each currency that a quota names what is priced in it, and how many requests are not."""
    named = wanted.filter(pl.col("measure").is_in(MONEY_MEASURES)).rename({"currency": "wanted_currency"})
    joined = usage.join(named, on=["scope_kind", "scope_id"])
    is_own = (pl.col("currency") == pl.col("wanted_currency")).fill_null(value=False)
    return joined.group_by("series_id", "usage_date").agg(
        pl.col("rows_count").sum(),
        quantity=pl.col("effective_cost").filter(is_own).sum().cast(MONEY),
        priced_rows_count=pl.col("priced_rows_count").filter(is_own).sum(),
        unpriced_count=pl.col("requests_count").sum() - pl.col("priced_requests_count").filter(is_own).sum(),
    )


def scope_feeds(daily: pl.LazyFrame, quotas: pl.DataFrame, *, organization_id: str) -> pl.DataFrame:
    """One (scope_kind, scope_id, source): from which sources the usage of a scope with a quota came."""
    wanted = quotas.select(pl.col("scope_kind", "scope_id").cast(pl.String)).unique()
    parts = []
    for kind in wanted["scope_kind"].unique().sort():
        member = pl.lit(organization_id) if kind == "organization" else pl.col(SCOPE_COLUMNS[kind]).cast(pl.String)
        pairs = daily.select(scope_kind=pl.lit(kind), scope_id=member, source=pl.col("source").cast(pl.String))
        parts.append(pairs.unique().join(wanted.lazy(), on=["scope_kind", "scope_id"], how="semi"))
    empty = pl.DataFrame(schema={"scope_kind": pl.String, "scope_id": pl.String, "source": pl.String})
    return pl.concat([empty, *(pl.collect_all(parts) if parts else [])])
