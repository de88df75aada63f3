"""Settings of the aws_data_exports source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from usage_etl.sources.fetching.export_runs import ExportSettings


class AwsDataExportsSettings(ExportSettings):
    """AWS Data Exports (CUR 2.0 or FOCUS) in a bucket or a copy of it, run by run."""

    kind: Literal["aws_data_exports"]
    """Which reader."""
    pattern: str = "**/*Manifest.json"
    """Which files below ``location`` are manifests of runs."""
    services: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "AmazonBedrock*",
        "Amazon Bedrock*",
        "*(Amazon Bedrock Edition)",
        "*-MP:*token*",
    )
    """What counts as AI, by product code, service, product name or usage type; ``*`` is any text, ``all`` is everything. Add
    ``AmazonSageMaker*`` where it serves models. Other rows are counted, not staged."""
