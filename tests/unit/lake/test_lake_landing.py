"""Landing: bytes kept as received, known once, read back checked."""

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usage_etl.errors import IntegrityError, LakeError
from usage_etl.keys import sha256_hex
from usage_etl.lake import DeliveryIndex, FolderStore, LandedDelivery, Landing, ObjectStore, delivery_id, open_state

Land = Callable[..., LandedDelivery | None]


@pytest.fixture
def index(tmp_path: Path, clock: object) -> DeliveryIndex:
    return DeliveryIndex(open_state(f"sqlite:///{tmp_path}/state.sqlite"), clock=clock)


@pytest.fixture
def landing(store: ObjectStore, index: DeliveryIndex, clock: object) -> Landing:
    return Landing(store, index, clock=clock)


@pytest.fixture
def land(landing: Landing) -> Land:
    def call(content: bytes | Path = b"content", key: str = "logs/a.jsonl", version: str = "1", **more: object) -> object:
        named = {"source": "gateway", "kind": "litellm", "dataset": "spend_logs", "origin_key": key, "origin_version": version}
        return landing.land(content=content, **(named | more))

    return call


def test_a_landed_object_is_stored_as_received_and_indexed(land: Land, store: ObjectStore, index: DeliveryIndex) -> None:
    delivery = land(b"\xff\x00 raw")
    assert delivery is not None
    assert delivery.landed_key.startswith(f"landing/gateway/2026-11-20/{delivery.delivery_id[:16]}-")
    assert delivery.landed_key.endswith("a.jsonl")
    assert store.read(delivery.landed_key) == b"\xff\x00 raw"
    assert (delivery.sequence, delivery.status, delivery.bytes_count) == (1, "landed", 6)
    assert delivery.received_at == dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
    assert delivery.delivery_id == delivery_id(
        source="gateway", origin_key="logs/a.jsonl", origin_version="1", sha256=sha256_hex(b"\xff\x00 raw")
    )
    assert len(delivery.delivery_id) == 32
    assert index.deliveries() == index.pending() == index.pending("gateway") == [delivery]
    assert index.pending("other") == []


