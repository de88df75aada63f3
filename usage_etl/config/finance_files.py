"""Reads what finance registers: invoices, exchange rates and disputes. Every fault of every file is named, all at once."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.config.cells import Row, frame_of, parse_day, plain, read_text_rows, typed_rows
from usage_etl.errors import FinanceFileError
from usage_etl.money import minor_unit
from usage_etl.schemas import DIM_DISPUTE, DIM_FX_RATE, DIM_INVOICE, Table

INVOICES_FILE = "invoices.csv"
RATES_FILE = "fx_rates.csv"
DISPUTES_FOLDER = "disputes"
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)


def parse_month(text: str) -> dt.date:
    """First day of a month that is written ``2026-10`` or ``2026-10-01``. Raises ValueError."""
    try:
        day = parse_day(f"{text}-01" if _MONTH.fullmatch(text) else text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a month as YYYY-MM or its first day") from error
    if day.day != 1:
        raise ValueError(f"{text!r} is not the first day of a month")
    return day


@dataclass(frozen=True)
class FinanceFile:
    """One kind of file in the finance folder. Columns that may be empty may also be left out of the header."""

    table: Table
    place: str
    """File, or pattern of files, below the folder."""
    key: tuple[str, ...]
    """Columns that together stand once, over all files of the kind."""
    row_faults: Callable[[Mapping[str, Any]], Iterator[str]]
    parsers: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns that a header may leave out."""
        return tuple(name for name, column in self.table.columns.items() if column.nullable)


def _invoice_faults(cells: Mapping[str, Any]) -> Iterator[str]:
    unit = minor_unit(cells["currency"])
    for column in ("invoice_total", "tax_total"):
        amount = cells[column]
        if amount is not None and amount % unit:
            yield f"{column} {plain(amount)} is not a whole number of {unit} {cells['currency']}"
    if cells["due_date"] is not None and cells["due_date"] < cells["issued_date"]:
        yield f"is due on {cells['due_date']}, before it was issued on {cells['issued_date']}"


def _rate_faults(cells: Mapping[str, Any]) -> Iterator[str]:
    if cells["rate"] <= 0:
        yield f"has the rate {plain(cells['rate'])}; a rate is above 0"
    if cells["from_currency"] == cells["to_currency"]:
        yield f"has the same currency on both sides, {cells['from_currency']}"


def _dispute_faults(cells: Mapping[str, Any]) -> Iterator[str]:
    resolution, accepted, resolved = cells["resolution"], cells["accepted_cost"], cells["resolved_date"]
    disputed: Decimal = cells["disputed_cost"]
    if disputed == 0:
        yield "disputes an amount of 0"
    if resolution == "open" and resolved is not None:
        yield f"is open and has a resolved_date, {resolved}"
    if resolution != "open" and resolved is None:
        yield f"is {resolution} and has no resolved_date"
    if resolved is not None and resolved < cells["raised_date"]:
        yield f"was resolved on {resolved}, before it was raised on {cells['raised_date']}"
    if accepted is not None:
        yield from _accepted_faults(resolution, accepted, disputed)


def _accepted_faults(resolution: str, accepted: Decimal, disputed: Decimal) -> Iterator[str]:
    if resolution != "accepted":
        yield f"is {resolution} and has an accepted_cost of {plain(accepted)}"
    if abs(accepted) > abs(disputed):
        yield f"has an accepted_cost of {plain(accepted)}, which is more than the {plain(disputed)} in dispute"
    elif accepted * disputed < 0:
        yield f"has an accepted_cost of {plain(accepted)} with another sign than the {plain(disputed)} in dispute"
    elif accepted == 0:
        yield "has an accepted_cost of 0; write rejected"


FINANCE_FILES = (
    FinanceFile(DIM_INVOICE, INVOICES_FILE, ("invoice_id",), _invoice_faults, {"billing_month": parse_month}),
    FinanceFile(DIM_FX_RATE, RATES_FILE, ("from_currency", "to_currency", "rate_date"), _rate_faults),
    FinanceFile(DIM_DISPUTE, f"{DISPUTES_FOLDER}/*.csv", ("dispute_id",), _dispute_faults),
)
"""What the finance folder may hold. A missing file holds no rows."""


def read_finance_files(folder: Path) -> dict[str, pl.DataFrame]:
    """dim_invoice, dim_fx_rate and dim_dispute by name. Raises FinanceFileError listing every fault of every file.

    Invoices and rates are one file each; disputes are every ``disputes/*.csv``, one for each owner.
    """
    problems: list[str] = []
    frames: dict[str, pl.DataFrame] = {}
    for kind in FINANCE_FILES:
        rows = [row for path in sorted(folder.glob(kind.place)) for row in _rows(path, folder, kind, problems)]
        for row in rows:
            problems += [f"{row.place}: {_named(row, kind.key)} {fault}" for fault in kind.row_faults(row.cells)]
        problems += _repeated(rows, kind.key)
        frames[kind.table.name] = frame_of(rows, kind.table)
    if problems:
        raise FinanceFileError(str(folder), problems)
    return frames


def unknown_finance_files(folder: Path) -> list[str]:
    """Files of the folder that nothing reads, a misspelt name among them."""
    known = {path for kind in FINANCE_FILES for path in folder.glob(kind.place)}
    found = [path for place in (folder, folder / DISPUTES_FOLDER) for path in place.glob("*") if path.is_file()]
    return sorted(path.relative_to(folder).as_posix() for path in found if path not in known)


def _rows(path: Path, folder: Path, kind: FinanceFile, problems: list[str]) -> list[Row]:
    name = path.relative_to(folder).as_posix()
    texts = read_text_rows(path, tuple(kind.table.columns), problems, optional=kind.optional, name=name)
    return typed_rows(texts, kind.table, name, problems, parsers=kind.parsers).rows


def _repeated(rows: Iterable[Row], key: Sequence[str]) -> Iterator[str]:
    places: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        places[tuple(row.cells[name] for name in key)].append(row)
    for found in places.values():
        if len(found) > 1:
            others = " and ".join(row.place for row in found[1:])
            yield f"{found[0].place}: {_named(found[0], key)} stands again in {others}"


def _named(row: Row, key: Sequence[str]) -> str:
    return " ".join(str(row.cells[name]) for name in key)
