"""A landed Helicone export to staged usage rows: JSON lines, one JSON array, or the narrower CSV."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.forms.table_files import TableDialect, parse_table
from usage_etl.sources.helicone.rows import FIELDS, PLACES, mapping, with_properties
from usage_etl.sources.helicone.settings import HeliconeSettings
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.json_documents import begins_as_json, read_record_blocks
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.attributes import attribute_fields

REQUESTS = "requests"
"""Requests as Helicone exports them."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_CSV_NAMES = {
    "response_id": ("response_id",),
    "response_created_at": ("response_created_at",),
    "response_status": ("response_status",),
    "request_created_at": ("request_created_at",),
    "request_properties": ("request_properties",),
    "request_user_id": ("request_user_id",),
    "model": ("model",),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "delay_ms": ("latency", "delay_ms"),
    "cost": ("cost",),
}


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged and refused requests of one file. Raises UnreadableDeliveryError."""
    settings = context.settings_as(HeliconeSettings)
    if begins_as_json(path, context.source):
        yield from parse_log(path, context, dialect=_json_dialect(settings))
    else:
        yield from parse_table(path, context, dialect=_csv_dialect(settings))


def _json_dialect(settings: HeliconeSettings) -> LogDialect:
    properties = {name: place for at in PLACES for name, place in attribute_fields(settings.attributes, *at).items()}
    return LogDialect(
        title="a Helicone export of requests",
        shape=RecordShape(fields={**FIELDS, **properties}),
        mapping=mapping(settings, id_field="request_id"),
        recognised_by=("request_id", "request_created_at"),
        read_blocks=read_record_blocks,
    )


def _csv_dialect(settings: HeliconeSettings) -> TableDialect:
    rows = mapping(settings, id_field="response_id")

    def prepare(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
        others = [pl.lit(None, pl.String).alias(name) for name in FIELDS if name not in flat.columns]
        return with_properties(flat.with_columns(others), settings)

    return TableDialect(
        title="a Helicone export of requests",
        names=_CSV_NAMES,
        required=frozenset({"response_id", "request_created_at", "prompt_tokens"}),
        mappings=(dataclasses.replace(rows, prepare=prepare),),
        ignored=frozenset({"request_body", "response_body"}),
    )
