"""The finance files of one billing month: chargeback.csv for spreadsheets, Parquet for machines, totals by cost center.

Every file is read back and its printed amounts are added up again before it is handed on; a file that does not add up
to the mart, in any account or in all, is not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import MONEY, exact_sum
from usage_etl.reports.csv_dialect import print_amount, read_printed, spreadsheet_csv
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY, least_settled

CHARGEBACK_FILES_VERSION = "2"
"""Version of the columns below. Columns are only ever added, at the end; anything else raises the version."""

_CURRENCY = "billing_currency"
_ACCOUNT = ("provider_name", "billing_account_id", _CURRENCY)
_TOTALS = ("allocated_cost", "allocated_effective_cost", "metered_cost", "requests_count", "total_tokens")
_PARTS = ("billed_cost", "estimated_cost", "corrections_cost", "disputes_cost")
_ROW_GROUP_ROWS = 100_000


_COST_CENTER_SCHEMA = pl.Schema(
    {
        "month": pl.Date(),
        "cost_center_id": pl.String(),
        "cost_center_name": pl.String(),
        "gl_account": pl.String(),
        **dict.fromkeys((*_PARTS, "allocated_cost"), MONEY),
        _CURRENCY: pl.String(),
        "lines_count": pl.Int64(),
        "period_status": pl.String(),
    }
)


@dataclass(frozen=True)
class FinanceFile:
    """One file and what proves it: rows, control totals by currency, cells that the formula guard changed by column."""

    name: str
    content: bytes = field(repr=False)
    media_type: str
    columns: tuple[str, ...]
    rows_count: int
    control_totals: Mapping[str, Mapping[str, str]]
    """Currency to column to exact sum. Sums of counts are over lines, as the file shows them."""
    guarded_cells: Mapping[str, int]
    schema_version: str = CHARGEBACK_FILES_VERSION


def chargeback_files(chargeback: pl.DataFrame, *, gl_accounts: Mapping[str, str] | None = None) -> tuple[FinanceFile, ...]:
    """The three files of one month of ``mart_chargeback_monthly``, in the order in which people open them.

    ``gl_accounts`` is as for ``cost_center_csv``. Raises ContractError when the frame breaks the mart's contract,
    ConservationError when a file does not add up, ValueError when the frame holds more than one month.
    """
    return chargeback_csv(chargeback), cost_center_csv(chargeback, gl_accounts=gl_accounts), chargeback_parquet(chargeback)


def chargeback_csv(chargeback: pl.DataFrame) -> FinanceFile:
    """One row per mart line, all columns of the mart. Allocated amounts in minor units, metered cost and rate with all digits.

    Raises as ``chargeback_files``.
    """
    lines = month_lines(chargeback)
    printed = spreadsheet_csv(lines, currency_column=_CURRENCY, exact_columns=("metered_cost", "fx_rate"))
    checked = ("allocated_cost", "allocated_effective_cost", "metered_cost")
    check_printed_totals("chargeback.csv", printed.content, lines, columns=checked, by=_ACCOUNT)
    return FinanceFile(
        name="chargeback.csv",
        content=printed.content,
        media_type="text/csv; charset=utf-8",
        columns=tuple(lines.columns),
        rows_count=lines.height,
        control_totals=control_totals(lines, columns=_TOTALS),
        guarded_cells=printed.guarded_cells,
    )


def chargeback_parquet(chargeback: pl.DataFrame) -> FinanceFile:
    """The same rows and columns with exact values and unguarded text; equal content has equal bytes."""
    lines = month_lines(chargeback)
    target = BytesIO()
    lines.write_parquet(target, compression="zstd", compression_level=3, row_group_size=_ROW_GROUP_ROWS)
    found = pl.read_parquet(BytesIO(target.getvalue()))
    if not found.equals(lines):
        raise ConservationError("chargeback.parquet read back", f"{found.height} rows", f"{lines.height} rows")
    return FinanceFile(
        name="chargeback.parquet",
        content=target.getvalue(),
        media_type="application/vnd.apache.parquet",
        columns=tuple(lines.columns),
        rows_count=lines.height,
        control_totals=control_totals(lines, columns=_TOTALS),
        guarded_cells={},
    )


def cost_center_csv(chargeback: pl.DataFrame, *, gl_accounts: Mapping[str, str] | None = None) -> FinanceFile:
    """One row per cost center and currency: what the ledger books. Its four parts stand in columns of their own.

    ``allocated_cost`` is ``billed_cost`` + ``estimated_cost`` + ``corrections_cost`` + ``disputes_cost``, all whole minor units.
    Unallocated and unexplained money are rows like any other; ``period_status`` is that of the least settled line.
    ``gl_accounts`` names the ledger account of each cost center that has one. Raises as ``chargeback_files``.
    """
    lines = month_lines(chargeback)
    centers = cost_center_totals(lines, gl_accounts=gl_accounts or {})
    printed = spreadsheet_csv(centers, currency_column=_CURRENCY)
    columns = (*_PARTS, "allocated_cost")
    check_printed_totals("chargeback_by_cost_center.csv", printed.content, centers, columns=columns, by=(_CURRENCY,))
    totals = control_totals(centers, columns=("allocated_cost",))
    lines_totals = control_totals(lines, columns=("allocated_cost",))
    if totals != lines_totals:
        raise ConservationError("chargeback_by_cost_center.csv allocated_cost", totals, lines_totals)
    return FinanceFile(
        name="chargeback_by_cost_center.csv",
        content=printed.content,
        media_type="text/csv; charset=utf-8",
        columns=tuple(centers.columns),
        rows_count=centers.height,
        control_totals=control_totals(centers, columns=columns),
        guarded_cells=printed.guarded_cells,
    )


def cost_center_totals(lines: pl.DataFrame, *, gl_accounts: Mapping[str, str]) -> pl.DataFrame:
    """The rows of ``cost_center_csv``, added up by Python integers, from lines of ``month_lines``."""
    keys = ("month", "cost_center_id", _CURRENCY)
    rows: list[dict[str, Any]] = []
    ordered = lines.with_columns(part=line_part()).sort(*keys, "cost_center_name", "line_id")
    for _, group in ordered.group_by(keys, maintain_order=True):
        first, statuses = group.row(0, named=True), set(group.get_column("period_status"))
        parts = {name: exact_sum(group.filter(pl.col("part") == name).get_column("allocated_cost")) for name in _PARTS}
        rows.append(
            {
                **{name: first[name] for name in (*keys, "cost_center_name")},
                **parts,
                "gl_account": gl_accounts.get(first["cost_center_id"]),
                "allocated_cost": exact_sum(group.get_column("allocated_cost")),
                "lines_count": group.height,
                "period_status": least_settled(statuses),
            }
        )
    return pl.DataFrame(rows, schema=_COST_CENTER_SCHEMA)


def line_part() -> pl.Expr:
    """Which part of a cost center's total a line belongs to: ``billed_cost`` unless it is a dispute, correction or estimate."""
    return (
        pl.when((pl.col("line_kind") == "dispute") | pl.col("dispute_id").is_not_null())
        .then(pl.lit("disputes_cost"))
        .when(pl.col("corrects_month").is_not_null())
        .then(pl.lit("corrections_cost"))
        .when(pl.col("charge_basis") != "billed")
        .then(pl.lit("estimated_cost"))
        .otherwise(pl.lit("billed_cost"))
    )


