"""The tie-out: bills beside usage by day and month, and invoices beside bills; and the checks that it adds up."""

import datetime as dt
from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets.derive import Reads, commit_derived, day_keys
from assets.monthly import monthly_asset
from assets.ranges import checked_partitions
from assets.resources import Workspace, WorkspaceResource
from usage_etl.allocation import invoice_tie_out, tie_out_month
from usage_etl.allocation.tie_out_proof import unequal_causes, unequal_days, unequal_facts
from usage_etl.config import Settings
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_INVOICE,
    DIM_PRICE,
    FACT_PROVIDER_USAGE_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    MART_INVOICE_TIE_OUT,
    MART_RECONCILIATION_DAILY,
    MART_RECONCILIATION_MONTHLY,
    Table,
)

_READS = (BILLING_CHARGES, FACT_USAGE_DAILY, FACT_USAGE_HOURLY, FACT_PROVIDER_USAGE_DAILY, DIM_PRICE)


def tie_out_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """mart_reconciliation_daily and _monthly, made together, and mart_invoice_tie_out."""
    invoice_reads = (BILLING_CHARGES, MART_RECONCILIATION_MONTHLY, DIM_INVOICE)
    return [
        monthly_asset(settings, (MART_RECONCILIATION_DAILY, MART_RECONCILIATION_MONTHLY), _READS, _tie_out, name="tie_out"),
        monthly_asset(settings, (MART_INVOICE_TIE_OUT,), invoice_reads, _invoices),
    ]


def tie_out_checks() -> list[dg.AssetChecksDefinition]:
    """Causes add up to every difference, the month equals its days and the facts; all added again in Python integers."""
    return [_causes_check(MART_RECONCILIATION_DAILY), _causes_check(MART_RECONCILIATION_MONTHLY), _days_check(), _facts_check()]


def _tie_out(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, settings = month.first_day.isoformat(), workspace.settings.reconciliation
    currency = workspace.settings.organization.currency
    beside = [month.first_day - dt.timedelta(days=1), month.end]
    reads: Reads = {
        BILLING_CHARGES: day_keys(key),
        FACT_USAGE_DAILY: day_keys(key),
        FACT_USAGE_HOURLY: [*day_keys(key), *(day.isoformat() for day in beside)],
        FACT_PROVIDER_USAGE_DAILY: day_keys(key),
        DIM_PRICE: [WHOLE],
    }
    made: list[tuple[pl.DataFrame, pl.DataFrame]] = []

    def build(*frames: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        if not made:
            made.append(tie_out_month(*frames, month=month, settings=settings, organization_currency=currency))
        return made[0]

    used = {"tolerance_pct": settings.tolerance_pct, "time_zones": settings.time_zones, "currency": currency}
    commits: dict[str, Commit] = {}
    for index, table in enumerate((MART_RECONCILIATION_DAILY, MART_RECONCILIATION_MONTHLY)):
        commits |= commit_derived(workspace, table, key, reads, lambda *frames, index=index: build(*frames)[index], settings=used)
    return commits


def _invoices(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, settings = month.first_day.isoformat(), workspace.settings.reconciliation

    def build(charges: pl.LazyFrame, tie_out: pl.LazyFrame, invoices: pl.LazyFrame) -> pl.DataFrame:
        return invoice_tie_out(charges, tie_out.collect(), invoices, month=month, settings=settings)

    reads = {BILLING_CHARGES: day_keys(key), MART_RECONCILIATION_MONTHLY: [key], DIM_INVOICE: [WHOLE]}
    used = {"gates": settings.publish_gates, "invoice_tolerance_cost": settings.invoice_tolerance_cost}
    return commit_derived(workspace, MART_INVOICE_TIE_OUT, key, reads, build, settings=used)


def _causes_check(table: Table) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=table.name, name="causes_add_up", blocking=True)
    def causes_add_up(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Causes and unexplained cost of every row are its difference, and that is billed minus metered."""
        lake = workspace.open().lake
        unequal = [
            f"{key} {row}"
            for key in checked_partitions(context, lake, table)
            for row in unequal_causes(lake.scan(table, [key]).collect())
        ]
        return _result(unequal)

    return causes_add_up


def _days_check() -> dg.AssetChecksDefinition:
    table = MART_RECONCILIATION_MONTHLY

    @dg.asset_check(asset=table.name, name="equals_days", blocking=True, additional_deps=[MART_RECONCILIATION_DAILY.name])
    def equals_days(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Amounts, quantities and causes of the month are the sums of its days."""
        lake = workspace.open().lake
        unequal = [
            f"{key} {row}"
            for key in checked_partitions(context, lake, table)
            for row in unequal_days(lake.scan(MART_RECONCILIATION_DAILY, [key]).collect(), lake.scan(table, [key]).collect())
        ]
        return _result(unequal)

    return equals_days


def _facts_check() -> dg.AssetChecksDefinition:
    table = MART_RECONCILIATION_MONTHLY

    @dg.asset_check(asset=table.name, name="equals_facts", blocking=True)
    def equals_facts(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Billed, metered and reported cost are those of the facts, per currency: nothing dropped, nothing twice."""
        lake = workspace.open().lake
        unequal = []
        for key in checked_partitions(context, lake, table):
            facts = (lake.scan(fact, day_keys(key)) for fact in (BILLING_CHARGES, FACT_USAGE_DAILY, FACT_PROVIDER_USAGE_DAILY))
            unequal += [f"{key} {row}" for row in unequal_facts(lake.scan(table, [key]).collect(), *facts)]
        return _result(unequal)

    return equals_facts


def _result(unequal: list[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": dg.MetadataValue.json(unequal)})
