"""Commits and reads of tables, on both kinds of store."""

import dataclasses
import datetime as dt
import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from usage_etl import __version__
from usage_etl.errors import ContractError, IntegrityError, LakeError
from usage_etl.keys import fingerprint, sha256_hex
from usage_etl.lake import FolderStore, ObjectStore, TableStore, tables
from usage_etl.schemas import TABLES
from usage_etl.schemas.contract import Table

NOV_1, NOV_2 = "2026-11-01", "2026-11-02"
KEY = "sales/usage_date=2026-11-01/part.parquet"
Frame = Callable[..., pl.DataFrame]


def keys_of(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list("") if not info.key.startswith("_locks/")]


def test_a_commit_says_what_was_stored_and_the_scan_gives_it_back_in_order(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame
) -> None:
    frame = sales_frame(("b", None, 3, "0.1"), (None, "x", 1, None), ("a", "y", 2, "0.000000000000000001"))
    commit = lake.commit(sales, NOV_1, frame, inputs={"staged": "abc"})
    assert commit == dataclasses.replace(
        commit,
        table="sales",
        partition=NOV_1,
        key=KEY,
        sha256=sha256_hex(store.read(KEY)),
        rows_count=3,
        control_totals={"units_count": "6", "effective_cost": "0.100000000000000001"},
        inputs={"staged": "abc"},
        inputs_fingerprint=fingerprint({"staged": "abc"}),
        code_version=__version__,
        changed=True,
        committed_at="2026-11-20T12:00:00+00:00",
        bytes_count=len(store.read(KEY)),
    )
    assert lake.head(sales, NOV_1) == commit
    stored = lake.scan(sales).collect()
    assert stored.schema == sales.polars_schema
    assert_frame_equal(stored, sales_frame((None, "x", 1, None), ("a", "y", 2, "0.000000000000000001"), ("b", None, 3, "0.1")))


def test_the_parquet_file_carries_its_own_count_and_totals(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame, tmp_path: Path
) -> None:
    lake.commit(sales, NOV_1, sales_frame(("a", None, 2, "1.50"), ("a", None, 2, "-0.25")))
    store.download(KEY, tmp_path / "x")
    stated = pl.read_parquet_metadata(tmp_path / "x")
    assert stated["usage_etl.table"] == "sales"
    assert stated["usage_etl.rows_count"] == "2"
    assert json.loads(stated["usage_etl.control_totals"]) == {"units_count": "4", "effective_cost": "1.25"}


def test_unchanged_content_writes_no_object_and_renews_the_inputs(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame, clock: object
) -> None:
    rows = [("a", None, 2, "1.50"), ("a", None, 1, "2"), ("b", "n", 0, None)]
    first = lake.commit(sales, NOV_1, sales_frame(*rows), inputs={"staged": "1"})
    before = store.head(KEY)
    clock.forward(hours=1)
    again = lake.commit(sales, NOV_1, sales_frame(*reversed(rows)), inputs={"staged": "2"})
    assert again == dataclasses.replace(first, changed=False, inputs={"staged": "2"}, inputs_fingerprint=again.inputs_fingerprint)
    assert store.head(KEY) == before
    assert lake.is_current(sales, NOV_1, inputs={"staged": "2"})
    assert not lake.is_current(sales, NOV_1, inputs={"staged": "1"})
    assert keys_of(store) == ["_manifests/sales/2026-11-01.json", KEY]


def test_a_partition_is_current_only_for_the_same_inputs_and_code(
    lake: TableStore, sales: Table, sales_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not lake.is_current(sales, NOV_1, inputs={})
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)), inputs={"x": "1"})
    assert lake.is_current(sales, NOV_1, inputs={"x": "1"})
    for other in ({}, {"x": "2"}, {"x": "1", "y": "1"}):
        assert not lake.is_current(sales, NOV_1, inputs=other)
    monkeypatch.setattr(tables, "__version__", "99.0")
    assert not lake.is_current(sales, NOV_1, inputs={"x": "1"})
    assert not lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)), inputs={"x": "1"}).changed
    assert lake.is_current(sales, NOV_1, inputs={"x": "1"})


