"""Many small objects of a bucket, quickly: signed GET requests on connections that stay open, without an SDK's work.

An accelerator and nothing more. Whatever is not a complete 200 answer with the bytes that its ETag promises is not an
answer here, and the caller reads the object in the ordinary way, with its retries and its errors.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from io import BufferedReader
from urllib.parse import SplitResult, quote

_NO_BODY = hashlib.sha256(b"").hexdigest()
_MD5 = re.compile(r"[0-9a-f]{32}")
_PATIENCE_S = 60
_PORTS = {"http": 80, "https": 443}
_LINE_BYTES = 65_536
_HEADERS_LIMIT = 100
_FAULTS_LIMIT = 5
"""Failures without a success between them, after which nothing is tried here any more."""


@dataclass(frozen=True)
class Credentials:
    """Keys that sign requests."""

    access_key: str
    secret_key: str
    token: str | None = None


class BulkReader:
    """GET requests below one address. Safe to use from several threads, each with a connection of its own."""

    def __init__(
        self, base: SplitResult, *, region: str, credentials: Callable[[], Credentials], authorities_file: str | None = None
    ) -> None:
        """``base`` is the address of the bucket, with scheme, host and path up to the key."""
        self._base, self._region, self._credentials = base, region, credentials
        self._context = ssl.create_default_context(cafile=authorities_file) if base.scheme == "https" else None
        self._local = threading.local()
        self._opened: list[tuple[socket.socket, BufferedReader]] = []
        self._faults = _FAULTS_LIMIT if _needs_proxy(base) else 0
        self._has_md5_etags = True

    def read(self, key: str, read_ordinarily: Callable[[], bytes]) -> bytes:
        """The object's bytes, from ``read_ordinarily`` where the quick way is in doubt. Raises what that raises."""
        data = self._read(key, read_ordinarily) if self._faults < _FAULTS_LIMIT else None
        return read_ordinarily() if data is None else data

    def _read(self, key: str, read_ordinarily: Callable[[], bytes]) -> bytes | None:
        try:
            status, etag, data = self._get(self._base.path + quote(key, safe="/-_.~"))
        except (OSError, EOFError, ValueError, KeyError, IndexError):
            self._drop_connection()
            self._faults += 1
            return None
        if status != 200:
            self._faults += status not in {404, 429, 503}
            return None
        self._faults = 0
        if self._has_md5_etags and _MD5.fullmatch(etag) and hashlib.md5(data, usedforsecurity=False).hexdigest() != etag:
            again = read_ordinarily()
            self._has_md5_etags = again != data  # the ETag of an encrypted object looks like a hash and is none
            return again
        return data

    def close(self) -> None:
        """End every connection. No thread may be reading."""
        while self._opened:
            for part in self._opened.pop():
                part.close()

    def _get(self, path: str) -> tuple[int, str, bytes]:
        """Status, ETag and body. Raises OSError or ValueError for anything but an answer of announced length."""
        sock, stream = self._connection()
        headers = "".join(f"{name}: {value}\r\n" for name, value in self._signed(path).items())
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {self._base.netloc}\r\n{headers}\r\n".encode())
        status = int(stream.readline(_LINE_BYTES).split(b" ", 2)[1])
        found: dict[bytes, bytes] = {}
        while (line := stream.readline(_LINE_BYTES).strip()) and len(found) < _HEADERS_LIMIT:
            name, _, value = line.partition(b":")
            found[name.lower()] = value.strip()
        size = int(found[b"content-length"])
        if size < 0:
            raise ValueError(f"length {size}")
        data = stream.read(size)
        if len(data) < size:
            raise EOFError(f"{len(data)} of {size} bytes")
        if found.get(b"connection", b"").lower() == b"close":
            self._drop_connection()
        return status, found.get(b"etag", b"").decode("latin-1").strip('"'), data

    def _signed(self, path: str) -> dict[str, str]:
        """Headers of a request that is signed by AWS Signature Version 4."""
        keys, at = self._credentials(), datetime.now(tz=UTC)
        headers = {"x-amz-content-sha256": _NO_BODY, "x-amz-date": at.strftime("%Y%m%dT%H%M%SZ")}
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        scope = f"{at:%Y%m%d}/{self._region}/s3/aws4_request"
        signed = {"host": self._base.netloc, **headers}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = f"GET\n{path}\n\n{lines}\n{names}\n{_NO_BODY}"
        text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(_signing_key(keys.secret_key, scope), text.encode(), "sha256").hex()
        words = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {words}"}

    def _connection(self) -> tuple[socket.socket, BufferedReader]:
        found: tuple[socket.socket, BufferedReader] | None = getattr(self._local, "connection", None)
        if found is None:
            host = self._base.hostname or ""
            sock = socket.create_connection((host, self._base.port or _PORTS[self._base.scheme]), timeout=_PATIENCE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_hostname=host)
            found = self._local.connection = sock, sock.makefile("rb")
            self._opened.append(found)
        return found

    def _drop_connection(self) -> None:
        found: tuple[socket.socket, BufferedReader] | None = getattr(self._local, "connection", None)
        self._local.connection = None
        for part in found or ():
            part.close()


@lru_cache(maxsize=8)
def _signing_key(secret_key: str, scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _needs_proxy(base: SplitResult) -> bool:
    """Whether the system's settings send requests to this address through a proxy, which only the SDK speaks to."""
    return base.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(base.hostname or "")
