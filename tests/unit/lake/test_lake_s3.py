"""What is particular to S3: lost answers, broken bodies, busy stores, credentials."""

import threading
from collections.abc import Callable
from pathlib import Path

import boto3
import polars as pl
import pytest
from botocore.exceptions import ClientError

from usage_etl.errors import LakeError, MissingObjectError, TransientLakeError
from usage_etl.keys import sha256_hex
from usage_etl.lake import s3
from usage_etl.lake.s3 import S3Store


@pytest.fixture
def shaky(faulty_s3: object, request: pytest.FixtureRequest) -> S3Store:
    """A store behind the faulty server, with pauses too short to notice."""
    prefix = f"shaky-{sha256_hex(request.node.name.encode())[:8]}"
    return S3Store("lake", prefix, endpoint_url=faulty_s3.endpoint, pause_seconds=0.001)


@pytest.fixture(autouse=True)
def no_pauses_in_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


def test_a_body_that_breaks_off_is_read_again(shaky: S3Store, faulty_s3: object, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    shaky.write("k", data)
    for read in (
        lambda: shaky.read("k"),
        lambda: shaky.download("k", tmp_path / "x") or (tmp_path / "x").read_bytes(),
    ):
        faulty_s3.faults = {"GET": ["cut", "cut", None]}
        assert read() == data
    faulty_s3.faults = {"GET": ["cut", None]}
    digest = shaky.digest("k")
    faulty_s3.faults = {}
    assert digest == shaky.digest("k")


def test_a_body_that_always_breaks_off_is_a_passing_error_not_a_short_read(shaky: S3Store, faulty_s3: object) -> None:
    shaky.write("k", b"x" * 10_000)
    faulty_s3.faults = {"GET": ["cut"] * 50}
    with pytest.raises(TransientLakeError, match="broke 8 times") as caught:
        shaky.read("k")
    assert not caught.value.is_permanent


def test_a_conditional_write_whose_answer_is_lost_has_been_won(shaky: S3Store, faulty_s3: object) -> None:
    faulty_s3.faults = {"PUT": ["lost", None]}
    assert shaky.write("k", b"mine", only_if_absent=True)
    assert faulty_s3.requests.count("PUT") == 2, "botocore tried again and was told 412"
    assert shaky.read("k") == b"mine"


def test_a_conditional_write_that_meets_409_is_tried_again(shaky: S3Store, faulty_s3: object) -> None:
    faulty_s3.faults = {"PUT": ["409", "409", None]}
    assert shaky.write("k", b"mine", only_if_absent=True)
    faulty_s3.faults = {"PUT": ["409"]}
    assert not shaky.write("k", b"other", only_if_absent=True)


def test_a_conditional_write_that_only_meets_409_gives_up_loudly(shaky: S3Store, faulty_s3: object) -> None:
    faulty_s3.faults = {"PUT": ["409"] * 50}
    with pytest.raises(TransientLakeError, match="kept getting in the way"):
        shaky.write("k", b"mine", only_if_absent=True)


def test_one_of_many_racing_conditional_writers_wins(s3_endpoint: str) -> None:
    store = S3Store("lake", "race", endpoint_url=s3_endpoint)
    wins: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: wins.append(n) if store.write("k", b"%d" % n, only_if_absent=True) else None)
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert store.read("k") == b"%d" % wins[0]


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_a_busy_store_is_asked_again(shaky: S3Store, faulty_s3: object, method: str) -> None:
    shaky.write("k", b"x")
    faulty_s3.faults = {method: ["503", "503", None]}
    assert shaky.write("k", b"x")
    assert shaky.head("k") is not None
    assert shaky.read("k") == b"x"


def test_a_store_that_stays_busy_is_a_passing_error_after_eight_attempts(shaky: S3Store, faulty_s3: object) -> None:
    faulty_s3.faults = {"PUT": ["503"] * 50}
    with pytest.raises(TransientLakeError, match=r"SlowDown \(503\)"):
        shaky.write("k", b"x")
    assert faulty_s3.requests.count("PUT") == 8


