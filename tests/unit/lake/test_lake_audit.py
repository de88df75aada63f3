"""The audit finds every kind of damage and names it."""

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from usage_etl.lake import FolderStore, ObjectStore, TableStore
from usage_etl.schemas.contract import Table

KEY = "sales/usage_date=2026-11-01/part.parquet"
Frame = Callable[..., pl.DataFrame]


@pytest.fixture
def stored(lake: TableStore, sales: Table, sales_frame: Frame) -> None:
    """A committed partition of two rows."""
    lake.commit(sales, "2026-11-01", sales_frame(("a", "text", 1, "1"), ("b", None, 2, "2")))


def test_a_sound_lake_has_no_faults(lake: TableStore, sales: Table, stored: None) -> None:
    assert lake.verify([sales]) == []


def test_every_single_flipped_byte_is_found(
    folder_lake: TableStore, folder_store: FolderStore, sales: Table, sales_frame: Frame
) -> None:
    folder_lake.commit(sales, "2026-11-01", sales_frame(("a", "text", 1, "1")))
    path = Path(folder_store.address(KEY))
    whole = path.read_bytes()
    for position in range(0, len(whole), 97):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        assert any(KEY in fault and "sha256" in fault for fault in folder_lake.verify([sales])), position


def test_a_flipped_byte_in_a_bucket_is_found(lake: TableStore, store: ObjectStore, sales: Table, stored: None) -> None:
    data = bytearray(store.read(KEY))
    data[100] ^= 1
    store.write(KEY, bytes(data))
    assert any("sha256" in fault for fault in lake.verify([sales]))


def test_a_missing_object_is_found(lake: TableStore, store: ObjectStore, sales: Table, stored: None) -> None:
    store.delete(KEY)
    assert lake.verify([sales]) == [f"{KEY}: there is no such object, its manifest says 2 row(s)"]


def test_changed_rows_are_counted_and_summed(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame, stored: None
) -> None:
    with io.BytesIO() as file:
        sales_frame(("a", None, 1, None)).write_parquet(file)
        store.upload(KEY, file.getvalue())
    faults = "\n".join(lake.verify([sales]))
    assert f"{KEY}: sha256" in faults
    assert f"{KEY}: holds 1 row(s), its manifest says 2" in faults
    assert f"{KEY}: control totals" in faults


def test_garbage_is_said_to_be_unreadable(lake: TableStore, store: ObjectStore, sales: Table, stored: None) -> None:
    store.write(KEY, b"PAR1 not really PAR1")
    assert any("cannot be read as Parquet" in fault for fault in lake.verify([sales]))


def test_an_object_nobody_knows_is_found(lake: TableStore, store: ObjectStore, sales: Table, stored: None) -> None:
    store.write("sales/usage_date=2026-11-02/part.parquet", b"x")
    assert lake.verify([sales]) == ["sales/usage_date=2026-11-02/part.parquet: an object that no readable manifest names"]


def test_a_damaged_manifest_is_found(lake: TableStore, store: ObjectStore, sales: Table, stored: None) -> None:
    store.write("_manifests/sales/2026-11-01.json", b"{}")
    assert "manifest cannot be read" in lake.verify([sales])[0]


def test_a_changed_kept_version_is_found(
    lake: TableStore, store: ObjectStore, sales: Table, sales_frame: Frame, stored: None
) -> None:
    lake.commit(sales, "2026-11-01", sales_frame(("a", None, 1, None)))
    copy = next(info.key for info in store.list("_history/") if info.key.endswith(".parquet"))
    store.write(copy, b"x")
    assert any(fault.startswith(f"{copy}: sha256 is") for fault in lake.verify([sales]))
    store.delete(copy.replace(".parquet", ".json"))
    assert any("without its note" in fault or "sha256 is" in fault for fault in lake.verify([sales]))
