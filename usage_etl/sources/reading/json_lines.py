"""Lines of JSON records to a flat text frame: fast for whole blocks, line by line only where a block does not read.

Polars decodes a column of lines as one JSON array. That is fast and strict in grammar, but a line that holds two
records, or two halves of one, could shift the rows; so only lines that look like one object are handed over, and the
count of rows is compared with the count of lines. What fails is read again in small slices, and what fails there, line
by line with Python's json: only lines that are bad themselves are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.sources.reading.lines import LineBlock
from usage_etl.sources.reading.long_numbers import read_float, with_long_numbers_quoted
from usage_etl.sources.reading.records import RecordShape

_SLICE_LINES = 256
_BLANK = " \t\r"
_LOOKS_WHOLE = pl.col("line").str.starts_with("{") & pl.col("line").str.ends_with("}")


@dataclass(frozen=True)
class Variant:
    """Lines whose records have another shape, with columns of the same names."""

    told_by: str
    """Regular expression that is found in such a line. Where it misleads the line is read with patience, or refused."""
    shape: RecordShape
    rewritten: tuple[str, str] | None = None
    """Regular expression and what replaces it before a line is read fast."""


Refusal = tuple[int, str, str]
"""Ordinal, text and rule name of a refused line."""


@dataclass(frozen=True)
class FlatRecords:
    """Records of one block. Each line that is not blank is a row of ``flat``, stands in ``refused`` or is left out."""

    lines_count: int
    """Lines that are not blank."""
    flat: pl.DataFrame
    """The shape's columns after ``raw_ordinal``, in the order of lines."""
    refused: list[Refusal]
    lines: pl.DataFrame
    """``raw_ordinal`` and ``line`` of every readable line, for quoting."""
    left_out_count: int = 0
    """Lines that were read and are no records of the log: they have no row."""


def joined_records(blocks: Sequence[FlatRecords]) -> FlatRecords:
    """Records of consecutive blocks as if they were one."""
    if len(blocks) == 1:
        return blocks[0]
    return FlatRecords(
        lines_count=sum(block.lines_count for block in blocks),
        flat=pl.concat([block.flat for block in blocks], rechunk=True),
        refused=[refusal for block in blocks for refusal in block.refused],
        lines=pl.concat([block.lines for block in blocks]),
        left_out_count=sum(block.left_out_count for block in blocks),
    )


class LineReader:
    """Reads the blocks of one file; remembers in which form its opened objects came last."""

    def __init__(self, shape: RecordShape, variants: Sequence[Variant] = ()) -> None:
        names = dict.fromkeys(name for each in (shape, *(variant.shape for variant in variants)) for name in each.schema)
        self._schema = pl.Schema({"raw_ordinal": pl.Int64(), **dict.fromkeys(names, pl.String())})
        self._shape = _ShapeReader(shape, self._schema)
        self._variants = [(variant.told_by, _ShapeReader(variant.shape, self._schema, variant.rewritten)) for variant in variants]

    def read(self, block: LineBlock) -> FlatRecords:
        """Flatten the records of ``block``."""
        lines, refused = _split(block)
        looks_whole = lines.select(_LOOKS_WHOLE).to_series()
        odd, records = (lines.clear(), lines) if looks_whole.all() else (lines.filter(~looks_whole), lines.filter(looks_whole))
        frames: list[pl.DataFrame] = []
        trimmed: list[tuple[int, str]] = []
        blank_count = 0
        for ordinal, text in odd.rows():
            stripped = text.strip(_BLANK)
            if not stripped:
                blank_count += 1
            elif stripped.startswith("{") and stripped.endswith("}"):
                trimmed.append((ordinal, stripped))
            else:
                refused.append((ordinal, text, "line__not_a_json_object"))
        for reader, part in self._told(records):
            frames += reader.frames(part, refused)
        for reader, part in self._told(pl.DataFrame(trimmed, schema=lines.schema, orient="row")):
            frames += reader.line_by_line(part.rows(), refused)
        flat = pl.concat(frames).sort("raw_ordinal") if len(frames) > 1 else (frames or [pl.DataFrame(schema=self._schema)])[0]
        lines_count = block.lines_count - blank_count
        if flat.height + len(refused) != lines_count:
            raise ConservationError(f"lines from {block.first_ordinal}", lines_count, flat.height + len(refused))
        return FlatRecords(lines_count, flat, refused, lines)

    def _told(self, records: pl.DataFrame) -> Iterator[tuple[_ShapeReader, pl.DataFrame]]:
        """The lines of each shape, by what they hold."""
        for told_by, reader in self._variants:
            is_told = records["line"].str.contains(told_by)
            yield reader, records.filter(is_told)
            records = records.filter(~is_told)
        yield self._shape, records


