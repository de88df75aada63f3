"""A person beside the people of the same team, department or feature: percentiles in groups that are large enough."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.facts.measures import derived, measured, merged, ratio_of, ratios
from usage_etl.facts.members import MEMBER_COLUMNS, Organization, member_names, with_names
from usage_etl.facts.pseudonyms import with_user_key
from usage_etl.periods import Month
from usage_etl.schemas.dimensions import names_on
from usage_etl.schemas.people import MART_PEERS, PEER_GROUPS
from usage_etl.units import NO_MEMBER, UNALLOCATED

_GROUP = ("group_kind", "group_id")
_PLACES = {
    "requests_count": "requests_percentile_ratio",
    "effective_cost": "cost_percentile_ratio",
    "tokens_per_request_ratio": "tokens_per_request_percentile_ratio",
    "latency_average_ms": "latency_percentile_ratio",
    "requests_per_cost_ratio": "efficiency_percentile_ratio",
}
_UPPER = 0.9
_TRAINING_REQUESTS = 20
_SLOW_BY = 1.5


def peers(
    daily: pl.LazyFrame,
    *,
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    month: Month,
    through_date: dt.date,
    minimum_group_size: int,
    pseudonym_key: bytes | None,
) -> pl.DataFrame:
    """MART_PEERS of fact_usage_daily from the month's first day to ``through_date``.

    Usage without a user, and without a group or in ``unallocated``, has no peers. A group of fewer people than
    ``minimum_group_size`` gives one row that names nobody and has no figures.
    """
    days = daily.filter(pl.col("usage_date").is_between(month.first_day, through_date), pl.col("user_id").is_not_null())
    rows = measured(days.filter(pl.col("requests_count") > 0), organization.currency)
    parts = [_people(rows, kind) for kind in PEER_GROUPS]
    people = pl.concat(pl.collect_all(parts))
    large = people.filter(pl.col("group_users_count") >= minimum_group_size)
    small = people.filter(pl.col("group_users_count") < minimum_group_size).select(*_GROUP, "group_users_count").unique()
    named = with_user_key(_placed(large), _user_names(directories, through_date), key=pseudonym_key)
    both = pl.concat(
        [named.with_columns(is_suppressed=pl.lit(value=False)), small.with_columns(is_suppressed=pl.lit(value=True))],
        how="diagonal",
    )
    keyed = both.rename({"group_kind": "dimension", "group_id": "member_id"})
    shown = with_names(keyed, member_names(directories, organization, through_date)).rename(
        {"dimension": "group_kind", "member_id": "group_id", "member_name": "group_name"}
    )
    found = shown.with_columns(
        month=pl.lit(month.first_day), through_date=pl.lit(through_date), currency=pl.lit(organization.currency)
    )
    return MART_PEERS.validate(MART_PEERS.conform(found.lazy()).collect().sort(*MART_PEERS.sort_by))


def _people(rows: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    """One row per group and person, with how many people and active days the group has."""
    group = pl.col(MEMBER_COLUMNS[kind]).cast(pl.String)
    grouped = rows.with_columns(group_kind=pl.lit(kind), group_id=group, user_id=pl.col("user_id").cast(pl.String)).filter(
        pl.col("group_id").is_not_null(), ~pl.col("group_id").is_in([UNALLOCATED, NO_MEMBER])
    )
    active = grouped.group_by(*_GROUP, "user_id").agg(active_days_count=pl.col("usage_date").n_unique().cast(pl.Int64))
    whole = grouped.group_by(_GROUP).agg(
        group_users_count=pl.col("user_id").n_unique().cast(pl.Int64),
        group_days_count=pl.col("usage_date").n_unique().cast(pl.Int64),
    )
    people = grouped.group_by(*_GROUP, "user_id").agg(merged()).with_columns(*derived())
    measures = people.with_columns(active_users_count=pl.lit(1, pl.Int64), user_requests_count=pl.col("requests_count"))
    return (
        measures.with_columns(*ratios())
        .join(active, on=[*_GROUP, "user_id"])
        .join(whole, on=list(_GROUP))
        .select(
            *_GROUP, "user_id", "group_users_count", "group_days_count", "requests_count", "active_days_count", "total_tokens",
            "effective_cost", "tokens_per_request_ratio", "input_output_ratio", "cache_read_ratio", "error_ratio",
            "latency_average_ms", "requests_per_cost_ratio",
        )
    )  # fmt: skip


def _placed(people: pl.DataFrame) -> pl.DataFrame:
    """People with their place in the group, the group's medians, and what follows from both."""
    placed = people.with_columns(_place(name).over(_GROUP).alias(alias) for name, alias in _PLACES.items()).with_columns(
        group_median_requests_ratio=pl.col("requests_count").median().over(_GROUP),
        group_median_tokens_per_request_ratio=pl.col("tokens_per_request_ratio").median().over(_GROUP),
        group_median_latency_ms=pl.col("latency_average_ms").median().over(_GROUP),
        active_share=ratio_of("active_days_count", "group_days_count"),
    )
    is_upper = {name: (pl.col(alias) >= _UPPER).fill_null(value=False) for name, alias in _PLACES.items()}
    is_slower = pl.col("latency_average_ms") > _SLOW_BY * pl.col("group_median_latency_ms")
    return placed.with_columns(
        is_power_user=is_upper["requests_count"] & (pl.col("active_share") >= 0.5),
        is_training_candidate=is_upper["tokens_per_request_ratio"] & (pl.col("requests_count") >= _TRAINING_REQUESTS),
        is_slow=is_upper["latency_average_ms"] & is_slower.fill_null(value=False),
    ).drop("active_share", "group_days_count")


def _place(name: str) -> pl.Expr:
    """Share of the known figures of the group that lie below, half of the ties and of the own one included."""
    figure = pl.col(name).cast(pl.Float64)
    return (figure.rank("average") - 0.5) / figure.count()


def _user_names(directories: Mapping[str, pl.DataFrame], day: dt.date) -> pl.DataFrame:
    users = directories.get("dim_user")
    known = {} if users is None else names_on(users, id_column="user_id", name_column="user_name", day=day)
    return pl.DataFrame([*known.items()], schema={"user_id": pl.String, "user_name": pl.String}, orient="row")
