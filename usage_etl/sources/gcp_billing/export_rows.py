"""Rows of the detailed export as frames whose leaves are text, from JSON lines or Parquet: no amount passes through a float.

The export's records are nested: a row holds lists of credits, labels and tags. Fields that are not listed here are not read;
fields that a file does not have are null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError, UnreadableDeliveryError
from usage_etl.sources.gcp_billing.nested import as_text, conformed, fields_of
from usage_etl.sources.reading.exact_json import loads
from usage_etl.sources.reading.json_lines import Refusal
from usage_etl.sources.reading.lines import LineBlock, read_line_blocks

CHUNK_ROWS = 50_000
"""Rows of one frame of a Parquet file."""

_PARQUET_MAGIC = b"PAR1"


def _texts(*names: str) -> pl.Struct:
    return pl.Struct({name: pl.String() for name in names})


_LABELS = pl.List(_texts("key", "value"))
EXPORT_ROW = pl.Struct(
    {
        **dict.fromkeys(("billing_account_id", "cost_type", "usage_start_time", "usage_end_time", "export_time"), pl.String()),
        **dict.fromkeys(("currency", "cost", "cost_at_list", "transaction_type", "seller_name"), pl.String()),
        "invoice": _texts("month"),
        "service": _texts("id", "description"),
        "sku": _texts("id", "description"),
        "project": pl.Struct({"id": pl.String(), "name": pl.String(), "labels": _LABELS}),
        "labels": _LABELS,
        "tags": pl.List(_texts("key", "value", "namespace")),
        "location": _texts("location", "region"),
        "resource": _texts("name", "global_name"),
        "usage": _texts("amount", "unit", "amount_in_pricing_units", "pricing_unit"),
        "price": _texts("effective_price", "list_price", "pricing_unit_quantity"),
        "credits": pl.List(_texts("id", "full_name", "name", "type", "amount")),
        "adjustment_info": _texts("mode", "type"),
        "consumption_model": _texts("description"),
        "subscription": _texts("instance_id"),
    }
)
"""A row of the export, as far as it is read."""

_REQUIRED = ("cost", "currency", "usage_start_time", "export_time", "service", "sku")
_KNOWN_UNREAD = frozenset(
    {"system_labels", "currency_conversion_rate", "cost_at_effective_price_default", "cost_at_list_consumption_model"}
    | {"journal_names"}
)
_EMPTY = pl.DataFrame(schema={"raw_ordinal": pl.Int64(), **EXPORT_ROW.to_schema()})
_SLICE_LINES = 1024
"""Lines that are decoded together; one bad line among them makes these be read one by one."""
_QUOTED_NAMES = "cost|cost_at_list|amount|amount_in_pricing_units|effective_price|list_price|pricing_unit_quantity"
_LONG_NUMBER = rf'"({_QUOTED_NAMES})"\s*:\s*(-?[0-9][0-9.eE+\-]{{14,}})'
"""More digits than a float keeps for certain: such numbers are put in quotes before the fast decoder sees them."""


@dataclass(frozen=True)
class ExportRows:
    """Consecutive rows. Every row is in ``frame`` or in ``refused``."""

    frame: pl.DataFrame
    """``raw_ordinal``, then the fields of ``EXPORT_ROW``."""
    rows_count: int
    lines_count: int
    """Physical lines that the rows stand on, blank ones included; what the next file's rows are numbered on from."""
    unread: frozenset[str] = frozenset()
    """Columns that the file has and nothing reads."""
    refused: list[Refusal] = field(default_factory=list)

    def raw_text(self, ordinal: int) -> str:
        """The fields of one row as JSON, for quoting it in quarantine."""
        found = self.frame.filter(pl.col("raw_ordinal") == ordinal).drop("raw_ordinal")
        return json.dumps({name: cell for name, cell in found.row(0, named=True).items() if cell is not None}, ensure_ascii=False)


def read_export(path: Path, source: str, offset: int) -> Iterator[ExportRows]:
    """Frames of one file, at least one; rows are numbered on from ``offset``.

    Raises UnreadableDeliveryError when the file is neither JSON lines nor Parquet, is damaged, or holds another table.
    """
    with path.open("rb") as raw:
        is_parquet = raw.read(4) == _PARQUET_MAGIC
    return _parquet_rows(path, source, offset) if is_parquet else _json_rows(path, source, offset)