def test_a_file_lands_like_its_bytes(land: Land, store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    delivery = land(tmp_path / "file")
    assert delivery is not None
    assert store.read(delivery.landed_key) == b"x" * 100_000
    assert delivery.bytes_count == 100_000


def test_the_same_version_of_an_origin_lands_once(land: Land, store: ObjectStore, index: DeliveryIndex) -> None:
    assert land() is not None
    before = list(store.list(""))
    assert land() is None
    assert land(b"other bytes under the same version") is None
    assert list(store.list("")) == before
    assert index.seen("gateway") == {("logs/a.jsonl", "1")}
    assert index.seen("other") == set()


def test_the_same_bytes_again_are_a_duplicate_with_the_earlier_row_count(land: Land, index: DeliveryIndex) -> None:
    first = land()
    index.record_staged(first.delivery_id, [], rows_read=7, rows_quarantined=0, parser_version="1")
    for again in (land(version="2"), land(key="copy/of/a.jsonl"), land(key="copy/of/a.jsonl", version="2")):
        assert (again.status, again.rows_read_count) == ("duplicate", 7)
        assert "same bytes as delivery" in again.status_reason
    assert index.pending() == []


def test_the_same_bytes_of_another_source_are_no_duplicate(land: Land) -> None:
    land()
    assert land(source="other").status == "landed"


def test_bytes_that_come_back_after_others_under_the_same_key_undo_a_restatement(land: Land) -> None:
    assert land(b"X", version="1").status == "landed"
    assert land(b"Y", version="2").status == "landed"
    assert land(b"X", version="3").status == "landed"
    assert land(b"X", version="4").status == "duplicate"


def test_where_deliveries_replace_earlier_ones_only_a_repetition_of_the_last_is_a_duplicate(land: Land) -> None:
    bill = {"replaces_earlier": True, "dataset": "costs"}
    assert land(b"X", key="pull-1", **bill).status == "landed"
    assert land(b"X", key="pull-2", **bill).status == "duplicate"
    assert land(b"Y", key="pull-3", **bill).status == "landed"
    assert land(b"Z", key="usage-1", replaces_earlier=True, dataset="usage").status == "landed"
    assert land(b"Y", key="pull-4", **bill).status == "duplicate", "another dataset came between, not another bill"
    assert land(b"X", key="pull-5", **bill).status == "landed", "it replaces Y again"


@pytest.mark.parametrize("fate", ["refused", "held"])
def test_bytes_that_were_kept_out_are_tried_again_when_they_come_again(land: Land, index: DeliveryIndex, fate: str) -> None:
    first = land()
    record = index.record_refused if fate == "refused" else index.record_held
    record(first.delivery_id, "why", 0)
    assert land(version="2").status == "landed"
    assert land(key="b.jsonl").status == "duplicate", "of the second, which waits to be staged"


def test_a_landed_object_opens_as_a_local_copy_with_its_suffixes_and_leaves_no_trace(land: Land, landing: Landing) -> None:
    for key, suffix in {
        "a/x.2026-11-01.jsonl.gz": ".jsonl.gz",
        "x.jsonl": ".jsonl",
        "x": "",
        "a.b/x": "",
        "../..": "",
        "x.jsonl.gz ": "",
        "n" * 300 + ".jsonl.zst": ".jsonl.zst",
    }.items():
        with landing.open(land(key.encode(), key=key)) as path:
            assert path.read_bytes() == key.encode()
            assert path.name.partition(".")[1] + path.name.partition(".")[2] == suffix
        assert not path.parent.exists()


def test_a_landed_object_that_was_changed_is_not_opened(land: Land, landing: Landing, store: ObjectStore) -> None:
    delivery = land()
    store.write(delivery.landed_key, b"c0ntent")
    with pytest.raises(IntegrityError, match="landing/gateway"), landing.open(delivery):
        pass
    assert [fault for fault in landing.verify() if delivery.landed_key in fault and "sha256" in fault]
    store.delete(delivery.landed_key)
    with pytest.raises(LakeError, match="no such object"), landing.open(delivery):
        pass
    assert landing.verify() == [f"{delivery.landed_key}: there is no such object, the delivery index names it"]


def test_a_source_name_that_is_no_slug_is_refused(land: Land) -> None:
    with pytest.raises(LakeError, match="may stand in a key"):
        land(source="../x")


def test_landers_at_once_get_every_object_once_and_every_number_once(
    folder_store: FolderStore, tmp_path: Path, index: DeliveryIndex
) -> None:
    landed: list[LandedDelivery | None] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            own = Landing(folder_store, DeliveryIndex(open_state(f"sqlite:///{tmp_path}/state.sqlite")))
            for number in range(10):
                content = b"%d" % number
                more = {"source": "s", "kind": "k", "dataset": "d", "origin_key": f"{number}", "origin_version": "1"}
                landed.append(own.land(content=content, **more))
        except BaseException as error:  # noqa: BLE001 - everything is a fault here
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    entered = [delivery for delivery in landed if delivery]
    assert len(landed) == 40
    assert sorted(delivery.origin_key for delivery in entered) == sorted(str(number) for number in range(10))
    assert sorted(delivery.sequence for delivery in entered) == list(range(1, 11))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=60))
def test_whatever_an_origin_is_called_its_object_lies_below_landing(folder_store: FolderStore, name: str) -> None:
    class NoIndex(DeliveryIndex):
        def __init__(self) -> None:
            self.entered: dict[str, object] = {}

        def is_seen(self, source: str, origin_key: str, origin_version: str) -> bool:
            return False

        def register(self, landed: dict[str, object], **_: object) -> None:
            self.entered = landed

    try:
        name.encode()
    except UnicodeEncodeError:
        return
    index = NoIndex()
    Landing(folder_store, index).land(
        source="s", kind="k", dataset="d", origin_key=name, origin_version="1", content=name.encode()
    )
    key = str(index.entered["landed_key"])
    assert key.startswith("landing/s/")
    assert key.count("/") == 3
    assert folder_store.read(key) == name.encode()


def test_the_members_of_bundles_are_known_by_folder_and_source(land: Land, index: DeliveryIndex) -> None:
    marks = [bytes([number]) * 12 for number in range(5)]
    assert land(b"1", key="d/1.bundle", members=("d", marks[:2])) is not None
    assert land(b"2", key="d/2.bundle", members=("d", marks[2:4])) is not None
    assert land(b"3", key="e/1.bundle", members=("e", marks[4:])) is not None
    assert land(b"4", key="d/1.bundle", source="other", members=("d", marks[4:])) is not None
    assert index.members("gateway", "d") == set(marks[:4])
    assert index.members("gateway", "e") == {marks[4]}
    assert index.members("gateway", "f") == frozenset()
    assert land(b"1", key="d/again.bundle", members=("d", marks[4:])).status == "duplicate"
    assert marks[4] in index.members("gateway", "d"), "its members are landed all the same"
