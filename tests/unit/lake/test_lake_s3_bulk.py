"""The quick way of reading many objects: what it is unsure of is read in the ordinary way."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from usage_etl.errors import LakeError, TransientLakeError
from usage_etl.lake import s3_bulk
from usage_etl.lake.s3 import S3Store
from usage_etl.lake.s3_bulk import BulkReader, Credentials

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.fixture(autouse=True)
def no_pauses_in_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


@pytest.mark.parametrize("fault", ["cut", "lost", "503"])
def test_what_breaks_on_the_quick_way_is_read_in_the_ordinary_way(faulty_s3: object, fault: str) -> None:
    store = S3Store("lake", f"bulk-{fault}", endpoint_url=faulty_s3.endpoint, pause_seconds=0.001)
    bodies = {f"k{number:02d}": bytes([number]) * 1000 for number in range(40)}
    for key, body in bodies.items():
        store.write(key, body)
    faulty_s3.requests.clear()
    faulty_s3.faults = {"GET": [fault, None, fault, None, None, fault]}
    assert dict(store.read_many(list(bodies))) == bodies
    assert len(faulty_s3.requests) > len(bodies)


def test_a_store_that_stays_broken_is_a_passing_error_and_not_a_missing_object(faulty_s3: object) -> None:
    store = S3Store("lake", "bulk-broken", endpoint_url=faulty_s3.endpoint, pause_seconds=0.001)
    store.write("k", b"x" * 1000)
    faulty_s3.faults = {"GET": ["cut"] * 50}
    with pytest.raises(TransientLakeError):
        list(store.read_many(["k"]))


def test_without_credentials_the_ordinary_way_says_what_is_missing(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = S3Store("lake", "bulk", endpoint_url=s3_endpoint)
    monkeypatch.setattr(store, "_session", type("Nobody", (), {"get_credentials": lambda _: None})())
    assert store._bulk_reader() is None


@pytest.mark.parametrize(
    ("endpoint", "bucket", "host", "path"),
    [
        (None, "logs", "logs.s3.eu-west-1.amazonaws.com", "/"),
        (None, "my.logs", "s3.eu-west-1.amazonaws.com", "/my.logs/"),
        ("http://minio:9000", "logs", "minio:9000", "/logs/"),
        ("https://s3.example.com/base/", "logs", "s3.example.com", "/base/logs/"),
    ],
)
def test_a_bucket_is_addressed_as_its_store_wants_it(
    endpoint: str | None, bucket: str, host: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    reader = S3Store(bucket, endpoint_url=endpoint, region="eu-west-1")._bulk_reader()
    assert reader is not None
    assert (reader._base.netloc, reader._base.path) == (host, path)


class Scripted:
    """A server that answers each request with the next of its answers, and keeps what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers, self.requests, self.readers = list(answers), list[bytes](), list[BulkReader]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base = urlsplit(f"http://127.0.0.1:{self._socket.getsockname()[1]}/logs/")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self.answers:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                while self.answers and (request := self._request(stream)):
                    self.requests.append(request)
                    answer = self.answers.pop(0)
                    connection.sendall(answer)
                    if not answer or b"ends here" in answer:
                        break

    @staticmethod
    def _request(stream: Iterator[bytes]) -> bytes:
        lines = []
        for line in stream:
            lines.append(line)
            if line == b"\r\n":
                return b"".join(lines)
        return b""

    def reader(self, region: str = "us-east-1", keys: Credentials = KEYS) -> BulkReader:
        self.readers.append(BulkReader(self.base, region=region, credentials=lambda: keys))
        return self.readers[-1]

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self._socket.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(*answers: bytes) -> Scripted:
        made.append(Scripted(*answers))
        return made[-1]

    yield make
    for server in made:
        server.close()


