"""Runs of exports: one delivery per complete run, nothing that no manifest names, and no run twice."""

import datetime as dt
import json
import logging
import os
from pathlib import Path

import pytest

from tests.unit.sources.run_files import (
    PULLED_AT,
    aws_run,
    aws_settings,
    azure_run,
    azure_settings,
    csv_text,
    fetched,
    gzipped,
    known_of,
    put,
    read_run,
)
from usage_etl.errors import SourceError, TransientSourceError, UnreadableDeliveryError
from usage_etl.sources.azure_cost.manifest import read_manifest
from usage_etl.sources.reading.bundles import open_bundle, write_bundle
from usage_etl.sources.reading.run_manifests import period_of

ROWS = csv_text(
    [{"Date": "10/5/2026", "CostInBillingCurrency": "1.5", "BillingCurrencyCode": "USD", "MeterCategory": "Azure OpenAI"}]
)


def members(path: Path) -> list[tuple[str, bytes]]:
    with open_bundle(path, "azure") as found:
        return [(name, local.read_bytes()) for name, local in found]


def test_a_run_is_one_bundle_of_its_manifest_and_its_files_byte_for_byte(tmp_path: Path) -> None:
    manifest = azure_run(tmp_path / "in", ROWS, ROWS + b"\r\n")
    (landed,) = fetched(azure_settings(tmp_path / "in"))
    assert landed.dataset == "actual_cost"
    assert landed.origin_key == "subscriptions/0000/daily/actual_cost/2026-10"
    assert landed.origin_version.startswith("2026-10-06T01:12:40.123456Z 6d6a2d5e@")
    landed.save(tmp_path / "landed")
    names = [name for name, _ in members(tmp_path / "landed")]
    assert names[0] == manifest
    assert [name.rpartition("/")[2] for name in names[1:]] == ["part_0_0001.csv", "part_1_0001.csv"]
    assert [content for _, content in members(tmp_path / "landed")][1:] == [ROWS, ROWS + b"\r\n"]


def test_files_that_no_manifest_names_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = azure_run(tmp_path, ROWS)
    put(tmp_path, key.replace("manifest.json", "part_9_0001.csv"), b"left over from an earlier run")
    put(tmp_path, "daily/readme.txt", b"x")
    put(tmp_path, "other/manifest.json", json.dumps({"name": "a web app", "icons": []}).encode())
    put(tmp_path, "prices/manifest.json", json.dumps({"exportConfig": {"type": "PriceSheet", "exportName": "p"}}).encode())
    put(tmp_path, "daily/.hidden/manifest.json", b"{")
    (landed,) = fetched(azure_settings(tmp_path))
    assert caplog.records == []
    landed.save(tmp_path / "landed")
    assert len(members(tmp_path / "landed")) == 2


def test_a_known_run_is_not_landed_again_even_when_its_manifest_is_written_anew(tmp_path: Path) -> None:
    azure_run(tmp_path, ROWS)
    settings = azure_settings(tmp_path)
    landed = fetched(settings)
    assert fetched(settings, known_of(landed)) == []
    manifest = next(tmp_path.rglob("manifest.json"))
    os.utime(manifest, (1, 1))
    assert fetched(settings, known_of(landed)) == []
    azure_run(tmp_path, ROWS, run_id="another", submitted="2026-10-07T01:00:00Z")
    (newer,) = fetched(settings, known_of(landed))
    assert newer.origin_key == landed[0].origin_key
    assert newer.origin_version > landed[0].origin_version


