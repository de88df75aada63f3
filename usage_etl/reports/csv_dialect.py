"""The two CSV dialects, both RFC 4180: for spreadsheets, and for machines.

Spreadsheets get CRLF, UTF-8 with byte order mark and the formula guard on text cells; machines get LF, UTF-8 without mark
and text as it is. In both, null is an empty cell, an empty text is ``""``, numbers use a point, no grouping and no exponent,
days are ISO 8601. The guard never touches a number, so a credit stays a negative number.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import minor_unit_digits

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_SIGNS = "=+-@"
_SIGN_FORMS = (
    "\N{MINUS SIGN}\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
    "\N{SMALL EQUALS SIGN}\N{SMALL PLUS SIGN}\N{SMALL HYPHEN-MINUS}\N{SMALL COMMERCIAL AT}"
    "\N{SUPERSCRIPT EQUALS SIGN}\N{SUPERSCRIPT PLUS SIGN}\N{SUPERSCRIPT MINUS}"
    "\N{SUBSCRIPT EQUALS SIGN}\N{SUBSCRIPT PLUS SIGN}\N{SUBSCRIPT MINUS}\N{HEBREW LETTER ALTERNATIVE PLUS SIGN}"
    "\N{TWO CONSECUTIVE EQUALS SIGNS}\N{THREE CONSECUTIVE EQUALS SIGNS}"
)
_INVISIBLE = "\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_SPACE = " \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000" + _INVISIBLE
_SIGN = re.escape(_SIGNS + _SIGN_FORMS)
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_CELL_START = re.compile(f'\\A(?=[{_SPACE}"]*[{_SIGN}{_CONTROL}])')
_INNER_START = re.compile(f'(?<=[;\\t\\r\\n])(?=[{_SPACE}"]*[{_SIGN}])')
_QUOTED = re.compile(r'[",\r\n]|\A\s|\s\Z|\A\Z')


@dataclass(frozen=True)
class PrintedCsv:
    """A CSV file's bytes and, per text column, how many of its cells the formula guard changed."""

    content: bytes
    guarded_cells: Mapping[str, int]


def guard_text(text: str) -> str:
    """``text`` with an apostrophe before whatever a spreadsheet could take for the start of a formula.

    That is a first visible character among ``= + - @``, their full-width, small, raised and lowered forms, or any control
    character. Where a spreadsheet cuts cells at semicolons, tabs or line ends, a cell may start inside the text too.
    """
    return _INNER_START.sub("'", _CELL_START.sub("'", text))


def print_amount(amount: Decimal, currency: str, *, is_exact: bool) -> str:
    """``amount`` with the currency's minor digits; with all its digits, but at least those, when ``is_exact``.

    Raises ConservationError when the printed digits would not be the amount.
    """
    digits = minor_unit_digits(currency)
    with localcontext() as context:
        context.prec = 76
        if is_exact:
            return plain_decimal(amount, least_digits=digits)
        printed = format(amount.quantize(Decimal(1).scaleb(-digits)), "f")
    if Decimal(printed) != amount:
        raise ConservationError(f"amount in whole minor units of {currency}", printed, amount)
    return printed


def spreadsheet_csv(frame: pl.DataFrame, *, currency_column: str, exact_columns: Sequence[str] = ()) -> PrintedCsv:
    """``frame`` in its row and column order, header first.

    Decimal columns are money in the currency of ``currency_column``: whole minor units, or all digits for
    ``exact_columns``. The file is read back by another reader, cell by cell, before it is returned.
    Raises ConservationError when a cell reads back as something else, ValueError for a column of floats.
    """
    currencies = frame.get_column(currency_column).cast(pl.String).to_list()
    printed: dict[str, list[str | None]] = {}
    guarded_cells: dict[str, int] = {}
    for name, dtype in frame.schema.items():
        cells = frame.get_column(name).to_list()
        if dtype in (pl.String, pl.Categorical, pl.Enum):
            printed[name] = [cell if cell is None else guard_text(cell) for cell in cells]
            guarded_cells[name] = sum(before != after for before, after in zip(cells, printed[name], strict=True))
        elif isinstance(dtype, pl.Decimal):
            is_exact = name in exact_columns
            printed[name] = [
                amount if amount is None else print_amount(amount, currency, is_exact=is_exact)
                for amount, currency in zip(cells, currencies, strict=True)
            ]
        else:
            plain = _plain_printer(name, dtype)
            printed[name] = [cell if cell is None else plain(cell) for cell in cells]
    content = BYTE_ORDER_MARK + _join(printed, line_end="\r\n")
    _check_read_back(content, printed)
    return PrintedCsv(content, {name: count for name, count in guarded_cells.items() if count})


def machine_csv(printed: Mapping[str, Sequence[str | None]]) -> bytes:
    """Columns of printed cells as a file for machines, header first, unguarded.

    The file is read back by another reader, cell by cell, before it is returned.
    Raises ConservationError when a cell reads back as something else.
    """
    content = _join(printed, line_end="\n")
    _check_read_back(content, printed)
    return content


def plain_decimal(amount: Decimal, *, least_digits: int = 2) -> str:
    """``amount`` with all its digits, at least ``least_digits`` after the point, without exponent: for machines."""
    with localcontext() as context:
        context.prec = 76
        whole, _, fraction = format(amount, "f").partition(".")
    fraction = fraction.rstrip("0").ljust(least_digits, "0")
    return f"{whole}.{fraction}" if fraction else whole


def read_printed(content: bytes) -> pl.DataFrame:
    """The cells of a printed file as text, by Polars' reader; an empty cell is null, ``""`` is empty text."""
    return pl.read_csv(content, infer_schema=False)


def _plain_printer(name: str, dtype: pl.DataType) -> Callable[[object], str]:
    if dtype.is_integer() or dtype == pl.Date:
        return str
    if dtype == pl.Boolean:
        return lambda cell: "true" if cell else "false"
    if isinstance(dtype, pl.Datetime) and dtype.time_zone == "UTC":
        return lambda cell: cell.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(cell, dt.datetime) else str(cell)
    raise ValueError(f"column {name}: {dtype} has no exact form in this dialect")


def _join(printed: Mapping[str, Sequence[str | None]], *, line_end: str) -> bytes:
    lines = [",".join(printed), *(",".join(map(_quote, row)) for row in zip(*printed.values(), strict=True))]
    return "".join(f"{line}{line_end}" for line in lines).encode()


def _quote(cell: str | None) -> str:
    if cell is None:
        return ""
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell


def _check_read_back(content: bytes, printed: Mapping[str, Sequence[str | None]]) -> None:
    found = read_printed(content)
    if found.columns != list(printed):
        raise ConservationError("columns of the printed file", found.columns, list(printed))
    for name, cells in printed.items():
        if found.get_column(name).to_list() != list(cells):
            raise ConservationError(f"cells of column {name} read back", "another text", "what was printed")
