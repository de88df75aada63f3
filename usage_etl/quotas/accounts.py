"""Accounts: tokens of each user by kind and month, and the allocation that stands against them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.quotas.usage import is_embedding, total_tokens
from usage_etl.schemas.accounts import (
    FACT_TEAM_TOKENS_DAILY,
    FACT_USER_TOKENS_MONTHLY,
    MART_ACCOUNTS,
    MART_TOKENS_MONTHLY,
    MART_USERS_DAILY,
)
from usage_etl.schemas.quotas import TOKEN_KINDS
from usage_etl.units import INPUT_TOKEN_CLASSES, NO_MEMBER

_WHOLE_PCT = pl.lit(Decimal(100)).cast(MONEY)


def user_tokens(daily: pl.LazyFrame, *, month: Month) -> pl.DataFrame:
    """One (month, user, token kind) per row (fact_user_tokens_monthly), from fact_usage_daily. No token is lost."""
    grouped = _of_month(daily, month).group_by(
        token_kind=_kind(), user_id=pl.col("user_id").cast(pl.String).fill_null(NO_MEMBER)
    )  # fmt: skip
    summed = grouped.agg(
        pl.col("requests_count").sum(),
        input_tokens=pl.sum_horizontal(INPUT_TOKEN_CLASSES).sum(),
        output_tokens=pl.col("output_tokens").sum(),
        total_tokens=total_tokens().sum(),
        first_used_date=pl.col("usage_date").min(),
        last_used_date=pl.col("usage_date").max(),
    ).with_columns(month=pl.lit(month.first_day))
    return FACT_USER_TOKENS_MONTHLY.validate(
        summed.select(*FACT_USER_TOKENS_MONTHLY.columns).collect().sort("user_id", "token_kind")
    )


def team_tokens(daily: pl.LazyFrame, *, month: Month) -> pl.DataFrame:
    """One (day, department, team, token kind) per row (fact_team_tokens_daily), from fact_usage_daily."""
    owners = pl.col("department_id", "team_id").cast(pl.String)
    summed = _of_month(daily, month).group_by("usage_date", owners, token_kind=_kind()).agg(total_tokens=total_tokens().sum())
    frame = summed.with_columns(month=pl.lit(month.first_day)).select(*FACT_TEAM_TOKENS_DAILY.columns).collect()
    return FACT_TEAM_TOKENS_DAILY.validate(frame.sort(*FACT_TEAM_TOKENS_DAILY.sort_by))


def _of_month(daily: pl.LazyFrame, month: Month) -> pl.LazyFrame:
    return daily.filter(pl.col("usage_date").is_between(month.first_day, month.last_day))


def _kind() -> pl.Expr:
    return pl.when(is_embedding()).then(pl.lit("embedding")).otherwise(pl.lit("inference"))


def allocations_on(quotas: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """One user with a monthly quota of tokens in force on ``day``: the smallest of each kind, null where there is none."""
    monthly = quotas.filter(
        pl.col("scope_kind") == "user",
        pl.col("period_kind") != "day",
        pl.col("measure").is_in([f"{kind}_tokens" for kind in TOKEN_KINDS]),
        _in_force(day),
    )  # fmt: skip
    of_kind = {
        f"max_{kind}_tokens": pl.col("limit_quantity").filter(pl.col("measure") == f"{kind}_tokens").min().cast(pl.Int64)
        for kind in TOKEN_KINDS
    }
    return monthly.group_by(user_id="scope_id").agg(**of_kind)


def _in_force(day: dt.date) -> pl.Expr:
    return (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))


def main_teams(users: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """One user of dim_user in force on ``day`` with the team of the largest share, of equal ones the first by id."""
    ranked = users.filter(_in_force(day)).sort(
        "user_id", pl.col("split_pct").fill_null(_WHOLE_PCT), "team_id", descending=[False, True, False]
    )
    return ranked.unique("user_id", keep="first", maintain_order=True).select("user_id", "user_name", "user_email", "team_id")


def accounts_month(
    history: pl.DataFrame,
    users: pl.DataFrame,
    quotas: pl.DataFrame,
    *,
    month: Month,
    through_date: dt.date,
    history_floor: dt.date | None,
    near_pct: Decimal,
) -> pl.DataFrame:
    """One user per row (mart_accounts).

    ``history`` is fact_user_tokens_monthly of every month up to ``month``; ``users`` dim_user and ``quotas`` dim_quota;
    ``history_floor`` the first day that the lake holds usage of.
    """
    through = min(through_date, month.last_day)
    named = history.filter(pl.col("user_id") != NO_MEMBER, pl.col("month") <= month.first_day)
    known, allocated = main_teams(users, through), allocations_on(quotas, through)
    everybody = pl.concat([frame.select("user_id") for frame in (known, allocated, named)]).unique()
    lifetime = named.group_by("user_id").agg(
        first_seen_date=pl.col("first_used_date").min(), last_active_date=pl.col("last_used_date").max()
    )
    frame = everybody.join(known.with_columns(is_in_directory=pl.lit(value=True)), on="user_id", how="left")
    parts = {"": [month.first_day], "previous_": [month.previous.first_day], "lifetime_": named["month"].unique().to_list()}
    for part in (allocated, lifetime, *(_summed(named, prefix, months) for prefix, months in parts.items())):
        frame = frame.join(part, on="user_id", how="left")
    covered = set(history["month"].unique().to_list())
    has_previous = history_floor is not None and history_floor <= month.previous.first_day
    is_known = {"": month.first_day in covered, "previous_": has_previous, "lifetime_": bool(covered)}
    zeros = [
        (pl.col(column).fill_null(0) if is_known[prefix] else pl.lit(None, pl.Int64)).alias(column)
        for prefix in parts
        for column in (f"{prefix}{kind}_tokens" for kind in TOKEN_KINDS)
    ]
    told = frame.with_columns(
        *zeros,
        pl.col("is_in_directory").fill_null(value=False),
        month=pl.lit(month.first_day),
        through_date=pl.lit(through),
        history_floor_date=pl.lit(history_floor, pl.Date),
    ).with_columns(
        lifetime_total_tokens=pl.col("lifetime_inference_tokens") + pl.col("lifetime_embedding_tokens"),
        **{f"{kind}_utilisation_ratio": _utilisation(kind) for kind in TOKEN_KINDS},
    )
    finished = told.with_columns(allocation_status=_status(near_pct)).select(*MART_ACCOUNTS.columns)
    return MART_ACCOUNTS.validate(finished.sort("user_id"))


def _summed(named: pl.DataFrame, prefix: str, months: list[dt.date]) -> pl.DataFrame:
    sums = {f"{prefix}{kind}_tokens": pl.col("total_tokens").filter(pl.col("token_kind") == kind).sum() for kind in TOKEN_KINDS}
    return named.filter(pl.col("month").is_in(months)).group_by("user_id").agg(**sums)


def _utilisation(kind: str) -> pl.Expr:
    used, limit = pl.col(f"{kind}_tokens"), pl.col(f"max_{kind}_tokens")
    of_nothing = pl.when(used > 0).then(1.0).when(used == 0).then(0.0)
    return pl.when(limit > 0).then(used / limit).when(limit == 0).then(of_nothing)


def _status(near_pct: Decimal) -> pl.Expr:
    pairs = [(pl.col(f"{kind}_tokens"), pl.col(f"max_{kind}_tokens")) for kind in TOKEN_KINDS]
    share = pl.lit(near_pct / 100).cast(pl.Decimal(38, 6))
    is_over = pl.any_horizontal((used > limit).fill_null(value=False) for used, limit in pairs)
    is_near = pl.any_horizontal(
        ((used.cast(pl.Decimal(38, 6)) >= limit.cast(pl.Decimal(38, 6)) * share) & (limit > 0)).fill_null(value=False)
        for used, limit in pairs
    )
    has_any = pl.any_horizontal(limit.is_not_null() for _, limit in pairs)
    return (
        pl.when(is_over).then(pl.lit("over")).when(is_near).then(pl.lit("near")).when(has_any).then(pl.lit("within"))
        .otherwise(pl.lit("none"))
    )  # fmt: skip


def tokens_month(history: pl.DataFrame, *, month: Month, through_date: dt.date, history_floor: dt.date | None) -> pl.DataFrame:
    """One token kind per row (mart_tokens_monthly), from fact_user_tokens_monthly of the month and of the month before."""
    through = min(through_date, month.last_day)
    is_partial = through < month.last_day
    has_previous = history_floor is not None and history_floor <= month.previous.first_day
    has_month = history_floor is not None and history_floor <= through
    named = pl.col("user_id") != NO_MEMBER
    current = history.filter(pl.col("month") == month.first_day).group_by("token_kind").agg(
        pl.col("requests_count", "input_tokens", "output_tokens", "total_tokens").sum(),
        active_users_count=pl.col("user_id").filter(named).n_unique().cast(pl.Int64),
    )  # fmt: skip
    before = history.filter(pl.col("month") == month.previous.first_day)
    previous = before.group_by("token_kind").agg(previous_total_tokens=pl.col("total_tokens").sum())
    counted = [name for name in current.columns if name != "token_kind"]
    frame = pl.DataFrame({"token_kind": TOKEN_KINDS}).join(current, on="token_kind", how="left")
    frame = frame.join(previous, on="token_kind", how="left").with_columns(
        *(pl.col(name).fill_null(0) if has_month else pl.lit(None, pl.Int64).alias(name) for name in counted),
        (pl.col("previous_total_tokens").fill_null(0) if has_previous else pl.lit(None, pl.Int64).alias("previous_total_tokens")),
        month=pl.lit(month.first_day),
        through_date=pl.lit(through),
        is_partial=pl.lit(is_partial),
    )
    whole, before_tokens = pl.col("total_tokens").sum(), pl.col("previous_total_tokens")
    told = frame.with_columns(
        share_ratio=pl.when(whole > 0).then(pl.col("total_tokens") / whole),
        change_ratio=pl.when((before_tokens > 0) & pl.lit(not is_partial)).then(pl.col("total_tokens") / before_tokens - 1),
    )
    return MART_TOKENS_MONTHLY.validate(told.select(*MART_TOKENS_MONTHLY.columns).sort("token_kind"))


def users_daily(
    daily: pl.LazyFrame, users: pl.DataFrame, *, month: Month, through_date: dt.date, first_date: dt.date
) -> pl.DataFrame:
    """One UTC day of the month up to ``through_date`` per row (mart_users_daily), from fact_usage_daily and dim_user."""
    first, last = max(month.first_day, first_date), min(month.last_day, through_date)
    days = pl.DataFrame({"usage_date": pl.date_range(first, last, eager=True) if first <= last else pl.Series([], dtype=pl.Date)})
    spans = users.select("user_id", "valid_from", end=pl.col("valid_to").fill_null(dt.date.max))
    in_force = days.join_where(
        spans, pl.col("usage_date") >= pl.col("valid_from"), pl.col("usage_date") < pl.col("end")
    ).select("usage_date", "user_id").unique()  # fmt: skip
    seen = _of_month(daily, month).select("usage_date", pl.col("user_id").cast(pl.String)).unique().collect()
    active = seen.join(in_force.with_columns(is_known=pl.lit(value=True)), on=["usage_date", "user_id"], how="left")
    is_named = pl.col("user_id").is_not_null()
    counts = active.group_by("usage_date").agg(
        active_users_count=is_named.sum().cast(pl.Int64),
        unknown_users_count=(is_named & pl.col("is_known").is_null()).sum().cast(pl.Int64),
    )
    directory = in_force.group_by("usage_date").agg(directory_users_count=pl.len().cast(pl.Int64))
    joined = days.join(directory, on="usage_date", how="left").join(counts, on="usage_date", how="left")
    told = joined.with_columns(pl.col("directory_users_count").fill_null(0), month=pl.lit(month.first_day))
    return MART_USERS_DAILY.validate(told.select(*MART_USERS_DAILY.columns).sort("usage_date"))
