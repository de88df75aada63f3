"""Nested values of any type to the same shape with text at every leaf: exact for decimals, null where a field is absent."""

from __future__ import annotations

from typing import Any

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.exact_json import JsonNumber


def conformed(name: str, found: pl.DataType | None, wanted: pl.DataType, source: str) -> pl.Expr:
    """Column ``name`` of a Parquet file as ``wanted``, whose leaves are text. Raises UnreadableDeliveryError."""
    if found is None:
        return pl.lit(None, wanted).alias(name)
    return _as_text(pl.col(name), found, wanted, name, source).alias(name)


def _as_text(cell: pl.Expr, found: pl.DataType, wanted: pl.DataType, place: str, source: str) -> pl.Expr:
    if found == pl.Null:
        return pl.lit(None, wanted)
    if isinstance(wanted, pl.Struct):
        if not isinstance(found, pl.Struct):
            raise UnreadableDeliveryError(source, f"column {place} is {found}, where the export has a record")
        inner = fields_of(found)
        fields = [
            _as_text(cell.struct.field(name), inner[name], kind, f"{place}.{name}", source).alias(name)
            if name in inner
            else pl.lit(None, kind).alias(name)
            for name, kind in fields_of(wanted).items()
        ]
        return pl.struct(fields)
    if isinstance(wanted, pl.List):
        if not isinstance(found, pl.List):
            raise UnreadableDeliveryError(source, f"column {place} is {found}, where the export has a list")
        return cell.list.eval(_as_text(pl.element(), _inner(found), _inner(wanted), place, source))
    if isinstance(found, pl.Datetime):
        return cell.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("%z" if found.time_zone else ""))
    if found.is_nested():
        raise UnreadableDeliveryError(source, f"column {place} is {found}, where the export has a single value")
    return cell.cast(pl.String)


def fields_of(kind: pl.Struct) -> dict[str, pl.DataType]:
    """Field to type, in order."""
    return {field.name: _instance(field.dtype) for field in kind.fields}


def _inner(kind: pl.List) -> pl.DataType:
    return _instance(kind.inner)


def _instance(kind: Any) -> pl.DataType:
    found: pl.DataType = kind if isinstance(kind, pl.DataType) else kind()
    return found


def as_text(found: Any, wanted: pl.DataType, place: str) -> Any:
    """One JSON value, read with exact numbers, in the shape of ``wanted``.

    Raises ValueError with a rule name, ``<field>__<rule>``, where a part has another shape.
    """
    if found is None:
        return None
    if isinstance(wanted, pl.Struct):
        if not isinstance(found, dict):
            raise ValueError(f"{place}__not_an_object")
        return {name: as_text(found.get(name), kind, name) for name, kind in fields_of(wanted).items()}
    if isinstance(wanted, pl.List):
        if not isinstance(found, list):
            raise ValueError(f"{place}__not_a_list")
        return [as_text(part, _inner(wanted), place) for part in found]
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, dict | list):
        raise ValueError(f"{place}__not_a_scalar")
    return str(found) if isinstance(found, JsonNumber) else found.encode("utf-8", "replace").decode()
