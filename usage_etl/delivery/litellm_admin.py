"""The admin interface of a LiteLLM proxy: what it says of a key or team, its budget, and whether it refuses it.

A key is named by its hash, as the proxy's own logs name it. The proxy keeps keys in memory for about a minute, so a change
can take that long to be felt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx

from usage_etl.errors import GatewayError, TransientGatewayError

ATTEMPTS = 4
LONGEST_PAUSE_S = 30.0
CHANGED_BY = "usage-etl"
_TRANSIENT = {408, 429}
_PLACES: Mapping[str, tuple[str, str, str]] = {"api_key": ("key", "key", "info"), "team": ("team", "team_id", "team_info")}
"""Kind of scope to the path's first part, the parameter that names a member, and where its record stands in an answer."""
RECORDED = ("blocked", "max_budget", "budget_duration")
"""What is kept of a record, before and after a change."""


class LiteLLMAdmin:
    """Calls of one proxy. Every call is idempotent, and is tried again after 408, 429, 5xx and silence."""

    def __init__(self, url: str, admin_key: str, *, timeout_s: float, pause: Callable[[float], None] = time.sleep) -> None:
        self.url = url
        self._pause = pause
        headers = {"Authorization": f"Bearer {admin_key}", "litellm-changed-by": CHANGED_BY}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, follow_redirects=False, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def record(self, scope_kind: str, scope_id: str) -> dict[str, Any]:
        """What the proxy holds of a key or team: blocked, max_budget, budget_duration. Raises GatewayError."""
        path, parameter, place = _PLACES[scope_kind]
        answer = self._call("GET", f"/{path}/info", params={parameter: scope_id})
        found = answer.get(place)
        if not isinstance(found, dict):
            raise GatewayError(self.url, f"/{path}/info answered without {place}")
        record = {name: found.get(name) for name in RECORDED}
        return record | {"blocked": bool(record["blocked"])}

    def set_budget(self, scope_kind: str, scope_id: str, *, max_budget: Decimal | None, budget_duration: str | None) -> None:
        """Writes the budget of a key or team; null takes it away. The proxy counts it in US dollars."""
        path, parameter, _ = _PLACES[scope_kind]
        number = "null" if max_budget is None else f"{max_budget.normalize():f}"
        body = {parameter: scope_id, "budget_duration": budget_duration}
        text = json.dumps(body)[:-1] + f', "max_budget": {number}}}'
        self._call("POST", f"/{path}/update", content=text.encode())

    def block(self, scope_kind: str, scope_id: str) -> None:
        """Lets the proxy refuse every call of a key or team."""
        self._switch(scope_kind, scope_id, "block")

    def unblock(self, scope_kind: str, scope_id: str) -> None:
        """Lets the proxy serve it again."""
        self._switch(scope_kind, scope_id, "unblock")

    def _switch(self, scope_kind: str, scope_id: str, verb: str) -> None:
        path, parameter, _ = _PLACES[scope_kind]
        self._call("POST", f"/{path}/{verb}", content=json.dumps({parameter: scope_id}).encode())

    def _call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> dict[str, Any]:
        for attempt in range(1, ATTEMPTS + 1):
            fault: TransientGatewayError
            try:
                answer = self._client.request(
                    method,
                    path,
                    params=params,
                    content=content,
                    headers={"Content-Type": "application/json"} if content else None,
                )
            except httpx.HTTPError as error:
                fault, asked = TransientGatewayError(self.url, f"{path}: no answer ({type(error).__name__})"), None
            else:
                if answer.status_code not in _TRANSIENT and answer.status_code < 500:
                    return self._content(answer, path)
                fault = TransientGatewayError(self.url, f"{path}: answered {answer.status_code}", answer.status_code)
                asked = answer.headers.get("Retry-After", "")
            if attempt < ATTEMPTS:
                self._pause(_pause_s(attempt, asked))
        raise fault

    def _content(self, answer: httpx.Response, path: str) -> dict[str, Any]:
        if answer.status_code >= 300:
            hints = {401: "the admin key is not accepted", 403: "the admin key may not do this", 404: "it is not known there"}
            hint = hints.get(answer.status_code, "refused")
            raise GatewayError(self.url, f"{path}: answered {answer.status_code}, {hint}", answer.status_code)
        try:
            content = answer.json()
        except ValueError as error:
            raise GatewayError(self.url, f"{path}: answered no JSON", answer.status_code) from error
        return content if isinstance(content, dict) else {}


def _pause_s(attempt: int, asked: str | None) -> float:
    """What the server asked for, up to half a minute, else 0.5, 1, 2 s."""
    if asked and asked.isdecimal():
        return min(float(asked), LONGEST_PAUSE_S)
    return 0.5 * 2.0 ** (attempt - 1)