def test_a_store_that_does_not_answer_is_a_passing_error(monkeypatch: pytest.MonkeyPatch, s3_endpoint: str) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    store = S3Store("lake", endpoint_url="http://127.0.0.1:1", region="us-east-2")
    with pytest.raises(TransientLakeError, match="does not answer"):
        store.read("k")


def test_a_missing_bucket_is_not_an_empty_store(s3_endpoint: str) -> None:
    store = S3Store("no-such-bucket", endpoint_url=s3_endpoint)
    with pytest.raises(LakeError, match="NoSuchBucket"):
        list(store.list(""))
    with pytest.raises(LakeError, match="NoSuchBucket"):
        store.write("k", b"x")


def test_stores_with_other_prefixes_do_not_see_each_other(s3_endpoint: str) -> None:
    one, other = (S3Store("lake", prefix, endpoint_url=s3_endpoint) for prefix in ("tenant", "tenant-2"))
    one.write("k", b"1")
    assert list(other.list("")) == []
    assert other.head("k") is None
    assert [info.key for info in one.list("")] == ["k"]


def test_listing_goes_past_the_first_page_and_skips_folder_marks(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3Store("lake", "pages", endpoint_url=s3_endpoint)
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.put_object(Bucket="lake", Key="pages/mark/", Body=b"")
    for number in range(5):
        store.write(f"k{number}", b"")
    assert [info.key for info in store.list("")] == [f"k{number}" for number in range(5)]


def test_a_large_upload_goes_in_parts_and_an_abandoned_one_is_removed(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_MULTIPART_BYTES", 5 << 20)
    store = S3Store("lake", "large", endpoint_url=s3_endpoint)
    path = tmp_path / "large"
    path.write_bytes(b"0123456789" * (1 << 20))
    stored = store.upload("k", path)
    assert stored == store.head("k")
    assert "-" in stored.version, "an ETag of parts"
    assert store.read("k") == path.read_bytes()
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_multipart_upload(Bucket="lake", Key="large/killed")
    client.create_multipart_upload(Bucket="lake", Key="of-somebody-else")
    assert store.discard_abandoned(older_than_days=36_500) == 0, "the server dates all of them 2010"
    assert store.discard_abandoned() == 1


def test_a_copy_too_large_for_one_request_goes_in_parts(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3Store("lake", "large-copy", endpoint_url=s3_endpoint)
    store.write("k", b"x" * 1000)

    def refused(**_: object) -> None:
        raise ClientError({"Error": {"Code": "InvalidRequest", "Message": "larger than 5 GB"}}, "CopyObject")

    monkeypatch.setattr(store, "_client", _Client(store._client, copy_object=refused))
    store.copy("k", "kept/k")
    assert store.read("kept/k") == b"x" * 1000


class _Client:
    """A client with one method exchanged."""

    def __init__(self, client: object, **methods: Callable[..., object]) -> None:
        self._client = client
        vars(self).update(methods)

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)


def test_polars_reads_the_address_with_the_store_s_options(s3_endpoint: str, tmp_path: Path) -> None:
    store = S3Store("lake", "polars", endpoint_url=s3_endpoint)
    pl.DataFrame({"x": [1, 2, 3]}).write_parquet(tmp_path / "x")
    store.upload("a/x.parquet", tmp_path / "x")
    assert store.storage_options["aws_allow_http"] == "true"
    scanned = pl.scan_parquet(store.address("a/x.parquet"), storage_options=store.storage_options)
    assert scanned.sum().collect().item() == 6


def test_missing_credentials_are_named_and_no_secret_is_shown(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    store = S3Store("lake", endpoint_url=s3_endpoint, region="eu-west-3")
    calls: list[Callable[[], object]] = [lambda: store.read("k"), lambda: store.write("k", b""), lambda: store.storage_options]
    for call in calls:
        with pytest.raises(LakeError, match="AWS_ACCESS_KEY_ID") as caught:
            call()
        assert not isinstance(caught.value, MissingObjectError)