def test_is_current_reads_one_manifest_and_nothing_else(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)), inputs={"x": "1"})
    reads: list[str] = []
    read = store.read

    def noted(key: str) -> bytes:
        reads.append(key)
        return read(key)

    monkeypatch.setattr(store, "read", noted)
    for name in ("head", "digest", "list", "download"):
        monkeypatch.setattr(store, name, None)
    assert lake.is_current(sales, NOV_1, inputs={"x": "1"})
    assert reads == ["_manifests/sales/2026-11-01.json"]


def test_an_empty_day_is_a_committed_partition(lake: TableStore, sales: Table) -> None:
    commit = lake.commit(sales, NOV_1, sales.empty())
    assert (commit.rows_count, commit.control_totals) == (0, {"units_count": "0", "effective_cost": "0"})
    assert lake.partitions(sales) == [NOV_1]
    assert_frame_equal(lake.scan(sales).collect(), sales.empty())


def test_nothing_committed_scans_as_no_rows_in_the_right_shape(lake: TableStore, sales: Table) -> None:
    assert_frame_equal(lake.scan(sales).collect(), sales.empty())
    assert_frame_equal(lake.scan(sales, [NOV_1]).collect(), sales.empty())
    assert lake.head(sales, NOV_1) is None
    assert lake.partitions(sales) == []
    assert lake.verify([sales]) == []


def test_a_scan_takes_the_wanted_partitions_in_order_and_skips_those_that_are_not_there(
    lake: TableStore, sales: Table, sales_frame: Frame
) -> None:
    days = [dt.date(2026, 11, number) for number in range(1, 9)]
    for day in reversed(days):
        lake.commit(sales, day.isoformat(), sales_frame((str(day), None, day.day, None), day=day))
    partitions = [day.isoformat() for day in days]
    assert lake.partitions(sales) == partitions
    assert lake.scan(sales).collect()["units_count"].to_list() == list(range(1, 9))
    assert lake.scan(sales, [partitions[2], "2025-01-01", partitions[0]]).collect()["units_count"].to_list() == [1, 3]
    assert lake.scan(sales, [*partitions[6:2:-1], "2025-01-01"]).collect()["units_count"].to_list() == [4, 5, 6, 7]
    assert lake.scan(sales, []).collect().is_empty()


def test_a_scan_sees_commits_made_after_an_earlier_scan(lake: TableStore, sales: Table, sales_frame: Frame) -> None:
    days = [dt.date(2026, 11, number) for number in range(1, 6)]
    for day in days:
        lake.commit(sales, day.isoformat(), sales_frame(("a", None, 1, None), day=day))
    assert lake.scan(sales).collect()["units_count"].sum() == 5
    lake.commit(sales, days[3].isoformat(), sales_frame(("a", None, 10, None), day=days[3]))
    assert lake.scan(sales).collect()["units_count"].sum() == 14


def test_a_table_without_partitions_is_one_object(
    lake: TableStore, store: ObjectStore, plain_sales: Table, sales_frame: Frame
) -> None:
    commit = lake.commit(plain_sales, "all", sales_frame(("a", None, 1, None)))
    assert commit.key == "plain_sales/part.parquet"
    assert "plain_sales/part.parquet" in keys_of(store)
    assert lake.scan(plain_sales).collect().height == 1
    with pytest.raises(LakeError, match="'all'"):
        lake.commit(plain_sales, NOV_1, sales_frame())


@pytest.mark.parametrize(
    "partition", ["", "../x", "a/b", ".hidden", "2026-13-01", "november", "20261101", "2026-W45-1", "2026-11-01\n", "x" * 101]
)
def test_a_partition_that_is_no_date_or_could_leave_its_place_is_refused(
    folder_lake: TableStore, sales: Table, partition: str
) -> None:
    for call in (
        lambda: folder_lake.commit(sales, partition, sales.empty()),
        lambda: folder_lake.head(sales, partition),
        lambda: folder_lake.is_current(sales, partition, inputs={}),
        lambda: folder_lake.scan(sales, [partition]),
        lambda: folder_lake.discard(sales, partition),
    ):
        with pytest.raises(LakeError, match="partition"):
            call()


