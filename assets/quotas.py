"""Quotas, accounts and pools: each one month, from facts and dated directories."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import dagster as dg
import polars as pl

from assets.derive import commit_derived, day_keys
from assets.marts import history_keys
from assets.monthly import MonthBuilder, monthly_asset, through_date
from assets.projections import settled_feeds
from assets.resources import Workspace
from usage_etl.config import Settings
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month
from usage_etl.projections import project_limits, runway
from usage_etl.quotas.accounts import accounts_month, team_tokens, tokens_month, user_tokens, users_daily
from usage_etl.quotas.feeds import Feeds
from usage_etl.quotas.names import scope_names
from usage_etl.quotas.pools import pool_series, pool_stocks, pool_usage, pools_month, with_runway
from usage_etl.quotas.status import as_projected, quota_days, with_projection
from usage_etl.quotas.usage import quota_usage, scope_feeds
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_ENTITLEMENT,
    DIM_FEATURE,
    DIM_QUOTA,
    DIM_TEAM,
    DIM_USER,
    FACT_DELIVERIES_DAILY,
    FACT_TEAM_TOKENS_DAILY,
    FACT_USAGE_DAILY,
    FACT_USER_TOKENS_MONTHLY,
    MART_ACCOUNTS,
    MART_POOLS,
    MART_PROJECTION,
    MART_QUOTA_STATUS,
    MART_TOKENS_MONTHLY,
    MART_USERS_DAILY,
    Table,
)

_NAMING = (DIM_USER, DIM_TEAM, DIM_API_KEY, DIM_FEATURE)


def quota_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of the token facts and of the marts of quotas, accounts and pools."""
    builders: list[tuple[Table, tuple[Table, ...], MonthBuilder]] = [
        (FACT_USER_TOKENS_MONTHLY, (FACT_USAGE_DAILY,), _user_tokens),
        (FACT_TEAM_TOKENS_DAILY, (FACT_USAGE_DAILY,), _team_tokens),
        (MART_QUOTA_STATUS, (FACT_USAGE_DAILY, FACT_DELIVERIES_DAILY, DIM_QUOTA, MART_PROJECTION, *_NAMING), _quota_status),
        (MART_ACCOUNTS, (FACT_USER_TOKENS_MONTHLY, DIM_USER, DIM_QUOTA), _accounts),
        (MART_POOLS, (FACT_TEAM_TOKENS_DAILY, DIM_ENTITLEMENT, DIM_USER, DIM_TEAM, DIM_QUOTA), _pools),
        (MART_TOKENS_MONTHLY, (FACT_USER_TOKENS_MONTHLY,), _tokens_monthly),
        (MART_USERS_DAILY, (FACT_USAGE_DAILY, DIM_USER), _users_daily),
    ]
    return [monthly_asset(settings, [table], reads, builder) for table, reads, builder in builders]


