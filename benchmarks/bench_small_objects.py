"""Objects per second of a log with one object per request, from a bucket or folder to landed and staged.

    python -m benchmarks.bench_small_objects [location] [--endpoint-url URL] [--objects 6000]

``location`` is a new folder (a temporary one unless given) or ``s3://bucket/prefix`` of a store at ``--endpoint-url``;
credentials come from the usual AWS environment. Writes the objects there first. For a bucket, the same objects are then
read by sixteen threads of boto3's client in the same run, to compare with: the machine and the server are the same.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg

from assets.assembly import build_definitions
from assets.resources import open_workspace
from benchmarks.spend_log_rows import spend_log
from usage_etl.lake import ObjectStore, open_store

DAY = dt.date(2026, 11, 2)
BOTO3_THREADS = 16
BOTO3_OBJECTS = 2_000


def main() -> None:
    """Write, land, stage, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("location", nargs="?")
    parser.add_argument("--endpoint-url")
    parser.add_argument("--objects", type=int, default=6_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        location = arguments.location or f"{folder}/logs"
        store = open_store(location, endpoint_url=arguments.endpoint_url, region="us-east-1")
        bytes_count = _write(store, arguments.objects)
        print(f"{arguments.objects} objects of {bytes_count / arguments.objects:.0f} bytes in {location}")
        config = _settings(Path(folder), location, arguments.endpoint_url)
        _compare(store, config, arguments.objects)


def _write(store: ObjectStore, count: int) -> int:
    rng = random.Random(7)
    bodies = [json.dumps(spend_log(rng, number, metadata_as_text=False)).encode() for number in range(count)]
    keys = [f"llm/{DAY}/{number // 5000:02d}-{number:08d}.json" for number in range(count)]
    with ThreadPoolExecutor(BOTO3_THREADS) as pool:
        list(pool.map(store.write, keys, bodies))
    return sum(map(len, bodies))


def _settings(folder: Path, location: str, endpoint_url: str | None) -> Path:
    source = f"{{name: gateway, kind: litellm, location: '{location}', pattern: 'llm/{{date}}/*.json', bundle: folder}}"
    lines = ['version: "1"', "organization: {id: acme, name: Acme}", "start_date: 2026-11-01", f"sources: [{source}]"]
    lines += [f"s3: {{endpoint_url: '{endpoint_url}'}}"] if endpoint_url else []
    config = folder / "usage_etl.yaml"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return config


def _compare(store: ObjectStore, config: Path, count: int) -> None:
    keys = [found.key for found in store.list("llm/")]
    if store.storage_options is not None:
        ordinary = _rate("boto3, sixteen threads", lambda: _boto3(store, keys[:BOTO3_OBJECTS]), min(count, BOTO3_OBJECTS))
        quick = _rate("read_many", lambda: sum(1 for _ in store.read_many(keys)), count)
        print(f"  read_many is {quick / ordinary:.1f} times boto3's rate")
    definitions = build_definitions(config)
    workspace = open_workspace(str(config.resolve()))
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    landed, staged = [dg.AssetKey(["landed", "gateway"])], [dg.AssetKey("staged_usage")]

    def run(selection: list[dg.AssetKey]) -> object:
        with dg.DagsterInstance.ephemeral() as instance:
            job = definitions.resolve_job_def("land").get_subset(asset_selection=set(selection))
            return job.execute_in_process(run_config=quiet, instance=instance, raise_on_error=True)

    began = time.perf_counter()
    _rate("listed, fetched and landed", lambda: run(landed), count)
    names = ["staged_usage", "staged_charges", "usage_events__quarantine", "billing_charges__quarantine"]
    assert staged
    _rate("staged", lambda: run([dg.AssetKey(name) for name in names]), count)
    whole = count / (time.perf_counter() - began)
    rows = sum(rows_count for *_, rows_count, _ in workspace.index.staged_rows())
    print(f"  {whole:8.0f} objects/s landed and staged, {rows} rows, {len(workspace.index.deliveries())} deliveries")
    if store.storage_options is not None:
        print(f"  landed and staged at {whole / ordinary:.1f} times the rate at which boto3's threads only read")


def _boto3(store: ObjectStore, keys: list[str]) -> int:
    with ThreadPoolExecutor(BOTO3_THREADS) as pool:
        return sum(map(len, pool.map(store.read, keys)))


def _rate(what: str, work: Callable[[], object], count: int) -> float:
    began, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    seconds, cpu_s = time.perf_counter() - began, sum(os.times()[:4]) - cpu
    print(f"  {count / seconds:8.0f} objects/s, {1000 * cpu_s / count:.3f} ms of processor each: {what}")
    return count / seconds


if __name__ == "__main__":
    main()