def test_a_broken_contract_names_its_faults_and_leaves_the_last_good_version(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame
) -> None:
    good = lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    before = {key: store.read(key) for key in keys_of(store)}
    frame = sales_frame(("a", None, 2, None))
    broken = {
        "units_count|min": sales_frame(("a", None, -1, None), ("a", None, 2, None)),
        "usage_date\\|outside partition": sales_frame(("a", None, 1, None), day=dt.date(2026, 11, 2)),
        "note\\|missing": frame.drop("note"),
        "surprise\\|unexpected": frame.with_columns(surprise=1),
        "units_count\\|is Int32": frame.with_columns(pl.col("units_count").cast(pl.Int32)),
        "effective_cost\\|is Float64": frame.with_columns(pl.lit(0.1).alias("effective_cost")),
        "units_count\\|nullability": frame.with_columns(units_count=pl.lit(None, pl.Int64)),
    }
    for fault, bad in broken.items():
        for form in (bad, bad.lazy()):
            with pytest.raises(ContractError, match=fault):
                lake.commit(sales, NOV_1, form)
    assert {key: store.read(key) for key in keys_of(store)} == before
    assert lake.head(sales, NOV_1) == good


def test_a_frame_that_fails_leaves_the_last_good_version(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame
) -> None:
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    before = {key: store.read(key) for key in keys_of(store)}
    frame = sales_frame(("a", "not a number", 1, None)).lazy()
    failing = frame.with_columns(units_count=pl.col("note").str.to_integer(strict=True, dtype=pl.Int64))
    with pytest.raises(pl.exceptions.PolarsError):
        lake.commit(sales, NOV_1, failing)
    assert {key: store.read(key) for key in keys_of(store)} == before


def test_columns_in_another_order_and_plain_text_labels_are_put_right(lake: TableStore, sales: Table, sales_frame: Frame) -> None:
    frame = sales_frame(("a", "n", 1, "2"), ("b", None, 1, "2"))
    first = lake.commit(sales, NOV_1, frame)
    loose = frame.select(pl.col(reversed(frame.columns))).with_columns(pl.col("owner_id").cast(pl.String))
    assert lake.commit(sales, NOV_1, loose).sha256 == first.sha256


def test_an_object_that_was_lost_or_exchanged_is_written_again_by_the_same_commit(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame
) -> None:
    frame = sales_frame(("a", None, 1, None))
    first = lake.commit(sales, NOV_1, frame)
    for harm in (lambda: store.delete(KEY), lambda: store.write(KEY, b"garbage")):
        harm()
        again = lake.commit(sales, NOV_1, frame)
        assert (again.sha256, again.changed) == (first.sha256, False)
        assert lake.verify([sales]) == []
        assert lake.scan(sales).collect().height == 1


