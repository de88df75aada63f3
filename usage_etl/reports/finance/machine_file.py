"""Files for machines: cells printed by type, read back, and added up again before they are handed on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import exact_sum
from usage_etl.reports.chargeback_files import FinanceFile
from usage_etl.reports.csv_dialect import machine_csv, plain_decimal, print_amount, read_printed

Totals = Mapping[str, Mapping[str, str]]
"""Currency to measure to exact sum."""


def machine_file(
    name: str,
    rows: pl.DataFrame,
    *,
    schema_version: str,
    currency_column: str | None = None,
    totals: Sequence[str] = (),
    minor_columns: Sequence[str] = (),
    also: Totals | None = None,
) -> FinanceFile:
    """``rows`` as a CSV file for machines. ``totals`` are decimal columns whose sums by currency are its control totals.

    ``minor_columns`` are amounts in whole minor units, printed with the currency's digits. ``also`` adds control totals that
    the file's cells do not show, such as what was left out.
    Raises ConservationError when the cells of the file do not add up to the rows.
    """
    printed = {column: printed_cells(rows.get_column(column)) for column in rows.columns if column not in minor_columns}
    if currency_column is not None:
        currencies = rows.get_column(currency_column).to_list()
        printed |= {column: minor_cells(rows.get_column(column), currencies) for column in minor_columns}
    content = machine_csv({column: printed[column] for column in rows.columns})
    sums = sums_by_currency(rows, currency_column, totals) if currency_column else {}
    _check_sums(name, content, sums, currency_column)
    texts = {currency: {column: plain_decimal(amount) for column, amount in found.items()} for currency, found in sums.items()}
    added = also or {}
    return FinanceFile(
        name=name,
        content=content,
        media_type="text/csv; charset=utf-8",
        columns=tuple(rows.columns),
        rows_count=rows.height,
        control_totals={key: {**texts.get(key, {}), **added.get(key, {})} for key in sorted({*texts, *added})},
        guarded_cells={},
        schema_version=schema_version,
    )


def printed_cells(column: pl.Series) -> list[str | None]:
    """Cells as machines read them: plain decimals, instants with T and Z, days, true and false; null stays null."""
    dtype, cells = column.dtype, column.to_list()
    if isinstance(dtype, pl.Decimal):
        return [None if cell is None else plain_decimal(cell) for cell in cells]
    if isinstance(dtype, pl.Datetime):
        return [None if cell is None else instant_text(cell) for cell in cells]
    if dtype == pl.Boolean:
        return [None if cell is None else str(cell).lower() for cell in cells]
    if dtype in (pl.String, pl.Date) or dtype.is_integer():
        return [None if cell is None else str(cell) for cell in cells]
    raise ValueError(f"column {column.name}: {dtype} has no exact form in this dialect")


def minor_cells(amounts: pl.Series, currencies: Sequence[str]) -> list[str | None]:
    """Amounts in whole minor units with the digits of their currency. Raises ConservationError for any other amount."""
    return [
        None if amount is None else print_amount(amount, currency, is_exact=False)
        for amount, currency in zip(amounts.to_list(), currencies, strict=True)
    ]


def instant_text(instant: dt.datetime) -> str:
    """ISO 8601 in UTC to the second."""
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sums_by_currency(rows: pl.DataFrame, currency_column: str, columns: Sequence[str]) -> dict[str, dict[str, Decimal]]:
    """Currency to column to sum, added up by Python integers; null counts as absent."""
    currencies = sorted(set(rows.get_column(currency_column)))
    groups = {currency: rows.filter(pl.col(currency_column) == currency) for currency in currencies}
    return {key: {column: exact_sum(group.get_column(column)) for column in columns} for key, group in groups.items()}


def _check_sums(name: str, content: bytes, sums: Mapping[str, Mapping[str, Decimal]], currency_column: str | None) -> None:
    """Adds up the file's own cells and compares them with the rows they were printed from."""
    if currency_column is None:
        return
    cells = read_printed(content)
    for currency, wanted in sums.items():
        rows = cells.filter(pl.col(currency_column) == currency)
        for column, amount in wanted.items():
            found = exact_sum(Decimal(cell) for cell in rows.get_column(column) if cell is not None)
            if found != amount:
                raise ConservationError(f"{name}: {column} in {currency}", found, amount)
