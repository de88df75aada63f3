"""chargeback.xlsx: the month's chargeback for people, with real numbers and dates, and no formula anywhere.

A spreadsheet holds numbers as doubles of at most 16 digits: every amount is read back from the file and must be the amount at
its minor unit; one that cannot be is written as text, and counted. Exact values stand in the CSV and Parquet files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any

import polars as pl
import xlsxwriter

from usage_etl.periods import Month
from usage_etl.reports.chargeback_files import (
    CHARGEBACK_FILES_VERSION,
    FinanceFile,
    control_totals,
    cost_center_totals,
    line_part,
)
from usage_etl.reports.finance.sheets import Sheet, Styles, check_cells
from usage_etl.reports.formatting import month_name

MAX_LINES = 50_000
"""Lines on one sheet; more stand in chargeback.csv."""

_CURRENCY = "billing_currency"
_AMOUNTS = ("allocated_cost", "allocated_effective_cost")
_LINE_COLUMNS = (
    *("provider_name", "billing_account_id", "invoice_id", "service_name", "model_id", "charge_kind", "charge_category"),
    *("line_kind", "business_unit_name", "department_name", "team_name", "cost_center_id", "cost_center_name", "project_id"),
    *("requests_count", "total_tokens", *_AMOUNTS, _CURRENCY, "rule_name", "allocation_rule", "period_status", "line_id"),
)
_CORRECTION_COLUMNS = ("corrects_month", "correction_reason", "dispute_id", *_LINE_COLUMNS)
_SUMMARY_COLUMNS = (
    *("cost_center_id", "cost_center_name", "gl_account", "billed_cost", "estimated_cost", "corrections_cost", "disputes_cost"),
    *("allocated_cost", _CURRENCY, "lines_count", "period_status"),
)
_SUMMARY_AMOUNTS = ("billed_cost", "estimated_cost", "corrections_cost", "disputes_cost", "allocated_cost")


@dataclass(frozen=True)
class Cover:
    """What the workbook says about itself."""

    organization_name: str
    month: Month
    as_of: dt.datetime
    """End of the data; also the creation date of the file, so that equal content has equal bytes."""
    versions: Mapping[str, str] = field(default_factory=dict)


def chargeback_xlsx(lines: pl.DataFrame, *, cover: Cover, gl_accounts: Mapping[str, str]) -> FinanceFile:
    """Sheets Summary, Lines, Corrections and Trust, from lines of ``month_lines``.

    Raises ConservationError when an amount reads back from the file as another one.
    """
    target = BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(target, options)
    book.set_properties({"title": _title(cover), "company": cover.organization_name, "created": _naive(cover.as_of)})
    styles = Styles(book)
    parted = lines.with_columns(part=line_part())
    is_late = pl.col("part").is_in(["corrections_cost", "disputes_cost"])
    centers = cost_center_totals(lines, gl_accounts=gl_accounts)
    summary = _summary(centers)
    sheets = [
        Sheet(
            "Summary", summary, _SUMMARY_COLUMNS, _summary_note(lines, cover), _SUMMARY_AMOUNTS, summary.height - centers.height
        ),
        _lines_sheet("Lines", parted.filter(~is_late), _LINE_COLUMNS),
        _lines_sheet("Corrections", parted.filter(is_late), _CORRECTION_COLUMNS),
    ]
    texts = sum(sheet.write(book, styles) for sheet in sheets)
    _write_trust(book, styles, _trust(lines, cover, texts))
    book.close()
    content = target.getvalue()
    for number, sheet in enumerate(sheets, start=1):
        check_cells(content, number, sheet)
    return FinanceFile(
        name="chargeback.xlsx",
        content=content,
        media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        columns=_LINE_COLUMNS,
        rows_count=lines.height,
        control_totals=control_totals(lines, columns=_AMOUNTS),
        guarded_cells={},
        schema_version=CHARGEBACK_FILES_VERSION,
    )


def _title(cover: Cover) -> str:
    return f"Chargeback {month_name(cover.month.first_day)} {cover.month.year}"


def _naive(instant: dt.datetime) -> dt.datetime:
    return instant.astimezone(dt.UTC).replace(tzinfo=None)


def _summary(centers: pl.DataFrame) -> pl.DataFrame:
    """Rows by cost center, then one row of totals per currency."""
    totals = control_totals(centers, columns=(*_SUMMARY_AMOUNTS, "lines_count"))
    rows = [
        {
            **{column: Decimal(sums[column]) for column in _SUMMARY_AMOUNTS},
            "lines_count": int(sums["lines_count"]),
            "cost_center_name": f"Total {currency}",
            _CURRENCY: currency,
        }
        for currency, sums in totals.items()
    ]
    columns = centers.select(_SUMMARY_COLUMNS)
    return pl.concat([columns, pl.DataFrame(rows, schema=columns.schema)]) if rows else columns


def _summary_note(lines: pl.DataFrame, cover: Cover) -> str:
    statuses = ", ".join(sorted(set(lines.get_column("period_status")))) or "no lines"
    return f"{cover.organization_name}: {_title(cover)}. Status: {statuses}. Exact values: chargeback.csv, chargeback.parquet."


def _lines_sheet(name: str, lines: pl.DataFrame, columns: Sequence[str]) -> Sheet:
    shown = lines.head(MAX_LINES)
    if shown.height < lines.height:
        note = f"The first {shown.height:,} of {lines.height:,} lines. All of them stand in chargeback.csv."
    else:
        note = f"All {lines.height:,} lines."
    return Sheet(name, shown.select(columns), tuple(columns), note, _AMOUNTS)


def _trust(lines: pl.DataFrame, cover: Cover, texts: int) -> list[tuple[str, str]]:
    """Facts that say what the numbers are worth."""
    statuses = lines.select("provider_name", "period_status").unique().sort("provider_name", "period_status")
    sums = control_totals(lines, columns=_AMOUNTS)
    return [
        ("Organization", cover.organization_name),
        ("Month", str(cover.month)),
        ("Data until", cover.as_of.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        *((f"Status of {provider}", status) for provider, status in statuses.iter_rows()),
        *((f"Total of {column} in {currency}", text) for currency, found in sums.items() for column, text in found.items()),
        *((f"Version of {name}", text) for name, text in sorted(cover.versions.items())),
        ("Version of columns", CHARGEBACK_FILES_VERSION),
        ("Amounts written as text, being too large for a spreadsheet", f"{texts:,}"),
        ("Exactness", "A spreadsheet holds doubles. Amounts here are right to the minor unit; CSV and Parquet are exact."),
    ]


def _write_trust(book: Any, styles: Styles, facts: Sequence[tuple[str, str]]) -> None:
    sheet = book.add_worksheet("Trust")
    sheet.freeze_panes(1, 0)
    sheet.write_string(0, 0, "fact", styles.header)
    sheet.write_string(0, 1, "value", styles.header)
    for row, (name, text) in enumerate(facts, start=1):
        sheet.write_string(row, 0, name)
        sheet.write_string(row, 1, text)
    sheet.autofilter(0, 0, len(facts), 1)
    sheet.set_column(0, 0, 48)
    sheet.set_column(1, 1, 90)
