"""The lake as it stood: replaced, come back, pruned, lost, not yet there, and cut short by a crash; on both kinds of store."""

import datetime as dt
from collections.abc import Callable, Iterator

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.lake.conftest import Clock
from usage_etl.errors import DamagedManifestError, ForgottenVersionError, LakeError
from usage_etl.lake import WHOLE, Commit, FolderStore, ObjectStore, TableStore
from usage_etl.lake.as_of import AsOfTables
from usage_etl.lake.manifests import Manifests
from usage_etl.schemas.contract import Table

NOV_1, NOV_2 = "2026-11-01", "2026-11-02"
SECOND = dt.timedelta(seconds=1)
Frame = Callable[..., pl.DataFrame]


@pytest.fixture
def commit(lake: TableStore, sales: Table, sales_frame: Frame, clock: Clock) -> Callable[..., Commit]:
    """Commits one row with a number, then lets an hour pass."""

    def committed(units: int, partition: str = NOV_1, **inputs: str) -> Commit:
        row = sales_frame(("a", None, units, None), day=dt.date.fromisoformat(partition))
        made = lake.commit(sales, partition, row, inputs={"units": str(units), **inputs})
        clock.forward(hours=1)
        return made

    return committed


@pytest.fixture
def at(store: ObjectStore, clock: Clock) -> Callable[[dt.datetime], AsOfTables]:
    return lambda instant: AsOfTables(store, instant, clock=clock)


def units(lake: TableStore, table: Table, partitions: list[str] | None = None) -> list[int]:
    return lake.scan(table, partitions).collect()["units_count"].to_list()


def begun(commit: Commit) -> dt.datetime:
    return dt.datetime.fromisoformat(commit.committed_at)


def test_each_instant_reads_the_version_that_stood_then(
    commit: Callable[..., Commit], at: Callable[..., AsOfTables], sales: Table
) -> None:
    versions = [commit(number) for number in (1, 2, 3, 4)]
    for number, version in enumerate(versions, start=1):
        for instant in (begun(version), begun(version) + 59 * 60 * SECOND):
            then = at(instant)
            assert units(then, sales) == units(then, sales, [NOV_1]) == [number]
            head = then.head(sales, NOV_1)
            assert head
            assert (head.sha256, head.committed_at, head.inputs) == (version.sha256, version.committed_at, version.inputs)
            assert then.partitions(sales) == [NOV_1]
            expected = [found.sha256 for found in reversed(versions[:number])]
            assert [found.sha256 for found in then.versions(sales, NOV_1)] == expected
    before = at(begun(versions[0]) - SECOND)
    assert units(before, sales) == []
    assert before.head(sales, NOV_1) is None
    assert before.versions(sales, NOV_1) == before.partitions(sales) == []


def test_a_partition_is_absent_until_it_was_committed(
    commit: Callable[..., Commit], at: Callable[..., AsOfTables], sales: Table
) -> None:
    first, second = commit(1), commit(2, NOV_2)
    commit(3)
    assert at(begun(first)).partitions(sales) == [NOV_1]
    assert units(at(begun(second)), sales) == [1, 2]
    assert units(at(begun(second)), sales, [NOV_2, "2026-11-03"]) == [2]
    assert at(begun(second)).used() == {}


