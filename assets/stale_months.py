"""Which months a run builds besides those of its days: where allocation is out of date, and where corrections are booked."""

from collections.abc import Mapping, Sequence

from assets.allocation import allocation_inputs, allocation_reads
from assets.booking import booking_months
from assets.derive import day_keys
from assets.partitions import month_keys
from assets.resources import Workspace
from usage_etl.lake import Commit
from usage_etl.periods import Month
from usage_etl.schemas import BILLING_CHARGES, FACT_INVOICE_LINES_MONTHLY, FACT_USAGE_DAILY, MART_ALLOCATION_MONTHLY


def months_to_build(workspace: Workspace, months: Sequence[str], *, with_stale: bool) -> list[str]:
    """Partitions from the first to the last month that has to be built when days of ``months`` were.

    Those are the months themselves, those that book what differs from a closed one and, ``with_stale``, the stale ones.
    """
    asked = [Month.parse(key) for key in months]
    if with_stale:
        asked += stale_months(workspace, last=Month.of(workspace.as_of_date))
    wanted = [*asked, *booking_months(workspace, asked)]
    return month_keys(min(wanted).first_day, max(wanted).first_day)


def stale_months(workspace: Workspace, *, last: Month) -> list[Month]:
    """Months up to ``last`` with data whose stored allocation is not the one that would be made now.

    A run that failed, an invoice that was registered late, a changed rule: each leaves a month behind that no new delivery
    touches again. A new version of the program alone leaves none.
    """
    lake = workspace.lake
    months = {Month.parse(day) for table in (FACT_USAGE_DAILY, BILLING_CHARGES) for day in lake.filled_partitions(table)}
    tables = {BILLING_CHARGES, *allocation_reads(last)}
    standing = {f"{table.name}/{head.partition}": head.sha256 for table in tables for head in lake.heads(table)}
    lines, made = (_by_month(lake.heads(table)) for table in (FACT_INVOICE_LINES_MONTHLY, MART_ALLOCATION_MONTHLY))
    return [
        month
        for month in sorted(months)
        if month <= last
        and not (
            month in lines
            and month in made
            and _bill_of(month, lines[month].inputs) == _bill_of(month, standing)
            and made[month].inputs == allocation_inputs(workspace, month, standing)
        )
    ]


def _bill_of(month: Month, inputs: Mapping[str, str]) -> dict[str, str]:
    """Of inputs the month's days of charge lines."""
    names = (f"{BILLING_CHARGES.name}/{day}" for day in day_keys(month.first_day.isoformat()))
    return {name: inputs[name] for name in names if name in inputs}


def _by_month(heads: Sequence[Commit]) -> dict[Month, Commit]:
    return {Month.parse(head.partition): head for head in heads}
