"""The same organisation with landing, lake and out in buckets: by configuration alone, to the byte."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from tests.acceptance.installation import Installation
from usage_etl.keys import sha256_hex
from usage_etl.schemas import (
    BILLING_CHARGES,
    FACT_DELIVERIES_DAILY,
    MART_CHARGEBACK_CLOSED,
    MART_DATA_QUALITY,
    TABLES,
    USAGE_EVENTS,
    Table,
)

BUCKET = "northwind"
LOCATIONS = {
    "  location: lake": f"  location: s3://{BUCKET}/usage/lake",
    "  location: out": f"  location: s3://{BUCKET}/reports",
    "location: landing/": f"location: s3://{BUCKET}/exports/",
}
WITH_ORIGIN = {USAGE_EVENTS, BILLING_CHARGES, FACT_DELIVERIES_DAILY, MART_DATA_QUALITY}
"""Tables that name deliveries, which are known by the store's own version marks, or times of arrival."""


@dataclass(frozen=True)
class Bucket:
    """An installation on S3, and every object in the order in which it was written by its run."""

    installation: Installation
    client: Any
    written: list[str]

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Address of an S3 server in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture(scope="session")
def bucket(endpoint: str, short_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """The short demo after one run with everything but directories, prices and state in a bucket."""
    folder = Path(shutil.copytree(short_files, tmp_path_factory.mktemp("s3") / "northwind"))
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    for path in sorted((folder / "landing").rglob("*.*")):
        client.put_object(Bucket=BUCKET, Key=f"exports/{path.relative_to(folder / 'landing').as_posix()}", Body=path.read_bytes())
    shutil.rmtree(folder / "landing")
    installation = Installation(folder)
    settings = installation.config.read_text(encoding="utf-8")
    for on_disk, in_bucket in LOCATIONS.items():
        settings = settings.replace(on_disk, in_bucket)
    installation.config.write_text(f"{settings}s3:\n  endpoint_url: {endpoint}\n", encoding="utf-8")
    written: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", _recording(written))
        installation.run()
    return Bucket(installation, client, written)


def _recording(written: list[str]) -> Any:
    """The client's own call, which also notes the key of each object once it is stored."""
    call = botocore.client.BaseClient._make_api_call

    def recorded(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        answer = call(self, operation, arguments)
        if operation in {"PutObject", "CopyObject", "CompleteMultipartUpload"}:
            written.append(arguments["Key"])
        return answer

    return recorded


def shas(installation: Installation, table: Table) -> dict[str, str]:
    """Partition to the sha256 of its object."""
    lake = installation.workspace.lake
    heads = ((partition, lake.head(table, partition)) for partition in lake.partitions(table))
    return {partition: head.sha256 for partition, head in heads if head}


def test_tables_in_the_bucket_are_those_of_the_folder(bucket: Bucket, short: Installation) -> None:
    nothing_closed = MART_CHARGEBACK_CLOSED
    compared = [table for table in TABLES if table.group != "1_land" and table not in (*WITH_ORIGIN, nothing_closed)]
    assert shas(bucket.installation, nothing_closed) == shas(short, nothing_closed) == {}
    assert len(compared) > 10
    for table in compared:
        assert shas(bucket.installation, table) == shas(short, table) != {}, table.name
    for table in WITH_ORIGIN:
        assert without_origin(bucket.installation.table(table)).equals(without_origin(short.table(table))), table.name


def without_origin(frame: pl.DataFrame) -> pl.DataFrame:
    columns = [name for name in frame.columns if name not in {"delivery_id", "last_received_at"}]
    return frame.select(columns).sort(columns)


def test_nothing_of_the_pipeline_is_on_the_disk(bucket: Bucket) -> None:
    names = {path.name for path in bucket.installation.folder.iterdir()}
    assert names - {"state.sqlite-wal", "state.sqlite-shm"} == {
        "directory",
        "finance",
        "prices",
        "usage_etl.yaml",
        "state.sqlite",
    }


def test_finance_files_in_the_bucket_are_those_of_the_folder(bucket: Bucket, short: Installation) -> None:
    for name in ("chargeback.csv", "chargeback.parquet", "chargeback_by_cost_center.csv"):
        content = (short.folder / "out" / "chargeback" / "2026-11" / name).read_bytes()
        assert bucket.read(f"reports/chargeback/2026-11/{name}") == content
    assert bucket.read("reports/executive/2026-11/report.pdf").startswith(b"%PDF-")
    assert [key.split("/")[2].split("-")[0] for key in bucket.keys("reports/mail/")] == ["alert", "alert", "executive"]


def test_every_table_object_is_as_its_manifest_says(bucket: Bucket) -> None:
    assert bucket.installation.workspace.lake.verify([table for table in TABLES if not table.name.startswith("staged_")]) == []


def test_manifests_are_written_after_what_they_name(bucket: Bucket) -> None:
    place = {key: at for at, key in reversed(list(enumerate(bucket.written)))}
    lake = "usage/lake/"
    manifests = [key for key in place if key.startswith(f"{lake}_manifests/")]
    assert len(manifests) > 100
    for key in manifests:
        manifest = json.loads(bucket.read(key))
        assert place[f"{lake}{manifest['key']}"] < place[key]
    for report in ("executive", "chargeback"):
        stable = f"reports/{report}/2026-11"
        pointer = json.loads(bucket.read(f"{stable}/latest.json"))
        files = json.loads(bucket.read(f"reports/{pointer['manifest_key']}"))["files"]
        assert {entry["sha256"] for entry in files} == {sha256_hex(bucket.read(f"{stable}/{entry['name']}")) for entry in files}
        named = [place[f"reports/{pointer['files'][entry['name']]}"] for entry in files]
        copies = [place[f"{stable}/{entry['name']}"] for entry in files]
        version, latest = place[f"reports/{pointer['manifest_key']}"], place[f"{stable}/latest.json"]
        assert max(named) < version < latest < min(copies)
        assert max(copies) < place[f"{stable}/manifest.json"]


def test_running_again_in_the_bucket_writes_nothing(bucket: Bucket) -> None:
    written: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", _recording(written))
        bucket.installation.run()
    assert [key for key in written if "/_locks/" not in key] == []
