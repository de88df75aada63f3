"""A local HTTP server that answers like a provider's reporting API, and misbehaves on request."""

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from usage_etl.sources.fetching.http import RetryPolicy
from usage_etl.sources.reading.exact_json import dumps

QUICK = RetryPolicy(attempts=4, wait_initial_s=0.01, wait_max_s=0.02, patience_s=5.0, connect_timeout_s=2.0, read_timeout_s=2.0)
JSON = {"content-type": "application/json; charset=utf-8"}

Query = Mapping[str, list[str]]


@dataclass(frozen=True)
class Reply:
    """One answer. ``is_cut``: the connection closes in the middle of the body. ``silent_s``: how long nothing is said."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    is_cut: bool = False
    silent_s: float = 0.0


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    path: str
    query: Query
    headers: Mapping[str, str]


class PageServer(ThreadingHTTPServer):
    """Answers from ``queue`` first, then from ``answer``; keeps every request."""

    daemon_threads = True

    def __init__(self, answer: Callable[[str, Query], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.queue: deque[Reply] = deque()
        self.requests: list[Request] = []
        self.is_closing = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: PageServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        self.server.requests.append(Request(parts.path, query, dict(self.headers.items())))
        reply = self.server.queue.popleft() if self.server.queue else self.server.answer(parts.path, query)
        self.server.is_closing.wait(reply.silent_s)
        if reply.silent_s:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, text in {"content-length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.is_cut else reply.body)
        self.close_connection = reply.is_cut

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing on the terminal."""


@contextmanager
def serving(answer: Callable[[str, Query], Reply]) -> Iterator[PageServer]:
    """A server on a free local port, in a thread of its own."""
    with PageServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.is_closing.set()
            server.shutdown()
            thread.join()


def json_reply(document: Any, **fields: Any) -> Reply:
    return Reply(body=dumps(document).encode(), **fields)


@dataclass
class ReportSite:
    """Daily reports by path: ``rows`` gives the results of one day, ``make_bucket`` and ``make_page`` the provider's words."""

    rows: Callable[[str, dt.date], list[Any]]
    make_bucket: Callable[[dt.date, list[Any]], Any]
    make_page: Callable[[list[Any], str | None], Any]
    window: Callable[[Query], tuple[dt.date, dt.date]]
    days_per_page: int = 5

    def __call__(self, path: str, query: Query) -> Reply:
        """The page that the query asks for."""
        start, end = self.window(query)
        if "page" in query:
            start = dt.date.fromisoformat(query["page"][0].removeprefix("page_"))
        size = min(self.days_per_page, int(query["limit"][0]))
        days = [start + dt.timedelta(days=offset) for offset in range((end - start).days)]
        token = f"page_{days[size]}" if len(days) > size else None
        return json_reply(self.make_page([self.make_bucket(day, self.rows(path, day)) for day in days[:size]], token))
