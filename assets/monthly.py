"""Assets whose partitions are months: a range of months is one run that commits month by month."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence

import dagster as dg

from assets.describe import table_spec
from assets.partitions import monthly_partitions
from assets.ranges import build_partitions
from assets.resources import Workspace, WorkspaceResource
from usage_etl.config import Settings
from usage_etl.lake import Commit
from usage_etl.periods import Month
from usage_etl.schemas import Table

MonthBuilder = Callable[[Workspace, Month], Mapping[str, Commit]]
"""Builds and commits one month."""


def through_date(workspace: Workspace, month: Month) -> dt.date:
    """Last day of ``month`` that can have data: its last day, or the as-of day inside the running month."""
    return min(month.last_day, workspace.as_of_date)


def monthly_asset(
    settings: Settings, tables: Sequence[Table], reads: Sequence[Table], build_month: MonthBuilder, *, name: str | None = None
) -> dg.AssetsDefinition:
    """One step that commits ``tables`` of a month, made from ``reads``. Named like the first table unless given."""

    @dg.multi_asset(
        name=name or tables[0].name,
        specs=[table_spec(table, deps=[read.name for read in reads]) for table in tables],
        partitions_def=monthly_partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def month_tables(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        yield from build_partitions(context, lambda key: build_month(opened, Month.parse(key)))

    return month_tables
