"""What goes wrong or is spared on the way: failed attempts and their retries, gateway cache hits, streams without usage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from usage_etl.demo.requests import Failure, Request
from usage_etl.demo.scenario import Scenario

_RATE_LIMIT = Failure(429, "RateLimitError", "Rate limit reached for requests per minute; retry after 2 s")
_OVERLOADED = Failure(529, "InternalServerError", "Overloaded")
_TIMEOUT = Failure(408, "Timeout", "Request timed out after 600.0 seconds")
_TOO_LONG = Failure(400, "ContextWindowExceededError", "Input is longer than the model's context window")
_POLICY = Failure(400, "ContentPolicyViolationError", "The response was filtered by the provider's safety system")
_BROKEN_STREAM = Failure(500, "MidStreamFallbackError", "Connection closed before the stream ended")
_USUAL_FAILURES = ((_RATE_LIMIT, 46), (_OVERLOADED, 22), (_TIMEOUT, 12), (_TOO_LONG, 8), (_POLICY, 12))
_RETRIED = frozenset({429, 529, 408})
_FAILURE_SHARE = 0.011
_OUTAGE_SHARE = 0.32
_BROKEN_STREAM_SHARE = 0.0004
_NO_USAGE_SHARE = 0.004
_NOTHING = (0, 0, 0, 0, 0)


def with_mishaps(random: Random, scenario: Scenario, day: dt.date, requests: list[Request]) -> list[Request]:
    """The day's attempts in order of time: what was asked, and what happened to it."""
    attempts = [attempt for request in requests for attempt in _attempts(random, scenario, day, request)]
    attempts.sort(key=lambda attempt: (attempt.started_us, attempt.request_id))
    return attempts


def _attempts(random: Random, scenario: Scenario, day: dt.date, request: Request) -> Iterator[Request]:
    if request.feature and request.feature.gateway_cache_share and random.random() < request.feature.gateway_cache_share:
        yield _from_gateway_cache(random, request)
        return
    if random.random() < _failure_share(scenario, day, request):
        failure = random.choices([kind for kind, _ in _USUAL_FAILURES], [weight for _, weight in _USUAL_FAILURES])[0]
        yield _failed(random, request, failure)
        if failure.code not in _RETRIED:
            return
        request.started_us += 1_200_000 + int(random.random() * 3_000_000)
        if request.day != day:  # the retry belongs to a day that is already written
            request.started_us -= 5_000_000
    elif request.model.provider in ("openai", "anthropic") and random.random() < _BROKEN_STREAM_SHARE:
        fresh, read, write_5m, write_1h, output = request.tokens
        request.tokens = (fresh, read, write_5m, write_1h, output // 3)
        request.reasoning_tokens = min(request.reasoning_tokens, output // 3)
        request.failure = _BROKEN_STREAM
    elif request.model.provider == "google" and random.random() < _NO_USAGE_SHARE:
        request.tokens, request.reasoning_tokens, request.has_usage = _NOTHING, 0, False
    yield request


def _failure_share(scenario: Scenario, day: dt.date, request: Request) -> float:
    if day == scenario.outage and request.model.provider == "anthropic":
        hour = request.started_us // 3_600_000_000 % 24
        if 14 <= hour < 17:
            return _OUTAGE_SHARE
    return _FAILURE_SHARE


def _failed(random: Random, request: Request, failure: Failure) -> Request:
    """The attempt before the one that is kept: own id, same call, nothing used."""
    return replace(
        request,
        request_id=request.request_id[:-6] + f"{random.getrandbits(24):06x}",
        duration_ms=120 + int(random.random() * 900),
        ttft_ms=0,
        tokens=_NOTHING,
        reasoning_tokens=0,
        failure=failure,
    )


def _from_gateway_cache(random: Random, request: Request) -> Request:
    """An answer given before: the gateway marks the id, the provider never sees the request."""
    request.request_id += f"_cache_hit{request.started_us / 1_000_000:.6f}"
    request.duration_ms = 3 + int(random.random() * 20)
    request.ttft_ms = request.duration_ms
    request.is_cache_hit = True
    return request
