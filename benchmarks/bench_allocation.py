"""Allocates one month: ours beside a fraction for every line in plain Python, and beside floats in pandas.

    python -m benchmarks.bench_allocation --owners 5000 --models 200

Work: every owner used every model; each model is one invoice line that is divided among all owners in proportion to metered
cost. ``ours`` is the product's whole path: metering daily usage, rules, two views, rounding, ids, names, order, the contract
and the check that nothing was lost. ``fractions`` is the same division and rounding alone, written plainly, one Fraction for
each line; both must agree on every owner's total to the cent. ``pandas-floats`` multiplies and groups in float64 and rounds
each line for itself, which does not add up: it is there for scale.

Each run is a process of its own; engines take turns, and the smallest CPU time of the rounds counts, without imports.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl

from tests.unit.allocation.frames import NOVEMBER, directories, invoices, lines, rates, usage

WALL_S, RSS_MB = 10.0, 2048.0
"""Goals for a million lines."""

GOALS = {"fractions": 0.6}
"""Our CPU time as a share of each engine's."""

ENGINES = ("ours", "fractions", "pandas-floats")
_COLUMNS = ("team_id", "model_id", "effective_cost")


@dataclasses.dataclass(frozen=True)
class Run:
    """One engine allocating the month once."""

    cpu_s: float
    wall_s: float
    rss_mb: float
    lines: int
    cost: str
    owners_digest: str
    """Of each owner's total: equal where engines agree."""