def test_an_older_run_that_arrives_late_is_landed_and_says_that_it_is_older(tmp_path: Path) -> None:
    settings = azure_settings(tmp_path / "in")
    azure_run(tmp_path / "in", ROWS, run_id="new", submitted="2026-10-09T01:00:00Z")
    newer = fetched(settings)
    azure_run(tmp_path / "in", ROWS, run_id="old", submitted="2026-10-08T01:00:00Z")
    older = fetched(settings, known_of(newer))
    covered = [read_run(settings, item, tmp_path / item.origin_version[:10]).staged.covered for item in (*newer, *older)]
    ((first,), (second,)) = covered
    assert first.bucket_key == second.bucket_key == newer[0].origin_key
    assert (first.table_name, first.day) == ("staged_charges", None)
    assert first.version_at is not None
    assert second.version_at is not None
    assert first.version_at > second.version_at


def test_several_runs_are_landed_oldest_first(tmp_path: Path) -> None:
    for day in (9, 7, 8):
        azure_run(tmp_path, ROWS, run_id=f"run{day}", submitted=f"2026-10-0{day}T01:00:00Z", stamp=f"named{10 - day}")
    assert [item.origin_version[8:10] for item in fetched(azure_settings(tmp_path))] == ["07", "08", "09"]


@pytest.mark.parametrize(("hours", "level"), [(5, logging.WARNING), (30, logging.ERROR)])
def test_a_run_whose_file_is_missing_waits_and_is_an_error_once_it_is_late(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, hours: int, level: int
) -> None:
    submitted = PULLED_AT - dt.timedelta(hours=hours)
    key = azure_run(tmp_path, ROWS, ROWS, submitted=submitted.strftime("%Y-%m-%dT%H:%M:%SZ"))
    missing = tmp_path / key.replace("manifest.json", "part_1_0001.csv")
    missing.unlink()
    assert fetched(azure_settings(tmp_path)) == []
    (said,) = caplog.records
    assert said.levelno == level
    assert f"age_hours={hours}" in said.getMessage()
    assert "part_1_0001.csv is missing" in said.getMessage()
    missing.write_bytes(ROWS)
    assert len(fetched(azure_settings(tmp_path))) == 1


def test_a_run_whose_file_has_another_size_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = azure_run(tmp_path, ROWS)
    put(tmp_path, key.replace("manifest.json", "part_0_0001.csv"), ROWS[:-3])
    assert fetched(azure_settings(tmp_path)) == []
    assert f"has {len(ROWS) - 3} bytes instead of {len(ROWS)}" in caplog.text


def test_a_file_that_changes_while_it_is_fetched_is_no_delivery(tmp_path: Path) -> None:
    key = azure_run(tmp_path / "in", ROWS)
    (landed,) = fetched(azure_settings(tmp_path / "in"))
    put(tmp_path / "in", key.replace("manifest.json", "part_0_0001.csv"), ROWS + b"more")
    with pytest.raises(TransientSourceError, match="changed while it was fetched"):
        landed.save(tmp_path / "landed")