def test_many_partitions_take_one_listing_a_prefix(
    commit: Callable[..., Commit],
    at: Callable[..., AsOfTables],
    sales: Table,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = [f"2026-11-{number:02d}" for number in range(1, 9)]
    for number, day in enumerate(days):
        last = commit(number, day)
    for day in days[:5]:
        commit(100, day)
    prefixes: list[str] = []
    listing = store.list

    def counted(prefix: str) -> Iterator[object]:
        prefixes.append(prefix)
        return listing(prefix)

    monkeypatch.setattr(store, "list", counted)
    then = at(begun(last))
    assert units(then, sales) == list(range(8))
    assert then.partitions(sales) == days
    assert units(then, sales, days[:6]) == list(range(6))
    assert sorted(set(prefixes)) == ["_history/sales/", "_manifests/sales/", "_pruned/sales/", "sales/"]
    assert prefixes.count("_manifests/sales/") == prefixes.count("_history/sales/") == 1
    assert then.used() == {f"sales/{day}": head.sha256 for day in days if (head := then.head(sales, day))}


def test_a_version_that_came_back_is_read_at_each_of_its_times(
    commit: Callable[..., Commit], at: Callable[..., AsOfTables], sales: Table, lake: TableStore
) -> None:
    numbers = [1, 2, 1, 2, 3, 1, 1]
    commits = [commit(number, round=str(place)) for place, number in enumerate(numbers)]
    for place, number in enumerate(numbers):
        instant = begun(commits[0]) + dt.timedelta(hours=place, minutes=30)
        then = at(instant)
        assert units(then, sales) == [number], place
        assert dt.datetime.fromisoformat(then.head(sales, NOV_1).committed_at) <= instant
    assert not commits[-1].changed, "a commit that confirms"
    assert lake.head(sales, NOV_1).committed_at == commits[5].committed_at
    assert lake.verify([sales]) == []


def test_an_unpartitioned_table_is_read_too(
    lake: TableStore, plain_sales: Table, sales_frame: Frame, clock: Clock, at: Callable[..., AsOfTables]
) -> None:
    lake.commit(plain_sales, WHOLE, sales_frame(("a", None, 1, None)))
    instant = clock()
    clock.forward(hours=1)
    lake.commit(plain_sales, WHOLE, sales_frame(("a", None, 2, None)))
    assert units(at(instant), plain_sales) == units(at(instant), plain_sales, [WHOLE]) == [1]
    with pytest.raises(LakeError, match="not partitioned"):
        at(instant).head(plain_sales, NOV_1)


def test_a_pruned_version_is_an_error_that_names_it_and_its_time(
    store: ObjectStore, sales: Table, sales_frame: Frame, clock: Clock, at: Callable[..., AsOfTables]
) -> None:
    lake = TableStore(store, history_days=10, clock=clock)
    commits = []
    for number in (1, 2, 3):
        commits.append(lake.commit(sales, NOV_1, sales_frame(("a", None, number, None))))
        clock.forward(days=4)
    lake.commit(sales, NOV_2, sales_frame(("b", None, 9, None), day=dt.date(2026, 11, 2)))
    clock.forward(days=3)
    assert len(lake.prune()) == 1
    then = at(begun(commits[0]) + SECOND)
    with pytest.raises(ForgottenVersionError, match=r"sales/2026-11-01: as of .* was pruned") as caught:
        then.scan(sales)
    error = caught.value
    assert (error.sha256, error.begun_at, error.ended_at) == (commits[0].sha256, begun(commits[0]), begun(commits[1]))
    for read in (lambda: then.head(sales, NOV_1), lambda: then.partitions(sales), lambda: then.versions(sales, NOV_1)):
        with pytest.raises(ForgottenVersionError, match=commits[0].sha256):
            read()
    assert units(then, sales, [NOV_2]) == []
    assert units(at(begun(commits[1])), sales) == [2]
    assert at(begun(commits[0]) - SECOND).partitions(sales) == [], "before the first commit it was not there"
    assert lake.verify([sales]) == []


def test_a_pruned_version_that_came_back_is_read_from_the_copy_that_is_there(
    store: ObjectStore, sales: Table, sales_frame: Frame, clock: Clock, at: Callable[..., AsOfTables]
) -> None:
    lake = TableStore(store, history_days=10, clock=clock)
    first = clock()
    for number in (1, 2):
        lake.commit(sales, NOV_1, sales_frame(("a", None, number, None)))
        clock.forward(days=11)
    clock.forward(days=1)
    assert len(lake.prune()) == 1
    with pytest.raises(ForgottenVersionError):
        at(first).scan(sales)
    lake.commit(sales, NOV_1, sales_frame(("a", None, 1, None)))
    assert units(at(first), sales) == [1], "the head has the bytes again"
    clock.forward(days=1)
    lake.commit(sales, NOV_1, sales_frame(("a", None, 3, None)))
    assert units(at(first), sales) == [1], "so has its kept copy"


def test_without_kept_days_every_earlier_instant_is_an_error(
    store: ObjectStore, sales: Table, sales_frame: Frame, clock: Clock, at: Callable[..., AsOfTables]
) -> None:
    lake = TableStore(store, history_days=0, clock=clock)
    first = clock()
    for number in (1, 2, 3):
        lake.commit(sales, NOV_1, sales_frame(("a", None, number, None)))
        clock.forward(hours=1)
    with pytest.raises(ForgottenVersionError, match="was pruned"):
        at(first).head(sales, NOV_1)
    assert units(at(clock()), sales) == [3]
    assert at(first - SECOND).head(sales, NOV_1) is None


def test_a_lost_version_and_one_that_was_discarded_are_errors_too(
    lake: TableStore, store: ObjectStore, sales: Table, commit: Callable[..., Commit], at: Callable[..., AsOfTables]
) -> None:
    first = commit(1)
    store.write("sales/usage_date=2026-11-01/part.parquet", b"garbage")
    second = commit(2)
    third = commit(3)
    lake.discard(sales, NOV_1)
    fourth = commit(4)
    with pytest.raises(ForgottenVersionError, match="lost or changed") as caught:
        at(begun(first)).head(sales, NOV_1)
    assert caught.value.sha256 == first.sha256
    assert units(at(begun(second)), sales) == [2]
    with pytest.raises(ForgottenVersionError, match="damaged or discarded") as caught:
        at(begun(third)).head(sales, NOV_1)
    assert (caught.value.sha256, caught.value.begun_at, caught.value.ended_at) == (None, begun(third), begun(fourth))
    lake.discard(sales, NOV_1)
    assert units(at(begun(second)), sales) == [2], "also while the partition has no newest version"


def test_a_partition_whose_manifest_is_damaged_is_not_guessed(
    store: ObjectStore, sales: Table, commit: Callable[..., Commit], at: Callable[..., AsOfTables]
) -> None:
    made = commit(1)
    store.write(f"_manifests/sales/{NOV_1}.json", b"{}")
    with pytest.raises(DamagedManifestError):
        at(begun(made)).scan(sales)


def dying_after(store: FolderStore, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Kills the process at the next write but ``steps``."""
    left = steps

    def dying(method: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **named: object) -> object:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return method(*args, **named)

        return step

    for name in ("write", "upload", "copy", "delete"):
        monkeypatch.setattr(store, name, dying(getattr(store, name)))


@pytest.mark.parametrize("fatal_step", range(6))
def test_what_a_killed_commit_leaves_behind_changes_no_answer(
    folder_store: FolderStore, sales: Table, sales_frame: Frame, monkeypatch: pytest.MonkeyPatch, fatal_step: int
) -> None:
    clock = Clock()
    lake, first = TableStore(folder_store, clock=clock), clock()
    frames = {number: sales_frame(("a", None, number, None)) for number in (1, 2, 3)}

    def seen_at(instant: dt.datetime) -> list[int]:
        return units(AsOfTables(folder_store, instant, clock=clock), sales)

    lake.commit(sales, NOV_1, frames[1])
    clock.forward(hours=1)
    with monkeypatch.context() as patch:
        dying_after(folder_store, patch, fatal_step)
        try:
            lake.commit(sales, NOV_1, frames[2])
        except KeyboardInterrupt:
            stood = 1
        else:
            stood = 2
    second = clock()
    clock.forward(hours=1)
    assert (seen_at(first), seen_at(second)) == ([1], [stood])
    lake.commit(sales, NOV_1, frames[3])
    assert (seen_at(first), seen_at(second), seen_at(clock())) == ([1], [stood], [3])


def test_a_version_that_is_replaced_while_it_is_looked_up_is_found(
    commit: Callable[..., Commit], at: Callable[..., AsOfTables], sales: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = commit(1)
    read = Manifests.head

    def replaced_before_it_is_read(self: Manifests, table: str, partition: str) -> Commit | None:
        with monkeypatch.context() as patch:
            patch.setattr(Manifests, "head", read)
            commit(2)
        return read(self, table, partition)

    monkeypatch.setattr(Manifests, "head", replaced_before_it_is_read)
    then = at(begun(made))
    assert then.head(sales, NOV_1).sha256 == made.sha256
    monkeypatch.undo()
    assert units(then, sales, [NOV_1]) == [1]


def test_nothing_can_be_changed_and_no_future_be_seen(
    commit: Callable[..., Commit], at: Callable[..., AsOfTables], sales: Table, sales_frame: Frame, clock: Clock
) -> None:
    made = commit(1)
    then = at(clock())
    attempts: list[Callable[[], object]] = [
        lambda: then.commit(sales, NOV_1, sales_frame(("a", None, 2, None)), inputs={}),
        lambda: then.discard(sales, NOV_1),
        then.prune,
    ]
    for attempt in attempts:
        with pytest.raises(LakeError, match="cannot be changed"):
            attempt()
    assert not then.is_current(sales, NOV_1, inputs=made.inputs)
    with pytest.raises(LakeError, match="future"):
        at(clock() + SECOND)
    with pytest.raises(LakeError, match="time zone"):
        at(dt.datetime(2026, 11, 1))  # noqa: DTZ001


def test_only_versions_up_to_then_can_be_named(
    commit: Callable[..., Commit], at: Callable[..., AsOfTables], sales: Table
) -> None:
    first, second, third = commit(1), commit(2), commit(3)
    then = at(begun(second))
    assert then.scan_version(sales, NOV_1, first.sha256).collect()["units_count"].item() == 1
    assert then.scan_version(sales, NOV_1, second.sha256).collect()["units_count"].item() == 2
    with pytest.raises(LakeError, match="no kept version"):
        then.scan_version(sales, NOV_1, third.sha256)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.integers(1, 3), min_size=1, max_size=8), pruned_after=st.integers(0, 12))
def test_any_run_of_versions_is_answered_or_refused_but_never_wrong(
    tmp_path_factory: pytest.TempPathFactory, sales: Table, sales_frame: Frame, numbers: list[int], pruned_after: int
) -> None:
    clock, store = Clock(), FolderStore(tmp_path_factory.mktemp("lake"))
    lake, start = TableStore(store, history_days=5, clock=clock), clock()
    for number in numbers:
        lake.commit(sales, NOV_1, sales_frame(("a", None, number, None)))
        clock.forward(days=1)
    clock.forward(days=pruned_after)
    pruned = {key.rpartition("/")[2].removesuffix(".parquet") for key in lake.prune()}
    for place, number in enumerate(numbers):
        then = AsOfTables(store, start + dt.timedelta(days=place, hours=1), clock=clock)
        try:
            assert units(then, sales) == [number]
        except ForgottenVersionError as error:
            assert error.sha256 in pruned  # noqa: PT017
