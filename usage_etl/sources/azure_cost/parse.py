"""A landed run of an Azure Cost Management export to charge lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from usage_etl.periods import Month, day_start
from usage_etl.sources.azure_cost.cost_rows import COST_NAMES, COST_REQUIRED, COST_SCOPE, COST_UNREAD, CostRun, cost_mapping
from usage_etl.sources.azure_cost.manifest import AMORTIZED_COST, FOCUS_COST, read_manifest
from usage_etl.sources.azure_cost.settings import AzureCostSettings
from usage_etl.sources.forms.run_tables import RunDialect, parse_run
from usage_etl.sources.forms.table_files import TableDialect
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.run_manifests import ExportRun
from usage_etl.sources.rows.azure_meters import read_meter
from usage_etl.sources.rows.focus_columns import FOCUS_NAMES, FOCUS_REQUIRED, FOCUS_UNREAD, FocusSource, focus_mapping
from usage_etl.sources.rows.service_scope import matches_any

PARSER_VERSION = "1"

_FOCUS_EXTRA = {
    "x_SkuMeterCategory": ("x_SkuMeterCategory",),
    "x_SkuMeterSubcategory": ("x_SkuMeterSubcategory",),
    "x_SkuDescription": ("x_SkuDescription",),
}
_FOCUS_SCOPE = ("ServiceName", "x_SkuMeterCategory", "x_SkuMeterSubcategory", "x_SkuDescription", "PublisherName")


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed run. Raises UnreadableDeliveryError for anything else."""
    return parse_run(path, context, read_manifest=read_manifest, dialect_of=_dialect)


def _dialect(run: ExportRun, context: ParseContext, header: Sequence[str]) -> RunDialect:
    settings = context.settings
    assert isinstance(settings, AzureCostSettings), "the source is parsed with its own settings"
    if run.dataset == FOCUS_COST:
        return RunDialect(_focus_table(run, header), matches_any([pl.col(name) for name in _FOCUS_SCOPE], settings.services))
    feeds = settings.amortized_cost_feeds if run.dataset == AMORTIZED_COST else settings.actual_cost_feeds
    mapping = cost_mapping(
        CostRun(
            bucket_key=run.key,
            is_billed=feeds != "effective",
            is_effective=feeds != "billed",
            period=_period(run),
        )
    )
    table = TableDialect("an Azure cost export", COST_NAMES, COST_REQUIRED, (mapping,), COST_UNREAD)
    return RunDialect(table, matches_any([pl.col(name) for name in COST_SCOPE], settings.services))


def _focus_table(run: ExportRun, header: Sequence[str]) -> TableDialect:
    mapping = focus_mapping(
        FocusSource(
            bucket_key=pl.lit(run.key),
            read_meter=read_meter,
            meter_fields=("ChargeCategory", "SkuMeter", "x_SkuMeterSubcategory"),
            provider_name="azure",
        )
    )
    own = {name.strip().lower() for name in header if name.strip().lower().startswith("x_")}
    return TableDialect("an Azure FOCUS export", {**FOCUS_NAMES, **_FOCUS_EXTRA}, FOCUS_REQUIRED, (mapping,), FOCUS_UNREAD | own)


def _period(run: ExportRun) -> tuple[dt.datetime, dt.datetime] | None:
    if len(run.period) != len("2026-10"):
        return None
    month = Month.parse(run.period)
    return day_start(month.first_day), day_start(month.end)
