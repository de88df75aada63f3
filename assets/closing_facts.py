"""Gathers what the gates of closing look at, from the lake and the delivery index as they are now."""

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Protocol

import polars as pl

from assets.booking import closed_months_before
from assets.derive import day_keys
from assets.resources import Workspace
from assets.stale_months import stale_months
from usage_etl.allocation.close_gates import CloseFacts, DoubtfulDelivery, SourceState, close_faults
from usage_etl.config.finance import ToleranceGate
from usage_etl.lake import LandedDelivery
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_INVOICE,
    FACT_INVOICE_LINES_MONTHLY,
    FACT_USAGE_DAILY,
    MART_ALLOCATION_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_INVOICE_TIE_OUT,
    MART_RECONCILIATION_MONTHLY,
    STAGED_CHARGES,
    STAGED_USAGE,
    TABLES_BY_NAME,
    Table,
)
from usage_etl.schemas.periods import Periods

CLOSING_READS: tuple[Table, ...] = (
    MART_RECONCILIATION_MONTHLY,
    MART_INVOICE_TIE_OUT,
    FACT_INVOICE_LINES_MONTHLY,
    DIM_INVOICE,
)
"""Tables that the gates ask, beside those that booking reads."""


class FailedGates(Protocol):
    """Tolerance gates that do not hold for mart_reconciliation_monthly and mart_invoice_tie_out of one month."""

    def __call__(
        self,
        reconciliation_monthly: pl.DataFrame,
        invoice_tie_out: pl.DataFrame,
        gates: Sequence[ToleranceGate],
        *,
        invoice_tolerance: Decimal,
    ) -> list[str]:
        """One sentence for each gate that does not hold."""
        ...


