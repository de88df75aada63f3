"""A landed FOCUS file to staged charges: the lines that are about AI, and the billing periods that the file answers for.

Which lines count is decided by the settings before anything else is read of them; the others are counted. A period is
answered for also where none of its lines counts: lines of an earlier file are gone then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.focus.meters import METER_FIELDS, METER_NAMES, read_meter
from usage_etl.sources.focus.settings import FocusSettings
from usage_etl.sources.focus.versions import focus_version
from usage_etl.sources.forms.table_files import TableDialect, batch_of, read_fields
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.rows.focus_columns import (
    FOCUS_NAMES,
    FOCUS_REQUIRED,
    FOCUS_TYPES,
    FOCUS_UNREAD,
    FocusSource,
    focus_mapping,
)
from usage_etl.sources.rows.mapping import RowWriter, value
from usage_etl.sources.rows.service_scope import matches_any
from usage_etl.sources.rows.typed_text import instants

_log = logging.getLogger(__name__)

COST_AND_USAGE = "cost_and_usage"
"""Rows of FOCUS's cost and usage dataset. A file says what it is when it is parsed."""

PARSER_VERSION = "1"

_PERIOD = "%Y-%m-%dT%H:%M:%SZ"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file or bundle of parts. Raises UnreadableDeliveryError."""
    mapping = focus_mapping(
        FocusSource(
            bucket_key=_bucket_key(context, value("BillingPeriodStart")),
            read_meter=read_meter,
            meter_fields=METER_FIELDS,
            is_period_required=True,
            prepare=_prepared,
        )
    )
    dialect = TableDialect("a FOCUS file", {**FOCUS_NAMES, **METER_NAMES}, _REQUIRED, (mapping,), FOCUS_UNREAD)
    writer, in_scope = RowWriter(mapping, context), _scope(context)
    buckets: dict[str, None] = {}

    def see_header(header: list[str]) -> None:
        _log.info("source=%s delivery=%s focus_version=%s", context.source, context.delivery_id, focus_version(header))

    for table, flat in read_fields(path, context, dialect=dialect, see_header=see_header):
        buckets |= dict.fromkeys(_periods(flat, context))
        counted = flat.filter(in_scope)
        batch = batch_of(table, counted, [writer], context)
        yield replace(batch, rows_out_of_scope=flat.height - counted.height)
    yield ParsedBatch(rows_read=0, covered=tuple(CoveredBucket(STAGED_CHARGES.name, key) for key in sorted(buckets)))


_REQUIRED = FOCUS_REQUIRED | {"BillingPeriodStart", "ServiceName"}


def _scope(context: ParseContext) -> pl.Expr:
    settings = context.settings_as(FocusSettings)
    names = [pl.col(name).str.strip_chars() for name in ("ServiceName", "PublisherName", "SkuMeter", "ChargeDescription")]
    category = pl.col("ServiceCategory").str.strip_chars()
    return matches_any([category], settings.service_categories) | matches_any(names, settings.services)


def _bucket_key(context: ParseContext, period_start: pl.Expr) -> pl.Expr:
    """``account/billing account/start of the billing period``: what a later file replaces."""
    return pl.concat_str(
        pl.lit(context.source_account),
        pl.lit("/"),
        pl.coalesce(pl.col("BillingAccountId"), pl.lit("")),
        pl.lit("/"),
        period_start.dt.strftime(_PERIOD),
    )


def _periods(flat: pl.DataFrame, context: ParseContext) -> list[str]:
    """Keys of the buckets in a file's rows, whether the rows count or not; unreadable periods are none."""
    found = flat.select("BillingAccountId", "BillingPeriodStart").unique()
    starts = instants(found["BillingPeriodStart"].str.strip_chars(), FOCUS_TYPES.spellings)
    accounts = pl.col("BillingAccountId").str.strip_chars()
    named = found.select(pl.when(~accounts.str.to_lowercase().is_in(["", "null"])).then(accounts).alias("BillingAccountId"))
    keyed = named.with_columns(starts.alias("start")).filter(pl.col("start").is_not_null())
    return keyed.select(_bucket_key(context, pl.col("start"))).to_series().to_list()


def _prepared(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
    """With the provider's name in one field, whichever column of its version says it."""
    return flat.with_columns(pl.coalesce("ServiceProviderName", "ProviderName").alias("provider"))
