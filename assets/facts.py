"""Facts: usage by hour, day and month; charges by line, day and month; each a pure function of what lies left of it."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.derive import commit_derived, day_keys
from assets.describe import table_spec
from assets.monthly import monthly_asset
from assets.partitions import daily_partitions, monthly_partitions
from assets.ranges import build_partitions
from assets.resources import NAMING_TABLES, Workspace, WorkspaceResource
from assets.restatements import note_build, restatements_asset
from assets.staged import StagedObjects, refuse_while_restaging
from assets.usage_day import Reference, UsageDay
from usage_etl.config import Settings
from usage_etl.facts.charges import billing_charges, charges_daily, charges_monthly
from usage_etl.facts.sessions import sessions_daily
from usage_etl.facts.usage import usage_daily, usage_monthly
from usage_etl.lake import Commit
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_PRICE,
    FACT_CHARGES_DAILY,
    FACT_CHARGES_MONTHLY,
    FACT_DELIVERIES_DAILY,
    FACT_PROVIDER_USAGE_DAILY,
    FACT_SESSIONS_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    STAGED_CHARGES,
    STAGED_USAGE,
    USAGE_EVENTS,
    Table,
)

_REFERENCE = (DIM_PRICE, *NAMING_TABLES)
_DAY_TABLES = (USAGE_EVENTS, FACT_USAGE_HOURLY, FACT_PROVIDER_USAGE_DAILY, FACT_DELIVERIES_DAILY)
RollUp = Callable[[pl.LazyFrame], pl.LazyFrame]
DAILY_CHUNK = 31
"""Days per run of a backfill; a run commits day by day."""


def fact_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of every fact table and of the events and charge lines under them."""
    by_day = {"partitions_def": daily_partitions(settings), "backfill_policy": dg.BackfillPolicy.multi_run(DAILY_CHUNK)}
    by_month = {"partitions_def": monthly_partitions(settings), "backfill_policy": dg.BackfillPolicy.single_run()}
    return [
        _usage_day([table for table in _DAY_TABLES if table is not USAGE_EVENTS or settings.keep_usage_events], by_day),
        _charge_day(by_day),
        _month(settings, FACT_USAGE_MONTHLY, FACT_USAGE_DAILY, usage_monthly),
        _month(settings, FACT_CHARGES_MONTHLY, FACT_CHARGES_DAILY, charges_monthly),
        restatements_asset(by_month),
    ]


def _usage_day(tables: Sequence[Table], partitioning: Mapping[str, Any]) -> dg.AssetsDefinition:
    """Everything of a day in one step: a day that fails keeps no other day from its daily facts."""
    deps = [STAGED_USAGE.name, *(table.name for table in _REFERENCE)]
    derived: dict[Table, tuple[Table, Callable[[pl.LazyFrame], pl.LazyFrame]]] = {
        FACT_USAGE_DAILY: (FACT_USAGE_HOURLY, usage_daily)
    }
    if USAGE_EVENTS in tables:
        derived[FACT_SESSIONS_DAILY] = (USAGE_EVENTS, sessions_daily)
    sums = [table_spec(table, deps=[finer.name], skippable=True) for table, (finer, _) in derived.items()]

    @dg.multi_asset(
        name="usage_day",
        specs=[*(table_spec(table, deps=deps, skippable=True) for table in tables), *sums],
        can_subset=True,
        **partitioning,
    )
    def usage_day(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        refuse_while_restaging(opened)
        reference, selected = Reference.read(opened), {key.to_user_string() for key in context.selected_asset_keys}

        def build(key: str) -> Mapping[str, Commit]:
            day = UsageDay(opened, reference, dt.date.fromisoformat(key))
            commits = day.commit([table for table in tables if table.name in selected])
            for table, (finer, roll_up) in derived.items():
                if table.name in selected:
                    commits |= commit_derived(opened, table, key, {finer: [key]}, roll_up)
            return commits

        yield from build_partitions(context, build)

    return usage_day


def _charge_day(partitioning: Mapping[str, Any]) -> dg.AssetsDefinition:
    lines = table_spec(BILLING_CHARGES, deps=[STAGED_CHARGES.name])
    sums = table_spec(FACT_CHARGES_DAILY, deps=[BILLING_CHARGES.name])

    @dg.multi_asset(name="charge_day", specs=[lines, sums], **partitioning)
    def charge_day(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        refuse_while_restaging(opened)
        yield from build_partitions(context, lambda key: _commit_charges(opened, dt.date.fromisoformat(key)))

    return charge_day


def _month(settings: Settings, table: Table, days: Table, roll_up: Callable[[pl.LazyFrame], pl.LazyFrame]) -> dg.AssetsDefinition:
    def build(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
        key = month.first_day.isoformat()
        return commit_derived(workspace, table, key, {days: day_keys(key)}, roll_up)

    return monthly_asset(settings, [table], [days], build)


def _commit_charges(workspace: Workspace, day: dt.date) -> Mapping[str, Commit]:
    """Charge lines of one day from its staged objects, and their daily sums."""
    partition, staged = day.isoformat(), StagedObjects(workspace, STAGED_CHARGES, day)

    def lines() -> pl.LazyFrame:
        current = staged.scan()
        pairs = current.select(pl.col("provider_name").alias("host_raw"), "model_raw").unique().collect()
        return billing_charges(current, models=workspace.catalog.resolve(pairs))

    used = {STAGED_CHARGES.name: staged.inputs.fingerprint, "model_aliases": workspace.settings.prices.model_aliases}
    with staged.blamed():
        commits = commit_derived(workspace, BILLING_CHARGES, partition, {}, lines, settings=used)
    commits |= commit_derived(workspace, FACT_CHARGES_DAILY, partition, {BILLING_CHARGES: [partition]}, charges_daily)
    note_build(workspace, staged, BILLING_CHARGES, commits[BILLING_CHARGES.name])
    return commits
