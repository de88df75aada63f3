"""Reads JSON pages of a provider's API: timeouts, retries only where they can help, and errors that say what to do."""

from __future__ import annotations

import email.utils
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import stamina

from usage_etl import __version__
from usage_etl.errors import RefusedRequestError, SourceError, TransientSourceError
from usage_etl.sources.reading.exact_json import loads
from usage_etl.sources.reading.pages import PAGE_BYTES_LIMIT

_log = logging.getLogger(__name__)

# Stamina would report retries through structlog, which Dagster brings along and which prints to standard output.
stamina.instrumentation.set_on_retry_hooks(())

_MESSAGE_LIMIT = 300
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class RetryPolicy:
    """How long to keep trying one page. Only 408, 429, 5xx and broken connections are tried again."""

    attempts: int = 6
    wait_initial_s: float = 1.0
    wait_max_s: float = 60.0
    patience_s: float = 600.0
    """All attempts together; a wait that the provider asks for and that is longer than this ends the pull at once."""
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 120.0


DEFAULT_POLICY = RetryPolicy()


@dataclass(frozen=True)
class Answer:
    """One page: the body as received and its document."""

    body: bytes
    document: Mapping[str, Any]


class _AskedToWaitError(TransientSourceError):
    """An answer that says after how many seconds to come back."""

    def __init__(self, source: str, message: str, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(source, message)


class JsonApi:
    """One provider's API under one key. Use as a context manager.

    ``advice`` says by status code what the reader of an error should do. Neither the key nor the headers stand in any
    message or log line. Redirects are not followed: they would carry the key to another host.
    """

    def __init__(
        self,
        *,
        source: str,
        base_url: str,
        headers: Mapping[str, str],
        secret: str,
        advice: Mapping[int, str],
        policy: RetryPolicy = DEFAULT_POLICY,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
            raise SourceError(source, f"base_url {base_url!r} must begin with https://, or the key would travel unencrypted")
        self._source = source
        self._base_url = base_url.rstrip("/")
        self._secret = secret
        self._advice = advice
        self._policy = policy
        self._client = httpx.Client(
            headers={"user-agent": f"usage-etl/{__version__}", "accept": "application/json", **headers},
            timeout=httpx.Timeout(policy.read_timeout_s, connect=policy.connect_timeout_s),
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, parameters: Sequence[tuple[str, str]], headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """One page. Raises TransientSourceError when retries did not help, SourceError for a permanent answer.

        ``headers`` are sent besides those of the client. A refusal by status is a RefusedRequestError.
        """
        return self._patiently(lambda: self._ask_once("GET", path, params=list(parameters), headers=dict(headers)))

    def post(self, path: str, document: Mapping[str, Any], headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """The answer to a question that is sent as JSON, for endpoints that only read. Raises as ``get``."""
        return self._patiently(lambda: self._ask_once("POST", path, json=dict(document), headers=dict(headers)))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        policy = self._policy
        for attempt in stamina.retry_context(
            on=self._backoff,
            attempts=policy.attempts,
            timeout=policy.patience_s,
            wait_initial=policy.wait_initial_s,
            wait_max=policy.wait_max_s,
            wait_jitter=policy.wait_initial_s,
        ):
            with attempt:
                return ask()
        raise AssertionError("the last attempt returns or raises")

    def _backoff(self, error: Exception) -> bool | float:
        """Whether to try again, or after how many seconds."""
        if not isinstance(error, TransientSourceError):
            return False
        _log.warning("source=%s failed_attempt=%r", self._source, str(error))
        if isinstance(error, _AskedToWaitError):
            return error.wait_s if error.wait_s <= self._policy.patience_s else False
        return True

    def _ask_once(self, method: str, path: str, **question: Any) -> Answer:
        asked = f"{method} {path}"
        try:
            with self._client.stream(method, self._base_url + path, **question) as response:
                body = self._body(response, asked)
        except (httpx.TransportError, httpx.DecodingError) as error:
            fault = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise TransientSourceError(self._source, f"{asked} broke off ({fault})") from error
        except httpx.InvalidURL as error:
            raise SourceError(self._source, f"base_url is not usable: {error}") from error
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response, asked, body)
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not media_type.endswith("json"):
            what = media_type or "no content type"
            raise SourceError(self._source, f"{asked} answered {what} instead of JSON; base_url must be the API, not a web page")
        return Answer(body, self._document(body, asked))

    def _body(self, response: httpx.Response, asked: str) -> bytes:
        """Whole decoded body, read in pieces so that an endless one ends."""
        pieces: list[bytes] = []
        read_count = 0
        for piece in response.iter_bytes():
            read_count += len(piece)
            if read_count > PAGE_BYTES_LIMIT:
                raise SourceError(self._source, f"{asked} answered more than {PAGE_BYTES_LIMIT // 1024**2} MiB in one page")
            pieces.append(piece)
        return b"".join(pieces)

    def _document(self, body: bytes, asked: str) -> Mapping[str, Any]:
        try:
            document = loads(body.decode("utf-8"))
        except ValueError as error:
            raise TransientSourceError(self._source, f"{asked} answered broken JSON ({error}); it may be cut") from error
        if not isinstance(document, dict):
            raise SourceError(self._source, f"{asked} answered JSON that is not an object")
        return document

    def _refusal(self, response: httpx.Response, asked: str, body: bytes) -> SourceError:
        """The error that an answer other than 200 stands for."""
        status = response.status_code
        what = f"{asked} answered {status} {response.reason_phrase}".rstrip()
        if status in (408, 429) or status >= 500:
            wait_s = _retry_after_s(response.headers)
            if wait_s is None:
                return TransientSourceError(self._source, f"{what}; it may work later")
            return _AskedToWaitError(self._source, f"{what} and asks to wait {wait_s:.0f} s", wait_s)
        advice = self._advice.get(status)
        if advice is None and 300 <= status < 400:
            advice = "it redirects elsewhere; set base_url to the API's own address"
        if advice is None:
            advice = self._quoted(body) or "the request is not one that the API knows; check base_url"
        return RefusedRequestError(self._source, f"{what}: {advice}", status)

    def _quoted(self, body: bytes) -> str:
        """The provider's own words, on one line and without the key."""
        text = " ".join(body[: 4 * _MESSAGE_LIMIT].decode("utf-8", "replace").split())
        return text.replace(self._secret, "***")[:_MESSAGE_LIMIT]


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds that ``Retry-After`` asks to wait, from a number or a date; null where it says nothing readable."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text, re.ASCII):
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
    return max(0.0, until - time.time())
