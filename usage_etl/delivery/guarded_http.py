"""Calls an address that somebody configured, without letting it reach where it should not.

A host is looked up once; what it resolves to is checked, and the connection goes to the very address that was checked, so
a name that answers differently the second time gains nothing. The certificate is verified against the host's name. No
redirect is followed, no proxy of the environment is used, nothing is decompressed, and one deadline covers everything.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from usage_etl.config.addresses import Address, Network, address_refusal, host_fault, is_inside
from usage_etl.errors import DeliveryError

ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer that are read; what follows is not needed to know what became of a message."""

Resolve = Callable[[str, int], Sequence[Address]]


class RefusedAddressError(DeliveryError):
    """A channel's address leads to where nothing may be sent; nothing was sent."""


class NothingSentError(DeliveryError):
    """The call ended before any of it was sent: no connection, no trust in the certificate, no time."""


class NoAnswerError(DeliveryError):
    """The call was sent, or a part of it, and no answer came: nobody here knows whether it was taken."""


@dataclass(frozen=True)
class Answer:
    """What a server said. ``is_cut``: the body was longer than what is read, or ended early."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_cut: bool = False


_CORE_ERRORS = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
)


def system_addresses(host: str, port: int) -> list[Address]:
    """What the system's resolver says. Raises NothingSentError when it knows no such host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NothingSentError(f"{host} cannot be resolved: {error}") from error
    return [ip_address(str(entry[4][0])) for entry in found]


@dataclass(frozen=True)
class GuardedHttp:
    """Makes single calls. ``allowed`` are private networks that may be called, also without encryption.

    ``timeout_s`` is for a whole call. ``secrets`` are texts that no reason may repeat. ``resolve`` and ``tls`` are for tests
    and for certificate authorities of one's own.
    """

    allowed: tuple[Network, ...] = ()
    timeout_s: float = 20.0
    answer_limit: int = ANSWER_LIMIT
    secrets: tuple[str, ...] = field(default=(), repr=False)
    resolve: Resolve = field(default=system_addresses, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def call(self, method: str, url: str, *, headers: Mapping[str, str], content: bytes = b"") -> Answer:
        """One request and its answer, whatever its status. Raises RefusedAddressError, NothingSentError, NoAnswerError."""
        line = _Line(time.monotonic() + self.timeout_s)
        transport = _GuardedTransport(self, line)
        sent = {"Accept-Encoding": "identity", "User-Agent": "usage-etl", **headers}
        try:
            with httpx.Client(transport=transport, trust_env=False, follow_redirects=False) as client:
                response = client.send(client.build_request(method, url, headers=sent, content=content), stream=True)
                body, is_cut = _body(response, self.answer_limit)
                return Answer(response.status_code, dict(response.headers), body, is_cut)
        except DeliveryError:
            raise
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise RefusedAddressError(f"the address cannot be called: {error}") from error
        except (httpx.HTTPError, *_CORE_ERRORS, OSError) as error:
            words = _words(error)
            if line.has_written:
                raise NoAnswerError(f"no answer after the message went out ({words})") from error
            raise NothingSentError(words) from error


def checked_addresses(host: str, found: Sequence[Address], allowed: Sequence[Network], *, is_plain: bool) -> list[Address]:
    """Those of ``found`` that may be called. Raises RefusedAddressError when none may."""
    if fault := host_fault(host, allowed):
        raise RefusedAddressError(f"{host}: {fault}")
    refusals = {address: address_refusal(address, allowed) for address in found}
    usable = [address for address, refusal in refusals.items() if refusal is None]
    if is_plain:
        usable = [address for address in usable if is_inside(address, allowed)]
        refusals |= {address: f"{address} is called with https:// only" for address in found if refusals[address] is None}
    if not usable:
        reasons = "; ".join(sorted({refusal for refusal in refusals.values() if refusal})) or "no address"
        raise RefusedAddressError(f"{host}: {reasons}")
    return usable


@dataclass
class _Line:
    """The deadline of one call, and whether any of it went out."""

    deadline: float
    has_written: bool = False

    def left(self, timeout: float | None = None) -> float:
        """Seconds that are left, at most ``timeout``. Raises ConnectTimeout when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for this call is over")
        return left if timeout is None else min(left, timeout)


@lru_cache(maxsize=1)
def _verifying() -> ssl.SSLContext:
    """Verifies certificates against the system's authorities; loaded once, because that takes longer than a call."""
    return ssl.create_default_context()


class _GuardedTransport(httpx.BaseTransport):
    """Hands a request to a connection of its own, which the guard makes."""

    def __init__(self, guard: GuardedHttp, line: _Line) -> None:
        self._guard, self._line = guard, line
        self._pool: httpcore.ConnectionPool | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        backend = _CheckedBackend(self._guard, self._line, is_plain=request.url.scheme == "http")
        context = self._guard.tls or _verifying()
        self._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=backend, http1=True, http2=False, retries=0)
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(answer.status, headers=answer.headers, stream=_AnswerStream(answer))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


class _AnswerStream(httpx.SyncByteStream):
    """The body of an answer as it comes."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to an address that was checked, never to a name."""

    def __init__(self, guard: GuardedHttp, line: _Line, *, is_plain: bool) -> None:
        self._guard, self._line, self._is_plain = guard, line, is_plain

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - the interface's own; none are asked for
    ) -> httpcore.NetworkStream:
        """A connection to the first of the host's permitted addresses that answers."""
        found = self._guard.resolve(host, port)
        usable = checked_addresses(host, found, self._guard.allowed, is_plain=self._is_plain)
        for number, address in enumerate(usable, start=1):
            try:
                stream = httpcore.SyncBackend().connect_tcp(str(address), port, self._line.left(timeout), local_address)
            except httpcore.NetworkError:
                if number == len(usable):
                    raise
            else:
                return _TimedStream(stream, self._line, is_ready=self._is_plain)
        raise AssertionError("checked addresses are never none")


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step fits into what is left of the call's time, and that remembers whether it wrote.

    ``is_ready``: what is written now is the request, and not yet the handshake of TLS.
    """

    def __init__(self, stream: httpcore.NetworkStream, line: _Line, *, is_ready: bool) -> None:
        self._stream, self._line, self._is_ready = stream, line, is_ready

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Bytes that came."""
        return self._stream.read(max_bytes, self._line.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes."""
        self._line.has_written = self._line.has_written or (self._is_ready and bool(buffer))
        self._stream.write(buffer, self._line.left(timeout))

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted; the certificate must be for ``server_hostname``."""
        stream = self._stream.start_tls(ssl_context, server_hostname, self._line.left(timeout))
        return _TimedStream(stream, self._line, is_ready=True)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self._stream.get_extra_info(info)


def _words(error: Exception) -> str:
    """Kind and text of a failure. What could not be written at all is not repeated: it may be a header that is a secret."""
    name = type(error).__name__
    return name if isinstance(error, (httpcore.LocalProtocolError, httpx.LocalProtocolError)) else f"{name}: {error}".rstrip(": ")


def _body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """At most ``limit`` bytes of the body; whether there was more, or the line broke before its end."""
    body = b""
    try:
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > limit:
                return body[:limit], True
    except (httpx.HTTPError, *_CORE_ERRORS, OSError):
        return body, True
    return body, False