def test_an_exchanged_or_lost_object_is_an_error_to_its_readers(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_PAUSE_SECONDS", 0.0)
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    lake.commit(sales, NOV_2, sales_frame(("a", None, 1, None), ("b", None, 1, None), day=dt.date(2026, 11, 2)))
    store.copy("sales/usage_date=2026-11-02/part.parquet", KEY)
    with pytest.raises(IntegrityError, match=r"usage_date=2026-11-01.*sha256"):
        lake.scan(sales)
    assert lake.scan(sales, [NOV_2]).collect().height == 2
    store.delete(KEY)
    with pytest.raises(IntegrityError, match="absent"):
        lake.scan(sales, [NOV_1])


def test_an_object_restored_from_a_backup_is_known_by_its_bytes(
    folder_lake: TableStore,
    folder_store: FolderStore,
    sales: Table,
    sales_frame: Frame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit = folder_lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    folder_store.write(KEY, folder_store.read(KEY))
    restored = folder_store.head(KEY)
    assert restored is not None
    assert restored.version != commit.object_version
    assert folder_lake.scan(sales).collect().height == 1
    monkeypatch.setattr(folder_store, "digest", None)
    assert folder_lake.scan(sales).collect().height == 1, "hashed once, known from then on"


@pytest.mark.parametrize("harm", [b"", b"{", b"[]", b"{}", b"null"])
def test_a_damaged_manifest_is_loud_to_readers_and_mended_by_the_next_commit(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame, harm: bytes
) -> None:
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    store.write("_manifests/sales/2026-11-01.json", harm)
    for read in (lambda: lake.head(sales, NOV_1), lambda: lake.scan(sales), lambda: lake.scan(sales, [NOV_1])):
        with pytest.raises(LakeError, match="manifest cannot be read"):
            read()
    assert not lake.is_current(sales, NOV_1, inputs={})
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    assert lake.scan(sales).collect().height == 1


def test_a_manifest_changed_by_hand_is_refused(lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame) -> None:
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    key = "_manifests/sales/2026-11-01.json"
    store.write(key, store.read(key).replace(b'"rows_count": 1', b'"rows_count": 7'))
    with pytest.raises(LakeError, match="changed after it was written"):
        lake.scan(sales)


def test_a_discarded_partition_is_not_current_and_is_written_anew(lake: TableStore, sales: Table, sales_frame: Frame) -> None:
    frame = sales_frame(("a", None, 1, None))
    lake.commit(sales, NOV_1, frame)
    lake.discard(sales, NOV_1)
    assert lake.partitions(sales) == []
    assert not lake.is_current(sales, NOV_1, inputs={})
    assert lake.commit(sales, NOV_1, frame).changed


def test_readers_of_a_partition_under_replacement_see_one_whole_version_or_the_other(
    folder_store: FolderStore, sales: Table, sales_frame: Frame
) -> None:
    lake = TableStore(folder_store)
    rows = {value: sales_frame(*((f"o{n}", None, value, "1") for n in range(50))) for value in (1, 2)}
    lake.commit(sales, NOV_1, rows[1])
    faults: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                found = lake.scan(sales, [NOV_1]).collect()["units_count"]
                if found.len() != 50 or found.n_unique() != 1:
                    faults.append(found)
            except BaseException as error:  # noqa: BLE001 - everything is a fault here
                faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(30):
        lake.commit(sales, NOV_1, rows[1 + number % 2])
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []


def test_runs_that_commit_the_same_partition_at_once_leave_one_whole_version(
    store: ObjectStore, sales: Table, sales_frame: Frame
) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for turn in range(3):
                TableStore(store).commit(sales, NOV_1, sales_frame(("a", None, 10 * number + turn, None)))
        except BaseException as error:  # noqa: BLE001 - everything is a fault here
            errors.append(error)

    runs = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert errors == []
    lake = TableStore(store)
    assert lake.scan(sales).collect().height == 1
    assert lake.verify([sales]) == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_of_the_product_commits_and_reads_back_empty(folder_lake: TableStore, table: Table) -> None:
    partition = "all" if table.partition is None else "d1" if table.partition == "delivery_id" else NOV_1
    folder_lake.commit(table, partition, table.empty())
    assert_frame_equal(folder_lake.scan(table).collect(), table.empty())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_control_totals_of_every_table_are_of_exact_types(table: Table) -> None:
    for name in table.control_totals:
        kind = table.polars_schema[name]
        assert kind.is_integer() or kind.is_decimal()


def test_a_store_that_refuses_to_show_the_manifest_stops_the_commit(
    folder_lake: TableStore, folder_store: FolderStore, sales: Table, sales_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))

    def refused(_: str) -> bytes:
        raise LakeError("AccessDenied")

    with monkeypatch.context() as patch:
        patch.setattr(folder_store, "read", refused)
        with pytest.raises(LakeError, match="AccessDenied"):
            folder_lake.commit(sales, NOV_1, sales_frame(("a", None, 2, None)))
        with pytest.raises(LakeError, match="AccessDenied"):
            folder_lake.is_current(sales, NOV_1, inputs={})
    assert folder_lake.scan(sales).collect()["units_count"].item() == 1


def test_control_totals_are_exact_where_machine_integers_and_floats_are_not(
    folder_lake: TableStore, sales: Table, sales_frame: Frame
) -> None:
    most = 10**18
    rows = [("a", None, most, "0.1"), ("b", None, most, "0.2")] * 10
    totals = folder_lake.commit(sales, NOV_1, sales_frame(*rows)).control_totals
    assert totals == {"units_count": str(20 * most), "effective_cost": "3"}
    assert Decimal(totals["units_count"]) > 2**63


def test_partitions_without_rows_are_stored_and_not_filled(lake: TableStore, sales: Table, sales_frame: Frame) -> None:
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, "1")))
    lake.commit(sales, NOV_2, sales.empty())
    assert lake.partitions(sales) == [NOV_1, NOV_2]
    assert lake.filled_partitions(sales) == [NOV_1]
    lake.commit(sales, NOV_1, sales.empty())
    assert lake.filled_partitions(sales) == []
