"""Complete runs of Azure Cost Management exports that are not landed yet."""

from __future__ import annotations

from collections.abc import Iterator

from usage_etl.errors import SourceError
from usage_etl.sources.azure_cost.manifest import ACTUAL_COST, AMORTIZED_COST, FOCUS_COST, read_manifest
from usage_etl.sources.azure_cost.settings import AzureCostSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.export_runs import fetch_runs, landed_datasets
from usage_etl.sources.source import FetchContext


def fetch(settings: AzureCostSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """One bundle per run. Raises SourceError where two datasets would count the same money twice, LakeError."""
    found = list(fetch_runs(settings, context, read_manifest=read_manifest))
    _refuse_double(settings, landed_datasets(settings, context) | {run.dataset for run in found})
    yield from found


def _refuse_double(settings: AzureCostSettings, datasets: set[str]) -> None:
    feeds = (settings.actual_cost_feeds, settings.amortized_cost_feeds)
    if datasets >= {ACTUAL_COST, AMORTIZED_COST} and feeds != ("billed", "effective"):
        hint = "set actual_cost_feeds: billed and amortized_cost_feeds: effective, or name one export in `exports`"
        raise SourceError(settings.name, f"actual and amortized cost are two views of the same money: {hint}")
    if FOCUS_COST in datasets and len(datasets) > 1:
        hint = "name the FOCUS export, or the others, in `exports`"
        raise SourceError(settings.name, f"a FOCUS export holds what actual and amortized cost hold: {hint}")