def ok(body: bytes, *, etag: str | None = None, more: bytes = b"") -> bytes:
    mark = (etag or hashlib.md5(body).hexdigest()).encode()
    return b'HTTP/1.1 200 OK\r\nETag: "%s"\r\n%sContent-Length: %d\r\n\r\n%s' % (mark, more, len(body), body)


def ordinary() -> bytes:
    return b"in the ordinary way"


ODD = {
    "no length": b"HTTP/1.1 200 OK\r\n\r\nbody ends here",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nends here",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nends here",
    "moved": b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n",
    "forbidden": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope",
    "not http": b"SSH-2.0-OpenSSH ends here\r\n\r\n",
    "nothing": b"",
    "absurd length": b"HTTP/1.1 200 OK\r\nContent-Length: twelve\r\n\r\nends here",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nends here",
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_is_no_answer_and_the_next_is_read_again(scripted: Callable[..., Scripted], odd: str) -> None:
    server = scripted(ODD[odd], ok(b"good"))
    reader = server.reader()
    assert reader.read("k", ordinary) == ordinary()
    assert reader.read("k", ordinary) == b"good"


def test_bytes_that_are_not_those_of_the_etag_are_read_again(scripted: Callable[..., Scripted]) -> None:
    changed = ok(b"bytes", etag=hashlib.md5(b"Bytes").hexdigest())
    reader = scripted(changed, changed, changed, ok(b"x", etag="part-3")).reader()
    assert reader.read("k", lambda: b"Bytes") == b"Bytes", "a bit fell over on the way"
    assert reader.read("k", lambda: b"bytes") == b"bytes", "an encrypted object: its ETag is none of its bytes"
    assert reader.read("k", ordinary) == b"bytes", "after that the ETag is not asked any more"
    assert reader.read("k", ordinary) == b"x"


def test_after_some_failures_in_a_row_the_quick_way_is_left(scripted: Callable[..., Scripted]) -> None:
    server = scripted(*[ODD["forbidden"]] * 50)
    reader = server.reader()
    assert [reader.read("k", ordinary) for _ in range(20)] == [ordinary()] * 20
    assert len(server.requests) == s3_bulk._FAULTS_LIMIT


def test_what_the_ordinary_way_raises_comes_through(scripted: Callable[..., Scripted]) -> None:
    def fail() -> bytes:
        raise LakeError("no")

    with pytest.raises(LakeError, match="no"):
        scripted(ODD["nothing"]).reader().read("k", fail)


def test_a_connection_is_kept_until_the_server_ends_it(scripted: Callable[..., Scripted]) -> None:
    server = scripted(ok(b"1"), ok(b"2", more=b"Connection: close\r\n"), ok(b"3"))
    reader = server.reader()
    read = [reader.read("k", ordinary) for _ in range(2)]
    first = reader._local.connection
    assert (read, first) == ([b"1", b"2"], None)


def test_behind_a_proxy_only_the_sdk_asks(scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    server = scripted(ok(b"1"))
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    assert server.reader().read("k", ordinary) == ordinary()
    assert server.requests == []


def test_the_signature_is_that_of_botocore(scripted: Callable[..., Scripted]) -> None:
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - the oracle
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials as Known  # noqa: PLC0415

    token = Credentials(KEYS.access_key, KEYS.secret_key, "a session token")
    server = scripted(ok(b"1"))
    reader = server.reader("eu-west-1", token)
    assert reader.read("d/ü +&~'.json", ordinary) == b"1"
    [raw] = server.requests
    head, *lines = raw.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    path = head.split(" ")[1]
    request = AWSRequest(
        "GET", f"http://{headers['Host']}{path}", headers={"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}
    )
    request.context = {"timestamp": headers["x-amz-date"], "payload_signing_enabled": True}
    auth = S3SigV4Auth(Known(token.access_key, token.secret_key, token.token), "s3", "eu-west-1")
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = "a session token"
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert headers["Authorization"].endswith(f"Signature={expected}")
    assert path == "/logs/d/%C3%BC%20%2B%26~%27.json"