def main() -> None:
    """Runs the benchmark, or one engine in a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--owners", type=int, default=5_000)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--rows", type=int, help="lines; sets --owners for the given models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "usage-etl-bench")
    parser.add_argument("--child", choices=ENGINES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    owners = max(1, arguments.rows // arguments.models) if arguments.rows else arguments.owners
    folder = arguments.folder / f"allocation-{owners}-{arguments.models}"
    if arguments.child:
        _child(arguments.child, folder)
        return
    if not (folder / "lines.parquet").exists():
        _write_month(folder, owners, arguments.models)
    runs: dict[str, list[Run]] = {engine: [] for engine in ENGINES}
    for _ in range(arguments.rounds):
        for engine in ENGINES:
            runs[engine].append(_run(engine, owners, arguments))
    sys.exit(0 if _report(owners, arguments.models, runs) else 1)


def _write_month(folder: Path, owners: int, models: int) -> None:
    """Usage of every owner and model, and an invoice line of every model, at list price to the cent."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    count = owners * models
    attos = [chance.randrange(10**12, 10**19) for _ in range(count)]
    own = pl.DataFrame({"number": range(count)}).select(
        owner=pl.col("number") // models,
        model=pl.col("number") % models,
        effective_cost=pl.Series(attos, dtype=pl.Int128).reinterpret(dtype=pl.Decimal(38, 18)),
    )
    named = own.with_columns(
        team_id=pl.format("team-{}", "owner"),
        department_id=pl.format("department-{}", pl.col("owner") % 50),
        cost_center_id=pl.format("center-{}", pl.col("owner") % 500),
        model_id=pl.format("model-{}", "model"),
    )
    sample = usage({"effective_cost": Decimal(1)})
    full = named.select(
        pl.col(name).cast(kind) if name in named.columns else pl.lit(sample[name][0], kind).alias(name)
        for name, kind in sample.schema.items()
    )
    full.write_parquet(folder / "usage.parquet")
    costs: dict[int, int] = defaultdict(int)
    for number, cost in enumerate(attos):
        costs[number % models] += cost
    lines(
        *(
            {"model_id": f"model-{model}", "billed_cost": Decimal(cost // 10**16).scaleb(-2)}
            for model, cost in sorted(costs.items())
        )
    ).write_parquet(folder / "lines.parquet")


def _run(engine: str, owners: int, arguments: argparse.Namespace) -> Run:
    command = [sys.executable, "-m", "benchmarks.bench_allocation", "--child", engine, "--owners", str(owners)]
    command += ["--models", str(arguments.models), "--folder", str(arguments.folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Run(**json.loads(answer.splitlines()[-1]))


def _child(engine: str, folder: Path) -> None:
    work = {"ours": _ours, "fractions": _fractions, "pandas-floats": _pandas}[engine](folder)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    count, by_owner = work()
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    digest = json.dumps(sorted((owner, f"{cost:.2f}") for owner, cost in by_owner.items() if round(cost, 2)))
    run = Run(cpu_s, wall_s, after.ru_maxrss / 1024, count, f"{sum(by_owner.values()):.2f}", str(hash_of(digest)))
    print(json.dumps(dataclasses.asdict(run)))


def hash_of(text: str) -> str:
    """Short digest of a text, the same in every process."""
    from usage_etl.keys import sha256_hex  # noqa: PLC0415

    return sha256_hex(text.encode())[:16]


Work = Callable[[], tuple[int, dict[str, Decimal]]]


def _ours(folder: Path) -> Work:
    from usage_etl.allocation import allocate_month  # noqa: PLC0415 - only this engine loads it
    from usage_etl.config.finance import AllocationSettings, ReconciliationSettings  # noqa: PLC0415

    bill, used, owners = pl.read_parquet(folder / "lines.parquet"), pl.scan_parquet(folder / "usage.parquet"), directories()

    def work() -> tuple[int, dict[str, Decimal]]:
        found = allocate_month(
            bill,
            used,
            owners,
            invoices(),
            rates(),
            month=NOVEMBER,
            organization_currency="USD",
            allocation=AllocationSettings(),
            reconciliation=ReconciliationSettings(),
        )
        sums = found.group_by("team_id").agg(pl.col("allocated_cost").sum())
        return found.height, dict(sums.iter_rows())

    return work


def _fractions(folder: Path) -> Work:
    """A fraction for each line, cut and rounded by largest remainder over the account; ties by the line's names."""
    from usage_etl.remainder import to_attos  # noqa: PLC0415

    bill, used = pl.read_parquet(folder / "lines.parquet"), pl.read_parquet(folder / "usage.parquet", columns=list(_COLUMNS))
    teams, models, costs = used["team_id"].to_list(), used["model_id"].to_list(), to_attos(used["effective_cost"])

    def work() -> tuple[int, dict[str, Decimal]]:
        totals: dict[str, int] = defaultdict(int)
        for model, cost in zip(models, costs, strict=True):
            totals[model] += cost
        billed = {model: Fraction(cost) * 100 for model, cost in bill.select("model_id", "billed_cost").iter_rows()}
        shares = [billed[model] * Fraction(cost, totals[model]) for model, cost in zip(models, costs, strict=True)]
        whole = [share.__floor__() for share in shares]
        missing = round(sum(billed.values())) - sum(whole)
        order = sorted(range(len(shares)), key=lambda at: whole[at] - shares[at])
        for at in order[:missing]:
            whole[at] += 1
        sums: dict[str, int] = defaultdict(int)
        for team, units in zip(teams, whole, strict=True):
            sums[team] += units
        return len(whole), {team: Decimal(units).scaleb(-2) for team, units in sums.items()}

    return work


def _pandas(folder: Path) -> Work:
    import pandas as pd  # noqa: F401, PLC0415 - loaded before the clock starts

    bill = pl.read_parquet(folder / "lines.parquet").select("model_id", pl.col("billed_cost").cast(pl.Float64))
    used = pl.read_parquet(folder / "usage.parquet", columns=list(_COLUMNS))
    usage_frame = used.with_columns(
        pl.col("effective_cost").cast(pl.Float64), pl.col("team_id", "model_id").cast(pl.String)
    ).to_pandas()
    bill_frame = bill.to_pandas()

    def work() -> tuple[int, dict[str, Decimal]]:
        total = usage_frame.groupby("model_id")["effective_cost"].transform("sum")
        joined = usage_frame.merge(bill_frame, on="model_id")
        joined["allocated"] = (joined["billed_cost"] * joined["effective_cost"] / total).round(2)
        sums = joined.groupby("team_id")["allocated"].sum()
        return len(joined), {team: Decimal(str(round(cost, 2))) for team, cost in sums.items()}

    return work


def _report(owners: int, models: int, runs: dict[str, list[Run]]) -> bool:
    exact = {(run.lines, run.cost, run.owners_digest) for engine in ("ours", "fractions") for run in runs[engine]}
    if len(exact) != 1:
        raise SystemExit(f"the exact engines do not agree on every owner's total: {exact}")
    best = {engine: min(each, key=lambda run: run.cpu_s) for engine, each in runs.items()}
    ours, count = best["ours"], best["ours"].lines
    print(f"\n{models} invoice lines x {owners:,} owners = {count:,} lines; {ours.cost} USD in both exact engines")
    print(f"pandas in float64: {best['pandas-floats'].cost} USD")
    print(f"{'engine':<14} {'CPU s':>7} {'wall s':>7} {'lines/s':>11} {'peak MB':>8} {'CPU, ours = 1':>14} {'goal for ours':>18}")
    scale = max(1.0, count / 1_000_000)
    is_met = ours.wall_s <= WALL_S * scale and ours.rss_mb <= RSS_MB * scale
    for engine, run in best.items():
        share, goal = ours.cpu_s / run.cpu_s, GOALS.get(engine)
        is_met &= goal is None or share <= goal
        verdict = (
            f"<= {WALL_S * scale:.0f} s, {RSS_MB * scale:.0f} MB"
            if engine == "ours"
            else f"{share:.2f} <= {goal}"
            if goal
            else ""
        )
        print(
            f"{engine:<14} {run.cpu_s:>7.2f} {run.wall_s:>7.2f} {run.lines / run.wall_s:>11,.0f} {run.rss_mb:>8.0f} "
            f"{run.cpu_s / ours.cpu_s:>14.2f} {verdict:>18}"
        )
    print("goals met" if is_met else "goals NOT met")
    return is_met


if __name__ == "__main__":
    main()
