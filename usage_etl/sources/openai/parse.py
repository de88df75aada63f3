"""Reports of OpenAI's organization costs and usage, API pages or downloads of the dashboard, as staged rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from usage_etl.sources.forms.report_delivery import parse_reports
from usage_etl.sources.forms.report_downloads import is_page_file, parse_download
from usage_etl.sources.forms.reports import Dialect
from usage_etl.sources.openai.costs import COST_REPORT, COSTS, COSTS_OBJECT
from usage_etl.sources.openai.downloads import DOWNLOADS
from usage_etl.sources.openai.usage import USAGE_REPORTS
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.rows.cells import Cells

PARSER_VERSION = "2"

REPORTS = {COSTS: COST_REPORT, **{kind.dataset: kind.report() for kind in USAGE_REPORTS}}
"""Reports that are read, by dataset."""

_OBJECTS = {COSTS_OBJECT: COSTS, **{kind.object_name: kind.dataset for kind in USAGE_REPORTS}}


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file of pages, or of one download. Raises UnreadableDeliveryError for anything else."""
    if is_page_file(path, context.source):
        return parse_reports(path, context, dialect=_DIALECT)
    return parse_download(path, context, dialect=_DIALECT, downloads=DOWNLOADS)


def _bounds(bucket: Mapping[str, Any], cells: Cells) -> tuple[dt.datetime, dt.datetime]:
    return cells.unix_instant(bucket.get("start_time"), "start_time"), cells.unix_instant(bucket.get("end_time"), "end_time")


def _dataset_of(result: Mapping[str, Any]) -> str | None:
    name = result.get("object")
    if name is not None and name not in _OBJECTS:
        raise ValueError(f"holds {name!r}; read are {', '.join(sorted(_OBJECTS))}")
    return _OBJECTS.get(str(name))


_DIALECT = Dialect(provider_name="OpenAI", reports=REPORTS, bounds=_bounds, dataset_of=_dataset_of)
