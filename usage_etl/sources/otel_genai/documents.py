"""OTLP/JSON documents to flat text rows, one per span: many documents at once, and one by one where that fails.

A document is one line: the spans, log records or metrics of a batch. Only spans are read; log records and metrics are
counted. What is not among the wanted attributes is not read, prompts and answers above all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

START, END, TRACE, SPAN, STATUS, SCOPE = (
    "startTimeUnixNano",
    "endTimeUnixNano",
    "traceId",
    "spanId",
    "status.code",
    "scope.name",
)
FIXED = (TRACE, SPAN, START, END, STATUS, SCOPE)
"""Columns that every span has beside its attributes."""

KEYS = {"line_number": pl.Int64, "position": pl.Int64}
"""Which document a span stands in, and the how many-th of its records it is, from 0."""

SIGNALS = {"resourceSpans": ("scopeSpans", "spans"), "resourceLogs": ("scopeLogs", "logRecords"),
           "resourceMetrics": ("scopeMetrics", "metrics")}  # fmt: skip
"""Top level of a document to the names of the levels below it, records last."""

_SCALARS = ("stringValue", "intValue", "doubleValue", "boolValue")
_TEXT = pl.String()
_ATTRIBUTES = pl.List(pl.Struct({"key": _TEXT, "value": pl.Struct(dict.fromkeys(_SCALARS, _TEXT))}))
_SPAN_TYPE = pl.Struct(
    {**dict.fromkeys((TRACE, SPAN, START, END), _TEXT), "attributes": _ATTRIBUTES, "status": pl.Struct({"code": _TEXT})}
)
_SCOPE_TYPE = pl.Struct({"scope": pl.Struct({"name": _TEXT}), "spans": pl.List(_SPAN_TYPE)})
_RESOURCE_TYPE = pl.Struct({"resource": pl.Struct({"attributes": _ATTRIBUTES}), "scopeSpans": pl.List(_SCOPE_TYPE)})


def _counted(scopes: str, records: str) -> pl.List:
    """Type under which records are only counted."""
    return pl.List(pl.Struct({scopes: pl.List(pl.Struct({records: pl.List(pl.Struct({}))}))}))


_DOCUMENT = pl.Struct(
    {name: pl.List(_RESOURCE_TYPE) if name == "resourceSpans" else _counted(*below) for name, below in SIGNALS.items()}
)


@dataclass(frozen=True)
class Documents:
    """What documents hold. Every record of a document is a row of ``spans``, refused, or counted in ``others``."""

    spans: pl.DataFrame
    """``KEYS``, ``FIXED`` and the wanted attributes of span and resource, all text."""
    records: pl.DataFrame
    """Line number and number of records of each document; a refused document is one record."""
    others: int = 0
    """Log records and metrics."""
    refused: list[tuple[int, int, str, str]] = field(default_factory=list)
    """Line number, position, text and rule of each refused document or span."""


@dataclass(frozen=True)
class Wanted:
    """The attributes that are read."""

    of_span: tuple[str, ...]
    of_resource: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the attributes, those of resources named apart."""
        return (*self.of_span, *(resource_column(key) for key in self.of_resource))

    @property
    def schema(self) -> pl.Schema:
        """Columns of a span's row."""
        return pl.Schema({**KEYS, **dict.fromkeys((*FIXED, *self.columns), pl.String)})


def resource_column(key: str) -> str:
    """Column of a resource's attribute."""
    return f"resource {key}"


def read_documents(lines: pl.DataFrame, wanted: Wanted) -> Documents:
    """Records of ``lines`` (``line_number`` and ``line``), none of them blank."""
    return _merged(list(_parts(lines, wanted)), wanted)


def _parts(lines: pl.DataFrame, wanted: Wanted) -> Iterator[Documents]:
    """As one where all read, else by halves, so that one bad document among many costs little."""
    found = read_fast(lines, wanted)
    if found is not None:
        yield found
    elif lines.height == 1:
        number, text = lines.row(0)
        yield read_slowly(number, text, wanted)
    else:
        half = lines.height // 2
        yield from _parts(lines.head(half), wanted)
        yield from _parts(lines.tail(-half), wanted)