def _user_tokens(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    return _of_days(workspace, month, FACT_USER_TOKENS_MONTHLY, lambda daily: user_tokens(daily, month=month))


def _team_tokens(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    return _of_days(workspace, month, FACT_TEAM_TOKENS_DAILY, lambda daily: team_tokens(daily, month=month))


def _of_days(
    workspace: Workspace, month: Month, table: Table, build: Callable[[pl.LazyFrame], pl.DataFrame]
) -> Mapping[str, Commit]:
    key = month.first_day.isoformat()
    return commit_derived(workspace, table, key, {FACT_USAGE_DAILY: day_keys(key)}, build)


def history_floor(workspace: Workspace) -> dt.date | None:
    """First day that the lake holds usage of."""
    filled = workspace.lake.filled_partitions(FACT_USAGE_DAILY)
    return dt.date.fromisoformat(filled[0]) if filled else None


def _months_until(workspace: Workspace, month: Month) -> list[str]:
    """Keys of the lake's months up to ``month``."""
    one, keys = Month.of(workspace.settings.start_date), []
    while one <= month:
        keys.append(one.first_day.isoformat())
        one = one.next
    return keys


def usage_feeds(workspace: Workspace, deliveries_daily: pl.DataFrame) -> Feeds:
    """How far the configured sources whose requests count reach, by the deliveries that the index knows."""
    counts = deliveries_daily.filter(pl.col("staged_count") > pl.col("reconciliation_count"))
    newest = workspace.deliveries().group_by("source").agg(pl.col("received_at").max().dt.date())
    expected = {one.name: one.expected_hours for one in workspace.settings.sources if one.role == "usage"}
    return Feeds(counts.select("source", "usage_date").unique(), dict(newest.iter_rows()), expected)


def _quota_status(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, organization = month.first_day.isoformat(), workspace.settings.organization
    through, days = through_date(workspace, month), history_keys(workspace, month)
    received = workspace.deliveries().group_by("source").agg(pl.col("received_at").max().dt.date()).sort("source")
    naming: dict[Table, Sequence[str]] = {table: [WHOLE] for table in _NAMING}
    reads = {FACT_USAGE_DAILY: days, FACT_DELIVERIES_DAILY: days, DIM_QUOTA: [WHOLE], MART_PROJECTION: [key], **naming}

    def build(
        daily: pl.LazyFrame, deliveries: pl.LazyFrame, quotas: pl.LazyFrame, projection: pl.LazyFrame, *named: pl.LazyFrame
    ) -> pl.DataFrame:
        feeds = usage_feeds(workspace, deliveries.collect())
        names = scope_names(*(frame.collect() for frame in named), organization=(organization.id, organization.name), day=through)
        status = _status_of(workspace, month, daily, quotas.collect(), feeds=feeds, names=names)
        return as_projected(status, projection.collect())

    used = {
        "through_date": through,
        "organization": organization.model_dump_json(),
        "billing_day": workspace.settings.quotas.billing_day,
        "received": received.write_json(),
        "feeds": {one.name: (one.role, one.expected_hours) for one in workspace.settings.sources},
    }
    return commit_derived(workspace, MART_QUOTA_STATUS, key, reads, build, settings=used)


def _status_of(
    workspace: Workspace, month: Month, daily: pl.LazyFrame, quotas: pl.DataFrame, *, feeds: Feeds, names: pl.DataFrame
) -> pl.DataFrame:
    organization_id, through = workspace.settings.organization.id, through_date(workspace, month)
    usage = quota_usage(daily, quotas, organization_id=organization_id)
    found = quota_days(
        quotas,
        usage,
        scope_feeds(daily, quotas, organization_id=organization_id),
        names,
        feeds=feeds,
        month=month,
        through_date=through,
        first_date=workspace.settings.start_date,
        billing_day=workspace.settings.quotas.billing_day,
    )
    parts = [
        project_limits(usage, limits, through_date=through, settled_date=settled)
        for (settled,), limits in found.limits.group_by("settled_date", maintain_order=True)
        if isinstance(settled, dt.date)
    ]
    return with_projection(found.status, pl.concat(parts), through_date=through) if parts else found.status


def _accounts(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, near_pct = month.first_day.isoformat(), workspace.settings.quotas.near_pct
    through, floor = through_date(workspace, month), history_floor(workspace)

    def build(history: pl.LazyFrame, users: pl.LazyFrame, quotas: pl.LazyFrame) -> pl.DataFrame:
        return accounts_month(
            history.collect(), users.collect(), quotas.collect(),
            month=month, through_date=through, history_floor=floor, near_pct=near_pct,
        )  # fmt: skip

    reads = {FACT_USER_TOKENS_MONTHLY: _months_until(workspace, month), DIM_USER: [WHOLE], DIM_QUOTA: [WHOLE]}
    used = {"through_date": through, "floor": floor, "near_pct": near_pct}
    return commit_derived(workspace, MART_ACCOUNTS, key, reads, build, settings=used)


def _pools(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, organization_id = month.first_day.isoformat(), workspace.settings.organization.id
    through, floor = through_date(workspace, month), history_floor(workspace)
    settled = min(settled_feeds(workspace, through)["settled_date"], default=through)

    def build(usage: pl.LazyFrame, *directories: pl.LazyFrame) -> pl.DataFrame:
        entitlements, users, teams, quotas = (frame.collect() for frame in directories)
        tokens = usage.collect()
        pools = pools_month(
            entitlements, tokens, users, teams, quotas,
            organization_id=organization_id, month=month, through_date=through, history_floor=floor,
        )  # fmt: skip
        drawn = pool_usage(entitlements, tokens, organization_id=organization_id, through_date=through)
        stocks = pool_stocks(pools, drawn, settled_date=settled)
        return with_runway(pools, runway(pool_series(drawn), stocks, settled_date=settled))

    whole: dict[Table, Sequence[str]] = {table: [WHOLE] for table in (DIM_ENTITLEMENT, DIM_USER, DIM_TEAM, DIM_QUOTA)}
    reads = {FACT_TEAM_TOKENS_DAILY: _months_until(workspace, month), **whole}
    used = {"through_date": through, "settled_date": settled, "floor": floor, "organization": organization_id}
    return commit_derived(workspace, MART_POOLS, key, reads, build, settings=used)


def _tokens_monthly(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key = month.first_day.isoformat()
    through, floor = through_date(workspace, month), history_floor(workspace)

    def build(history: pl.LazyFrame) -> pl.DataFrame:
        return tokens_month(history.collect(), month=month, through_date=through, history_floor=floor)

    reads = {FACT_USER_TOKENS_MONTHLY: _months_until(workspace, month)[-2:]}
    used = {"through_date": through, "floor": floor}
    return commit_derived(workspace, MART_TOKENS_MONTHLY, key, reads, build, settings=used)


def _users_daily(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, first = month.first_day.isoformat(), workspace.settings.start_date
    through = through_date(workspace, month)

    def build(daily: pl.LazyFrame, users: pl.LazyFrame) -> pl.DataFrame:
        return users_daily(daily, users.collect(), month=month, through_date=through, first_date=first)

    reads = {FACT_USAGE_DAILY: day_keys(key), DIM_USER: [WHOLE]}
    return commit_derived(workspace, MART_USERS_DAILY, key, reads, build, settings={"through_date": through, "first": first})
