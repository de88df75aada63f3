"""Replaced versions: kept, found, pruned, and read in place of an object that a killed commit has exchanged already."""

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from usage_etl.errors import IntegrityError, LakeError
from usage_etl.lake import Commit, FolderStore, ObjectStore, TableStore
from usage_etl.lake.manifests import Manifests
from usage_etl.schemas.contract import Table

NOV_1 = "2026-11-01"
KEY = "sales/usage_date=2026-11-01/part.parquet"
Frame = Callable[..., pl.DataFrame]


@pytest.fixture
def commit(lake: TableStore, sales: Table, sales_frame: Frame) -> Callable[[int], Commit]:
    """Commits one row with a number."""
    return lambda units: lake.commit(sales, NOV_1, sales_frame(("a", None, units, None)), inputs={"units": str(units)})


def kept(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list("_history/")]


def test_a_replaced_version_can_be_read_and_says_from_what_it_was_made(
    lake: TableStore, sales: Table, commit: Callable[[int], Commit], clock: object
) -> None:
    versions = []
    for units in (1, 2, 3):
        versions.append(commit(units))
        clock.forward(hours=1)
    assert [lake.scan_version(sales, NOV_1, version.sha256).collect()["units_count"].item() for version in versions] == [1, 2, 3]
    found = lake.versions(sales, NOV_1)
    assert [version.sha256 for version in found] == [version.sha256 for version in reversed(versions)]
    assert [version.inputs for version in found] == [{"units": "3"}, {"units": "2"}, {"units": "1"}]
    assert [version.committed_at for version in found] == sorted((v.committed_at for v in versions), reverse=True)
    assert lake.verify([sales]) == []


def test_a_version_that_was_never_or_is_no_longer_kept_is_an_error(
    lake: TableStore, sales: Table, commit: Callable[[int], Commit]
) -> None:
    commit(1)
    with pytest.raises(LakeError, match="is not kept"):
        lake.scan_version(sales, NOV_1, "0" * 64)
    with pytest.raises(LakeError, match="is not kept"):
        lake.scan_version(sales, "2026-11-02", "0" * 64)


def test_a_kept_version_that_was_changed_is_not_read(
    lake: TableStore, store: ObjectStore, sales: Table, commit: Callable[[int], Commit]
) -> None:
    first = commit(1)
    commit(2)
    store.copy(KEY, f"_history/sales/{NOV_1}/{first.sha256}.parquet")
    with pytest.raises(IntegrityError, match="_history"):
        lake.scan_version(sales, NOV_1, first.sha256)


def test_versions_replaced_longer_ago_than_the_kept_days_are_pruned(
    store: ObjectStore, sales: Table, sales_frame: Frame, clock: object
) -> None:
    lake = TableStore(store, history_days=10, clock=clock)
    shas = []
    for units in (1, 2, 3):
        shas.append(lake.commit(sales, NOV_1, sales_frame(("a", None, units, None))).sha256)
        clock.forward(days=4)
    assert lake.prune() == []
    clock.forward(days=3)  # 11 days after the second commit replaced the first, 7 after the third replaced the second
    assert lake.prune() == [f"_history/sales/{NOV_1}/{shas[0]}.parquet"]
    assert kept(store) == [f"_history/sales/{NOV_1}/{shas[1]}.json", f"_history/sales/{NOV_1}/{shas[1]}.parquet"]
    clock.forward(days=100)
    lake.prune()
    assert kept(store) == []
    assert lake.scan(sales).collect()["units_count"].item() == 3


def test_going_back_to_an_earlier_content_keeps_its_copy_from_the_last_replacement(
    store: ObjectStore, sales: Table, sales_frame: Frame, clock: object
) -> None:
    lake = TableStore(store, history_days=10, clock=clock)
    for units in (1, 2, 1, 2):
        lake.commit(sales, NOV_1, sales_frame(("a", None, units, None)))
        clock.forward(days=8)
    removed = lake.prune()
    assert len(removed) == 1, "the 2 that was replaced 16 days ago; the 1 was replaced again 8 days ago"
    assert lake.verify([sales]) == []


