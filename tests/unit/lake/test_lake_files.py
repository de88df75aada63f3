"""The bytes of a partition depend on its rows alone."""

import datetime as dt
import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_etl.errors import ContractError
from usage_etl.lake.files import exact_totals, merged_parts, table_file
from usage_etl.schemas.contract import Table

NOV_1 = "2026-11-01"
Frame = Callable[..., pl.DataFrame]

amounts = st.none() | st.decimals(min_value=-(10**12), max_value=10**12, places=18)
owners = st.none() | st.sampled_from(["a", "b", "B", "ä", "a b", "", "zz"])
sale_rows = st.lists(
    st.tuples(owners, st.none() | st.text(max_size=3), st.integers(0, 10**13), amounts.map(lambda x: x and str(x))), max_size=60
)


def stored(table: Table, frame: pl.DataFrame | pl.LazyFrame, *, memory_rows: int = 1000) -> tuple[str, bytes]:
    with table_file(table, NOV_1, frame.lazy(), memory_rows=memory_rows) as file:
        content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert file.bytes_count == len(content)
        return file.sha256, content


@settings(deadline=None, max_examples=40)
@given(rows=sale_rows, data=st.data())
def test_order_and_batches_of_the_rows_do_not_change_the_bytes(
    sales: Table, sales_frame: Frame, rows: list[tuple[str, str, int, str]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    parts = pl.concat([sales_frame(*shuffled[:cut]), sales_frame(*shuffled[cut:])], rechunk=False)
    sha256, _ = stored(sales, sales_frame(*rows))
    assert stored(sales, parts)[0] == sha256


@settings(deadline=None, max_examples=25)
@given(rows=sale_rows, memory_rows=st.integers(1, 30))
def test_sorting_on_disk_gives_the_bytes_of_sorting_in_memory(
    sales: Table, sales_frame: Frame, rows: list[tuple[str, str, int, str]], memory_rows: int
) -> None:
    frame = sales_frame(*rows)
    pieces = pl.concat([frame.slice(start, 3) for start in range(0, max(frame.height, 1), 3)], rechunk=False)
    assert stored(sales, pieces.lazy(), memory_rows=memory_rows)[0] == stored(sales, frame)[0]


def big_frame(rows_count: int, seed: int) -> pl.DataFrame:
    """Many rows over several row groups, with ties in the sort columns."""
    frame = pl.select(number=pl.int_range(rows_count, dtype=pl.Int64)).sample(fraction=1, shuffle=True, seed=seed)
    number = pl.col("number")
    return frame.select(
        usage_date=pl.lit(dt.date(2026, 11, 1)),
        owner_id=pl.when(number % 11 != 0).then(pl.format("owner-{}", number % 1000)).cast(pl.Categorical),
        note=pl.when(number % 3 != 0).then(pl.format("note {}", number)),
        units_count=number,
        effective_cost=(number.cast(pl.Decimal(38, 18)) / 1000).cast(pl.Decimal(38, 18)),
    )


@given(
    runs=st.lists(st.lists(st.none() | st.integers(0, 40), min_size=1, max_size=60), min_size=1, max_size=5),
    rows_per_part=st.integers(5, 40),
)
@settings(deadline=None, max_examples=30)
def test_merged_parts_hold_every_row_in_order(runs: list[list[int | None]], rows_per_part: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, run in enumerate(runs):
            frame = pl.DataFrame({"key": run}, schema={"key": pl.Int64}).with_row_index("row")
            paths.append(Path(folder) / f"run-{number}.parquet")
            frame.with_columns(run=pl.lit(number)).sort("key", "run", "row").write_parquet(paths[-1])
        order = ["key", "run", "row"]
        parts = [pl.read_parquet(path) for path in merged_parts(paths, ["key"], order, Path(folder), rows_per_part=rows_per_part)]
    whole = pl.concat(parts)
    assert whole.rows() == whole.sort(order).rows()
    assert sorted(whole["key"].to_list(), key=str) == sorted(itertools.chain(*runs), key=str)


def test_merged_parts_are_about_as_large_as_wanted(tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"run-{number}.parquet")
        pl.DataFrame({"key": [number + 4 * key for key in range(500)]}).write_parquet(paths[-1])
    parts = [pl.read_parquet(path) for path in merged_parts(paths, ["key"], ["key"], tmp_path, rows_per_part=200)]
    assert pl.concat(parts)["key"].to_list() == list(range(2000))
    assert all(100 <= part.height <= 300 for part in parts[:-1])


def test_many_rows_sorted_on_disk_give_the_same_bytes_and_totals(sales: Table) -> None:
    rows_count = 250_000
    in_memory = stored(sales, big_frame(rows_count, 1), memory_rows=rows_count)[0]
    with table_file(sales, NOV_1, big_frame(rows_count, 2).lazy(), memory_rows=100_000) as file:
        assert isinstance(file.content, Path), "this was sorted on disk"
        assert file.sha256 == in_memory
        assert file.rows_count == rows_count
        assert file.control_totals["units_count"] == str(rows_count * (rows_count - 1) // 2)
        groups = pl.scan_parquet(file.content, glob=False).select("owner_id").collect()["owner_id"]
        assert groups.cast(pl.String).is_sorted()
    assert not file.content.exists(), "working files are removed"


SCRIPT = """
import datetime as dt, random, sys
import dataframely as dy
import polars as pl
from usage_etl.lake.files import table_file
from usage_etl.schemas.contract import Table, count, day, label, money, text

class Row(dy.Schema):
    usage_date = day("day")
    owner_id = label("owner")
    model_id = label("model", nullable=False)
    event_id = text("event")
    units_count = count("units")
    effective_cost = money("cost", nullable=True)

table = Table(name="rows", schema=Row, grain="one row", partition="usage_date", sort_by=("model_id", "owner_id"), group="x",
              control_totals=("effective_cost",))
order = random.Random(int(sys.argv[1]))
names = [f"name-{n}" for n in range(300)]
order.shuffle(names)
pl.Series(names).cast(pl.Categorical)  # labels that this process knows already, in an order of its own
rows = list(range(120_000))
order.shuffle(rows)
n = pl.col("n")
frame = pl.DataFrame({"n": rows}).select(
    usage_date=pl.lit(dt.date(2026, 11, 1)),
    owner_id=pl.when(n % 7 != 0).then(pl.format("name-{}", n % 300)),
    model_id=pl.format("name-{}", n % 13),
    event_id=pl.when(n % 5 != 0).then(pl.format("id {}", n)),
    units_count=n % 1000,
    effective_cost=pl.when(n % 3 != 0).then((n.cast(pl.Decimal(38, 18)) / 7).cast(pl.Decimal(38, 18))),
)
with table_file(table, "2026-11-01", frame.lazy()) as file:
    print(pl.thread_pool_size(), file.sha256, file.rows_count)
"""


def test_processes_with_other_threads_and_other_row_order_store_the_same_bytes() -> None:
    runs = {}
    for threads in ("1", "2"):
        environment = os.environ | {"POLARS_MAX_THREADS": threads, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", SCRIPT, threads]
        runs[threads] = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = set()
    for threads, run in runs.items():
        output, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors
        used, sha256, rows_count = output.split()
        assert (used, rows_count) == (threads, "120000")
        found.add(sha256)
    assert len(found) == 1


def test_nulls_come_first_and_labels_in_order_of_their_text(sales: Table, sales_frame: Frame) -> None:
    _, content = stored(sales, sales_frame(*((owner, None, 1, None) for owner in ("b", "B", None, "a"))))
    assert pl.read_parquet(content)["owner_id"].to_list() == [None, "B", "a", "b"]


@given(st.lists(st.tuples(st.integers(0, 10**18), st.decimals(-(10**16), 10**16, places=18)), max_size=50))
def test_totals_are_those_of_python_integers(sales: Table, sales_frame: Frame, rows: list[tuple[int, Decimal]]) -> None:
    totals = exact_totals(sales, sales_frame(*(("a", None, units, f"{cost:f}") for units, cost in rows)))
    assert totals["units_count"] == sum(units for units, _ in rows)
    assert Fraction(totals["effective_cost"]) == sum(Fraction(cost) for _, cost in rows)


def test_a_total_beyond_its_type_is_an_error_not_a_wrong_number(sales: Table, sales_frame: Frame) -> None:
    rows = [("a", None, 1, str(10**17))] * 1200
    with pytest.raises(ContractError, match="control totals"):
        stored(sales, sales_frame(*rows), memory_rows=10_000)


def test_a_broken_row_in_a_late_run_stops_the_whole_partition(sales: Table) -> None:
    frame = big_frame(250_000, 1).with_columns(units_count=pl.when(pl.col("units_count") == 249_999).then(-1).otherwise(1))
    with pytest.raises(ContractError, match="units_count"):
        stored(sales, frame.lazy(), memory_rows=50_000)
