"""Facts: usage by hour, day and month; charges by line, day and month; each a pure function of what lies left of it."""

import datetime as dt
from collections.abc import Iterator, Mapping

import dagster as dg
import polars as pl

from assets.derive import commit_derived, day_keys
from assets.describe import table_spec
from assets.partitions import daily_partitions, monthly_partitions
from assets.ranges import build_partitions
from assets.resources import Workspace, WorkspaceResource
from assets.usage_day import Reference, UsageDay
from usage_etl.config import Settings
from usage_etl.facts.charges import billing_charges, charges_daily, charges_monthly, newest_buckets
from usage_etl.facts.usage import usage_daily, usage_monthly
from usage_etl.lake import Commit
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_API_KEY,
    DIM_FEATURE,
    DIM_PRICE,
    DIM_TEAM,
    DIM_USER,
    FACT_CHARGES_DAILY,
    FACT_CHARGES_MONTHLY,
    FACT_DELIVERIES_DAILY,
    FACT_PROVIDER_USAGE_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    STAGED_CHARGES,
    STAGED_USAGE,
    USAGE_EVENTS,
)

_OWNERS = (DIM_PRICE.name, DIM_USER.name, DIM_TEAM.name, DIM_API_KEY.name, DIM_FEATURE.name)
_DAY_TABLES = (USAGE_EVENTS, FACT_USAGE_HOURLY, FACT_PROVIDER_USAGE_DAILY, FACT_DELIVERIES_DAILY)
DAILY_CHUNK = 31
"""Days per run of a backfill; a run commits day by day."""


def fact_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of every fact table and of the events and charge lines under them."""
    days, months = daily_partitions(settings), monthly_partitions(settings)
    by_day = {"partitions_def": days, "backfill_policy": dg.BackfillPolicy.multi_run(DAILY_CHUNK)}
    by_month = {"partitions_def": months, "backfill_policy": dg.BackfillPolicy.single_run()}
    stored = [table for table in _DAY_TABLES if table is not USAGE_EVENTS or settings.keep_usage_events]

    @dg.multi_asset(
        name="usage_day",
        specs=[table_spec(table, deps=[STAGED_USAGE.name, *_OWNERS], skippable=True) for table in stored],
        can_subset=True,
        **by_day,
    )
    def usage_day(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        wanted = [table for table in stored if dg.AssetKey(table.name) in context.selected_asset_keys]
        reference = Reference.read(opened)
        yield from build_partitions(context, lambda key: UsageDay(opened, reference, dt.date.fromisoformat(key)).commit(wanted))

    @dg.multi_asset(name="fact_usage_daily", specs=[table_spec(FACT_USAGE_DAILY, deps=[FACT_USAGE_HOURLY.name])], **by_day)
    def fact_usage_daily(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        lake = workspace.open()

        def build(key: str) -> Mapping[str, Commit]:
            return commit_derived(lake, FACT_USAGE_DAILY, key, {FACT_USAGE_HOURLY: [key]}, lambda hourly: usage_daily(hourly))

        yield from build_partitions(context, build)

    @dg.multi_asset(name="fact_usage_monthly", specs=[table_spec(FACT_USAGE_MONTHLY, deps=[FACT_USAGE_DAILY.name])], **by_month)
    def fact_usage_monthly(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        lake = workspace.open()

        def build(key: str) -> Mapping[str, Commit]:
            return commit_derived(
                lake, FACT_USAGE_MONTHLY, key, {FACT_USAGE_DAILY: day_keys(key)}, lambda daily: usage_monthly(daily)
            )

        yield from build_partitions(context, build)

    @dg.multi_asset(
        name="charge_day",
        specs=[
            table_spec(BILLING_CHARGES, deps=[STAGED_CHARGES.name]),
            table_spec(FACT_CHARGES_DAILY, deps=[STAGED_CHARGES.name]),
        ],
        **by_day,
    )
    def charge_day(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        yield from build_partitions(context, lambda key: _commit_charges(opened, dt.date.fromisoformat(key)))

    @dg.multi_asset(
        name="fact_charges_monthly", specs=[table_spec(FACT_CHARGES_MONTHLY, deps=[FACT_CHARGES_DAILY.name])], **by_month
    )
    def fact_charges_monthly(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        lake = workspace.open()

        def build(key: str) -> Mapping[str, Commit]:
            return commit_derived(
                lake, FACT_CHARGES_MONTHLY, key, {FACT_CHARGES_DAILY: day_keys(key)}, lambda daily: charges_monthly(daily)
            )

        yield from build_partitions(context, build)

    return [usage_day, fact_usage_daily, fact_usage_monthly, charge_day, fact_charges_monthly]


def _commit_charges(workspace: Workspace, day: dt.date) -> Mapping[str, Commit]:
    """Charge lines of one day from its staged objects, and their daily sums."""
    index, lake, partition = workspace.index, workspace.lake, day.isoformat()
    fingerprint = index.staged_fingerprint(STAGED_CHARGES.name, day)
    parts = index.staged_days(STAGED_CHARGES.name, [day]).get(day, [])
    addresses = [workspace.store.address(part.staged_key) for part in parts]
    staged = (
        pl.scan_parquet(addresses, storage_options=workspace.store.storage_options)
        if addresses
        else STAGED_CHARGES.empty().lazy()
    )
    current = newest_buckets(staged)
    pairs = current.select(pl.col("provider_name").alias("host_raw"), "model_raw").unique().collect()
    lines = billing_charges(current, models=workspace.catalog.resolve(pairs))
    inputs = {STAGED_CHARGES.name: fingerprint}
    commits = {BILLING_CHARGES.name: lake.commit(BILLING_CHARGES, partition, lines, inputs=inputs)}
    stored = lake.scan(BILLING_CHARGES, [partition])
    commits[FACT_CHARGES_DAILY.name] = lake.commit(FACT_CHARGES_DAILY, partition, charges_daily(stored), inputs=inputs)
    index.mark_built(STAGED_CHARGES.name, day, fingerprint)
    return commits
