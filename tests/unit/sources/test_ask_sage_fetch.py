"""Fetching one user's log: what is asked, what is landed, and where it stops."""

import datetime as dt
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.page_server import QUICK
from tests.unit.sources.source_files import staged
from usage_etl.errors import SourceError, TransientSourceError
from usage_etl.sources.ask_sage.fetch import fetch
from usage_etl.sources.ask_sage.settings import AskSageSettings

TOKEN = "access-token-1"


@dataclass
class LogSite:
    """A log of ``count`` rows, newest first. ``answer`` may replace an answer of the log."""

    count: int
    asked: list[tuple[str, Mapping[str, Any], str | None]] = field(default_factory=list)
    faults: list[tuple[int, Any]] = field(default_factory=list)
    heeds_before_id: bool = True
    url: str = ""

    def reply(self, path: str, question: Mapping[str, Any], token: str | None) -> tuple[int, Any]:
        self.asked.append((path, question, token))
        if self.faults:
            return self.faults.pop(0)
        if path == "/user/get-token-with-api-key":
            is_known = question == {"email": "ana@example.gov", "api_key": "the-key"}
            return (200, {"response": {"access_token": TOKEN}}) if is_known else (401, {"response": "no"})
        if token != TOKEN:
            return 401, {"response": "no"}
        newest = min(self.count, question.get("before_id", self.count + 1) - 1) if self.heeds_before_id else self.count
        numbers = range(newest, max(0, newest - question["limit"]), -1)
        return 200, {"response": [row(number) for number in numbers], "status": 200}


def row(number: int) -> dict[str, Any]:
    day = 1 + number // 100
    return {
        "id": number,
        "date_time": f"2026-10-{min(day, 28):02d}T09:00:00",
        "model": "gpt-4o-gov",
        "prompt": "the secret plan",
        "response": "the secret answer",
        "prompt_tokens": number,
        "completion_tokens": 1,
        "total_tokens": 2,
    }


@contextmanager
def serving(site: LogSite) -> Iterator[LogSite]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, document = site.reply(self.path, question, self.headers.get("x-access-tokens"))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def pull(
    site: LogSite, known: list[tuple[str, str]] | None = None, first_day: dt.date = dt.date(2026, 9, 1), **settings: Any
) -> list[Any]:
    model = AskSageSettings.model_validate(
        {"kind": "ask_sage", "name": "sage", "api_key": {"env": "KEY"}, "email": "ana@example.gov", "base_url": site.url}
        | settings
    )
    return list(fetch(model, fetch_context("the-key", known=known or [], start_date=first_day), policy=QUICK))


def rows_of(found: Any) -> list[dict[str, Any]]:
    return [json.loads(text) for text in found.content.decode().splitlines()]


def test_the_whole_log_is_paged_and_landed_without_what_people_wrote() -> None:
    with serving(LogSite(count=250)) as site:
        (found,) = pull(site)
    assert [question for _, question, _ in site.asked[1:]] == [
        {"limit": 100},
        {"limit": 100, "before_id": 151},
        {"limit": 100, "before_id": 51},
    ]
    assert [record["id"] for record in rows_of(found)] == list(range(250, 0, -1))
    assert found.origin_key == "api/user-logs/250"
    assert b"secret" not in found.content
    usage = staged("ask_sage", found.content).usage
    assert usage["event_id"].n_unique() == 250
    assert set(usage["user_id"].cast(str)) == {"ana@example.gov"}


def test_prompts_are_landed_where_the_settings_keep_them_and_answers_never() -> None:
    with serving(LogSite(count=1)) as site:
        (found,) = pull(site, keep_prompts=True)
    assert b"secret plan" in found.content
    assert b"secret answer" not in found.content


def test_only_rows_above_the_last_landed_one_are_asked_for() -> None:
    with serving(LogSite(count=250)) as site:
        (found,) = pull(site, known=[("api/user-logs/180", "x"), ("api/user-logs/90", "y"), ("other/999", "z")])
        assert [record["id"] for record in rows_of(found)] == list(range(250, 180, -1))
        assert len(site.asked) == 2
        assert pull(site, known=[("api/user-logs/250", "x")]) == []


def test_a_log_whose_length_is_a_multiple_of_the_page_ends() -> None:
    with serving(LogSite(count=200)) as site:
        (found,) = pull(site)
    assert len(rows_of(found)) == 200


def test_an_empty_log_lands_nothing() -> None:
    with serving(LogSite(count=0)) as site:
        assert pull(site) == []


def test_it_stops_at_the_start_date() -> None:
    with serving(LogSite(count=1000)) as site:
        model = {"start_date": None}
        settings = AskSageSettings.model_validate(
            {"kind": "ask_sage", "name": "sage", "api_key": {"env": "KEY"}, "email": "ana@example.gov", "base_url": site.url}
            | model
        )
        context = fetch_context("the-key", start_date=__import__("datetime").date(2026, 10, 8))
        (found,) = list(fetch(settings, context, policy=QUICK))
    assert min(record["id"] for record in rows_of(found)) > 600


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ((401, {"response": "bad key the-key"}), SourceError, "email must belong together"),
        ((200, {"response": "denied"}), SourceError, "without an access token"),
        ((200, []), SourceError, "not an object"),
        ((404, {}), SourceError, "logs_path"),
    ],
)
def test_a_refusal_says_what_to_do_and_never_the_key(fault: tuple[int, Any], error: type[Exception], message: str) -> None:
    with serving(LogSite(count=1, faults=[fault])) as site, pytest.raises(error, match=message) as found:
        pull(site)
    assert "the-key" not in str(found.value)


def test_what_may_work_later_is_tried_again() -> None:
    with serving(LogSite(count=3, faults=[(503, {}), (429, {})])) as site:
        (found,) = pull(site)
    assert len(rows_of(found)) == 3
    with serving(LogSite(count=3, faults=[(503, {})] * 9)) as site, pytest.raises(TransientSourceError):
        pull(site)


def test_a_site_that_does_not_page_is_an_error_and_no_endless_loop() -> None:
    with serving(LogSite(count=250, heeds_before_id=False)) as site, pytest.raises(SourceError, match="does not heed before_id"):
        pull(site)


@pytest.mark.parametrize("rows", [[{"model": "x"}], [{"id": "abc"}]])
def test_rows_without_a_number_are_an_error(rows: list[Any]) -> None:
    token = (200, {"response": {"access_token": TOKEN}})
    with serving(LogSite(count=1, faults=[token, (200, {"response": rows})])) as site, pytest.raises(SourceError, match="no id"):
        pull(site)


def test_the_path_of_the_log_is_a_setting() -> None:
    with serving(LogSite(count=1)) as site:
        pull(site, logs_path="/server/get-user-logs")
    assert [path for path, _, _ in site.asked] == ["/user/get-token-with-api-key", "/server/get-user-logs"]
    assert [token for _, _, token in site.asked] == [None, TOKEN]
