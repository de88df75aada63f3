"""What both kinds of store promise."""

import datetime as dt
import hashlib
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.errors import ConfigError, LakeError, MissingObjectError
from usage_etl.lake import FolderStore, ObjectStore, open_store
from usage_etl.lake.objects import MAX_KEY_BYTES, check_key

AWKWARD_KEYS = [
    "a",
    "b/c d.json",
    "b/ü-é/日本.parquet",
    "b/x=1/y+2&z?.txt",
    "c*/[d].txt",
    "c/%2e%2e/x",
    "~/x",
    "a.b/.hidden",
    "q'\".txt",
]


def keys_of(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


@pytest.mark.parametrize("key", AWKWARD_KEYS)
def test_what_is_written_under_an_awkward_key_is_read_and_listed_under_it(store: ObjectStore, key: str) -> None:
    assert store.write(key, b"bytes")
    assert store.read(key) == b"bytes"
    assert keys_of(store) == [key]
    head = store.head(key)
    assert head is not None
    assert (head.key, head.bytes_count) == (key, 5)
    assert [head] == list(store.list(""))


def test_listing_is_recursive_sorted_and_takes_any_prefix_of_the_key(store: ObjectStore) -> None:
    for key in ["b/2/x", "b/10/x", "b.txt", "a", "b/1", "ba/1"]:
        store.write(key, b"")
    assert keys_of(store) == ["a", "b.txt", "b/1", "b/10/x", "b/2/x", "ba/1"]
    assert keys_of(store, "b/1") == ["b/1", "b/10/x"]
    assert keys_of(store, "b/") == ["b/1", "b/10/x", "b/2/x"]
    assert keys_of(store, "nothing/here/") == []


def test_an_object_that_is_not_there_is_said_to_be_missing(store: ObjectStore, tmp_path: Path) -> None:
    assert store.head("a/b") is None
    for read in (store.read, store.digest, lambda key: store.download(key, tmp_path / "x"), lambda key: store.copy(key, "c")):
        with pytest.raises(MissingObjectError, match="a/b"):
            read("a/b")
    store.delete("a/b")


def test_a_second_write_replaces_the_first_and_gets_another_version(store: ObjectStore) -> None:
    store.write("k", b"one")
    first = store.head("k")
    store.write("k", b"two!")
    assert store.read("k") == b"two!"
    assert store.head("k") != first


def test_a_write_only_if_absent_never_replaces(store: ObjectStore) -> None:
    assert store.write("k", b"mine", only_if_absent=True)
    assert store.write("k", b"mine", only_if_absent=True), "the same bytes are as good as written"
    assert not store.write("k", b"other", only_if_absent=True)
    assert store.read("k") == b"mine"


def test_an_upload_is_the_file_and_says_what_it_stored(store: ObjectStore, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 5000)
    stored = store.upload("a/b.bin", source)
    assert stored == store.head("a/b.bin")
    store.download("a/b.bin", target)
    assert target.read_bytes() == source.read_bytes()
    assert store.digest("a/b.bin") == hashlib.sha256(source.read_bytes()).hexdigest()
    assert store.upload("a/b.bin", b"short") == store.head("a/b.bin")
    assert store.read("a/b.bin") == b"short"


def test_a_copy_stays_when_the_original_is_replaced_or_deleted(store: ObjectStore) -> None:
    store.write("k", b"old")
    store.copy("k", "kept/k")
    store.write("k", b"new")
    assert store.read("kept/k") == b"old"
    store.delete("k")
    assert keys_of(store) == ["kept/k"]
    assert store.read("kept/k") == b"old"


def test_one_holder_of_a_lock_at_a_time(store: ObjectStore) -> None:
    inside, most, turns = 0, 0, 0

    def run() -> None:
        nonlocal inside, most, turns
        for _ in range(3):
            with store.lock("sales/2026-11-01") as assert_held:
                inside += 1
                most = max(most, inside)
                time.sleep(0.01)
                assert_held()
                turns += 1
                inside -= 1

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, turns) == (1, 12)


def test_a_lock_is_free_after_its_block_failed_and_others_are_free_all_the_time(store: ObjectStore) -> None:
    with pytest.raises(ZeroDivisionError), store.lock("a"):
        raise ZeroDivisionError
    with store.lock("a"), store.lock("b"):
        pass


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.write("empty", b"")
    head = store.head("empty")
    assert head is not None
    assert head.bytes_count == 0
    assert store.read("empty") == b""


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/./b",
        "a/",
        "a\0b",
        "..",
        "a\\..\\b",
        "\ud800",
        "k" * (MAX_KEY_BYTES + 1),
    ],
)
def test_a_key_that_could_leave_its_place_is_refused_by_every_method(store: ObjectStore, tmp_path: Path, key: str) -> None:
    calls = [
        lambda: store.head(key),
        lambda: store.read(key),
        lambda: store.digest(key),
        lambda: store.download(key, tmp_path / "x"),
        lambda: store.write(key, b""),
        lambda: store.upload(key, b""),
        lambda: store.copy(key, "x"),
        lambda: store.delete(key),
        lambda: store.address(key),
    ]
    for call in calls:
        with pytest.raises(LakeError, match="unsafe key"):
            call()


@given(st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "", "a", "\\", "/", "\0", "é"]), max_size=8).map("/".join))
def test_every_accepted_key_stays_below_the_root_and_no_two_share_a_place(key: str) -> None:
    root = Path("/srv/lake")
    try:
        address = Path(FolderStore(root).address(key))
    except LakeError:
        return
    assert check_key(key) == key
    assert address.as_posix() == f"/srv/lake/{key}"
    assert Path(*address.parts[: len(root.parts)]) == root
    assert ".." not in address.parts


def test_a_location_is_an_absolute_folder_or_a_bucket(tmp_path: Path, s3_endpoint: str) -> None:
    assert open_store(str(tmp_path)).address("k") == f"{tmp_path}/k"
    assert open_store("s3://lake/some/prefix/", endpoint_url=s3_endpoint).address("k") == "s3://lake/some/prefix/k"
    for location in ["relative/folder", "gs://bucket", "s3://", "file:///x", ""]:
        with pytest.raises(ConfigError, match="absolute folder or s3://"):
            open_store(location)


def test_a_listing_says_when_an_object_was_written(store: ObjectStore) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=2)
    store.write("a/b", b"x")
    for found in [*store.list("a/"), store.head("a/b")]:
        assert found is not None
        assert found.modified_at is not None
        assert before < found.modified_at < dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2)


def test_many_objects_are_read_in_the_order_asked_for_whatever_their_keys(store: ObjectStore) -> None:
    bodies = {key: bytes([number]) * number * 1000 for number, key in enumerate(AWKWARD_KEYS)}
    bodies |= {f"many/{number:03d}": f"{number}".encode() for number in range(70)}
    for key, body in bodies.items():
        store.write(key, body)
    keys = [*reversed(bodies), "gone/1", *bodies, "gone/2"]
    assert list(store.read_many(keys)) == [(key, bodies.get(key)) for key in keys]
    assert list(store.read_many([])) == []


def test_reading_many_objects_may_be_broken_off(store: ObjectStore) -> None:
    for number in range(100):
        store.write(f"{number:03d}", b"x")
    reading = store.read_many([f"{number:03d}" for number in range(100)])
    assert next(iter(reading)) == ("000", b"x")
    reading.close()  # type: ignore[attr-defined]  # both stores answer with a generator