def _parquet_rows(path: Path, source: str, offset: int) -> Iterator[ExportRows]:
    try:
        schema = pl.read_parquet_schema(path)
        _check_columns(schema, source)
        wanted = fields_of(EXPORT_ROW)
        columns = [conformed(name, schema.get(name), kind, source) for name, kind in wanted.items()]
        unread = frozenset(schema) - set(wanted) - _KNOWN_UNREAD
        scan = pl.scan_parquet(path, glob=False)
        count = scan.select(pl.len()).collect().item()
        for start in range(0, max(count, 1), CHUNK_ROWS):
            frame = scan.slice(start, CHUNK_ROWS).select(columns).collect()
            ordinals = pl.int_range(offset + start + 1, offset + start + frame.height + 1, dtype=pl.Int64, eager=True)
            yield ExportRows(frame.insert_column(0, ordinals.alias("raw_ordinal")), frame.height, frame.height, unread)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise UnreadableDeliveryError(source, f"the Parquet file is cut, damaged or not readable: {error}") from error


def _check_columns(names: Mapping[str, Any], source: str) -> None:
    if missing := [name for name in _REQUIRED if name not in names]:
        raise UnreadableDeliveryError(
            source,
            f"not Google's detailed billing export: there is no column {', '.join(missing)}; export rows of "
            "gcp_billing_export_resource_v1_* with all their columns",
        )


def _json_rows(path: Path, source: str, offset: int) -> Iterator[ExportRows]:
    is_recognised = False
    for block in read_line_blocks(path, source):
        rows = _read_block(block, offset)
        if not is_recognised and rows.frame.height:
            told = [name for name in ("service", "sku", "usage_start_time") if not _is_empty(rows.frame[name])]
            _check_columns(dict.fromkeys((*told, "cost", "currency", "export_time")), source)
            is_recognised = True
        yield rows


def _is_empty(column: pl.Series) -> bool:
    """Whether no row says anything in the column; a record whose fields are all null says nothing."""
    if isinstance(column.dtype, pl.Struct):
        return all(field.null_count() == len(field) for field in column.struct.unnest().get_columns())
    return column.null_count() == len(column)


def _read_block(block: LineBlock, offset: int) -> ExportRows:
    lines: list[tuple[int, str]] = []
    refused: list[Refusal] = []
    for ordinal, raw in enumerate(block.data.removesuffix(b"\n").split(b"\n"), start=offset + block.first_ordinal):
        line = raw.strip(b" \t\r")
        if block.is_overlong:
            refused.append((ordinal, line.decode("utf-8", "replace"), "line__too_long"))
        elif line.startswith(b"{") and line.endswith(b"}"):
            try:
                lines.append((ordinal, line.decode()))
            except UnicodeDecodeError:
                refused.append((ordinal, line.decode("utf-8", "replace"), "line__not_utf8"))
        elif line:
            refused.append((ordinal, line.decode("utf-8", "replace"), "line__not_a_json_object"))
    count = len(lines) + len(refused)
    schema = {"raw_ordinal": pl.Int64(), "line": pl.String()}
    slices = pl.DataFrame(lines, schema=schema, orient="row").iter_slices(_SLICE_LINES)
    frame = pl.concat([_EMPTY, *(frame for part in slices for frame in _decoded(part, refused))])
    if frame.height + len(refused) != count:
        raise ConservationError(f"lines from {block.first_ordinal}", count, frame.height + len(refused))
    return ExportRows(frame, count, block.lines_count, refused=sorted(refused))


def _decoded(lines: pl.DataFrame, refused: list[Refusal]) -> Iterator[pl.DataFrame]:
    """Frames of the lines: at once where all read, else line by line; those that do not are added to ``refused``."""
    line = pl.col("line").str.replace_all(_LONG_NUMBER, '"$1":"$2"')
    try:
        decoded = lines.select(line.str.json_decode(EXPORT_ROW)).unnest("line")
        if decoded.height == lines.height:
            yield decoded.insert_column(0, lines["raw_ordinal"])
            return
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        pass
    rows = []
    for ordinal, text in lines.iter_rows():
        try:
            rows.append({"raw_ordinal": ordinal, **as_text(loads(text), EXPORT_ROW, "record")})
        except (ValueError, RecursionError) as error:
            fault = str(error) if "__" in str(error) else "line__not_json"
            refused.append((ordinal, text, fault))
    if rows:
        yield pl.DataFrame(rows, schema=_EMPTY.schema, orient="row")
