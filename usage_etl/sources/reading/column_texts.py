"""Columns of any type as text: numbers with all their digits, instants as ISO 8601, nested values as JSON."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl

from usage_etl.sources.reading.distinct import read_distinct


def column_texts(column: pl.Series) -> pl.Series:
    """The column as text; empty texts are null."""
    kind = column.dtype
    if kind == _TEXT_MAP:
        return _map_texts(column)
    if kind.is_nested() or kind in (pl.Binary, pl.Object):
        found = [None if cell is None else json.dumps(_plain(cell), ensure_ascii=False) for cell in column.to_list()]
        return pl.Series(column.name, found, dtype=pl.String)
    if isinstance(kind, pl.Datetime):
        zone = "" if kind.time_zone is None else "%z"
        moments = column.dt.convert_time_zone("UTC") if kind.time_zone else column
        return moments.dt.strftime(f"%Y-%m-%dT%H:%M:%S%.f{zone}")
    texts = column.cast(pl.String)
    return texts.set(texts == "", None)


_TEXT_MAP = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))


def _map_texts(column: pl.Series) -> pl.Series:
    """Maps of text as JSON objects. Rows share their maps (tags, products), so each distinct one is written once."""
    printed = column.rename("map").to_frame().select(pl.struct("map").struct.json_encode().alias(column.name))
    read = read_distinct(printed, [column.name], lambda text: (_map_text(text),), {"object": pl.String()})
    return read["object"].alias(column.name)


def _map_text(printed: str | None) -> str | None:
    entries = json.loads(printed or "{}").get("map")
    return None if entries is None else json.dumps(_plain(entries) or {}, ensure_ascii=False)


def _plain(cell: Any) -> Any:
    """A nested cell in JSON's types; a map's entries become an object."""
    if isinstance(cell, pl.Series):
        return _plain(cell.to_list())
    if isinstance(cell, list):
        if cell and all(isinstance(entry, dict) and entry.keys() == {"key", "value"} for entry in cell):
            return {str(entry["key"]): _plain(entry["value"]) for entry in cell}
        return [_plain(entry) for entry in cell]
    if isinstance(cell, dict):
        return {name: _plain(part) for name, part in cell.items()}
    if isinstance(cell, dt.datetime | dt.date):
        return cell.isoformat()
    return cell if isinstance(cell, str | int | float | bool | None) else str(cell)
