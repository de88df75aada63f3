"""The HTTP client tries again only where that can help, honours Retry-After, and says what to do otherwise."""

import datetime as dt
import email.utils
import gzip
import logging
import time
from collections.abc import Iterator

import pytest

from tests.unit.sources.page_server import JSON, QUICK, PageServer, Reply, json_reply, serving
from usage_etl.errors import SourceError, TransientSourceError
from usage_etl.sources.fetching.http import Answer, JsonApi

SECRET = "sk-admin-very-secret"
PACKED = {**JSON, "content-encoding": "gzip"}
ADVICE = {401: "make an Admin key with scope api.usage.read", 403: "ask the owner"}


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving(lambda path, query: json_reply({"ok": True})) as found:
        yield found


def get(server: PageServer | str, **fields: object) -> Answer:
    base_url = server if isinstance(server, str) else server.url
    options = {"policy": QUICK, "headers": {"authorization": f"Bearer {SECRET}"}, **fields}
    with JsonApi(source="bills", base_url=base_url, secret=SECRET, advice=ADVICE, **options) as api:
        return api.get("/v1/costs", [("limit", "31"), ("group_by[]", "a"), ("group_by[]", "b")])


def test_parameters_headers_and_body_pass_unchanged(server: PageServer) -> None:
    server.queue.append(Reply(body=b'{"amount": 0.10}'))
    assert get(server).body == b'{"amount": 0.10}'
    asked = server.requests[0]
    assert (asked.path, asked.query) == ("/v1/costs", {"limit": ["31"], "group_by[]": ["a", "b"]})
    assert asked.headers["authorization"] == f"Bearer {SECRET}"
    assert asked.headers["user-agent"].startswith("usage-etl/")


TRANSIENT = {
    "request timeout": Reply(408),
    "too many requests": Reply(429),
    "server error": Reply(500),
    "bad gateway with a page": Reply(502, b"<html>", {"content-type": "text/html"}),
    "overloaded": Reply(529),
    "cut body": Reply(body=b'{"data": [1, 2, 3]}', is_cut=True),
    "cut body without a length": Reply(body=b'{"data": [1, 2', headers=JSON),
    "damaged compression": Reply(body=gzip.compress(b"{}")[:10] + b"damage", headers=PACKED),
    "cut compression": Reply(body=gzip.compress(b'{"data": [1, 2, 3]}')[:-12], headers=PACKED),
    "no byte at all": Reply(body=b""),
}


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_passing_fault_is_tried_again(server: PageServer, reply: Reply) -> None:
    server.queue.extend([reply, reply])
    assert get(server).document == {"ok": True}
    assert len(server.requests) == 3


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_lasting_fault_ends_after_the_agreed_attempts_and_stays_transient(server: PageServer, reply: Reply) -> None:
    server.queue.extend([reply] * 10)
    with pytest.raises(TransientSourceError, match="GET /v1/costs"):
        get(server)
    assert len(server.requests) == QUICK.attempts


def test_a_silent_server_is_given_up_and_tried_again(server: PageServer) -> None:
    policy = type(QUICK)(**{**vars(QUICK), "read_timeout_s": 0.1})
    server.queue.append(Reply(silent_s=30))
    assert get(server, policy=policy).document == {"ok": True}


def test_nobody_listening_is_transient() -> None:
    with serving(lambda path, query: Reply()) as gone:
        url = gone.url
    with pytest.raises(TransientSourceError, match="ConnectError"):
        get(url)


def test_retry_after_in_seconds_is_honoured(server: PageServer) -> None:
    server.queue.append(Reply(429, headers={**JSON, "retry-after": "0.3"}))
    began = time.monotonic()
    assert get(server).document == {"ok": True}
    assert time.monotonic() - began >= 0.3


def test_retry_after_as_a_date_is_honoured(server: PageServer) -> None:
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    server.queue.append(Reply(503, headers={**JSON, "retry-after": email.utils.format_datetime(at, usegmt=True)}))
    began = time.monotonic()
    assert get(server).document == {"ok": True}
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("text", ["0", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "-5", "²"])
def test_a_retry_after_that_asks_for_nothing_is_tried_again_at_once(server: PageServer, text: str) -> None:
    server.queue.append(Reply(429, headers={**JSON, "retry-after": text.encode().decode("latin-1")}))
    assert get(server).document == {"ok": True}


def test_a_wait_beyond_our_patience_ends_at_once_and_says_so(server: PageServer) -> None:
    server.queue.append(Reply(429, headers={**JSON, "retry-after": "3600"}))
    with pytest.raises(TransientSourceError, match="asks to wait 3600 s"):
        get(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(401, b'{"error": "no"}'), r"401 Unauthorized: make an Admin key with scope api\.usage\.read"),
        (Reply(403), "403 Forbidden: ask the owner"),
        (Reply(404), r"404 Not Found: \{\}"),
        (Reply(400, f'{{"error": "key {SECRET} is\n odd"}}'.encode()), r'400 Bad Request: \{"error": "key \*\*\* is odd"\}'),
        (Reply(400, b""), "400 Bad Request: the request is not one that the API knows"),
        (Reply(302, headers={"location": "https://elsewhere.example/"}), "302 Found: it redirects elsewhere; set base_url"),
        (Reply(204), "204 No Content"),
        (Reply(200, b"<html>", {"content-type": "text/html"}), "text/html instead of JSON"),
        (Reply(200, b"{}", {}), "no content type instead of JSON"),
        (Reply(200, b"[]"), "not an object"),
    ],
)
def test_a_permanent_answer_is_not_tried_again_and_says_what_to_do(server: PageServer, reply: Reply, message: str) -> None:
    server.queue.append(reply)
    with pytest.raises(SourceError, match=message) as caught:
        get(server)
    assert caught.value.is_permanent
    assert SECRET not in str(caught.value)
    assert len(server.requests) == 1


def test_a_vendor_json_type_is_json(server: PageServer) -> None:
    server.queue.append(Reply(body=b"{}", headers={"content-type": "application/vnd.api+json"}))
    assert get(server).document == {}


def test_a_compressed_body_is_landed_plain(server: PageServer) -> None:
    server.queue.append(Reply(body=gzip.compress(b'{"a": 1.50}'), headers=PACKED))
    assert get(server).body == b'{"a": 1.50}'


def test_an_endless_body_is_refused(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage_etl.sources.fetching.http.PAGE_BYTES_LIMIT", 1000)
    bomb = gzip.compress(b" " * 1_000_000)
    server.queue.append(Reply(body=bomb, headers=PACKED))
    with pytest.raises(SourceError, match="in one page") as caught:
        get(server)
    assert caught.value.is_permanent


@pytest.mark.parametrize("base_url", ["http://api.example.com", "ftp://127.0.0.1", "api.example.com", ""])
def test_the_key_never_travels_unencrypted(base_url: str) -> None:
    with pytest.raises(SourceError, match="https://"):
        get(base_url)


def test_a_base_url_may_have_a_path(server: PageServer) -> None:
    get(f"{server.url}/proxy/openai/")
    assert server.requests[0].path == "/proxy/openai/v1/costs"


def test_failed_attempts_are_logged_without_the_key_and_nothing_is_printed(
    server: PageServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    server.queue.extend([Reply(500), Reply(429, headers={**JSON, "retry-after": "0"})])
    with caplog.at_level(logging.DEBUG):
        get(server)
    assert [record.levelname for record in caplog.records if "failed_attempt" in record.message] == ["WARNING"] * 2
    assert "429 Too Many Requests and asks to wait 0 s" in caplog.text
    assert SECRET not in caplog.text
    assert capsys.readouterr().out == ""