class MonthFacts:
    """Facts about one month, read once and told by provider."""

    def __init__(self, workspace: Workspace, month: Month, periods: Periods, failed_gates: FailedGates) -> None:
        self._workspace, self._month, self._periods = workspace, month, periods
        self._failed_gates = failed_gates
        self._key = month.first_day.isoformat()
        lake = workspace.lake
        self._reconciliation = lake.scan(MART_RECONCILIATION_MONTHLY, [self._key]).collect()
        self._tie_out = lake.scan(MART_INVOICE_TIE_OUT, [self._key]).collect()
        self._invoices = workspace.table(DIM_INVOICE)
        self._stale = [*stale_inputs(workspace, MART_ALLOCATION_MONTHLY, self._key), *_days_not_built(workspace, month)]
        behind = {*stale_months(workspace, last=month.previous)}.intersection(closed_months_before(periods, month))
        self._stale += [f"inputs of {corrected}, which {month} corrects" for corrected in sorted(behind)]
        self._deliveries = workspace.index.deliveries()
        self._staged = workspace.staged_rows()

    def faults(self, provider_name: str, lines: pl.DataFrame) -> list[str]:
        """What speaks against closing the provider, whose booked lines are ``lines``; none when it can be closed."""
        close, as_of = self._workspace.settings.close, self._workspace.as_of_date
        facts = self.of(provider_name, lines)
        found = close_faults(provider_name, self._month, facts, periods=self._periods, as_of=as_of, settings=close)
        last = self._periods.last(provider_name, self._month)
        if lines.is_empty() and last is None and not found:
            return [f"{provider_name} has no line in {self._month}; name it as its bills spell it"]
        return found

    def of(self, provider_name: str, lines: pl.DataFrame) -> CloseFacts:
        """What the gates look at for one provider, whose booked lines are ``lines``."""
        is_of = pl.col("provider_name") == provider_name
        settings = self._workspace.settings
        bills, usage = self._sources(provider_name)
        return CloseFacts(
            lines=lines,
            invoice_lines=self._workspace.lake.scan(FACT_INVOICE_LINES_MONTHLY, [self._key]).filter(is_of).collect(),
            invoices=self._invoices,
            gate_failures=self._failed_gates(
                self._reconciliation.filter(is_of),
                self._tie_out.filter(is_of),
                settings.close.gates,
                invoice_tolerance=settings.reconciliation.invoice_tolerance_cost,
            ),
            sources=[self._state(name, is_bill=name in bills) for name in sorted(bills | usage)],
            doubtful=[*self._doubtful(bills | usage)],
            open_months=self._open_months(provider_name),
            stale=self._stale,
        )

    def _sources(self, provider_name: str) -> tuple[set[str], set[str]]:
        """Configured sources of the provider's charge lines, and of its usage, in the month."""
        lake, days = self._workspace.lake, day_keys(self._key)
        configured = {source.name for source in self._workspace.settings.sources}
        found = []
        for table, column in ((BILLING_CHARGES, "provider_name"), (FACT_USAGE_DAILY, "host")):
            of_provider = lake.scan(table, days).filter(pl.col(column).cast(pl.String) == provider_name)
            found.append(set(of_provider.select(pl.col("source").cast(pl.String)).unique().collect()["source"]) & configured)
        return found[0], found[1]

    def _state(self, source: str, *, is_bill: bool) -> SourceState:
        """How far the source has come, counting what it delivered of later months too: those come after this one."""
        is_later = (pl.col("source") == source) & (pl.col("usage_date") >= self._month.first_day)
        staged = self._staged.filter(is_later)
        ids = set(staged["delivery_id"])
        received = [item.received_at for item in self._deliveries if item.delivery_id in ids]
        last = staged.filter(pl.col("rows_count") > 0)["usage_date"].max()
        return SourceState(source, is_bill, last if isinstance(last, dt.date) else None, max(received, default=None))

    def _doubtful(self, sources: set[str]) -> Iterator[DoubtfulDelivery]:
        """Deliveries of the sources that hold back or refused something, unless the same object came again and was clean.

        One that became no row says nothing of its days: it counts from the month before the one in which it arrived.
        """
        in_month = self._staged.filter(pl.col("usage_date").is_between(self._month.first_day, self._month.last_day))
        touching, with_rows = set(in_month["delivery_id"]), set(self._staged["delivery_id"])
        mended: set[tuple[str, str]] = set()
        for item in reversed(self._deliveries):
            origin = (item.source, item.origin_key)
            is_of_month = item.delivery_id in touching or (
                item.delivery_id not in with_rows and Month.of(item.received_at.date()) in (self._month, self._month.next)
            )
            if item.source in sources and is_of_month and origin not in mended and _is_doubtful(item):
                refused_count = item.rows_quarantined_count or 0
                yield DoubtfulDelivery(item.source, item.delivery_id, item.origin_key, item.status, refused_count)
            if item.status == "staged" and not item.rows_quarantined_count:
                mended.add(origin)

    def _open_months(self, provider_name: str) -> list[Month]:
        """Earlier months with lines of the provider, booked or as the rules give them, that are not closed."""
        months: set[Month] = set()
        for table in (MART_ALLOCATION_MONTHLY, MART_CHARGEBACK_MONTHLY):
            earlier = [key for key in self._workspace.lake.partitions(table) if key < self._key]
            of_provider = self._workspace.lake.scan(table, earlier).filter(pl.col("provider_name") == provider_name)
            months |= {Month.of(day) for day in of_provider.select("month").unique().collect()["month"]} if earlier else set()
        return sorted(month for month in months if not self._periods.is_closed(provider_name, month))


def stale_inputs(workspace: Workspace, table: Table, partition: str) -> list[str]:
    """Stored tables that changed after ``table`` was made from them, and those that they are made from, by name."""
    head = workspace.lake.head(table, partition)
    if head is None:
        return [f"{table.name}/{partition} was never computed"]
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [head]
    while waiting:
        for name, sha256 in waiting.pop().inputs.items():
            source, _, of_partition = name.partition("/")
            if source not in TABLES_BY_NAME or not of_partition or name in seen:
                continue
            seen.add(name)
            standing = workspace.lake.head(TABLES_BY_NAME[source], of_partition)
            if standing is None or standing.sha256 != sha256:
                found[name] = None
            else:
                waiting.append(standing)
    return sorted(found)


def _days_not_built(workspace: Workspace, month: Month) -> list[str]:
    days = workspace.index.stale_days(STAGED_USAGE.name) | workspace.index.stale_days(STAGED_CHARGES.name)
    return [f"rows delivered for {day}" for day in sorted(days) if Month.of(day) == month]


def _is_doubtful(delivery: LandedDelivery) -> bool:
    return delivery.status in ("held", "refused") or (delivery.status == "staged" and bool(delivery.rows_quarantined_count))
