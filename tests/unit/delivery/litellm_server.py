"""A server that answers as a LiteLLM proxy's admin interface does, in a process of its own; faults are ordered by a control path.

Run as ``python litellm_server.py``: prints its port. State is kept in memory; ``GET /_calls`` tells what was asked.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ADMIN_KEY = "sk-admin"
PLACES = {"key": ("key", "info"), "team": ("team_id", "team_info")}


class State:
    """Keys and teams by path and id, the calls so far, and the faults that come next."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[list[Any]] = []
        self.faults: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """Endpoints of the admin interface, and ``/_add``, ``/_fault``, ``/_calls``, ``/_record`` for tests."""

    state = State()

    def log_message(self, *args: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:
        self._handle({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._handle(json.loads(content) if content else {})

    def _handle(self, body: dict[str, Any]) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/_"):
            self._control(path, body)
            return
        self.state.calls.append([self.command, path, body, self.headers.get("litellm-changed-by")])
        if self.headers.get("Authorization") != f"Bearer {ADMIN_KEY}":
            self._answer(401, {"error": {"message": "Authentication Error, Invalid proxy server token passed", "code": "401"}})
            return
        fault = self._fault_of(path)
        if fault and not fault.get("after"):
            self._fail(fault)
            return
        _, room, verb = path.split("/")
        parameter, place = PLACES[room]
        record = self.state.records.get((room, body.get(parameter, "")))
        if record is None:
            self._answer(404, {"error": {"message": f"{room} not found", "code": "404"}})
            return
        self._change(record, verb, body)
        if fault:
            self._fail(fault)
        elif verb == "info":
            self._answer(200, {parameter: body[parameter], place: record})
        else:
            self._answer(200, record)

    def _change(self, record: dict[str, Any], verb: str, body: dict[str, Any]) -> None:
        if verb in {"block", "unblock"}:
            record["blocked"] = verb == "block"
        elif verb == "update":
            record |= {name: body[name] for name in ("max_budget", "budget_duration") if name in body}

    def _fault_of(self, path: str) -> dict[str, Any] | None:
        for fault in self.state.faults:
            if fault["path"] == path and fault["times"] > 0:
                fault["times"] -= 1
                return fault
        return None

    def _fail(self, fault: dict[str, Any]) -> None:
        if "sleep" in fault:
            time.sleep(fault["sleep"])
        self._answer(fault["status"], {"error": "ordered"}, retry_after=fault.get("retry_after"))

    def _control(self, path: str, body: dict[str, Any]) -> None:
        if path == "/_add":
            told = {name: body.get(name) for name in ("blocked", "max_budget", "budget_duration")}
            self.state.records[body["room"], body["id"]] = {**told, "spend": 1.5}
        elif path == "/_fault":
            self.state.faults.append(body)
        answers = {"/_calls": self.state.calls, "/_record": self.state.records.get((body.get("room", ""), body.get("id", "")))}
        self._answer(200, answers.get(path))

    def _answer(self, status: int, content: Any, *, retry_after: str | None = None) -> None:
        text = json.dumps(content).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            return  # the caller has gone away, as after a timeout


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
