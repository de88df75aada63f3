"""What other directories would do to a month: usage and allocation under both, from the same staged rows. Nothing is stored."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from assets.allocation import OWNER_TABLES
from assets.resources import NAMING_TABLES, Workspace
from assets.staged import refuse_while_restaging
from assets.usage_day import Reference, UsageDay
from usage_etl.allocation import OwnerDirectories, allocate_month
from usage_etl.allocation.moves import owner_changes, owner_moves
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.errors import LakeError
from usage_etl.events import Directories
from usage_etl.facts.usage import usage_daily
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_FX_RATE,
    DIM_INVOICE,
    DIM_PRICE,
    FACT_INVOICE_LINES_MONTHLY,
)

Frames = Mapping[str, pl.DataFrame]
"""Every directory by its table's name."""


@dataclass(frozen=True)
class WhatIf:
    """One month's allocation (MART_ALLOCATION_MONTHLY) by the stored directories and by others."""

    month: Month
    before: pl.DataFrame
    after: pl.DataFrame

    def moves(self, level: str) -> pl.DataFrame:
        """Who pays how much instead of whom: from_owner, to_owner, moved_cost, currency. Raises ConservationError."""
        return owner_moves(self.before, self.after, level)

    def changes(self, level: str) -> pl.DataFrame:
        """What each owner pays before and after: owner, before_cost, after_cost, change_cost, currency."""
        return owner_changes(self.before, self.after, level)

    def names(self, level: str) -> dict[str, str]:
        """Id to name of every owner of the level, as named after."""
        columns = (f"{level}_id", f"{level}_name")
        return dict(pl.concat([self.before, self.after]).select(columns).iter_rows())


def what_if(workspace: Workspace, directories: Frames, month: Month) -> WhatIf:
    """Both allocations of ``month``; the days are built from staged rows under either, so stale facts cannot hide a move.

    Raises LakeError when the month's invoice lines were not built, and what the allocation raises.
    """
    refuse_while_restaging(workspace)
    key = month.first_day.isoformat()
    if workspace.lake.head(FACT_INVOICE_LINES_MONTHLY, key) is None:
        raise LakeError(f"{month} has no invoice lines yet; `usage-etl run --from {key}` builds it")
    stored = {file.table.name: workspace.table(file.table) for file in DIRECTORY_FILES.values()}
    return WhatIf(month, _allocated(workspace, stored, month), _allocated(workspace, directories, month))


def _allocated(workspace: Workspace, frames: Frames, month: Month) -> pl.DataFrame:
    settings = workspace.settings
    return allocate_month(
        workspace.lake.scan(FACT_INVOICE_LINES_MONTHLY, [month.first_day.isoformat()]).collect(),
        _usage(workspace, frames, month),
        OwnerDirectories(**{name: frames[table.name] for name, table in OWNER_TABLES.items()}),
        workspace.table(DIM_INVOICE),
        workspace.table(DIM_FX_RATE),
        month=month,
        organization_currency=settings.organization.currency,
        allocation=settings.allocation,
        reconciliation=settings.reconciliation,
        as_of=workspace.as_of_date,
    )


def _usage(workspace: Workspace, frames: Frames, month: Month) -> pl.DataFrame:
    """FACT_USAGE_DAILY rows of the month's days, owned by ``frames``."""
    owners = Directories(*(frames[table.name] for table in NAMING_TABLES))
    reference = Reference(workspace.table(DIM_PRICE), owners, versions={})
    days = []
    for day in month.days():
        usage_day = UsageDay(workspace, reference, day)
        with usage_day.staged.blamed():
            days.append(usage_daily(usage_day.hourly("usage")).collect())
    return pl.concat(days)
