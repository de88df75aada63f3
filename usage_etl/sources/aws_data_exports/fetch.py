"""Complete runs of AWS data exports that are not landed yet."""

from __future__ import annotations

from collections.abc import Iterator

from usage_etl.sources.aws_data_exports.manifest import read_manifest
from usage_etl.sources.aws_data_exports.settings import AwsDataExportsSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.export_runs import fetch_runs
from usage_etl.sources.source import FetchContext


def fetch(settings: AwsDataExportsSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """One bundle per run. Raises SourceError, LakeError."""
    return fetch_runs(settings, context, read_manifest=read_manifest)
