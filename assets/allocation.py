"""The allocation: invoice lines, the shares that owners pay of them, and the journal of what is booked; each one month."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import dagster as dg
import polars as pl

from assets.derive import Reads, commit_derived, day_keys, derived_inputs
from assets.monthly import MonthBuilder, monthly_asset
from assets.ranges import checked_partitions
from assets.resources import Workspace, WorkspaceResource
from usage_etl.allocation import OwnerDirectories, allocate_month, journal_month
from usage_etl.allocation.conservation import check_conserved
from usage_etl.allocation.journal_checks import check_balanced
from usage_etl.config import Settings
from usage_etl.config.finance import AllocationSettings
from usage_etl.errors import ConservationError
from usage_etl.facts.invoice_lines import invoice_lines_month
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_API_KEY,
    DIM_BUSINESS_UNIT,
    DIM_COST_CENTER,
    DIM_DEPARTMENT,
    DIM_FX_RATE,
    DIM_INVESTIGATION,
    DIM_INVOICE,
    DIM_PROJECT,
    DIM_TEAM,
    DIM_USER,
    FACT_INVOICE_LINES_MONTHLY,
    FACT_USAGE_DAILY,
    MART_ALLOCATION_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_JOURNAL_MONTHLY,
    Table,
)

OWNER_TABLES = {
    "users": DIM_USER,
    "teams": DIM_TEAM,
    "api_keys": DIM_API_KEY,
    "departments": DIM_DEPARTMENT,
    "business_units": DIM_BUSINESS_UNIT,
    "cost_centers": DIM_COST_CENTER,
    "projects": DIM_PROJECT,
    "investigations": DIM_INVESTIGATION,
}
"""Field of ``OwnerDirectories`` to its table."""


def allocation_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of the invoice lines, of the allocation as the rules give it now, and of the journal of what is booked."""
    builders: list[tuple[Table, tuple[Table, ...], MonthBuilder]] = [
        (FACT_INVOICE_LINES_MONTHLY, (BILLING_CHARGES,), _invoice_lines),
        (
            MART_ALLOCATION_MONTHLY,
            (FACT_INVOICE_LINES_MONTHLY, FACT_USAGE_DAILY, DIM_INVOICE, DIM_FX_RATE, *OWNER_TABLES.values()),
            _allocation,
        ),
        (MART_JOURNAL_MONTHLY, (MART_CHARGEBACK_MONTHLY, FACT_INVOICE_LINES_MONTHLY, DIM_COST_CENTER), commit_journal),
    ]
    return [monthly_asset(settings, [table], reads, build) for table, reads, build in builders]


def allocation_checks() -> list[dg.AssetChecksDefinition]:
    """The allocation equals the bill, and the journal balances; both added up again from what is stored."""
    return [_bill_check(), _journal_check()]


