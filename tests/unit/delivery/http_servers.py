"""Real HTTP servers on 127.0.0.1 that answer, stall and hang up as told, for the tests of channels."""

import contextlib
import json
import socket
import socketserver
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network

from usage_etl.delivery.guarded_http import GuardedHttp

LOOPBACK = (ip_network("127.0.0.0/8"),)
"""What every test must allow explicitly."""


def local_http(**changes):
    """A caller that may call this machine."""
    return GuardedHttp(**({"allowed": LOOPBACK, "timeout_s": 5.0} | changes))


@dataclass(frozen=True)
class Heard:
    """One request as it came in."""

    method: str
    path: str
    headers: dict
    body: bytes

    def json(self):
        """Its body as JSON."""
        return json.loads(self.body)


@dataclass
class Endpoint:
    """Answers each request by ``answer(heard)``: a status, ``(status, headers, body)``, or a word for bad behaviour.

    Words: ``hang up`` (after reading, without an answer), ``slow headers``, ``slow body``, ``endless body``, ``cut body``.
    """

    answer: object = 200
    heard: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def respond(self, heard):
        """What to answer."""
        with self.lock:
            self.heard.append(heard)
        return self.answer(heard) if callable(self.answer) else self.answer


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no fault of the server."""


class _Handler(BaseHTTPRequestHandler):
    """Reads one request and answers it; ``endpoint`` and ``done`` are given by the class made for each server."""

    protocol_version = "HTTP/1.1"
    endpoint: Endpoint
    done: threading.Event

    def log_message(self, *_):
        """Stay silent."""

    def serve(self):
        """One request."""
        length = int(self.headers.get("Content-Length") or 0)
        answer = self.endpoint.respond(Heard(self.command, self.path, dict(self.headers), self.rfile.read(length)))
        self.close_connection = True
        if isinstance(answer, str):
            _misbehave(self, answer)
            return
        status, headers, body = answer if isinstance(answer, tuple) else (answer, {}, b"")
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = serve  # noqa: N815 - names of the standard library


def _misbehave(handler, word):
    """What a server should not do."""
    head = b"HTTP/1.1 200 OK\r\n"
    with contextlib.suppress(OSError):
        if word == "hang up":
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif word == "slow headers":
            _drip(handler, head + b"X-Slow: " + b"x" * 10_000)
        elif word == "slow body":
            handler.wfile.write(head + b"Content-Length: 1000\r\n\r\n")
            _drip(handler, b"x" * 1000)
        elif word == "endless body":
            handler.wfile.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            while not handler.done.is_set():
                handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        else:
            assert word == "cut body"
            handler.wfile.write(head + b"Content-Length: 1000\r\n\r\nhalf")


def _drip(handler, content):
    for byte in content:
        if handler.done.wait(0.1):
            return
        handler.wfile.write(bytes([byte]))


@contextlib.contextmanager
def serving_http(answer=200, *, tls=None):
    """A running server; gives its Endpoint, whose ``url`` is where it listens."""
    endpoint, done = Endpoint(answer), threading.Event()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"endpoint": endpoint, "done": done}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    endpoint.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield endpoint
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def hanging_up():
    """A server that hangs up before it reads anything; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve():
        listener.settimeout(0.05)
        while not done.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.close()
                time.sleep(0)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        listener.close()
