"""Readers of the out location never see a manifest whose files are not all there, whatever step fails."""

import dataclasses
import datetime as dt
import json
import threading
from contextlib import nullcontext

import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.unit.delivery.stores import RecordingStore, StoreFailedError
from usage_etl.delivery.manifest import Document, Edition, canonical_json, manifest_bytes
from usage_etl.delivery.publish import publish, published_files_of, published_manifest
from usage_etl.errors import ClosedPeriodError, DeliveryError, IntegrityError, MissingObjectError
from usage_etl.keys import sha256_hex
from usage_etl.lake import FolderStore, open_store

AS_OF = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
EDITION = Edition(report="chargeback", period="2026-10", period_status="preliminary", as_of=AS_OF)
CLOSED = dataclasses.replace(EDITION, period_status="closed", periods={"openai": {"status": "closed", "closing_number": 1}})
PREFIX = "chargeback/2026-10"


def check_promises(objects):
    """What the module promises to readers at every instant."""
    for key, data in objects.items():
        folder, _, name = key.rpartition("/")
        if name == "manifest.json":
            manifest = json.loads(data)
            for entry in manifest["files"]:
                assert sha256_hex(objects[f"{folder}/{entry['name']}"]) == entry["sha256"], f"{key} stands beside a wrong file"
            beside = {other for other in objects if other.rpartition("/")[0] == folder} - {key, f"{folder}/latest.json"}
            assert beside == {f"{folder}/{entry['name']}" for entry in manifest["files"]}, f"{key} does not name all its files"
        if name == "latest.json":
            pointer = json.loads(data)
            assert sha256_hex(objects[pointer["manifest_key"]]) == pointer["manifest_sha256"]
            assert set(pointer["files"].values()) <= set(objects)


def promising_store():
    """A store that checks the promises after each change."""
    return RecordingStore(check=check_promises)


def changes(store):
    """Changes so far, keys relative to the period's prefix."""
    return [(verb, key.removeprefix(f"{PREFIX}/")) for verb, key in store.changes]


def files(**contents):
    return [Document(f"{name}.csv", content.encode(), "text/csv") for name, content in contents.items()]


def go(store, bundle, edition=EDITION):
    return publish(store, edition, bundle, lock=nullcontext())


def assert_whole(store, bundle):
    """After a publication all three places hold ``bundle`` and nothing else."""
    check_promises(store.objects)
    pointer = json.loads(store.read(f"{PREFIX}/latest.json"))
    for file in bundle:
        assert store.read(f"{PREFIX}/{file.name}") == file.content
        assert store.read(pointer["files"][file.name]) == file.content
    assert store.read(f"{PREFIX}/manifest.json") == store.read(pointer["manifest_key"])


def test_first_publication_writes_data_then_manifest_then_pointer_then_stable_copies():
    store = promising_store()
    publication = go(store, files(chargeback="1", by_team="2"))
    version = publication.version_prefix.removeprefix(f"{PREFIX}/")
    assert changes(store) == [
        ("write", f"{version}/chargeback.csv"),
        ("write", f"{version}/by_team.csv"),
        ("write", f"{version}/manifest.json"),
        ("write", "latest.json"),
        ("write", "chargeback.csv"),
        ("write", "by_team.csv"),
        ("write", "manifest.json"),
    ]
    assert version == f"v-{publication.manifest_sha256[:12]}"
    assert publication.is_new
    assert publication.restates is None
    assert publication.stable_keys["chargeback.csv"] == "chargeback/2026-10/chargeback.csv"


def test_same_content_writes_nothing_even_with_newer_code_and_later_as_of():
    store = promising_store()
    first = go(store, files(chargeback="1"))
    store.changes.clear()
    later = Edition(
        report="chargeback",
        period="2026-10",
        period_status="preliminary",
        as_of=AS_OF + dt.timedelta(days=9),
        versions={"code": "2"},
        inputs={"mart_chargeback_monthly/month=2026-10-01": "f" * 64},
    )
    again = go(store, files(chargeback="1"), later)
    assert store.changes == []
    assert (again.is_new, again.manifest_sha256, again.stable_keys) == (False, first.manifest_sha256, first.stable_keys)