def _invoice_lines(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, allocation = month.first_day.isoformat(), workspace.settings.allocation
    is_direct = _asks_for_users(allocation)

    def build(charges: pl.LazyFrame) -> pl.LazyFrame:
        return invoice_lines_month(
            charges,
            month=month,
            tag_keys=allocation.tag_keys,
            keep_user=is_direct,
            keep_api_key=is_direct,
        )

    reads = {BILLING_CHARGES: day_keys(key)}
    used = {"tag_keys": allocation.tag_keys, "is_direct": is_direct}
    return commit_derived(workspace, FACT_INVOICE_LINES_MONTHLY, key, reads, build, settings=used)


def _asks_for_users(allocation: AllocationSettings) -> bool:
    """Whether a rule divides lines by the user or API key that they name."""
    return any(step.method == "direct" for rule in allocation.rules for step in rule.steps)


def _allocation(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, settings = month.first_day.isoformat(), workspace.settings
    as_of = min(month.last_day, workspace.as_of_date)

    def build(
        lines: pl.LazyFrame, usage: pl.LazyFrame, invoices: pl.LazyFrame, rates: pl.LazyFrame, *directories: pl.LazyFrame
    ) -> pl.DataFrame:
        frames = {name: frame.collect() for name, frame in zip(OWNER_TABLES, directories, strict=True)}
        return allocate_month(
            lines.collect(),
            usage,
            OwnerDirectories(**frames),
            invoices.collect(),
            rates.collect(),
            month=month,
            organization_currency=settings.organization.currency,
            allocation=settings.allocation,
            reconciliation=settings.reconciliation,
            as_of=as_of,
        )

    reads, used = allocation_reads(month), _allocation_settings(workspace, month)
    return commit_derived(workspace, MART_ALLOCATION_MONTHLY, key, reads, build, settings=used)


def allocation_reads(month: Month) -> Reads:
    """Partitions that the allocation of ``month`` is made from."""
    key = month.first_day.isoformat()
    reads = {FACT_INVOICE_LINES_MONTHLY: [key], FACT_USAGE_DAILY: day_keys(key), DIM_INVOICE: [WHOLE], DIM_FX_RATE: [WHOLE]}
    return reads | {table: [WHOLE] for table in OWNER_TABLES.values()}


def allocation_inputs(workspace: Workspace, month: Month, standing: Mapping[str, str]) -> dict[str, str]:
    """Inputs of an allocation of ``month`` that is made now; ``standing`` has what is stored, by ``table/partition``."""
    return derived_inputs(allocation_reads(month), standing, settings=_allocation_settings(workspace, month))


def _allocation_settings(workspace: Workspace, month: Month) -> dict[str, object]:
    """What decides an allocation besides tables."""
    settings, as_of = workspace.settings, min(month.last_day, workspace.as_of_date)
    used: dict[str, object] = {
        "allocation": settings.allocation.model_dump_json(),
        "tolerance_pct": settings.reconciliation.tolerance_pct,
        "invoice_tolerance_cost": settings.reconciliation.invoice_tolerance_cost,
        "currency": settings.organization.currency,
    }
    return used | ({"rates_until": as_of} if as_of < month.last_day else {})


def commit_journal(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    """Commits mart_journal_monthly of ``month``; that of a month closed as a whole stands."""
    key, journal = month.first_day.isoformat(), workspace.settings.journal
    periods = workspace.period_book.periods()

    def build(chargeback: pl.LazyFrame, lines: pl.LazyFrame, cost_centers: pl.LazyFrame) -> pl.DataFrame:
        """Bills that arrive after closing, of providers without a booked bill among them, are not the month's to compare."""
        facts = lines.collect()
        still_open = [name for name in facts["provider_name"].unique() if not periods.is_closed(name, month)]
        facts = facts.filter(pl.col("provider_name").is_in(still_open))
        return journal_month(chargeback.collect(), facts, cost_centers.collect(), month=month, settings=journal)

    if periods.is_month_closed(month) and (standing := _journal_of(workspace, key)):
        return {MART_JOURNAL_MONTHLY.name: standing}
    reads = {MART_CHARGEBACK_MONTHLY: [key], FACT_INVOICE_LINES_MONTHLY: [key], DIM_COST_CENTER: [WHOLE]}
    return commit_derived(workspace, MART_JOURNAL_MONTHLY, key, reads, build, settings={"journal": journal.model_dump_json()})


def _journal_of(workspace: Workspace, key: str) -> Commit | None:
    """The stored journal of the chargeback that stands now: accounts that the directories name later do not change it."""
    head, booked = (workspace.lake.head(table, key) for table in (MART_JOURNAL_MONTHLY, MART_CHARGEBACK_MONTHLY))
    if head is None or booked is None or head.inputs.get(f"{MART_CHARGEBACK_MONTHLY.name}/{key}") != booked.sha256:
        return None
    return replace(head, changed=False)


def _bill_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_ALLOCATION_MONTHLY.name, name="equals_the_bill", blocking=True)
    def equals_the_bill(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Lines of each account add up to its invoices, or else to its charge lines, to the last minor unit."""
        lake = workspace.open().lake
        invoices = lake.scan(DIM_INVOICE, [WHOLE]).collect()

        def check(key: str) -> None:
            lines = lake.scan(MART_ALLOCATION_MONTHLY, [key]).collect()
            facts = lake.scan(FACT_INVOICE_LINES_MONTHLY, [key]).collect()
            check_conserved(lines, facts, invoices, month=Month.parse(key))

        return _verdict(context, workspace.open(), MART_ALLOCATION_MONTHLY, check)

    return equals_the_bill


def _journal_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_JOURNAL_MONTHLY.name, name="journal_balances", blocking=True)
    def journal_balances(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Debits equal credits in each currency."""
        lake = workspace.open().lake

        def check(key: str) -> None:
            check_balanced(lake.scan(MART_JOURNAL_MONTHLY, [key]).collect(), Month.parse(key))

        return _verdict(context, workspace.open(), MART_JOURNAL_MONTHLY, check)

    return journal_balances


def _verdict(
    context: dg.AssetCheckExecutionContext, workspace: Workspace, table: Table, check: Callable[[str], None]
) -> dg.AssetCheckResult:
    """Runs ``check`` over the partitions of the run, or over all that are stored; every difference is named."""
    unequal: list[str] = []
    for key in checked_partitions(context, workspace.lake, table):
        try:
            check(key)
        except ConservationError as error:
            unequal.append(str(error))
    return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": dg.MetadataValue.json(unequal)})
