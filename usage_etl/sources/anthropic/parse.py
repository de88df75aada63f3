"""Anthropic's cost and usage reports of every family, API pages or downloads of the Console, as staged rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from usage_etl.sources.anthropic.console import DOWNLOADS
from usage_etl.sources.anthropic.families import ALLOWED, REPORTS, dataset_of
from usage_etl.sources.anthropic.settings import AnthropicSettings
from usage_etl.sources.forms.report_delivery import parse_reports
from usage_etl.sources.forms.report_downloads import is_page_file, parse_download
from usage_etl.sources.forms.reports import Dialect
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.rows.cells import Cells

PARSER_VERSION = "2"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file of pages, or of one download.

    Raises UnreadableDeliveryError for anything else, and for reports of a family that the settings do not name.
    """
    family = context.settings_as(AnthropicSettings).family
    allowed = ALLOWED[family]

    def dataset_of_family(result: Mapping[str, Any]) -> str | None:
        dataset = dataset_of(result)
        if dataset is not None and dataset not in allowed:
            wanted = ", ".join(name for name, datasets in ALLOWED.items() if dataset in datasets)
            raise ValueError(f"a report {dataset}, and the family of this source is {family}; it is read with {wanted}")
        return dataset

    dialect = replace(_DIALECT, dataset_of=dataset_of_family, reports={name: REPORTS[name] for name in sorted(allowed)})
    if is_page_file(path, context.source):
        return parse_reports(path, context, dialect=dialect)
    return parse_download(path, context, dialect=dialect, downloads=DOWNLOADS)


def _bounds(bucket: Mapping[str, Any], cells: Cells) -> tuple[dt.datetime, dt.datetime]:
    starting_at = cells.rfc3339_instant(bucket.get("starting_at"), "starting_at")
    return starting_at, cells.rfc3339_instant(bucket.get("ending_at"), "ending_at")


_DIALECT = Dialect(
    provider_name="Anthropic",
    reports=REPORTS,
    bounds=_bounds,
    dataset_of=dataset_of,
    has_flat_rows=True,
    version_field="data_refreshed_at",
)
