"""Builds the hourly facts of one staged day: ours beside DuckDB and pandas doing the same work, on the same file.

    python -m benchmarks.bench_facts --rows 1000000

Work: of the staged day's rows (3 % delivered twice) keep the newest copy of each event, price it by the dated price of
its model, sum by hour and dimensions, join the owners, sort, write Parquet. Each run is a process of its own; engines
take turns, and the smallest CPU time of the rounds counts, without imports and without reading the price list. All
engines must agree on requests, tokens and money to the last digit.

``ours`` is the product's own path, contract check included. ``duckdb-same`` is our shape in SQL (find the copies first,
group, then price and join the groups). ``duckdb-usual`` and ``pandas-usual`` are what is usually written: rank all
rows, look the price up and multiply row by row, join the owners, group.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl

from benchmarks.fact_engines import duckdb_same, duckdb_usual, pandas_usual
from benchmarks.staged_days import DAY, Reference, reference_tables, write_staged_day

GOALS = {"duckdb-same": 0.9, "duckdb-usual": 0.33, "pandas-usual": 0.15}
"""Our CPU time as a share of each engine's."""

RSS_BASE_MB, RSS_PER_MILLION_MB = 450, 45
ENGINES = ("ours", *GOALS)


@dataclasses.dataclass(frozen=True)
class Run:
    """One engine building the facts once."""

    cpu_s: float
    wall_s: float
    rss_mb: float
    requests: int
    output_tokens: int
    cost: str


def main() -> None:
    """Runs the benchmark, or one engine in a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "usage-etl-bench", help="keeps the written file"
    )
    parser.add_argument("--child", choices=ENGINES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    file = arguments.folder / f"staged-{arguments.rows}.parquet"
    if arguments.child:
        _child(arguments.child, file)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        write_staged_day(file, rows_count=arguments.rows)
    runs: dict[str, list[Run]] = {engine: [] for engine in arguments.engines}
    for _ in range(arguments.rounds):
        for engine in arguments.engines:
            runs[engine].append(_run(engine, arguments))
    sys.exit(0 if _report(arguments.rows, runs) else 1)


def _run(engine: str, arguments: argparse.Namespace) -> Run:
    command = [sys.executable, "-m", "benchmarks.bench_facts", "--child", engine, "--rows", str(arguments.rows)]
    command += ["--folder", str(arguments.folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Run(**json.loads(answer.splitlines()[-1]))


def _child(engine: str, file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "facts.parquet"
        work = _prepare(engine, file, out, reference_tables())
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        work()
        wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        facts = pl.read_parquet(out, columns=["requests_count", "output_tokens", "effective_cost"])
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = sum((Decimal(str(amount)) for amount in facts["effective_cost"].drop_nulls()), Decimal(0))
    run = Run(
        cpu_s,
        wall_s,
        after.ru_maxrss / 1024,
        int(facts["requests_count"].sum()),
        int(facts["output_tokens"].sum()),
        f"{cost:.6f}",
    )
    print(json.dumps(dataclasses.asdict(run)))


def _prepare(engine: str, file: Path, out: Path, reference: Reference) -> Callable[[], None]:
    match engine:
        case "duckdb-same":
            return duckdb_same(file, out, reference)
        case "duckdb-usual":
            return duckdb_usual(file, out, reference)
        case "pandas-usual":
            return pandas_usual(file, out, reference)
        case _:
            return _ours(file, out, reference)


def _ours(file: Path, out: Path, reference: Reference) -> Callable[[], None]:
    from usage_etl.events import loser_rows, normalise, own, without_losers  # noqa: PLC0415 - only this engine loads them
    from usage_etl.facts.usage import group_for_rating, usage_hourly  # noqa: PLC0415
    from usage_etl.lake import TableStore, open_store  # noqa: PLC0415
    from usage_etl.pricing import day_prices, rate  # noqa: PLC0415
    from usage_etl.schemas import FACT_USAGE_HOURLY  # noqa: PLC0415

    lake = TableStore(open_store(str(out.parent)))

    def build() -> None:
        numbered = pl.scan_parquet(file, row_index_name="row_number")
        losers = loser_rows(numbered)
        prices = day_prices(reference.book, reference.models, day=DAY)
        kept = without_losers(numbered.filter(pl.col("source_role") == "usage"), losers)
        requests = normalise(kept).with_columns(prices.slot_columns())
        rated = rate(group_for_rating(requests), prices=prices)
        facts = usage_hourly(own(rated, directories=reference.directories, day=DAY))
        commit = lake.commit(FACT_USAGE_HOURLY, DAY.isoformat(), facts)
        (out.parent / commit.key).rename(out)

    return build


def _report(rows: int, runs: dict[str, list[Run]]) -> bool:
    found = {(run.requests, run.output_tokens, run.cost) for each in runs.values() for run in each}
    if len(found) != 1:
        raise SystemExit(f"the engines do not agree on requests, tokens and money: {found}")
    requests, tokens, cost = found.pop()
    print(f"\n{rows:,} staged rows -> {requests:,} requests, {tokens:,} output tokens, {cost} USD in every engine")
    print(f"{'engine':<14} {'CPU s':>7} {'wall s':>7} {'rows/s':>11} {'peak MB':>8} {'CPU, ours = 1':>14} {'goal for ours':>14}")
    best = {engine: min(each, key=lambda run: run.cpu_s) for engine, each in runs.items()}
    ours = best["ours"]
    allowed_mb = RSS_BASE_MB + RSS_PER_MILLION_MB * rows / 1_000_000
    is_met = ours.rss_mb <= allowed_mb
    for engine, run in best.items():
        share = ours.cpu_s / run.cpu_s
        goal = GOALS.get(engine)
        is_met &= goal is None or share <= goal
        verdict = f"{share:.2f} <= {goal}" if goal else f"<= {allowed_mb:.0f} MB"
        print(
            f"{engine:<14} {run.cpu_s:>7.2f} {run.wall_s:>7.2f} {rows / run.wall_s:>11,.0f} {run.rss_mb:>8.0f} "
            f"{run.cpu_s / ours.cpu_s:>14.2f} {verdict:>14}"
        )
    print("goals met" if is_met else "goals NOT met")
    return is_met


if __name__ == "__main__":
    main()