def _merged(parts: Sequence[Documents], wanted: Wanted) -> Documents:
    if len(parts) == 1:
        return parts[0]
    return Documents(
        spans=pl.concat([pl.DataFrame(schema=wanted.schema), *(part.spans for part in parts)]),
        records=pl.concat([pl.DataFrame(schema=_RECORDS), *(part.records for part in parts)]),
        others=sum(part.others for part in parts),
        refused=[refusal for part in parts for refusal in part.refused],
    )


_RECORDS = {"line_number": pl.Int64, "records_count": pl.Int64}


def read_fast(lines: pl.DataFrame, wanted: Wanted) -> Documents | None:
    """Records of all lines, or None when one of them is no document of the usual form."""
    texts = lines["line"]
    if not (texts.str.starts_with("{") & texts.str.ends_with("}")).all():
        return None
    try:
        found = lines.select("line_number", texts.str.json_decode(_DOCUMENT)).unnest("line")
        if found.height != lines.height or not found.select(pl.any_horizontal(pl.col(list(SIGNALS)).is_not_null()).all()).item():
            return None
        counts = found.select("line_number", *(_records_count(name).cast(pl.Int64).alias(name) for name in SIGNALS))
        spans = _spans(found.select("line_number", "resourceSpans"), wanted)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if spans.height != counts["resourceSpans"].sum():
        return None
    return Documents(
        spans=spans,
        records=counts.select("line_number", records_count=pl.sum_horizontal(*SIGNALS)),
        others=counts.select(pl.col("resourceLogs").sum() + pl.col("resourceMetrics").sum()).item(),
    )


def _records_count(signal: str) -> pl.Expr:
    """Records of one signal in each document, from the lengths of its lists."""
    scopes, records = SIGNALS[signal]
    within_scope = pl.element().struct.field(records).list.len()
    within_resource = pl.element().struct.field(scopes).list.eval(within_scope).list.sum()
    return pl.col(signal).list.eval(within_resource).list.sum().fill_null(0)