def test_a_half_written_manifest_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / azure_run(tmp_path, ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert fetched(azure_settings(tmp_path)) == []
    assert "cannot be read as a manifest" in caplog.text
    path.write_bytes(whole)
    assert len(fetched(azure_settings(tmp_path))) == 1


def test_a_manifest_that_names_fewer_files_than_it_counts_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    azure_run(tmp_path, ROWS, blobCount=2)
    assert fetched(azure_settings(tmp_path)) == []
    assert "it names 1 files, blobCount says 2" in caplog.text


def test_several_exports_are_refused_until_the_settings_name_those_to_read(tmp_path: Path) -> None:
    azure_run(tmp_path, ROWS, export="daily")
    azure_run(tmp_path, ROWS, export="last-month")
    with pytest.raises(SourceError, match=r"several exports .*daily.*last-month.*exports"):
        fetched(azure_settings(tmp_path))
    assert [item.origin_key for item in fetched(azure_settings(tmp_path, exports=["daily"]))] == [
        "subscriptions/0000/daily/actual_cost/2026-10"
    ]
    full_name = "subscriptions/0000/last-month"
    assert len(fetched(azure_settings(tmp_path, exports=[full_name]))) == 1


def test_runs_before_the_lake_begins_are_not_landed(tmp_path: Path) -> None:
    azure_run(tmp_path, ROWS, start="2026-08-01T00:00:00", end="2026-08-31T00:00:00")
    assert fetched(azure_settings(tmp_path)) == []


def test_a_bundle_of_something_else_is_refused(tmp_path: Path) -> None:
    azure_run(tmp_path / "in", ROWS)
    settings = azure_settings(tmp_path / "in")
    (landed,) = fetched(settings)

    def written(*content: tuple[str, bytes]) -> object:
        write_bundle(tmp_path / "bundle", content)
        landed_again = type(landed)(landed.dataset, landed.origin_key, "v", (tmp_path / "bundle").read_bytes())
        return read_run(settings, landed_again, tmp_path / "work")

    with pytest.raises(UnreadableDeliveryError, match="empty"):
        written()
    with pytest.raises(UnreadableDeliveryError, match="no manifest"):
        written(("manifest.json", b"{"))
    with pytest.raises(UnreadableDeliveryError, match="no bill"):
        written(("manifest.json", b'{"exportConfig": {"type": "PriceSheet"}}'))


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        ((2026, 10, 1), (2026, 10, 31), "2026-10"),
        ((2026, 10, 1), (2026, 10, 6), "2026-10"),
        ((2026, 10, 2), (2026, 10, 31), "2026-10-02_2026-10-31"),
        ((2026, 10, 1), (2026, 11, 30), "2026-10-01_2026-11-30"),
    ],
)
def test_a_period_is_named_by_its_month_where_it_is_one(
    first: tuple[int, int, int], last: tuple[int, int, int], name: str
) -> None:
    assert period_of(dt.date(*first), dt.date(*last)) == name


@pytest.mark.parametrize("end", ["2026-10-31T00:00:00", "2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-10-06T00:00:00Z"])
def test_azure_periods_end_on_their_last_day_or_before_the_next_first(tmp_path: Path, end: str) -> None:
    key = azure_run(tmp_path, ROWS, end=end)
    run = read_manifest((tmp_path / key).read_bytes(), key)
    assert run is not None
    assert run.period == "2026-10"


@pytest.mark.parametrize("is_overwritten", [True, False])
def test_aws_runs_are_found_in_both_layouts(tmp_path: Path, is_overwritten: bool) -> None:
    aws_run(tmp_path, gzipped(ROWS), is_overwritten=is_overwritten)
    (landed,) = fetched(aws_settings(tmp_path))
    assert landed.origin_key == "bedrock-cur/data_export/2026-10"
    assert landed.origin_version.startswith("2026-10-06T04:15:00.000000Z 2d9f6c3e@")


def test_an_aws_manifest_without_time_and_id_is_told_by_its_files(tmp_path: Path) -> None:
    settings = aws_settings(tmp_path)
    aws_run(tmp_path, gzipped(ROWS), execution=None, created=None)
    first = fetched(settings)
    assert fetched(settings, known_of(first)) == []
    aws_run(tmp_path, gzipped(ROWS + ROWS), execution=None, created=None)
    (second,) = fetched(settings, known_of(first))
    assert second.origin_key == first[0].origin_key


def test_an_aws_run_folder_tells_the_time_where_the_manifest_does_not(tmp_path: Path) -> None:
    settings = aws_settings(tmp_path / "in")
    aws_run(tmp_path / "in", gzipped(ROWS), is_overwritten=False, executionId=None, createdAt=None)
    (landed,) = fetched(settings)
    assert landed.origin_version.startswith("2026-10-06T04:15:00.000000Z 20261006T041500Z-2d9f6c3e@")


def test_an_aws_manifest_in_no_period_s_folder_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, "bedrock-cur/metadata/bedrock-cur-Manifest.json", b'{"dataFiles": ["s3://b/x.parquet"]}')
    assert fetched(aws_settings(tmp_path)) == []
