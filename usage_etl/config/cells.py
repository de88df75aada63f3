"""Reads the organisation's CSV files into typed rows. Whatever cannot be read is named by file, line and column, all at once."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.money import parse_amount, parse_count
from usage_etl.schemas.contract import Table, allowed_values

TextRow = tuple[int, dict[str, str | None]]
"""Line number and cells by column; blank cells are None."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class Row:
    """One typed row of a file. ``cells`` holds text, days, Decimals or None by column."""

    file: str
    line: int
    cells: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.file} line {self.line}"


@dataclass
class FileRows:
    """What a file holds: rows that keep the contract, and of the others what could be read."""

    rows: list[Row] = field(default_factory=list)
    faulty: list[Row] = field(default_factory=list)


def read_text_rows(
    file: Path,
    columns: Collection[str],
    problems: list[str],
    *,
    optional: Collection[str] = (),
    name: str | None = None,
    must_exist: bool = False,
) -> list[TextRow]:
    """Rows of a CSV file in UTF-8. Faults of the file, its header and the number of cells are added to ``problems``.

    A header may leave out ``optional`` columns. ``name`` is the file's name in messages.
    """
    name = name or file.name
    if not file.exists():
        if must_exist:
            problems.append(f"{name}: no such file")
        return []
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}: cannot be read as UTF-8 ({error})")
        return []
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    lines: list[tuple[int, list[str]]] = []
    first_line = 1
    try:
        for cells in reader:
            lines.append((first_line, cells))
            first_line = reader.line_num + 1
    except csv.Error as error:
        problems.append(f"{name} line {first_line}: not CSV ({error})")
        return []
    header = lines[0][1] if lines else []
    if faults := _header_faults(header, columns, optional):
        problems += [f"{name}: {fault}" for fault in faults]
        return []
    return _cells_of(lines[1:], header, name, problems)


def _header_faults(header: list[str], columns: Collection[str], optional: Collection[str]) -> list[str]:
    faults = [f"column {name} is missing" for name in columns if name not in header and name not in optional]
    faults += [f"column {name!r} is not known; allowed are {', '.join(columns)}" for name in header if name not in columns]
    faults += [f"column {name} stands twice" for name in dict.fromkeys(header) if header.count(name) > 1]
    return faults


def _cells_of(lines: Iterable[tuple[int, list[str]]], header: list[str], name: str, problems: list[str]) -> list[TextRow]:
    rows: list[TextRow] = []
    for number, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(header):
            problems.append(f"{name} line {number}: {len(cells)} cells, the header has {len(header)}")
            continue
        rows.append((number, {column: cell.strip() or None for column, cell in zip(header, cells, strict=True)}))
    return rows


def typed_rows(
    rows: Iterable[TextRow],
    table: Table,
    name: str,
    problems: list[str],
    *,
    parsers: Mapping[str, Callable[[str], Any]] = {},
) -> FileRows:
    """Rows in the types of ``table``; every cell that cannot be read or that its contract forbids is a fault.

    ``parsers`` replace the reading of a column; they raise ValueError. Whether values are unique is not looked at.
    """
    found = FileRows()
    read: list[Row] = []
    for number, texts in rows:
        cells: dict[str, Any] = {}
        faults = []
        for column, declared in table.columns.items():
            try:
                cells[column] = _typed(texts.get(column), declared.dtype, parsers.get(column))
            except ValueError as error:
                cells[column] = None
                faults.append(f"{column}: {error}")
                continue
            if cells[column] is None and not declared.nullable:
                faults.append(f"{column} is empty")
        row = Row(name, number, cells)
        problems += [f"{row.place}: {fault}" for fault in faults]
        (found.faulty if faults else read).append(row)
    forbidden = _forbidden(read, table)
    problems += [f"{row.place}: {fault}" for row, fault in forbidden]
    lines = {row.line for row, _ in forbidden}
    found.faulty += [row for row in read if row.line in lines]
    found.rows = [row for row in read if row.line not in lines]
    return found


def frame_of(rows: Iterable[Row], table: Table) -> pl.DataFrame:
    """Rows as a frame of ``table``, in an order that does not depend on the file's."""
    frame = pl.DataFrame([dict(row.cells) for row in rows], schema=table.polars_schema, orient="row")
    return frame.sort([*table.sort_by, *(name for name in table.columns if name not in table.sort_by)])


def parse_day(text: str) -> dt.date:
    """A date as ``YYYY-MM-DD`` and in no other of the forms that Python reads. Raises ValueError."""
    if _DAY.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a date as YYYY-MM-DD")
    return dt.date.fromisoformat(text)


def plain(amount: Decimal) -> str:
    """``amount`` with all its digits, and no more zeros than it needs."""
    with localcontext() as context:
        context.prec = 76
        return f"{amount.normalize():f}"


def _typed(cell: str | None, dtype: Any, parser: Callable[[str], Any] | None) -> Any:
    if cell is None:
        return None
    if parser is not None:
        return parser(cell)
    if dtype == pl.String:
        return cell
    if dtype.is_integer():
        return parse_count(cell)
    return parse_day(cell) if dtype == pl.Date else parse_amount(cell)


def _forbidden(rows: list[Row], table: Table) -> list[tuple[Row, str]]:
    """Rows whose cells break a rule of their column, with what is wrong."""
    frame = pl.DataFrame([dict(row.cells) for row in rows], schema=table.polars_schema, orient="row")
    faults = []
    for column, declared in table.columns.items():
        for kind, rule in declared.validation_rules(pl.col(column)).items():
            if kind == "unique":
                continue
            kept = frame.select(rule.alias("kept"))["kept"].fill_null(value=True)
            for index in (~kept).arg_true():
                value = rows[index].cells[column]
                faults.append((rows[index], f"{column} {str(value)!r} {_rule_text(declared, kind)}"))
    return faults


def _rule_text(declared: Any, kind: str) -> str:
    if kind == "check" and (allowed := allowed_values(declared)):
        return f"is not known; allowed are {', '.join(allowed)}"
    words = {"min": "is below {}", "max": "is above {}", "regex": "does not match {}"}
    return words[kind].format(getattr(declared, kind)) if kind in words else f"breaks the rule {kind}"