def control_totals(lines: pl.DataFrame, *, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Currency to column to exact sum, added up by Python integers; null counts as absent."""
    totals: dict[str, dict[str, str]] = {}
    for currency in sorted(set(lines.get_column(_CURRENCY))):
        rows = lines.filter(pl.col(_CURRENCY) == currency)
        sums = {name: exact_sum(rows.get_column(name)) for name in columns}
        totals[currency] = {
            name: print_amount(amount, currency, is_exact=True) if lines.schema[name].is_decimal() else f"{amount:f}"
            for name, amount in sums.items()
        }
    return totals


def check_printed_totals(name: str, content: bytes, lines: pl.DataFrame, *, columns: Sequence[str], by: Sequence[str]) -> None:
    """Add up the file's own cells and compare with the mart's sums, for each group of ``by`` and in all per currency.

    Raises ConservationError naming file, column and group.
    """
    cells = read_printed(content)
    if cells.height != lines.height:
        raise ConservationError(f"rows of {name}", cells.height, lines.height)
    for column in columns:
        printed = [None if cell is None else Decimal(cell) for cell in cells.get_column(column)]
        for keys in (by, (_CURRENCY,)):
            groups = lines.select(keys).rows()
            found, wanted = _sums(groups, printed), _sums(groups, lines.get_column(column).to_list())
            for group, amount in wanted.items():
                if found[group] != amount:
                    raise ConservationError(f"{name}: {column} of {group}", found[group], amount)


def month_lines(chargeback: pl.DataFrame) -> pl.DataFrame:
    """The lines of one month in their stored order. Raises as ``chargeback_files``."""
    lines = MART_CHARGEBACK_MONTHLY.validate(chargeback).sort(MART_CHARGEBACK_MONTHLY.sort_by)
    months = lines.get_column("month").unique().sort().to_list()
    if len(months) > 1:
        raise ValueError(f"chargeback files hold one month, the frame holds {len(months)}: {months[0]} to {months[-1]}")
    return lines


def _sums(groups: Sequence[tuple[Any, ...]], amounts: Sequence[Decimal | None]) -> dict[tuple[Any, ...], Decimal]:
    members: dict[tuple[Any, ...], list[Decimal | None]] = {}
    for group, amount in zip(groups, amounts, strict=True):
        members.setdefault(group, []).append(amount)
    return {group: exact_sum(found) for group, found in members.items()}
