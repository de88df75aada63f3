"""A landed table (CSV or Parquet) as frames of text: every cell as it was written, typed later in one place.

CSV is read whatever its encoding (UTF-8, UTF-16, Windows-1252), separator (comma, semicolon, tab, bar), line ends and
compression: all are told from the content, and what cannot be told is refused. A row with more or fewer cells than the
header is refused as a row; nothing is padded or cut. Parquet cells are printed: numbers with all their digits, instants as
ISO 8601, nested values as JSON.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BufferedIOBase
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.column_texts import column_texts
from usage_etl.sources.reading.csv_blocks import MAX_ROW_BYTES, read_block, record_blocks
from usage_etl.sources.reading.json_lines import Refusal
from usage_etl.sources.reading.plain import open_plain

MAX_COLUMNS = 2_000
"""A header with more names is no table of charges or requests."""

CHUNK_CELLS = 1_000_000
"""Cells of one frame."""

_SEPARATORS = ",;\t|"
_SNIFFED_BYTES = 1 << 16
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class TextTable:
    """Consecutive rows of one file. Every row is in ``frame`` or in ``refused``."""

    frame: pl.DataFrame
    """``raw_ordinal`` (1-based number of the row, the header not counted), then the file's columns as text."""
    rows_count: int
    refused: list[Refusal] = field(default_factory=list)
    quote: Callable[[int], str] | None = None
    """A whole row by ordinal where ``frame`` holds some of the columns only."""

    def numbered_from(self, offset: int) -> TextTable:
        """The same rows, numbered on from ``offset`` earlier ones of the delivery."""
        if not offset:
            return self
        refused = [(ordinal + offset, text, fault) for ordinal, text, fault in self.refused]
        quote = self.quote
        return TextTable(
            self.frame.with_columns(pl.col("raw_ordinal") + offset),
            self.rows_count,
            refused,
            None if quote is None else lambda ordinal: quote(ordinal - offset),
        )

    def raw_text(self, ordinal: int) -> str:
        """The cells of one row as JSON, or the row as written, for quoting it in quarantine."""
        if self.quote is not None:
            return self.quote(ordinal)
        found = self.frame.filter(pl.col("raw_ordinal") == ordinal).drop("raw_ordinal")
        return json.dumps({name: cell for name, cell in found.row(0, named=True).items() if cell is not None}, ensure_ascii=False)


Wanted = Callable[[list[str]], Sequence[str]]
"""Takes the names of all columns and gives those that are read."""


def read_tables(path: Path, source: str, *, wanted: Wanted = list) -> Iterator[TextTable]:
    """Frames of one CSV or Parquet file, at least one, also where the file has no rows: the header is known then.

    ``wanted`` chooses the columns that are read: the others of a bill with hundreds cost nothing. Empty cells are null.
    Raises UnreadableDeliveryError when the file is neither, is cut or damaged, is empty, names a column twice, or has no
    header.
    """
    with path.open("rb") as raw:
        is_parquet = raw.read(4) == _PARQUET_MAGIC
    return _parquet_tables(path, source, wanted) if is_parquet else _csv_tables(path, source, wanted)


def _csv_tables(path: Path, source: str, wanted: Wanted) -> Iterator[TextTable]:
    with open_plain(path, source) as stream:
        head = stream.read(_SNIFFED_BYTES)
        encoding = _encoding(head, source)
        if encoding.startswith("utf-8") and b"\n" in head:
            yield from _utf8_tables(stream, head.removeprefix(codecs.BOM_UTF8), source, wanted)
            return
        lines = _lines(stream, head, encoding, source)
        first = next(lines, None)
        if first is None:
            raise UnreadableDeliveryError(source, "the file is empty: it has no header")
        separator = max(_SEPARATORS, key=first.count)
        header = _header(first, separator, source)
        yield from _chunks(csv.reader(lines, delimiter=separator, strict=True), header, wanted(header), separator)


def _utf8_tables(stream: BufferedIOBase, head: bytes, source: str, wanted: Wanted) -> Iterator[TextTable]:
    """Block by block where blocks are plainly well formed, row by row in the others."""
    first, _, rest = head.partition(b"\n")
    first_line = next(_lines(io.BytesIO(), first, "utf-8", source), "")
    separator = max(_SEPARATORS, key=first_line.count)
    header = _header(first_line, separator, source)
    columns = wanted(header)
    ordinal, is_first = 0, True
    for block in record_blocks(stream, rest or stream.read(_SNIFFED_BYTES)):
        if (found := read_block(block, header, columns, separator)) is None:
            lines = _lines(io.BytesIO(), block, "utf-8", source)
            for table in _chunks(csv.reader(lines, delimiter=separator, strict=True), header, columns, separator, after=ordinal):
                yield table
                ordinal += table.rows_count
        else:
            yield _block_table(*found, after=ordinal)
            ordinal += found[0].height
        is_first = False
    if is_first:
        yield TextTable(_frame([], [], header, columns), 0)


def _block_table(frame: pl.DataFrame, lines: pl.Series, *, after: int) -> TextTable:
    ordinals = pl.Series("raw_ordinal", range(after + 1, after + frame.height + 1), dtype=pl.Int64)
    return TextTable(pl.DataFrame([ordinals, *frame]), frame.height, quote=lambda ordinal: str(lines[ordinal - after - 1]))


