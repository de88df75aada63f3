"""The finance edition of a month: files, statements and the note on what changed, published under one manifest."""

from collections.abc import Mapping

import polars as pl

from assets.papers import change_note_file, statement_files
from assets.publishing import (
    CHANGES,
    CHARGEBACK,
    as_of_instant,
    closed_edition,
    month_status,
    publish_edition,
    standing_files,
    versions,
)
from assets.resources import Workspace
from usage_etl.allocation import failed_gates
from usage_etl.delivery.manifest import CLOSED
from usage_etl.delivery.publish import Publication
from usage_etl.errors import GateError
from usage_etl.lake import WHOLE
from usage_etl.periods import Month
from usage_etl.reports.chargeback_files import control_totals
from usage_etl.reports.finance import finance_files
from usage_etl.schemas import (
    DIM_COST_CENTER,
    DIM_INVOICE,
    FACT_INVOICE_LINES_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_INVOICE_TIE_OUT,
    MART_JOURNAL_MONTHLY,
    MART_RECONCILIATION_MONTHLY,
    Table,
)

CHARGEBACK_READS = (
    MART_CHARGEBACK_MONTHLY,
    FACT_INVOICE_LINES_MONTHLY,
    MART_JOURNAL_MONTHLY,
    MART_RECONCILIATION_MONTHLY,
    MART_INVOICE_TIE_OUT,
    DIM_INVOICE,
    DIM_COST_CENTER,
)
"""Tables that the finance edition is made from, or held by."""


PRELIMINARY = "preliminary"


def publish_chargeback(workspace: Workspace, month: Month) -> Publication:
    """Publishes the month's finance files and statements. The edition of a closed month stands as it was published.

    Raises GateError when a gate of ``reconciliation.publish_gates`` holds a month that is over; the last edition stays.
    """
    standing = closed_edition(workspace, CHARGEBACK, month)
    if standing is not None:
        return standing
    tables = {table: _read(workspace, table, month) for table in CHARGEBACK_READS}
    _check_gates(workspace, month, tables)
    lines = tables[MART_CHARGEBACK_MONTHLY]
    files = finance_files(
        lines,
        tables[FACT_INVOICE_LINES_MONTHLY],
        tables[MART_JOURNAL_MONTHLY],
        tables[DIM_INVOICE],
        tables[DIM_COST_CENTER],
        month=month,
        as_of=as_of_instant(workspace, month),
        organization_name=workspace.settings.organization.name,
        focus_version=workspace.settings.reports.focus_version,
        versions=versions(workspace),
    )
    papers = statement_files(workspace, month, lines, status=month_status(workspace, month))
    totals = control_totals(lines, columns=("allocated_cost",))
    return publish_edition(workspace, CHARGEBACK, month, [*files, *papers], reads=CHARGEBACK_READS, totals=totals)


def publish_changes(workspace: Workspace, booking_month: Month) -> dict[Month, Publication]:
    """For each closed month that lines of ``booking_month`` correct, the note on what changed, beside its earlier notes.

    Only once ``booking_month`` is closed: until then a correction may go back into its own month, and a note would stay behind.
    """
    published: dict[Month, Publication] = {}
    if month_status(workspace, booking_month) != CLOSED:
        return published
    for original in corrected_months(workspace, booking_month):
        note = change_note_file(workspace, original, booking_month)
        earlier = [file for file in standing_files(workspace, CHANGES, original) if file.name != note.name]
        published[original] = publish_edition(
            workspace, CHANGES, original, [*earlier, note], reads=(), totals={}, status=PRELIMINARY
        )
    return published


def corrected_months(workspace: Workspace, booking_month: Month) -> list[Month]:
    """Closed months that lines booked in ``booking_month`` correct."""
    days = _read(workspace, MART_CHARGEBACK_MONTHLY, booking_month)["corrects_month"].drop_nulls().unique()
    return sorted(month for month in map(Month.of, days) if month < booking_month)


def _read(workspace: Workspace, table: Table, month: Month) -> pl.DataFrame:
    return workspace.lake.scan(table, [WHOLE if table.partition is None else month.first_day.isoformat()]).collect()


def _check_gates(workspace: Workspace, month: Month, tables: Mapping[Table, pl.DataFrame]) -> None:
    if month_status(workspace, month) != PRELIMINARY:  # a running month may be far off, and a closed one has passed its own gates
        return
    settings = workspace.settings.reconciliation
    failures = failed_gates(
        tables[MART_RECONCILIATION_MONTHLY],
        tables[MART_INVOICE_TIE_OUT],
        settings.publish_gates,
        invoice_tolerance=settings.invoice_tolerance_cost,
    )
    if failures:
        raise GateError(f"the finance files of {month} are not published", failures)
