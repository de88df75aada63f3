"""Files of one exported table, in any of Langfuse's formats, as frames of text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.json_documents import begins_as_json, read_record_blocks
from usage_etl.sources.reading.json_lines import LineReader, Refusal
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.reading.text_tables import read_tables

_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Rows:
    """Consecutive records of one file. Every record is in ``frame`` or in ``refused``."""

    frame: pl.DataFrame
    rows_count: int
    refused: list[Refusal]
    raw_text: Callable[[int], str]
    """Record by ordinal, for quoting it in quarantine."""
    with_maps: Callable[[pl.DataFrame], pl.DataFrame]
    """Adds the maps' columns to some rows of ``frame``."""

    def after(self, before: int) -> Rows:
        """The same records, numbered on from ``before`` others."""
        return Rows(
            self.frame.with_columns(pl.col("raw_ordinal") + before),
            self.rows_count,
            [(ordinal + before, text, rule) for ordinal, text, rule in self.refused],
            lambda ordinal: self.raw_text(ordinal - before),
            lambda rows: self.with_maps(rows.with_columns(pl.col("raw_ordinal") - before)).with_columns(
                pl.col("raw_ordinal") + before
            ),
        )


def read_rows(path: Path, source: str, *, columns: Sequence[str], lists: Sequence[str], maps: Sequence[str]) -> Iterator[Rows]:
    """Rows of one file: ``raw_ordinal`` and all of ``columns`` and ``lists`` as text, absent ones null.

    Lists and maps are JSON text in CSV and Parquet; of JSON records lists are joined by LIST_SEPARATOR, and maps are
    taken out as JSON text. Raises UnreadableDeliveryError.
    """
    with path.open("rb") as raw:
        is_parquet = raw.read(4) == _PARQUET
    if not is_parquet and begins_as_json(path, source):
        yield from _json_rows(path, source, RecordShape({name: (name,) for name in (*columns, *lists)}, frozenset(lists)), maps)
        return
    wanted = (*columns, *lists, *maps)
    for table in read_tables(path, source):
        names = {name: name.strip().lower() for name in table.frame.columns}
        found = table.frame.rename(names, strict=False)
        if "id" not in found.columns:
            raise UnreadableDeliveryError(source, "not a table of Langfuse's export: there is no column id")
        absent = [pl.lit(None, pl.String).alias(name) for name in wanted if name not in found.columns]
        frame = found.with_columns(absent).select("raw_ordinal", *wanted)
        yield Rows(frame, table.rows_count, table.refused, table.raw_text, _as_they_are)


def _json_rows(path: Path, source: str, shape: RecordShape, maps: Sequence[str]) -> Iterator[Rows]:
    reader, is_first = LineReader(shape), True
    for block in read_record_blocks(path, source):
        read = reader.read(block)
        if is_first and read.flat.height and read.flat["id"].null_count() == read.flat.height:
            raise UnreadableDeliveryError(source, "no record has an id: not a table of Langfuse's export")
        is_first = False
        yield Rows(read.flat, read.lines_count, read.refused, partial(_line, read.lines), partial(_with_maps, read.lines, maps))


def _as_they_are(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def _with_maps(lines: pl.DataFrame, maps: Sequence[str], rows: pl.DataFrame) -> pl.DataFrame:
    texts = rows.select("raw_ordinal").join(lines, on="raw_ordinal", how="left", maintain_order="left")["line"]
    return rows.hstack([_map_texts(texts, name) for name in maps])


def _line(lines: pl.DataFrame, ordinal: int) -> str:
    found: str = lines.filter(pl.col("raw_ordinal") == ordinal)["line"].item()
    return found


def _map_texts(lines: pl.Series, name: str) -> pl.Series:
    """The object under one key of each line as JSON text.

    Within a string a quote is escaped, so the key with its quotes stands for itself; where it stands twice, or what follows
    is not a flat object, the line is read by Python's json.
    """
    key = rf'"{name}"\s*:\s*'
    found = lines.str.extract(rf"{key}(\{{[^{{}}]*\}})")
    times = lines.str.count_matches(key)
    unsure = ((times > 1) | ((times == 1) & found.is_null())).arg_true()
    return (found.scatter(unsure, [_top_level(line, name) for line in lines.gather(unsure)]) if len(unsure) else found).alias(
        name
    )


def _top_level(line: str, name: str) -> str | None:
    try:
        value: Any = json.loads(line, parse_float=str, parse_int=str).get(name)
    except (ValueError, RecursionError):
        return None
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() or None
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
