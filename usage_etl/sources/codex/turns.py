"""From the running totals of a Codex session to its turns: each turn once, whatever the log repeats.

A ``token_count`` event holds the totals of the session and, in newer versions, the usage of the last call. The totals decide:
what they grew by is the turn. An event whose totals did not grow repeats the one before it (a change of rate limits writes
one); it becomes a copy of the same turn. Totals that shrink begin anew.

A session that was forked, or that a sub-agent began with its parent's history, holds that history once more. Where it kept
its times, its turns are the same turns, by time and totals. Where it was written in one go under new times, it is told by that
and left out: the parent's own file has it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PARTS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
TOTAL, LAST = "total ", "last "
"""Before the name of a part: the session's running total, and the last call."""

HISTORY_GAP = dt.timedelta(seconds=1)
"""Events of a copied history follow each other faster; a call of a model takes longer."""

_Counts = dict[str, int]


@dataclass
class Turns:
    """Turns of one file, event by event in the order of lines."""

    model: str | None = None
    session_id: str | None = None
    provider: str | None = None
    folder: str | None = None
    history_count: int = 0
    """Events that were left out because they repeat the history of a parent."""
    _began_at: dt.datetime | None = None
    _history_until: dt.datetime | None = None
    _totals: _Counts | None = None
    _copy: dict[str, str | None] = field(default_factory=dict)

    def read_meta(self, line: str) -> None:
        """Take in the line that begins a session. Only the first one is the file's own; others came with a history."""
        payload = _payload(line)
        if payload is None or self.session_id is not None:
            return
        self.session_id = _word(payload.get("id"))
        self.provider = _word(payload.get("model_provider"))
        self.folder = _word(payload.get("cwd"))
        source = payload.get("source")
        is_spawned = isinstance(source, dict) and "thread_spawn" in json.dumps(source)
        is_forked = is_spawned or any(payload.get(name) for name in ("forked_from_id", "parent_thread_id"))
        self._began_at = _instant(_word(json.loads(line).get("timestamp")))
        self._history_until = self._began_at + HISTORY_GAP if self._began_at and is_forked else None

    def read_context(self, row: Mapping[str, str | None]) -> None:
        """Take in a line that says under which model and where the next turns run."""
        self.model = row["model"] or self.model
        self.folder = row["cwd"] or self.folder

    def read_count(self, row: Mapping[str, str | None]) -> dict[str, str | None] | None:
        """The turn of a ``token_count`` event, in texts; None where it repeats a parent's history."""
        totals, last = _counts(row, TOTAL), _counts(row, LAST)
        if self._is_history(row["timestamp"]):
            self.history_count += 1
            self._totals = totals or self._totals
            return None
        if totals is None and last is None:
            return self._turn(row, {name: row[LAST + name] or row[TOTAL + name] for name in PARTS}, row["timestamp"])
        if totals is not None and totals == self._totals and self._copy:
            return self._copy | {"raw_ordinal": row["raw_ordinal"]}
        used = _used(totals, self._totals, last)
        self._totals = totals or self._totals
        seen = totals or used
        identity = "\x1f".join([row["timestamp"] or "", *(str(seen[name]) for name in PARTS)])
        self._copy = self._turn(row, {name: str(used[name]) for name in PARTS}, identity)
        return self._copy

    def _turn(self, row: Mapping[str, str | None], used: Mapping[str, str | None], identity: str | None) -> dict[str, str | None]:
        return {
            "raw_ordinal": row["raw_ordinal"],
            "turn_id": hashlib.sha256((identity or "").encode()).hexdigest()[:32],
            "timestamp": row["timestamp"],
            "model": row["model"] or self.model,
            "session_id": self.session_id,
            "provider": self.provider,
            "cwd": self.folder,
            "is_copied": "true" if self._is_older(row["timestamp"]) else None,
            **used,
        }

    def _is_older(self, timestamp: str | None) -> bool:
        """Whether the event happened before the file began: then it came with a history that kept its times."""
        at = _instant(timestamp)
        return at is not None and self._began_at is not None and at < self._began_at

    def _is_history(self, timestamp: str | None) -> bool:
        """Whether the event is of an unbroken run of events that began with the file itself."""
        at = _instant(timestamp)
        if self._history_until is None or at is None:
            return False
        if at > self._history_until:
            self._history_until = None
            return False
        if at >= self._history_until - 2 * HISTORY_GAP:
            self._history_until = at + HISTORY_GAP
            return True
        return False


def _used(totals: _Counts | None, before: _Counts | None, last: _Counts | None) -> _Counts:
    """What the turn used: the growth of the totals; where they begin or shrink, the last call, else the totals."""
    if totals is None:
        assert last is not None, "an event without counts is no turn"
        return last
    if before is None or any(totals[name] < before[name] for name in PARTS):
        return last if last is not None else totals
    return {name: totals[name] - before[name] for name in PARTS}


def _counts(row: Mapping[str, str | None], prefix: str) -> _Counts | None:
    """The four counts; None where there are none, or where one cannot be read."""
    texts = {name: row[prefix + name] for name in PARTS}
    if all(text is None for text in texts.values()):
        return None
    try:
        counts = {name: int(text or 0) for name, text in texts.items()}
    except ValueError:
        return None
    return counts if min(counts.values()) >= 0 else None


def _payload(line: str) -> Mapping[str, Any] | None:
    try:
        payload = json.loads(line)["payload"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _word(found: Any) -> str | None:
    return found if isinstance(found, str) and found else None


def _instant(text: str | None) -> dt.datetime | None:
    try:
        at = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