class _ShapeReader:
    """Reads lines whose records are of one shape into the columns of ``schema``."""

    def __init__(self, shape: RecordShape, schema: pl.Schema, rewritten: tuple[str, str] | None = None) -> None:
        self._shape, self._schema, self._rewritten = shape, schema, rewritten
        self._forms = tuple(shape.json_types)
        self._exact_keys = {shape.fields[name][-1] for name in shape.exact}

    def frames(self, records: pl.DataFrame, refused: list[Refusal]) -> Iterator[pl.DataFrame]:
        """Flat frames of the lines that read; the others are added to ``refused``."""
        if not records.height:
            return
        whole = self._fast(records)
        if whole is not None:
            yield whole
            return
        for part in records.iter_slices(_SLICE_LINES):
            flat = self._fast(part)
            yield from self.line_by_line(part.rows(), refused) if flat is None else [flat]

    def _fast(self, records: pl.DataFrame) -> pl.DataFrame | None:
        lines = records if self._rewritten is None else records.with_columns(pl.col("line").str.replace(*self._rewritten))
        lines = with_long_numbers_quoted(lines, self._exact_keys)
        for form in self._forms:
            flat = _decode_as(form, lines, self._shape)
            if flat is not None:
                self._forms = (form, *(other for other in self._forms if other != form))
                return _aligned(flat, self._schema)
        return None

    def line_by_line(self, rows: Iterable[tuple[int, str]], refused: list[Refusal]) -> list[pl.DataFrame]:
        """Flat frame of the lines that read one by one; the others are added to ``refused``."""
        flat = []
        for ordinal, text in rows:
            try:
                record = json.loads(text, parse_float=read_float if self._exact_keys else None)
            except (ValueError, RecursionError):
                refused.append((ordinal, text, "line__not_json"))
                continue
            try:
                flat.append({"raw_ordinal": ordinal, **self._shape.flatten(record)})
            except ValueError as error:
                refused.append((ordinal, text, str(error)))
        return [pl.DataFrame(flat, schema=self._schema, orient="row")] if flat else []


def _split(block: LineBlock) -> tuple[pl.DataFrame, list[Refusal]]:
    """Readable lines with their ordinals, and those that are refused before they are read."""
    schema = {"raw_ordinal": pl.Int64, "line": pl.String}
    if block.is_overlong or block.fault:
        text = block.data.decode("utf-8", "replace")
        return pl.DataFrame(schema=schema), [(block.first_ordinal, text, block.fault or "line__too_long")]
    try:
        lines = pl.scan_lines(block.data, row_index_name="raw_ordinal", row_index_offset=block.first_ordinal).collect()
        return lines.with_columns(pl.col("raw_ordinal").cast(pl.Int64)), []
    except pl.exceptions.ComputeError:
        rows, refused = [], []
        raw_lines = block.data.removesuffix(b"\n").split(b"\n")
        for ordinal, raw in enumerate(raw_lines, start=block.first_ordinal):
            try:
                rows.append((ordinal, raw.decode()))
            except UnicodeDecodeError:
                refused.append((ordinal, raw.decode("utf-8", "replace"), "line__not_utf8"))
        return pl.DataFrame(rows, schema=schema, orient="row"), refused


def _aligned(flat: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """``flat`` with the columns of other shapes, null, in the order of ``schema``."""
    if flat.schema == schema:
        return flat
    return flat.select(name if name in flat.columns else pl.lit(None, kind).alias(name) for name, kind in schema.items())


def _decode_as(form: str, records: pl.DataFrame, shape: RecordShape) -> pl.DataFrame | None:
    """Flat frame when every record reads in this form, else None."""
    try:
        decoded = records.select(pl.col("line").str.json_decode(shape.json_types[form])).unnest("line")
        opened = _with_opened(decoded, shape.opened_types) if form == "text" else decoded
        if opened is None or opened.height != records.height:
            return None
        return shape.flat_frame(opened).insert_column(0, records["raw_ordinal"])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def _with_opened(decoded: pl.DataFrame, types: Mapping[str, pl.Struct]) -> pl.DataFrame | None:
    """The opened objects from JSON text to their structs; None when a text does not look like one object."""
    texts = pl.col(list(types))
    opened = decoded.lazy().with_columns(pl.when(texts != "").then(texts))
    looks_whole = texts.str.starts_with("{") & texts.str.ends_with("}")
    if not all(opened.select(looks_whole.all()).collect().row(0)):
        return None
    return opened.with_columns(pl.col(name).str.json_decode(kind) for name, kind in types.items()).collect()
