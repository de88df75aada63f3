"""Which months a run builds besides those of its days: where allocation is out of date, and where corrections are booked."""

from collections.abc import Sequence

from assets.allocation import allocation_inputs, allocation_reads
from assets.booking import booking_months
from assets.partitions import month_keys
from assets.resources import Workspace
from usage_etl.periods import Month
from usage_etl.schemas import FACT_INVOICE_LINES_MONTHLY, MART_ALLOCATION_MONTHLY


def months_to_build(workspace: Workspace, months: Sequence[str], *, with_stale: bool) -> list[str]:
    """Partitions from the first to the last month that has to be built when days of ``months`` were.

    Those are the months themselves, those that book what differs from a closed one and, ``with_stale``, every month whose
    allocation was made from other invoices, rates, rules, directories or facts than now stand, or failed to be made.
    """
    asked = [Month.parse(key) for key in months]
    if with_stale:
        asked += stale_months(workspace)
    wanted = [*asked, *booking_months(workspace, asked)]
    return month_keys(min(wanted).first_day, max(wanted).first_day)


def stale_months(workspace: Workspace) -> list[Month]:
    """Months with invoice lines whose stored allocation is not the one that would be made now."""
    lake = workspace.lake
    lines = lake.heads(FACT_INVOICE_LINES_MONTHLY)
    months = [Month.parse(head.partition) for head in lines]
    tables = {table for month in months[:1] for table in allocation_reads(month)}
    standing = {f"{table.name}/{head.partition}": head.sha256 for table in tables for head in lake.heads(table)}
    made = {head.partition: head.inputs for head in lake.heads(MART_ALLOCATION_MONTHLY)}
    last = Month.of(workspace.as_of_date)
    return [
        month
        for month in months
        if month <= last and made.get(month.first_day.isoformat()) != allocation_inputs(workspace, month, standing)
    ]