def _exploded(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row per element of the lists of ``name``; rows without elements are gone."""
    return frame.filter(pl.col(name).list.len() > 0).explode(name)


def _spans(found: pl.DataFrame, wanted: Wanted) -> pl.DataFrame:
    resources = _exploded(found, "resourceSpans").unnest("resourceSpans").with_row_index("resource_row")
    own = resources.select("resource_row", pl.col("resource").struct.field("attributes"))
    named = [pivoted(own, "resource_row", wanted.of_resource).rename(resource_column)]
    scopes = _exploded(resources.select("line_number", "resource_row", "scopeSpans"), "scopeSpans").unnest("scopeSpans")
    spans = _exploded(scopes.with_columns(pl.col("scope").struct.field("name").alias(SCOPE)).drop("scope"), "spans")
    spans = (
        spans.unnest("spans")
        .with_row_index("span_row")
        .with_columns(
            pl.col("status").struct.field("code").alias(STATUS),
            pl.int_range(pl.len(), dtype=pl.Int64).over("line_number").alias("position"),
        )
    )
    named = [pivoted(spans, "span_row", wanted.of_span), named[0][spans["resource_row"]]]
    return pl.concat([spans.select(*KEYS, *FIXED), *named], how="horizontal")


def pivoted(frame: pl.DataFrame, row: str, keys: Sequence[str]) -> pl.DataFrame:
    """One text column per key, in the order of ``frame``, whose column ``row`` numbers its rows from 0."""
    pairs = _exploded(frame.select(row, "attributes"), "attributes").unnest("attributes")
    codes = pl.Enum(list(keys))
    ours = pairs.with_columns(pl.col("key").cast(codes, strict=False)).filter(pl.col("key").is_not_null()).unnest("value")
    texts = ours.select(row, "key", pl.coalesce(pl.col(_SCALARS)).alias("text")).filter(pl.col("text") != "")
    by_key = {str(key): part for (key,), part in texts.partition_by("key", as_dict=True).items()}
    absent = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    return pl.DataFrame([_column(key, by_key.get(key), row, absent) for key in keys])


def _column(key: str, found: pl.DataFrame | None, row: str, absent: pl.Series) -> pl.Series:
    """The texts of one key at their rows, ``absent`` elsewhere; of a key that one row has twice, the last one."""
    empty = absent.alias(key)
    return empty if found is None else empty.scatter(found[row], found["text"])


def read_slowly(line_number: int, text: str, wanted: Wanted) -> Documents:
    """Records of one line, span by span; what cannot be read is refused with the rule that it breaks."""
    try:
        document = json.loads(text)
        spans = list(_walk(document, "resourceSpans"))
        others = sum(1 for name in ("resourceLogs", "resourceMetrics") for _ in _walk(document, name))
    except (ValueError, RecursionError) as error:
        rule = str(error) if isinstance(error, _ShapeError) else "line__not_json"
        records = pl.DataFrame([(line_number, 1)], schema=_RECORDS, orient="row")
        return Documents(pl.DataFrame(schema=wanted.schema), records, 0, [(line_number, 0, text, rule)])
    rows, refused = [], []
    for position, (resource, scope, span) in enumerate(spans):
        try:
            rows.append({"line_number": line_number, "position": position, **_flat(resource, scope, span, wanted)})
        except _ShapeError as error:
            refused.append((line_number, position, _quoted(span), str(error)))
    records = pl.DataFrame([(line_number, len(spans) + others)], schema=_RECORDS, orient="row")
    return Documents(pl.DataFrame(rows, schema=wanted.schema, orient="row"), records, others, refused)


class _ShapeError(ValueError):
    """A part of a document is not of the type that OTLP gives it; the text is a rule's name."""


def span_texts(text: str) -> list[str]:
    """The spans of a readable document as JSON, in order."""
    return [_quoted(span) for _, _, span in _walk(json.loads(text), "resourceSpans")]


def _quoted(span: Any) -> str:
    """A span as JSON; a lone surrogate, which no file of ours can hold, as its escape."""
    return json.dumps(span, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _walk(document: Any, signal: str) -> Iterator[tuple[Any, Any, Any]]:
    """(resource, scope, record) of every record of one signal. Raises _ShapeError."""
    if not isinstance(document, dict):
        raise _ShapeError("line__not_a_json_object")
    if all(document.get(name) is None for name in SIGNALS):
        raise _ShapeError("line__not_otlp")
    scopes, records = SIGNALS[signal]
    for entry in _list(document, signal):
        for scoped in _list(entry, scopes):
            for record in _list(scoped, records):
                yield entry, scoped, record


def _list(parent: Any, name: str) -> list[Any]:
    found = _object(parent, name).get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _ShapeError(f"{name}__not_a_list")
    return found


def _object(found: Any, name: str) -> dict[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _ShapeError(f"{name}__not_in_an_object")
    return found


def _flat(resource: Any, scope: Any, span: Any, wanted: Wanted) -> dict[str, str | None]:
    fields = _object(span, "span")
    own = _attributes(fields, wanted.of_span)
    shared = _attributes(_object(_object(resource, "resource").get("resource"), "resource"), wanted.of_resource)
    return {
        **{name: _scalar(fields.get(name), name) for name in (TRACE, SPAN, START, END)},
        STATUS: _scalar(_object(fields.get("status"), "status").get("code"), STATUS),
        SCOPE: _scalar(_object(_object(scope, "scope").get("scope"), "scope").get("name"), SCOPE),
        **own,
        **{resource_column(key): text for key, text in shared.items()},
    }


def _attributes(parent: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(keys)
    for pair in _list(parent, "attributes"):
        entry = _object(pair, "attributes")
        key = entry.get("key")
        if key in found:
            value = _object(entry.get("value"), str(key))
            texts = (_scalar(value.get(name), str(key)) for name in _SCALARS)
            found[key] = next((text for text in texts if text is not None), None) or found[key]
    return found


def _scalar(found: Any, name: str) -> str | None:
    if found is None:
        return None
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, dict | list):
        raise _ShapeError(f"{name}__not_a_scalar")
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else repr(found)
