"""Sheets of a workbook: a note, a frozen header, rows with typed cells, and the check of what was written."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property
from io import BytesIO
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import minor_unit, minor_unit_digits

HEADER_ROW, FIRST_ROW = 1, 2
"""Row 0 holds the note."""

_MAX_TEXT = 32_000
_SAMPLE_ROWS = 200
_CODE = re.compile(r"[A-Z]{3}")
_CELL = re.compile(r'<c r="([A-Z]+)(\d+)"[^>]*?>(?:<v>([^<]*)</v>)?')


class Styles:
    """Formats of one workbook; each currency has its own."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._money: dict[str, Any] = {}
        self.note = book.add_format({"italic": True, "font_color": "#555555"})
        self.header = book.add_format({"bold": True, "bottom": 1, "bg_color": "#EEF2F6"})
        self.number_header = book.add_format({"bold": True, "bottom": 1, "bg_color": "#EEF2F6", "align": "right"})
        self.sums = book.add_format({"bold": True, "top": 1})
        self.count = book.add_format({"num_format": "#,##0"})
        self.month = book.add_format({"num_format": "yyyy-mm"})

    def money(self, currency: str) -> Any:
        """Grouped, with the currency's digits and its code; negative amounts in red."""
        if currency not in self._money:
            digits = minor_unit_digits(currency)
            number = "#,##0" + ("." + "0" * digits if digits else "")
            shown = f"[${currency}] {number}" if _CODE.fullmatch(currency) else number
            self._money[currency] = self._book.add_format({"num_format": f"{shown};[Red]-{shown}"})
        return self._money[currency]


@dataclass(frozen=True)
class Sheet:
    """One sheet of rows. ``amounts`` are columns of money in the currency of the row's ``billing_currency``."""

    name: str
    rows: pl.DataFrame
    columns: tuple[str, ...]
    note: str
    amounts: tuple[str, ...]
    sums_count: int = 0
    """Rows at the end that are sums of the others."""

    @cached_property
    def currencies(self) -> list[str]:
        """The currency of each row."""
        return self.rows.get_column("billing_currency").to_list()

    def write(self, book: Any, styles: Styles) -> int:
        """Adds the sheet to ``book``. Returns how many amounts had to be written as text."""
        sheet = book.add_worksheet(self.name)
        sheet.write_string(0, 0, self.note, styles.note)
        sheet.freeze_panes(FIRST_ROW, 0)
        last_row, last_place = HEADER_ROW + self.rows.height, len(self.columns) - 1
        sheet.autofilter(HEADER_ROW, 0, last_row - self.sums_count, last_place)
        _print_on_paper(sheet)
        if self.sums_count:
            shown = {"type": "no_errors", "format": styles.sums}
            sheet.conditional_format(last_row - self.sums_count + 1, 0, last_row, last_place, shown)
        texts = 0
        for place, column in enumerate(self.columns):
            is_number = column in self.amounts or self.rows.schema[column].is_numeric()
            sheet.write_string(HEADER_ROW, place, column, styles.number_header if is_number else styles.header)
            cells = self.rows.get_column(column).to_list()
            sheet.set_column(place, place, _width(column, cells))
            if column in self.amounts:
                texts += self._write_amounts(sheet, styles, place, cells)
            else:
                _write_cells(sheet, styles, place, cells)
        return texts

    def _write_amounts(self, sheet: Any, styles: Styles, place: int, cells: Sequence[Decimal]) -> int:
        texts = 0
        for row, (amount, currency) in enumerate(zip(cells, self.currencies, strict=True), start=FIRST_ROW):
            if is_held(amount, currency):
                sheet.write_number(row, place, float(amount), styles.money(currency))
            else:
                texts += 1
                sheet.write_string(row, place, format(amount, "f"))
        return texts


def _print_on_paper(sheet: Any) -> None:
    """Landscape, as wide as one page, the header on every page, pages numbered."""
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0, HEADER_ROW)
    sheet.set_footer("&L&A&RPage &P of &N")


def is_held(amount: Decimal, currency: str) -> bool:
    """Whether the 16 digits that a workbook stores of a double are ``amount`` at its minor unit."""
    return _at_minor_unit(f"{float(amount):.16G}", currency) == amount


def check_cells(content: bytes, number: int, sheet: Sheet) -> None:
    """Reads the sheet's amounts from the finished workbook and compares each with its row.

    Raises ConservationError naming sheet, column and row.
    """
    with zipfile.ZipFile(BytesIO(content)) as package:
        xml = package.read(f"xl/worksheets/sheet{number}.xml").decode()
    found = {(column, int(row)): text for column, row, text in _CELL.findall(xml)}
    for column in sheet.amounts:
        letter = _letter(sheet.columns.index(column))
        cells = zip(sheet.rows.get_column(column).to_list(), sheet.currencies, strict=True)
        for row, (amount, currency) in enumerate(cells, start=FIRST_ROW + 1):
            cell = found.get((letter, row), "")
            if is_held(amount, currency) and (not cell or _at_minor_unit(cell, currency) != amount):
                raise ConservationError(f"chargeback.xlsx: {sheet.name} {column} in row {row}", cell, amount)


def _at_minor_unit(number: str, currency: str) -> Decimal:
    with localcontext() as context:
        context.prec = 76
        return Decimal(number).quantize(minor_unit(currency))


def _letter(place: int) -> str:
    """Name of a column: A to Z, then AA."""
    return (chr(64 + place // 26) if place >= 26 else "") + chr(65 + place % 26)


def _write_cells(sheet: Any, styles: Styles, place: int, cells: Sequence[Any]) -> None:
    for row, cell in enumerate(cells, start=FIRST_ROW):
        if cell is None:
            continue
        if isinstance(cell, int):
            sheet.write_number(row, place, cell, styles.count)
        elif isinstance(cell, dt.date):
            sheet.write_datetime(row, place, dt.datetime.combine(cell, dt.time()), styles.month)
        else:
            sheet.write_string(row, place, cell if len(cell) <= _MAX_TEXT else f"{cell[:_MAX_TEXT]} …")


def _width(column: str, cells: Sequence[Any]) -> int:
    """Wide enough for the header and the first rows, within reason."""
    longest = max((len(str(cell)) for cell in cells[:_SAMPLE_ROWS] if cell is not None), default=0)
    return min(max(len(column) + 3, longest + 2, 10), 48)
