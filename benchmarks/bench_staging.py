"""Stages LiteLLM SpendLogs lines to Parquet by day: ours beside DuckDB doing the same work, on the same file.

    python -m benchmarks.bench_staging --rows 1000000

Each run is a process of its own; engines take turns, and the smallest CPU time of the rounds counts. CPU time is that of
the work, without imports; memory is the peak of the whole process. Files are written once into a folder that is kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from backports import zstd

from benchmarks.duckdb_staging import staging_sql
from benchmarks.spend_log_rows import write_spend_logs

CPU_GOAL = 1.5
"""Ours may use this many times DuckDB's CPU."""

RSS_GOAL_MB = 450
THREADS = 2


@dataclasses.dataclass(frozen=True)
class Run:
    """One engine staging one file once."""

    rows: int
    input_tokens: int
    cpu_s: float
    wall_s: float
    rss_mb: float


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        _child(arguments.child, Path(arguments.file), Path(arguments.out))
        return
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    is_met = True
    for form in arguments.forms:
        file = _spend_logs(folder, rows=arguments.rows, form=form, packing=arguments.packing)
        engines = ["ours", "duckdb-same", *(["duckdb-least"] if form == "object" else [])]
        runs: dict[str, list[Run]] = {engine: [] for engine in engines}
        for _ in range(arguments.rounds):
            for engine in engines:
                runs[engine].append(_run(engine, file))
        is_met &= _report(file, form, arguments.rows, runs)
    sys.exit(0 if is_met else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--forms", nargs="+", choices=("object", "text"), default=["object", "text"], help="how metadata is written"
    )
    parser.add_argument("--packing", choices=("zst", "gz"), default="zst")
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "usage-etl-bench"), help="keeps the written files")
    for hidden in ("--child", "--file", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser.parse_args()


def _spend_logs(folder: Path, *, rows: int, form: str, packing: str) -> Path:
    written = folder / f"spend-logs-{rows}-{form}.jsonl.zst"
    if not written.exists():
        print(f"writing {written}", flush=True)
        write_spend_logs(written, rows=rows, metadata_as_text=form == "text")
    repacked = written.with_suffix(".gz")
    if packing == "gz" and not repacked.exists():
        part = repacked.with_suffix(".part")
        with zstd.open(written, "rb") as source, gzip.open(part, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        part.rename(repacked)
    return repacked if packing == "gz" else written


def _run(engine: str, file: Path) -> Run:
    from usage_etl.schemas.staged import STAGED_USAGE  # noqa: PLC0415 - not in the engines' processes

    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "benchmarks.bench_staging", "--child", engine, "--file", str(file), "--out", out]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        measured = json.loads(answer.splitlines()[-1])
        staged = pl.scan_parquet(f"{out}/**/*.parquet", hive_partitioning=False)
        if set(staged.collect_schema()) != set(STAGED_USAGE.columns):
            raise SystemExit(f"{engine} stages other columns: {set(staged.collect_schema()) ^ set(STAGED_USAGE.columns)}")
        rows, tokens = staged.select(pl.len(), pl.col("reported_input_tokens").sum()).collect().row(0)
    return Run(rows, tokens, **measured)


def _child(engine: str, file: Path, out: Path) -> None:
    work = _stage_ours if engine == "ours" else _stage_duckdb
    prepared = work(engine, file, out)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    prepared()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu_s, "wall_s": time.perf_counter() - started, "rss_mb": after.ru_maxrss / 1024}))


def _stage_ours(_: str, file: Path, out: Path):
    from usage_etl.sources.litellm.parse import parse  # noqa: PLC0415 - only this engine's process loads it
    from usage_etl.sources.parsed import ParseContext  # noqa: PLC0415
    from usage_etl.sources.staging import stage  # noqa: PLC0415

    received_at = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
    context = ParseContext("gateway", "default", "usage", "d" * 32, 1, str(file), received_at)
    return lambda: stage(parse(file, context), context=context, work_folder=out)


def _stage_duckdb(engine: str, file: Path, out: Path):
    import duckdb  # noqa: PLC0415 - only this engine's process loads it

    connection = duckdb.connect()
    connection.execute(f"SET threads = {THREADS}")
    # Pushed below the projection, the row rules would read the metadata again for each rule: five times the CPU.
    connection.execute("SET disabled_optimizers = 'filter_pushdown'")
    return lambda: connection.execute(staging_sql(file, out / "days", form=engine.removeprefix("duckdb-")))


def _report(file: Path, form: str, rows: int, runs: dict[str, list[Run]]) -> bool:
    """Print one table; whether the goals hold."""
    found = {(run.rows, run.input_tokens) for each in runs.values() for run in each}
    if found != {(rows, next(iter(found))[1])}:
        raise SystemExit(f"the engines do not agree on rows and tokens: {found}")
    print(f"\n{file.name}: {rows:,} rows, {file.stat().st_size / 1e6:,.0f} MB packed, metadata as {form}")
    print(f"{'engine':14}{'rows/s':>10}{'CPU-s per M':>13}{'peak RSS MB':>13}{'ours / it':>11}")
    best = {engine: min(each, key=lambda run: run.cpu_s) for engine, each in runs.items()}
    for engine, run in best.items():
        wall_s, rss_mb = min(each.wall_s for each in runs[engine]), max(each.rss_mb for each in runs[engine])
        ratio = best["ours"].cpu_s / run.cpu_s
        print(f"{engine:14}{rows / wall_s:10,.0f}{run.cpu_s / rows * 1e6:13.1f}{rss_mb:13,.0f}{ratio:11.2f}", flush=True)
    rss_mb = max(run.rss_mb for run in runs["ours"])
    ratio = best["ours"].cpu_s / best["duckdb-same"].cpu_s
    print(f"goals: CPU {ratio:.2f}x of {CPU_GOAL}x, memory {rss_mb:.0f} of {RSS_GOAL_MB} MB")
    return ratio <= CPU_GOAL and rss_mb <= RSS_GOAL_MB


if __name__ == "__main__":
    main()
