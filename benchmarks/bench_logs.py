"""Stages lines of every JSON log format to Parquet by day: our CPU per byte beside DuckDB's JSON reader in the same run.

    python -m benchmarks.bench_logs --megabytes 100

DuckDB has two parts. ``staging SpendLogs`` does the work of our LiteLLM parser in SQL: its CPU per byte is the yardstick, and
the goal for every other format is three times that. ``reading it`` copies the same file to Parquet with every field as DuckDB
finds it, no rules, no mapping: what it costs to read this very format at all. Each run is a process of its own; engines take
turns; the smallest CPU time of the rounds counts. Files are written once into a folder that is kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import importlib
import json
import pkgutil
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import benchmarks.log_lines
from benchmarks.duckdb_staging import staging_sql

GOAL = 3.0
"""CPU per byte of any other format, in units of DuckDB staging SpendLogs."""

LITELLM_GOAL = 1.5
RSS_GOAL_MB = 450
THREADS = 2
_SAMPLE_ROWS = 2_000


@dataclasses.dataclass(frozen=True)
class Run:
    """One engine on one file."""

    cpu_s: float
    rss_mb: float
    rows: int


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        _child(arguments.child, arguments.kind, Path(arguments.file))
        return
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = arguments.kinds or sorted(module.name for module in pkgutil.iter_modules(benchmarks.log_lines.__path__))
    files = {kind: _written(folder, kind, arguments.megabytes) for kind in {*kinds, "litellm"}}
    best: dict[tuple[str, str], Run] = {}
    for _ in range(arguments.rounds):
        for kind in kinds:
            _keep_best(best, kind, "ours", files[kind])
            if getattr(_format(kind), "IS_JSON_LINES", True):
                _keep_best(best, kind, "duckdb-reading", files[kind])
        _keep_best(best, "litellm", "duckdb-staging", files["litellm"])
    sys.exit(0 if _report(kinds, files, best) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="size of each file")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", help="only these")
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "usage-etl-bench"), help="keeps the written files")
    for hidden in ("--child", "--kind", "--file"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser.parse_args()


def _written(folder: Path, kind: str, megabytes: int) -> Path:
    """A file of about this size; how many rows that takes is told from a sample."""
    path = folder / f"{kind}-{megabytes}mb.jsonl"
    if not path.exists():
        write_lines = _format(kind).write_lines
        part = path.with_suffix(".part")
        write_lines(part, _SAMPLE_ROWS)
        rows = max(_SAMPLE_ROWS, megabytes * 1_000_000 * _SAMPLE_ROWS // part.stat().st_size)
        print(f"writing {path}", flush=True)
        write_lines(part, rows)
        part.rename(path)
    return path


def _format(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.log_lines.{name}")


def _kind(name: str) -> str:
    """The kind of source that reads a format; most kinds have one format, named like them."""
    return getattr(_format(name), "KIND", name)


def _keep_best(best: dict[tuple[str, str], Run], kind: str, engine: str, file: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.bench_logs", "--child", engine, "--kind", kind, "--file", str(file)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    run = Run(**json.loads(answer.splitlines()[-1]))
    before = best.get((kind, engine), run)
    best[kind, engine] = Run(min(run.cpu_s, before.cpu_s), max(run.rss_mb, before.rss_mb), run.rows)


def _child(engine: str, kind: str, file: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        work = {"ours": _ours, "duckdb-reading": _duckdb_reading, "duckdb-staging": _duckdb_staging}[engine](
            kind, file, Path(out)
        )
        before = resource.getrusage(resource.RUSAGE_SELF)
        rows = work()
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu_s, "rss_mb": after.ru_maxrss / 1024, "rows": rows}))


def _ours(kind: str, file: Path, out: Path):
    from tests.unit.sources.every_source import documented_settings  # noqa: PLC0415 - only this engine's process loads it
    from usage_etl.sources.parsed import ParseContext  # noqa: PLC0415
    from usage_etl.sources.registry import SOURCES  # noqa: PLC0415
    from usage_etl.sources.staging import stage  # noqa: PLC0415

    kind = _kind(kind)
    settings = documented_settings(kind)[0]
    now = dt.datetime.now(tz=dt.UTC)
    context = ParseContext(settings.name, settings.account, settings.role, "d" * 32, 1, str(file), now, settings)

    def work() -> int:
        found = stage(SOURCES[kind].parse(file, context), context=context, work_folder=out)
        if found.rows_quarantined:
            raise SystemExit(f"{kind}: {found.rows_quarantined} of {found.rows_read} records were refused")
        return found.rows_staged

    return work


def _duckdb(sql: str):
    import duckdb  # noqa: PLC0415 - only this engine's process loads it

    connection = duckdb.connect()
    connection.execute(f"SET threads = {THREADS}")
    connection.execute("SET disabled_optimizers = 'filter_pushdown'")
    return lambda: int(connection.execute(sql).fetchone()[0])


def _duckdb_reading(_: str, file: Path, out: Path):
    reader = f"read_json('{file}', format = 'newline_delimited', maximum_object_size = 67108864)"
    return _duckdb(f"COPY (SELECT * FROM {reader}) TO '{out}/all.parquet' (COMPRESSION zstd)")


def _duckdb_staging(_: str, file: Path, out: Path):
    return _duckdb(staging_sql(file, out / "days", form="same"))


def _report(kinds: list[str], files: dict[str, Path], best: dict[tuple[str, str], Run]) -> bool:
    """Print the table; whether every goal holds."""
    yardstick = best["litellm", "duckdb-staging"].cpu_s / files["litellm"].stat().st_size
    print(f"\nDuckDB staging SpendLogs: {yardstick * 1e9:.1f} CPU-s per GB = 1\n")
    print(f"{'format':26}{'MB':>6}{'rows':>10}{'CPU-s/GB':>10}{'of 1':>7}{'goal':>6}{'of reading it':>15}{'RSS MB':>8}")
    is_met = True
    for kind in kinds:
        size, run, reading = files[kind].stat().st_size, best[kind, "ours"], best.get((kind, "duckdb-reading"))
        of_reading = f"{run.cpu_s / reading.cpu_s:.2f}" if reading else "-"
        goal = LITELLM_GOAL if _kind(kind) == "litellm" else GOAL
        ratio = run.cpu_s / size / yardstick
        is_met &= ratio <= goal and run.rss_mb <= RSS_GOAL_MB
        print(
            f"{kind:26}{size / 1e6:6.0f}{run.rows:10,}{run.cpu_s / size * 1e9:10.1f}{ratio:7.2f}{goal:6.1f}"
            f"{of_reading:>15}{run.rss_mb:8.0f}",
            flush=True,
        )
    return is_met


if __name__ == "__main__":
    main()
