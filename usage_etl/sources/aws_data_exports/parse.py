"""A landed run of an AWS data export, CUR 2.0 or FOCUS, to charge lines. Which of the two is told from each file's header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.periods import Month, day_start
from usage_etl.sources.aws_data_exports.cur_columns import CUR_NAMES, CUR_REQUIRED, CUR_SCOPE, CUR_UNREAD
from usage_etl.sources.aws_data_exports.cur_rows import CurRun, cur_mapping, with_all_tags, with_product_name
from usage_etl.sources.aws_data_exports.manifest import read_manifest
from usage_etl.sources.aws_data_exports.settings import AwsDataExportsSettings
from usage_etl.sources.forms.run_tables import RunDialect, parse_run
from usage_etl.sources.forms.table_files import TableDialect
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.run_manifests import ExportRun
from usage_etl.sources.rows.aws_meters import read_meter
from usage_etl.sources.rows.focus_columns import FOCUS_NAMES, FOCUS_REQUIRED, FOCUS_UNREAD, FocusSource, focus_mapping
from usage_etl.sources.rows.service_scope import matches_any

PARSER_VERSION = "1"

_FOCUS_EXTRA = {name: (name,) for name in ("x_CostCategories", "x_ServiceCode", "x_UsageType")}
_FOCUS_OWN = frozenset({"x_discounts", "x_operation"})
_FOCUS_SCOPE = ("ServiceName", "x_ServiceCode", "x_UsageType", "ChargeDescription")


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed run. Raises UnreadableDeliveryError for anything else."""
    return parse_run(path, context, read_manifest=read_manifest, dialect_of=_dialect)


def _dialect(run: ExportRun, context: ParseContext, header: Sequence[str]) -> RunDialect:
    settings = context.settings
    assert isinstance(settings, AwsDataExportsSettings), "the source is parsed with its own settings"
    names = {name.strip().lower() for name in header}
    if "billedcost" in names:
        return RunDialect(_focus_table(run), matches_any([pl.col(name) for name in _FOCUS_SCOPE], settings.services))
    if "lineitem/usagetype" in names or "lineitem/unblendedcost" in names:
        hint = "make a CUR 2.0 or FOCUS export in Data Exports"
        raise UnreadableDeliveryError(context.source, f"this is the legacy Cost and Usage Report, which is not read: {hint}")
    month = Month.parse(run.period)
    mapping = cur_mapping(CurRun(run.key, (day_start(month.first_day), day_start(month.end))))
    table = TableDialect("a CUR 2.0 export", CUR_NAMES, CUR_REQUIRED, (mapping,), CUR_UNREAD)
    return RunDialect(table, matches_any([pl.col(name) for name in CUR_SCOPE], settings.services), with_product_name)


def _focus_table(run: ExportRun) -> TableDialect:
    mapping = focus_mapping(
        FocusSource(
            bucket_key=pl.lit(run.key),
            read_meter=read_meter,
            meter_fields=("ChargeCategory", "x_UsageType", "ServiceName"),
            provider_name="aws",
            prepare=_with_usage_type,
        )
    )
    return TableDialect(
        "an AWS FOCUS export", {**FOCUS_NAMES, **_FOCUS_EXTRA}, FOCUS_REQUIRED, (mapping,), FOCUS_UNREAD | _FOCUS_OWN
    )


def _with_usage_type(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
    """The usage type is what the meter is called, cost categories are tags, and a list cost of 0 in Marketplace is none."""
    is_unlisted = pl.col("x_UsageType").str.contains("MP:", literal=True) & pl.col("ListCost").str.contains(r"^0*(\.0*)?$")
    return with_all_tags(flat, "Tags", "x_CostCategories").with_columns(
        Tags=pl.col("all tags"),
        SkuMeter=pl.coalesce("SkuMeter", "x_UsageType"),
        ServiceName=pl.coalesce("ServiceName", "x_ServiceCode"),
        ListCost=pl.when(~is_unlisted.fill_null(value=False)).then(pl.col("ListCost")),
    )