def test_changed_content_restates_and_keeps_the_old_version():
    store = promising_store()
    first = go(store, files(chargeback="1", dropped="x"))
    store.changes.clear()
    second = go(store, files(chargeback="2"))
    assert second.restates == first.manifest_sha256
    assert changes(store)[3:] == [
        ("delete", "manifest.json"),
        ("delete", "dropped.csv"),
        ("write", "chargeback.csv"),
        ("write", "manifest.json"),
    ]
    assert store.read(f"{first.version_prefix}/chargeback.csv") == b"1"
    assert_whole(store, files(chargeback="2"))


def test_figures_that_return_are_a_third_version_not_the_first_again():
    store = promising_store()
    first = go(store, files(chargeback="1"))
    second = go(store, files(chargeback="2"))
    third = go(store, files(chargeback="1"))
    assert third.restates == second.manifest_sha256
    assert third.manifest_sha256 != first.manifest_sha256


def test_status_change_alone_is_a_new_version():
    store = promising_store()
    go(store, files(chargeback="1"), dataclasses.replace(EDITION, period_status="open"))
    assert go(store, files(chargeback="1")).is_new
    assert go(store, files(chargeback="1"), CLOSED).is_new


@pytest.mark.parametrize("fail_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("retry_with", ["same files", "other files", "the files before"])
def test_readers_are_safe_at_every_failing_step_and_the_next_run_mends_it(step, fail_after, retry_with):
    old, new, other = files(chargeback="1", gone="x"), files(chargeback="2", added="y"), files(chargeback="3")
    store = promising_store()
    go(store, old)
    store.fail_at, store.fail_after = len(store.changes) + step, fail_after
    with pytest.raises(StoreFailedError):
        go(store, new)
    check_promises(store.objects)
    store.fail_at = None
    bundle = {"same files": new, "other files": other, "the files before": old}[retry_with]
    go(store, bundle)
    assert_whole(store, bundle)
    store.changes.clear()
    go(store, bundle)
    assert store.changes == []


def test_nine_steps_are_all_there_are():
    store = promising_store()
    go(store, files(chargeback="1", gone="x"))
    store.changes.clear()
    go(store, files(chargeback="2", added="y"))
    assert len(store.changes) == 9


def test_file_dropped_two_cut_publications_ago_does_not_stay():
    store = promising_store()
    go(store, files(chargeback="1", gone="x"))
    store.fail_at, store.fail_after = len(store.changes) + 3, True  # stable manifest deleted, nothing else
    with pytest.raises(StoreFailedError):
        go(store, files(chargeback="2"))
    store.fail_at = None
    go(store, files(chargeback="3"))
    assert_whole(store, files(chargeback="3"))


def test_files_in_force_are_those_of_the_pointer_whatever_stands_at_the_stable_paths():
    store, new = promising_store(), files(chargeback="2", added="y")
    assert published_files_of(store, PREFIX) == []
    go(store, files(chargeback="1"))
    store.fail_at, store.fail_after = len(store.changes) + 3, True  # the pointer is written, no stable copy
    with pytest.raises(StoreFailedError):
        go(store, new)
    assert published_files_of(store, PREFIX) == sorted(new, key=lambda file: file.name)
    version = json.loads(store.objects[f"{PREFIX}/latest.json"])["files"]["added.csv"]
    store.objects[version] = b"another"
    with pytest.raises(IntegrityError):
        published_files_of(store, PREFIX)


def test_stable_copy_that_someone_overwrote_is_mended():
    store = promising_store()
    go(store, files(chargeback="1"))
    store.objects[f"{PREFIX}/chargeback.csv"] = b"saved by a spreadsheet"
    store.objects[f"{PREFIX}/manifest.json"] = b"not even JSON"
    assert not go(store, files(chargeback="1")).is_new
    assert_whole(store, files(chargeback="1"))


def test_reader_in_another_thread_never_meets_a_mismatch(tmp_path):
    store = FolderStore(tmp_path)
    faults, seen = [], set()
    done = threading.Event()

    def read():
        while not done.is_set():
            try:
                manifest = store.read(f"{PREFIX}/manifest.json")
                data = store.read(f"{PREFIX}/chargeback.csv")
                after = store.read(f"{PREFIX}/manifest.json")
            except MissingObjectError:
                continue
            if manifest == after:
                seen.add(data)
                if sha256_hex(data) != json.loads(manifest)["files"][0]["sha256"]:
                    faults.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        go(store, files(chargeback=str(number)))
    done.set()
    reader.join()
    assert not faults
    assert len(seen) > 1


@pytest.fixture
def bucket(monkeypatch):
    """A prefix in a bucket of an S3 server on this machine."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    httpx.put(f"{endpoint}/reports").raise_for_status()
    yield open_store("s3://reports/finance", endpoint_url=endpoint)
    server.stop()


def test_bucket_holds_what_a_folder_holds(bucket, tmp_path):
    folder = FolderStore(tmp_path)
    for store in (bucket, folder):
        go(store, files(chargeback="1", gone="x"))
        go(store, files(chargeback="2"))
        assert not go(store, files(chargeback="2")).is_new
    keys = [info.key for info in folder.list("")]
    assert [info.key for info in bucket.list("")] == keys
    assert [bucket.read(key) for key in keys] == [folder.read(key) for key in keys]
    check_promises({key: bucket.read(key) for key in keys})


def test_foreign_object_under_a_version_is_refused():
    store = promising_store()
    sha256 = sha256_hex(manifest_bytes(EDITION, files(chargeback="1"), restates=None))
    store.objects[f"{PREFIX}/v-{sha256[:12]}/chargeback.csv"] = b"foreign"
    with pytest.raises(IntegrityError):
        go(store, files(chargeback="1"))
    assert f"{PREFIX}/latest.json" not in store.objects


@pytest.mark.parametrize("pointer", [b"{}", b"[]", b"no json"])
def test_damaged_pointer_is_loud(pointer):
    store = promising_store()
    store.objects[f"{PREFIX}/latest.json"] = pointer
    with pytest.raises(IntegrityError, match="pointer"):
        go(store, files(chargeback="1"))


def test_changed_manifest_of_a_version_is_loud():
    store = promising_store()
    first = go(store, files(chargeback="1"))
    store.objects[f"{first.version_prefix}/manifest.json"] += b" "
    with pytest.raises(IntegrityError, match="sha256"):
        go(store, files(chargeback="1"))


@pytest.mark.parametrize(
    "name", ["", "../x.csv", "a/b.csv", "A.csv", "x", "manifest.json", "latest.json", "a b.csv", "a.csv\n", "é.csv", ".csv"]
)
def test_names_that_could_leave_the_prefix_are_refused_before_any_write(name):
    store = promising_store()
    with pytest.raises(DeliveryError):
        go(store, [Document("ok.csv", b"", "text/csv"), Document(name, b"", "text/csv")])
    assert store.changes == []


@pytest.mark.parametrize(
    ("report", "period"), [("../x", "2026-10"), ("Chargeback", "2026-10"), ("x", "2026/10"), ("x", ".."), ("x", "2026-10\n")]
)
def test_report_and_period_that_cannot_stand_in_a_key_are_refused(report, period):
    with pytest.raises(DeliveryError):
        Edition(report=report, period=period, period_status="open", as_of=AS_OF)


def test_no_file_and_a_name_twice_are_refused():
    with pytest.raises(DeliveryError, match="no file"):
        go(promising_store(), [])
    with pytest.raises(DeliveryError, match="twice"):
        go(promising_store(), [*files(a="1"), *files(a="2")])


def test_lock_is_held_while_anything_is_read_or_written():
    events = []

    class Lock:
        def __enter__(self):
            events.append("locked")

        def __exit__(self, *_):
            events.append("released")

    class Watched(RecordingStore):
        def head(self, key):
            """Whether the object exists."""
            events.append("store")
            return super().head(key)

        def _change(self, *change):
            events.append("store")
            super()._change(*change)

    publish(Watched(), EDITION, files(chargeback="1"), lock=Lock())
    assert events[0] == "locked"
    assert events[-1] == "released"
    assert events.count("locked") == 1


def manifest_of(store):
    """The manifest in force."""
    return json.loads(store.read(f"{PREFIX}/manifest.json"))


@pytest.mark.parametrize(
    "bundle",
    [files(chargeback="2"), files(chargeback="1", added="x"), files(other="1")],
    ids=["other bytes", "a file more", "another name"],
)
@pytest.mark.parametrize("status", ["open", "preliminary", "closed"])
def test_closed_edition_is_replaced_by_nothing(bundle, status):
    store = promising_store()
    go(store, files(chargeback="1"), CLOSED)
    before = dict(store.objects)
    store.changes.clear()
    with pytest.raises(ClosedPeriodError, match=r"2026-10 is closed: chargeback .* would change in .*usage-etl reopen"):
        go(store, bundle, dataclasses.replace(EDITION, period_status=status))
    assert (store.objects, store.changes) == (before, [])


@pytest.mark.parametrize("status", ["open", "preliminary", "closed"])
def test_same_files_of_a_closed_month_are_published_already_whatever_the_status(status):
    store = promising_store()
    first = go(store, files(chargeback="1"), CLOSED)
    store.changes.clear()
    again = go(store, files(chargeback="1"), dataclasses.replace(EDITION, period_status=status))
    assert (again.is_new, again.manifest_sha256, store.changes) == (False, first.manifest_sha256, [])


def test_reopened_edition_replaces_the_closed_one_that_it_names_and_no_other():
    store = promising_store()
    first = go(store, files(chargeback="1"), CLOSED)
    with pytest.raises(ClosedPeriodError):
        go(store, files(chargeback="2"), dataclasses.replace(EDITION, reopened_from="f" * 64))
    reopened = dataclasses.replace(EDITION, reopened_from=first.manifest_sha256)
    second = go(store, files(chargeback="2"), reopened)
    assert second.restates == first.manifest_sha256
    assert manifest_of(store)["reopened_from"] == first.manifest_sha256
    third = go(store, files(chargeback="3"), reopened)
    assert manifest_of(store)["reopened_from"] is None
    closed_again = go(store, files(chargeback="4"), CLOSED)
    with pytest.raises(ClosedPeriodError):
        go(store, files(chargeback="5"), reopened)
    assert [third.restates, closed_again.restates] == [second.manifest_sha256, third.manifest_sha256]
    assert store.read(f"{first.version_prefix}/chargeback.csv") == b"1"
    assert_whole(store, files(chargeback="4"))


def test_versions_count_the_editions_and_periods_name_the_closings():
    store = promising_store()
    go(store, files(chargeback="1"))
    assert (manifest_of(store)["version"], manifest_of(store)["periods"]) == (1, {})
    go(store, files(chargeback="2"))
    go(store, files(chargeback="3"), CLOSED)
    assert manifest_of(store)["version"] == 3
    assert manifest_of(store)["periods"] == {"openai": {"closing_number": 1, "status": "closed"}}
    assert published_manifest(store, PREFIX) == (sha256_hex(store.read(f"{PREFIX}/manifest.json")), manifest_of(store))


def test_manifests_of_earlier_programs_are_counted():
    store = promising_store()
    names = ("version", "periods", "reopened_from")
    restates = None
    for content in ("1", "2"):
        bundle = files(chargeback=content)
        old = json.loads(manifest_bytes(EDITION, bundle, restates=restates))
        data = canonical_json({name: value for name, value in old.items() if name not in names})
        restates = sha256_hex(data)
        folder = f"{PREFIX}/v-{restates[:12]}"
        store.objects |= {f"{folder}/chargeback.csv": content.encode(), f"{folder}/manifest.json": data}
    pointer = {"manifest_sha256": restates, "manifest_key": f"{folder}/manifest.json", "files": {}}
    store.objects[f"{PREFIX}/latest.json"] = canonical_json(pointer)
    go(store, files(chargeback="3"))
    assert manifest_of(store)["version"] == 3
    assert published_manifest(store, "chargeback/2026-11") is None
