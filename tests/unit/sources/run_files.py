"""Export runs for tests: written into a folder as the clouds lay them out, fetched, and read back as staged charges."""

import csv
import datetime as dt
import gzip
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.report_pages import CONTEXT
from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.aws_data_exports import SOURCE as AWS
from usage_etl.sources.aws_data_exports import AwsDataExportsSettings
from usage_etl.sources.azure_cost import SOURCE as AZURE
from usage_etl.sources.azure_cost import AzureCostSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.export_runs import ExportSettings
from usage_etl.sources.source import Source
from usage_etl.sources.staging import StagedDelivery, stage

Row = Mapping[str, Any]
PULLED_AT = dt.datetime(2026, 10, 31, 6, tzinfo=dt.UTC)


def azure_settings(location: Path, **changes: Any) -> AzureCostSettings:
    return AzureCostSettings(kind="azure_cost", name="azure", location=str(location), **changes)


def aws_settings(location: Path, **changes: Any) -> AwsDataExportsSettings:
    return AwsDataExportsSettings(kind="aws_data_exports", name="aws", location=str(location), **changes)


def source_of(settings: ExportSettings) -> Source:
    return {"azure_cost": AZURE, "aws_data_exports": AWS}[settings.kind]


def csv_text(rows: Sequence[Row], names: Sequence[str] | None = None) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, names or list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def put(folder: Path, key: str, content: bytes) -> Path:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def azure_run(
    folder: Path,
    *parts: bytes,
    run_id: str = "6d6a2d5e",
    submitted: str = "2026-10-06T01:12:40.1234567Z",
    start: str = "2026-10-01T00:00:00",
    end: str = "2026-10-31T00:00:00",
    export: str = "daily",
    dataset: str = "ActualCost",
    suffix: str = ".csv",
    rows_count: int | None = None,
    stamp: str | None = None,
    **manifest: Any,
) -> str:
    """Files and manifest of one run; the manifest's key. The location is a folder within the container."""
    stamp = stamp or "".join(character for character in submitted[:16] if character.isdigit())
    base = f"{export}/20261001-20261031/{stamp}/{run_id}"
    blobs = []
    for number, content in enumerate(parts):
        put(folder, f"{base}/part_{number}_0001{suffix}", content)
        blobs.append({"blobName": f"exports/{base}/part_{number}_0001{suffix}", "byteCount": len(content)})
    body = {
        "manifestVersion": "2024-04-01",
        "byteCount": sum(map(len, parts)),
        "blobCount": len(parts),
        "dataRowCount": rows_count,
        "exportConfig": {
            "exportName": export,
            "resourceId": f"/subscriptions/0000/providers/Microsoft.CostManagement/exports/{export}",
            "dataVersion": "2023-05-01",
            "apiVersion": "2023-07-01-preview",
            "type": dataset,
            "timeFrame": "MonthToDate",
            "granularity": "Daily",
        },
        "deliveryConfig": {"partitionData": True, "dataOverwriteBehavior": "CreateNewReport", "fileFormat": "Csv"},
        "runInfo": {
            "executionType": "Scheduled",
            "submittedTime": submitted,
            "runId": run_id,
            "startDate": start,
            "endDate": end,
        },
        "blobs": blobs,
    } | manifest
    key = f"{base}/manifest.json"
    put(folder, key, json.dumps(body).encode())
    return key


def aws_run(
    folder: Path,
    *parts: bytes,
    execution: str | None = "2d9f6c3e",
    created: str | None = "2026-10-06T04:15:00Z",
    period: str = "2026-10",
    export: str = "bedrock-cur",
    suffix: str = ".csv.gz",
    is_overwritten: bool = True,
    **manifest: Any,
) -> str:
    """Files and manifest of one run in the layout of OVERWRITE_REPORT or CREATE_NEW_REPORT; the manifest's key."""
    run_folder = "" if is_overwritten else f"/{(created or '').replace('-', '').replace(':', '')}-{execution}"
    base = f"{export}/data/BILLING_PERIOD={period}{run_folder}"
    files = []
    for number, content in enumerate(parts, start=1):
        put(folder, f"{base}/{export}-{number:05d}{suffix}", content)
        files.append(f"s3://billing-bucket/cur/{base}/{export}-{number:05d}{suffix}")
    body = {
        "executionId": execution,
        "createdAt": created,
        "dataFiles": files,
        "additionalOutputFiles": ["s3://billing-bucket/athena/extra.csv"],
    }
    key = f"{export}/metadata/BILLING_PERIOD={period}{run_folder}/{export}-Manifest.json"
    put(folder, key, json.dumps({name: value for name, value in (body | manifest).items() if value is not None}).encode())
    return key


def fetched(
    settings: ExportSettings, known: Collection[tuple[str, str]] = (), *, pulled_at: dt.datetime = PULLED_AT
) -> list[FetchedObject]:
    return list(source_of(settings).fetch(settings, fetch_context(known=known, pulled_at=pulled_at)))


@dataclass
class Read:
    """What one landed run became."""

    staged: StagedDelivery
    charges: pl.DataFrame
    quarantine: pl.DataFrame

    @property
    def reasons(self) -> list[str]:
        return self.quarantine["reasons"].to_list() if self.quarantine.width else []


def read_run(settings: ExportSettings, landed: FetchedObject, folder: Path) -> Read:
    """One fetched run, landed and staged as the product does it: counts close, contracts are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "landed"
    landed.save(path)
    context = replace(CONTEXT, source=settings.name, settings=settings)
    batches = source_of(settings).parse(path, context)
    staged = stage(batches, context=context, work_folder=folder)
    frames = [pl.read_parquet(file.path, glob=False) for file in staged.files]
    charges = pl.concat([STAGED_CHARGES.empty(), *frames]).sort("raw_ordinal", maintain_order=True)
    parts = [pl.read_parquet(part, glob=False) for parts in staged.quarantine.values() for part in parts]
    return Read(staged, charges, pl.concat(parts) if parts else pl.DataFrame())


def read_only(settings: ExportSettings, folder: Path) -> Read:
    """The only run that a location holds."""
    (landed,) = fetched(settings)
    return read_run(settings, landed, folder)


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="snappy")
    return buffer.getvalue()


def rows_with(row: Row, *changes: Row) -> list[Row]:
    return [{**row, **change} for change in changes]


def known_of(landed: Iterable[FetchedObject]) -> list[tuple[str, str]]:
    return [(item.origin_key, item.origin_version) for item in landed]


Make = Callable[..., str]