def test_with_no_kept_days_nothing_stays(store: ObjectStore, sales: Table, sales_frame: Frame) -> None:
    lake = TableStore(store, history_days=0)
    for units in (1, 2, 3):
        lake.commit(sales, NOV_1, sales_frame(("a", None, units, None)))
    assert kept(store) == []


@pytest.mark.parametrize("history_days", [0, 400])
def test_readers_keep_the_old_version_when_a_commit_dies_between_object_and_manifest(
    store: ObjectStore, sales: Table, sales_frame: Frame, monkeypatch: pytest.MonkeyPatch, history_days: int
) -> None:
    lake = TableStore(store, history_days=history_days)
    frames = {units: sales_frame(("a", None, units, None)) for units in (1, 2, 3)}
    lake.commit(sales, NOV_1, frames[1], inputs={"v": "1"})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Manifests, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            lake.commit(sales, NOV_1, frames[2], inputs={"v": "2"})
    assert lake.scan(sales).collect()["units_count"].item() == 1
    assert lake.scan(sales, [NOV_1]).collect()["units_count"].item() == 1
    assert lake.is_current(sales, NOV_1, inputs={"v": "1"})
    assert not lake.is_current(sales, NOV_1, inputs={"v": "2"})
    lake.commit(sales, NOV_1, frames[3], inputs={"v": "3"})
    assert lake.scan(sales).collect()["units_count"].item() == 3
    assert lake.verify([sales]) == []
    assert len(lake.versions(sales, NOV_1)) == (2 if history_days else 1)


@pytest.mark.parametrize("fatal_step", range(6))
def test_a_commit_that_dies_at_any_write_is_finished_by_running_it_again(
    folder_store: FolderStore, sales: Table, sales_frame: Frame, monkeypatch: pytest.MonkeyPatch, fatal_step: int
) -> None:
    folder_lake = TableStore(folder_store)
    old, new = sales_frame(("a", None, 1, None)), sales_frame(("a", None, 2, None))
    folder_lake.commit(sales, NOV_1, old)
    steps = 0

    def dying(method: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **named: object) -> object:
            nonlocal steps
            if steps == fatal_step:
                raise KeyboardInterrupt
            steps += 1
            return method(*args, **named)

        return step

    with monkeypatch.context() as patch:
        for name in ("write", "upload", "copy", "delete"):
            patch.setattr(folder_store, name, dying(getattr(folder_store, name)))
        try:
            folder_lake.commit(sales, NOV_1, new)
        except KeyboardInterrupt:
            assert folder_lake.scan(sales).collect()["units_count"].item() == 1
        else:
            assert steps == 4, "note, copy, object, manifest"
            assert folder_lake.scan(sales).collect()["units_count"].item() == 2
    folder_lake.commit(sales, NOV_1, new)
    assert folder_lake.scan(sales).collect()["units_count"].item() == 2
    assert folder_lake.verify([sales]) == []
    assert [version.rows_count for version in folder_lake.versions(sales, NOV_1)] == [1, 1]


def test_a_version_that_is_lost_before_it_is_replaced_is_not_pretended_to_be_kept(
    lake: TableStore, store: ObjectStore, sales: Table, commit: Callable[[int], Commit], caplog: pytest.LogCaptureFixture
) -> None:
    commit(1)
    store.write(KEY, b"garbage")
    commit(2)
    assert kept(store) == []
    assert "replaced version is lost" in caplog.text
    assert lake.verify([sales]) == []


def test_a_damaged_note_does_not_hide_the_others(
    lake: TableStore, store: ObjectStore, sales: Table, commit: Callable[[int], Commit], clock: object
) -> None:
    first, second = commit(1), commit(2)
    commit(3)
    store.write(f"_history/sales/{NOV_1}/{first.sha256}.json", b"{")
    assert second.sha256 in {version.sha256 for version in lake.versions(sales, NOV_1)}
    clock.forward(days=1000)
    assert lake.prune() == [f"_history/sales/{NOV_1}/{second.sha256}.parquet"]
    assert len(lake.verify([sales])) == 1
    assert dt.datetime.fromisoformat(first.committed_at).tzinfo is not None