def _header(line: str, separator: str, source: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader([line], delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise UnreadableDeliveryError(source, f"the header cannot be read: {error}") from error
    if len(names) < 2:
        what = "it begins like JSON, and a table of text is wanted" if line.lstrip()[:1] in ("{", "[") else "not a table of text"
        raise UnreadableDeliveryError(source, f"the first line names fewer than two columns: {what} (CSV or TSV with a header)")
    if len(names) > MAX_COLUMNS:
        raise UnreadableDeliveryError(source, f"the header names {len(names)} columns; {MAX_COLUMNS} are read at most")
    while names and not names[-1]:  # a separator at the end of the header, as some writers leave it
        names = [*names[:-1], f"(unnamed {len(names)})"]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UnreadableDeliveryError(source, f"the header names columns twice: {', '.join(repeated)}")
    return names


def _chunks(
    rows: Iterator[list[str]], header: Sequence[str], columns: Sequence[str], separator: str, *, after: int = 0
) -> Iterator[TextTable]:
    size = max(1, CHUNK_CELLS // len(header))
    ordinal, is_first = after, True
    while True:
        good: list[list[str]] = []
        ordinals: list[int] = []
        refused: list[Refusal] = []
        count = 0
        while count < size:
            try:
                cells = next(rows)
            except StopIteration:
                break
            except csv.Error as error:
                count += 1
                refused.append((ordinal + count, str(error), "row__not_csv"))
                continue
            if not any(cells):
                continue
            count += 1
            if fault := _row_fault(cells, header):
                refused.append((ordinal + count, separator.join(cells), fault))
            else:
                good.append(cells)
                ordinals.append(ordinal + count)
        if count or is_first:
            yield TextTable(_frame(good, ordinals, header, columns), count, refused)
        if count < size:
            return
        ordinal, is_first = ordinal + count, False


def _row_fault(cells: Sequence[str], header: Sequence[str]) -> str | None:
    if len(cells) != len(header):
        return "row__too_many_cells" if len(cells) > len(header) else "row__too_few_cells"
    return "row__holds_nul" if any("\0" in cell for cell in cells) else None


def _frame(rows: list[list[str]], ordinals: list[int], header: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    cells = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(header, ())
    frame = pl.DataFrame([pl.Series(name, list(cells[name]), dtype=pl.String) for name in columns])
    filled = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return filled.insert_column(0, pl.Series("raw_ordinal", ordinals, dtype=pl.Int64))


def _encoding(head: bytes, source: str) -> str:
    """Encoding by mark or by what decodes; the last is Windows-1252, in which five bytes mean nothing."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if head.startswith(mark):
            return name
    if head[:512].count(0) * 3 > len(head[:512]) > 8:
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        try:
            head.decode("cp1252")
        except UnicodeDecodeError as error:
            raise UnreadableDeliveryError(source, "the file is neither UTF-8, UTF-16 nor Windows-1252 text") from error
        return "cp1252"
    return "utf-8"


def _lines(stream: BufferedIOBase, head: bytes, encoding: str, source: str) -> Iterator[str]:
    """Decoded physical lines with their ends. Raises UnreadableDeliveryError for bytes that are not of the encoding."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    kept, block = "", head
    while block:
        try:
            kept += decoder.decode(block, final=False)
        except UnicodeDecodeError as error:
            raise UnreadableDeliveryError(source, f"the file is not {encoding} text throughout: {error.reason}") from error
        *whole, kept = kept.split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(kept) > MAX_ROW_BYTES:
            raise UnreadableDeliveryError(source, f"one line is longer than {MAX_ROW_BYTES} characters")
        block = stream.read(1 << 20)
    try:
        kept += decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise UnreadableDeliveryError(source, f"the file ends within a character: {error.reason}") from error
    if kept:
        yield kept


def _parquet_tables(path: Path, source: str, wanted: Wanted) -> Iterator[TextTable]:
    try:
        schema = pl.read_parquet_schema(path)
        if len(schema) > MAX_COLUMNS:
            raise UnreadableDeliveryError(source, f"the file has {len(schema)} columns; {MAX_COLUMNS} are read at most")
        columns = list(wanted(list(schema)))
        whole, size = pl.scan_parquet(path, glob=False), max(1, CHUNK_CELLS // max(1, len(columns)))
        scan = whole.select(columns)
        count = whole.select(pl.len()).collect().item()
        for offset in range(0, max(count, 1), size):
            frame = scan.slice(offset, size).collect()
            ordinals = pl.Series("raw_ordinal", range(offset + 1, offset + frame.height + 1), dtype=pl.Int64)
            texts = [column_texts(column) for column in frame.get_columns()]
            yield TextTable(pl.DataFrame([ordinals, *texts]), frame.height, quote=partial(_parquet_row, whole))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise UnreadableDeliveryError(source, f"the Parquet file is cut, damaged or not readable: {error}") from error


def _parquet_row(whole: pl.LazyFrame, ordinal: int) -> str:
    row = [column_texts(column) for column in whole.slice(ordinal - 1, 1).collect().get_columns()]
    return json.dumps({cell.name: cell[0] for cell in row if cell[0] is not None}, ensure_ascii=False)
