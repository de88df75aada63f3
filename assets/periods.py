"""The state of every provider's month, for the command line and for whoever publishes."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from assets.booking import closed_months_before
from assets.resources import Workspace
from usage_etl.allocation.booking import lines_in_force
from usage_etl.allocation.corrections import corrections, moved_costs
from usage_etl.delivery.manifest import CLOSED
from usage_etl.delivery.publish import published_manifest
from usage_etl.errors import UsageEtlError
from usage_etl.periods import Month
from usage_etl.schemas import DIM_INVOICE, MART_ALLOCATION_MONTHLY, MART_CHARGEBACK_CLOSED, MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.periods import Closing, Periods


class PeriodState(NamedTuple):
    """One provider's month."""

    month: Month
    provider_name: str
    status: str
    closing: Closing | None
    """The newest, reopened or not."""
    invoice_ids: tuple[str, ...]
    pending: tuple[tuple[str, Decimal], ...]
    """Currency and amount that corrections of the month move, not booked in any closing yet."""


def period_states(workspace: Workspace) -> list[PeriodState]:
    """One for each provider and month with lines or closings; the newest month first."""
    periods = workspace.period_book.periods()
    allocated = workspace.lake.scan(MART_ALLOCATION_MONTHLY).select("provider_name", "month").unique().collect()
    booked = workspace.lake.scan(MART_CHARGEBACK_MONTHLY).select("provider_name", "month").unique().collect()
    keys = {(name, Month.of(day)) for name, day in pl.concat([allocated, booked]).iter_rows()}
    keys |= {(closing.provider_name, closing.month) for closing in periods.closings}
    invoices, pending = _invoices(workspace), pending_corrections(workspace, periods)
    return [
        PeriodState(
            month,
            name,
            periods.status_of(name, month, as_of=workspace.as_of_date),
            periods.last(name, month),
            tuple(invoices[name, month]),
            tuple(sorted(pending[name, month].items())),
        )
        for name, month in sorted(keys, key=lambda key: (-key[1].year, -key[1].number, key[0]))
    ]


def pending_corrections(workspace: Workspace, periods: Periods) -> Mapping[tuple[str, Month], dict[str, Decimal]]:
    """Provider and closed month to currency and amount that its corrections move, in no closing yet; carried ones too."""
    found: dict[tuple[str, Month], dict[str, Decimal]] = defaultdict(dict)
    closed_lines = lines_in_force(workspace.lake.scan(MART_CHARGEBACK_CLOSED), periods).collect()
    stored = set(workspace.lake.partitions(MART_ALLOCATION_MONTHLY))
    names = {closing.provider_name for closing in periods}
    open_months = {periods.first_open_after(name, closing.month) for closing in periods for name in names}
    for month in sorted(open_months):
        keys = [earlier.first_day.isoformat() for earlier in closed_months_before(periods, month)]
        keys = [key for key in keys if key in stored]
        allocated = workspace.lake.scan(MART_ALLOCATION_MONTHLY, keys).collect()
        now = {Month.parse(key): allocated.filter(pl.col("month") == Month.parse(key).first_day) for key in keys}
        for name, day, currency, moved in moved_costs(corrections(month, now, closed_lines, periods)).iter_rows():
            found[name, Month.of(day)][currency] = moved
    return found


def edition_periods(workspace: Workspace, report: str, month: Month) -> tuple[str, dict[str, dict[str, str | int]], str | None]:
    """Period status, ``periods`` and ``reopened_from`` of an edition that is about to be published from the booked chargeback.

    ``reopened_from`` is the manifest in force when it is of a closed month of which a closing was reopened since. Raises
    UsageEtlError when the stored chargeback is of other closings than the period book holds: it must be built first.
    """
    periods = workspace.period_book.periods()
    _check_booked(workspace, month, periods)
    status = periods.month_status(month, as_of=workspace.as_of_date)
    return status, periods.of_month(month), _reopened_from(workspace, report, month, periods)


def _check_booked(workspace: Workspace, month: Month, periods: Periods) -> None:
    key = month.first_day.isoformat()
    stored = workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [key]).select("provider_name", "period_status").unique().collect()
    older = sorted(name for name, status in stored.iter_rows() if (status == CLOSED) != periods.is_closed(name, month))
    missing = {item.provider_name for item in periods if item.month == month and item.lines_count} - set(stored["provider_name"])
    if older or missing:
        raise UsageEtlError(
            f"chargeback of {month}: the stored lines of {', '.join(sorted({*older, *missing}))} are older than its closing;"
            f" build {MART_CHARGEBACK_MONTHLY.name} first"
        )


def _reopened_from(workspace: Workspace, report: str, month: Month, periods: Periods) -> str | None:
    found = published_manifest(workspace.out, f"{report}/{month}")
    if found is None or found[1]["period_status"] != CLOSED:
        return None
    sha256, manifest = found
    published = {(name, entry["closing_number"]) for name, entry in manifest.get("periods", {}).items()}
    reopened = {(item.provider_name, item.number) for item in periods.closings if item.month == month and not item.is_in_force}
    return sha256 if published & reopened else None


def _invoices(workspace: Workspace) -> Mapping[tuple[str, Month], list[str]]:
    found: dict[tuple[str, Month], list[str]] = defaultdict(list)
    rows = workspace.table(DIM_INVOICE).select("provider_name", "billing_month", "invoice_id").sort("invoice_id")
    for name, day, invoice_id in rows.iter_rows():
        found[name, Month.of(day)].append(invoice_id)
    return found
