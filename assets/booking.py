"""Reads what booking needs of the lake and of the period book, and commits the booked chargeback of a month."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from assets.closing_inputs import Reasons
from assets.derive import Reads, commit_derived
from assets.resources import Workspace
from usage_etl.allocation.booking import booked_month, check_closed_lines, lines_in_force, lines_sha256, own_closed_lines
from usage_etl.allocation.corrections import corrections, due_changes
from usage_etl.allocation.disputes import open_faults
from usage_etl.allocation.owner_paths import OwnerPaths
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_BUSINESS_UNIT,
    DIM_COST_CENTER,
    DIM_DEPARTMENT,
    DIM_DISPUTE,
    DIM_TEAM,
    MART_ALLOCATION_MONTHLY,
    MART_CHARGEBACK_CLOSED,
    MART_CHARGEBACK_MONTHLY,
    Table,
)
from usage_etl.schemas.periods import ALL_OTHERS, Closing, Periods

OWNER_TABLES = (DIM_TEAM, DIM_DEPARTMENT, DIM_BUSINESS_UNIT, DIM_COST_CENTER)
"""Directories that ``OwnerPaths`` is made of, in its order."""

BOOKING_READS: tuple[Table, ...] = (MART_ALLOCATION_MONTHLY, MART_CHARGEBACK_CLOSED, DIM_DISPUTE, *OWNER_TABLES)
"""Tables that the booked chargeback is made from."""


@dataclass(frozen=True)
class Booking:
    """How one month is booked while the closings are those of ``periods``."""

    workspace: Workspace
    month: Month
    periods: Periods

    @cached_property
    def compared(self) -> list[Month]:
        """Closed months of which something may be corrected in this one: their allocation is not the one that was booked."""
        return [month for month in closed_months_before(self.periods, self.month) if self._may_differ(month)]

    def _may_differ(self, corrected: Month) -> bool:
        head = self.workspace.lake.head(MART_ALLOCATION_MONTHLY, corrected.first_day.isoformat())
        names = {closing.provider_name for closing in self.periods.closings} | {ALL_OTHERS}
        due = [name for name in names if corrected in self.periods.closed_run_before(name, self.month)]
        return head is not None and any(head.sha256 != settled_version(self.periods, name, corrected) for name in due)

    @property
    def reads(self) -> Reads:
        """Partitions that the month is made from; of a month closed as a whole, only its closed lines."""
        key = self.month.first_day.isoformat()
        if self.periods.is_month_closed(self.month):
            return {MART_CHARGEBACK_CLOSED: [key]}
        return {
            MART_ALLOCATION_MONTHLY: [month.first_day.isoformat() for month in [*self.compared, self.month]],
            MART_CHARGEBACK_CLOSED: self.workspace.lake.partitions(MART_CHARGEBACK_CLOSED),
            **{table: [WHOLE] for table in (DIM_DISPUTE, *OWNER_TABLES)},
        }

    def lines(self, frames: Mapping[Table, pl.LazyFrame]) -> pl.DataFrame:
        """The booked lines. Raises IntegrityError when lines of a closing of the month are not those that it recorded."""
        closed_lines = self._closed_lines(frames)
        self._check_closed(closed_lines)
        if self.periods.is_month_closed(self.month):
            return MART_CHARGEBACK_MONTHLY.validate(
                own_closed_lines(closed_lines, self.month).sort(*MART_CHARGEBACK_MONTHLY.sort_by, nulls_last=False)
            )
        disputes = frames[DIM_DISPUTE].collect()
        return booked_month(
            self.month,
            self._allocation(frames),
            closed_lines,
            disputes,
            disputed_lines(self.workspace, disputes, self.periods),
            periods=self.periods,
            owners=OwnerPaths(*(frames[table].collect() for table in OWNER_TABLES)),
            as_of=self.workspace.as_of_date,
            correction_threshold=self.workspace.settings.close.correction_threshold_cost,
            reason_of=Reasons(self.workspace, self.periods),
        )

    def stored_lines(self) -> pl.DataFrame:
        """The lines as they would be booked now, from what is stored."""
        return self.lines({table: self.workspace.lake.scan(table, partitions) for table, partitions in self.reads.items()})

    def carried(self) -> set[tuple[str, Month]]:
        """Providers and closed months whose changes are not booked, because they move no more than the threshold."""
        threshold = self.workspace.settings.close.correction_threshold_cost
        if not threshold or self.periods.is_month_closed(self.month):
            return set()
        frames = {table: self.workspace.lake.scan(table, partitions) for table, partitions in self.reads.items()}
        changes = corrections(self.month, self._allocation(frames), self._closed_lines(frames), self.periods)
        due = due_changes(changes, threshold=threshold)
        left = changes.join(due, on=["provider_name", "corrects_month"], how="anti")
        return {(name, Month.of(day)) for name, day in left.select("provider_name", "corrects_month").unique().iter_rows()}

    def _allocation(self, frames: Mapping[Table, pl.LazyFrame]) -> dict[Month, pl.DataFrame]:
        allocated = frames[MART_ALLOCATION_MONTHLY].collect()
        return {month: allocated.filter(pl.col("month") == month.first_day) for month in [*self.compared, self.month]}

    def settings(self) -> Mapping[str, object]:
        """What decides the lines beside stored tables."""
        standing = [(item.provider_name, str(item.month), item.number, item.lines_sha256) for item in self.periods]
        if self.periods.is_month_closed(self.month):
            return {"closings": [found for found in standing if found[1] == str(self.month)]}
        disputes = self.workspace.table(DIM_DISPUTE)
        return {
            "closings": standing,
            "status": self.periods.month_status(self.month, as_of=self.workspace.as_of_date),
            "threshold": self.workspace.settings.close.correction_threshold_cost,
            "disputed": lines_sha256(disputed_lines(self.workspace, disputes, self.periods)),
        }

    def _closed_lines(self, frames: Mapping[Table, pl.LazyFrame]) -> pl.DataFrame:
        """Lines in force that the month can need: those of compared months, their corrections, disputes and their lines."""
        disputed = frames[DIM_DISPUTE].select("line_id").collect()["line_id"].to_list() if DIM_DISPUTE in frames else []
        compared = [month.first_day for month in [*self.compared, self.month]]
        needed = (
            pl.col("month").is_in(compared)
            | pl.col("corrects_month").is_in(compared)
            | pl.col("dispute_id").is_not_null()
            | pl.col("line_id").is_in(disputed)
        )
        return lines_in_force(frames[MART_CHARGEBACK_CLOSED].filter(needed), self.periods).collect()

    def _check_closed(self, closed_lines: pl.DataFrame) -> None:
        for closing in self.periods:
            if closing.month == self.month and closing.provider_name != ALL_OTHERS:
                check_closed_lines(lines_of(closed_lines, closing), closing)


def commit_booked(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    """Commits mart_chargeback_monthly of ``month``."""
    booking = Booking(workspace, month, workspace.period_book.periods())
    reads = booking.reads
    build: Callable[..., pl.DataFrame] = lambda *frames: booking.lines(dict(zip(reads, frames, strict=True)))  # noqa: E731
    key = month.first_day.isoformat()
    return commit_derived(workspace, MART_CHARGEBACK_MONTHLY, key, reads, build, settings=booking.settings())


def booking_months(workspace: Workspace, changed: list[Month]) -> list[Month]:
    """Months whose chargeback can differ when the allocation of the ``changed`` months does: those and where they are corrected.

    A closed month's change is booked in the first month after it that is not closed for the provider. What was booked there
    goes back into a month that was reopened.
    """
    periods = workspace.period_book.periods()
    last = Month.of(workspace.as_of_date)
    providers = {closing.provider_name for closing in periods}
    found = set(changed)
    for month in changed:
        was_closed = {closing.provider_name for closing in periods.closings if closing.month == month}
        for name in providers | was_closed:
            if name in was_closed or periods.is_closed(name, month):
                found.add(periods.first_open_after(name, month))
    return sorted(month for month in found if month <= last)


def allocation_input(month: Month) -> str:
    """Name under which a closing records the version of a month's allocation that is booked in it."""
    return f"{MART_ALLOCATION_MONTHLY.name}/{month.first_day}"


