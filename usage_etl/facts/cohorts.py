"""New people and those who stay: cohorts by the month of first use, and adoption month by month."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.facts.members import MEMBER_COLUMNS, Organization, member_names, with_names
from usage_etl.periods import Month
from usage_etl.schemas.people import MART_ADOPTION, MART_COHORTS, PEOPLE_SCOPES
from usage_etl.units import UNALLOCATED

_SCOPE = ("scope_kind", "scope_id")
_TOLD = ("new_users_count", "retained_users_count", "returned_users_count", "lapsed_users_count")
"""What is told of large enough groups, once there is a month to compare with."""


def active_days(daily: pl.LazyFrame, organization: Organization, *, through_date: dt.date) -> pl.DataFrame:
    """One row per scope, person and day with a request, up to ``through_date``; usage without a user has no row.

    ``unallocated`` is nobody's department or team and has no cohorts.
    """
    used = (
        daily.filter(pl.col("usage_date") <= through_date, pl.col("user_id").is_not_null(), pl.col("requests_count") > 0)
        .select("usage_date", *(pl.col(name).cast(pl.String) for name in ("user_id", "department_id", "team_id")))
        .unique()
    )
    parts = []
    for kind in PEOPLE_SCOPES:
        scope = pl.lit(organization.id) if kind == "organization" else pl.col(MEMBER_COLUMNS[kind])
        rows = used.select(pl.lit(kind).alias("scope_kind"), scope.alias("scope_id"), "user_id", "usage_date")
        parts.append(rows.filter(pl.col("scope_id") != UNALLOCATED).unique())
    return pl.concat(pl.collect_all(parts))


def cohorts(
    days: pl.DataFrame,
    *,
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    month: Month,
    through_date: dt.date,
    history_floor: dt.date,
    minimum_group_size: int,
) -> pl.DataFrame:
    """MART_COHORTS of ``active_days`` of the whole lake up to the month; one row for every cohort up to the month."""
    first = days.group_by(*_SCOPE, "user_id").agg(cohort_month=pl.col("usage_date").min().dt.truncate("1mo"))
    now = days.filter(pl.col("usage_date") >= month.first_day).select(*_SCOPE, "user_id").unique()
    sizes = first.group_by(*_SCOPE, "cohort_month").agg(cohort_users_count=pl.len().cast(pl.Int64))
    active = (
        first.join(now, on=[*_SCOPE, "user_id"]).group_by(*_SCOPE, "cohort_month").agg(active_users_count=pl.len().cast(pl.Int64))
    )
    is_small = pl.col("cohort_users_count") < minimum_group_size
    found = (
        sizes.join(active, on=[*_SCOPE, "cohort_month"], how="left")
        .with_columns(pl.col("active_users_count").fill_null(0), is_suppressed=is_small)
        .with_columns(active_users_count=pl.when(~is_small).then("active_users_count"))
        .with_columns(
            retention_ratio=pl.col("active_users_count") / pl.col("cohort_users_count"),
            months_since_count=_months(pl.lit(month.first_day)) - _months(pl.col("cohort_month")),
            is_history_floor=pl.col("cohort_month") == history_floor.replace(day=1),
            history_floor_date=pl.lit(history_floor),
            month=pl.lit(month.first_day),
            through_date=pl.lit(through_date),
        )
    )
    named = _named(found, directories, organization, through_date)
    return MART_COHORTS.validate(MART_COHORTS.conform(named.lazy()).collect().sort(*MART_COHORTS.sort_by))


def adoption(
    days: pl.DataFrame,
    *,
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    month: Month,
    through_date: dt.date,
    history_floor: dt.date,
    minimum_group_size: int,
) -> pl.DataFrame:
    """MART_ADOPTION of ``active_days`` of the whole lake up to the month.

    In the lake's first month nobody can be told to be new, so new, retained, returned and lapsed people are null there.
    """
    counts = _counted(days, month).join(
        _listed(days, directories, organization, month=month, through_date=through_date), on=_SCOPE, how="full", coalesce=True
    )
    active, listed = pl.col("active_users_count"), pl.col("directory_users_count")
    is_small = pl.max_horizontal(active, listed.fill_null(0)) < minimum_group_size
    is_told = ~is_small & pl.lit(history_floor < month.first_day)
    found = (
        counts.with_columns(pl.col(*_TOLD, "active_users_count", "person_days").fill_null(0))
        .with_columns(is_suppressed=is_small)
        .with_columns(
            *(pl.when(is_told).then(name).alias(name) for name in _TOLD),
            average_daily_users_ratio=pl.col("person_days") / ((through_date - month.first_day).days + 1),
        )
    )
    shown = found.with_columns(
        adoption_ratio=pl.when(listed > 0).then(pl.col("listed_active_count") / listed),
        stickiness_ratio=pl.when(active > 0).then(pl.col("average_daily_users_ratio") / active),
        history_floor_date=pl.lit(history_floor),
        month=pl.lit(month.first_day),
        through_date=pl.lit(through_date),
    )
    named = _named(shown, directories, organization, through_date)
    return MART_ADOPTION.validate(MART_ADOPTION.conform(named.lazy()).collect().sort(*MART_ADOPTION.sort_by))


def _counted(days: pl.DataFrame, month: Month) -> pl.DataFrame:
    """People of each scope by whether they were active in the month, in the one before, and before both."""
    in_month = pl.col("usage_date") >= month.first_day
    in_before = pl.col("usage_date").is_between(month.previous.first_day, month.previous.last_day)
    people = days.group_by(*_SCOPE, "user_id").agg(
        person_days=in_month.sum(),
        is_active=in_month.any(),
        was_active=in_before.any(),
        is_new=(pl.col("usage_date").min() >= month.first_day),
    )
    is_active, was_active, is_new = pl.col("is_active"), pl.col("was_active"), pl.col("is_new")
    return people.group_by(_SCOPE).agg(
        pl.col("person_days").sum(),
        active_users_count=is_active.sum().cast(pl.Int64),
        new_users_count=(is_active & is_new).sum().cast(pl.Int64),
        retained_users_count=(is_active & was_active).sum().cast(pl.Int64),
        returned_users_count=(is_active & ~is_new & ~was_active).sum().cast(pl.Int64),
        lapsed_users_count=(was_active & ~is_active).sum().cast(pl.Int64),
    )


def _listed(
    days: pl.DataFrame,
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    *,
    month: Month,
    through_date: dt.date,
) -> pl.DataFrame:
    """People of the directory in each scope, and how many of them were active in it in the month."""
    people = _directory_people(directories, organization, through_date)
    active = days.filter(pl.col("usage_date") >= month.first_day).select(*_SCOPE, "user_id").unique()
    seen = people.join(active.with_columns(is_active=pl.lit(1, pl.Int64)), on=[*_SCOPE, "user_id"], how="left")
    return seen.group_by(_SCOPE).agg(directory_users_count=pl.len().cast(pl.Int64), listed_active_count=pl.col("is_active").sum())


def _directory_people(directories: Mapping[str, pl.DataFrame], organization: Organization, day: dt.date) -> pl.DataFrame:
    """One row per scope and person whom users.csv knows on ``day``; a person of several teams stands in each."""
    schema = {"scope_kind": pl.String, "scope_id": pl.String, "user_id": pl.String}
    users, teams = directories.get("dim_user"), directories.get("dim_team")
    if users is None or users.is_empty():
        return pl.DataFrame(schema=schema)
    is_valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    placed = users.filter(is_valid).select("user_id", "team_id")
    whole = placed.with_columns(scope_id=pl.lit(organization.id))
    places = {"organization": whole, "team": placed.rename({"team_id": "scope_id"})}
    if teams is not None:
        departments = teams.filter(is_valid).select("team_id", scope_id="department_id").unique()
        places["department"] = placed.join(departments, on="team_id")
    parts = [rows.select(pl.lit(kind).alias("scope_kind"), "scope_id", "user_id") for kind, rows in places.items()]
    return pl.concat([pl.DataFrame(schema=schema), *parts]).filter(pl.col("scope_id") != UNALLOCATED).unique()


def _months(date: pl.Expr) -> pl.Expr:
    return date.dt.year().cast(pl.Int64) * 12 + date.dt.month().cast(pl.Int64)


def _named(rows: pl.DataFrame, directories: Mapping[str, pl.DataFrame], organization: Organization, day: dt.date) -> pl.DataFrame:
    keyed = rows.rename({"scope_kind": "dimension", "scope_id": "member_id"})
    named = with_names(keyed, member_names(directories, organization, day))
    return named.rename({"dimension": "scope_kind", "member_id": "scope_id", "member_name": "scope_name"})