def settled_version(periods: Periods, provider_name: str, month: Month) -> str | None:
    """Version of a closed month's allocation that is booked in full for the provider; None where no closing says so.

    Where none of the provider's own says it, the newest one that closed a month as a whole does, unless a closing of the
    provider that it counted on was reopened since.
    """
    name = allocation_input(month)
    found = [closing for closing in periods if name in closing.inputs]  # by month: the newest comes last
    own = [closing for closing in found if closing.provider_name == provider_name]
    months = {closing.month for closing in periods.closings if closing.provider_name == provider_name}
    reopened = {later for later in months if periods.in_force(provider_name, later) is None}
    whole = [
        closing
        for closing in found
        if closing.provider_name == ALL_OTHERS and not any(month < later <= closing.month for later in reopened)
    ]
    return (own or whole)[-1].inputs[name] if own or whole else None


def closed_months_before(periods: Periods, month: Month) -> list[Month]:
    """Closed months whose corrections can be booked in ``month``, for any provider that has or has no closing."""
    providers = {closing.provider_name for closing in periods.closings} | {ALL_OTHERS}
    return sorted({earlier for name in providers for earlier in periods.closed_run_before(name, month)})


def disputed_lines(workspace: Workspace, disputes: pl.DataFrame, periods: Periods) -> pl.DataFrame:
    """Lines that disputes name, as they stand: of months that are not closed, booked or as the rules give them now."""
    types = MART_CHARGEBACK_MONTHLY.polars_schema
    if disputes.is_empty():
        return MART_CHARGEBACK_MONTHLY.empty()
    is_named = pl.col("line_id").is_in(disputes["line_id"].to_list())
    booked = workspace.lake.scan(MART_CHARGEBACK_MONTHLY).filter(is_named).collect()
    blank = [pl.lit(None, types[name]).alias(name) for name in types if name not in MART_ALLOCATION_MONTHLY.columns]
    allocated = workspace.lake.scan(MART_ALLOCATION_MONTHLY).filter(is_named).collect().with_columns(blank).select(types.names())
    corrections_only = booked.filter(pl.col("corrects_month").is_not_null())
    found = pl.concat([allocated, corrections_only])
    is_open = [not periods.is_closed(name, Month.of(day)) for name, day in found.select("provider_name", "month").iter_rows()]
    return found.filter(pl.Series(is_open, dtype=pl.Boolean)).sort("line_id")


def open_dispute_faults(workspace: Workspace) -> list[str]:
    """What would stop the chargeback if the open disputes were accepted as they stand."""
    disputes, periods = workspace.table(DIM_DISPUTE), workspace.period_book.periods()
    is_needed = pl.col("dispute_id").is_not_null() | pl.col("line_id").is_in(disputes["line_id"].to_list())
    closed_lines = lines_in_force(workspace.lake.scan(MART_CHARGEBACK_CLOSED).filter(is_needed), periods).collect()
    published = pl.concat([disputed_lines(workspace, disputes, periods), own_closed_lines(closed_lines)])
    return open_faults(disputes, published, closed_lines, OwnerPaths(*(workspace.table(table) for table in OWNER_TABLES)))


def lines_of(closed_lines: pl.DataFrame, closing: Closing) -> pl.DataFrame:
    """Of stored lines those of one closing."""
    return closed_lines.filter(
        (pl.col("provider_name") == closing.provider_name)
        & (pl.col("month") == closing.month.first_day)
        & (pl.col("closing_number") == closing.number)
    )
