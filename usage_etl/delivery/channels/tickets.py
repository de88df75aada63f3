"""Tickets of professional services automation: one for each alert, its later notices as notes.

None of these systems knows an idempotency key. So the alert's key stands in the ticket, where it can be searched for, and
every description and note ends with a mark of its notice: before anything is created it is looked for. A process that dies
between creating a ticket and remembering it finds the ticket the next time.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from usage_etl.delivery.channels.channel import Told, called
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.mail import HandOver
from usage_etl.delivery.texts import one_line
from usage_etl.schemas.notices import Notice

JSON_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer of a ticket system that are read."""
TEXT_LIMIT = 8000
"""Characters of a description or note."""

_OVER = frozenset({"resolved", "corrected"})
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Ticket:
    """One ticket that carries the alert's key. ``text``: what is known of its description."""

    ticket_id: int
    is_closed: bool
    text: str = ""


class CallFailedError(Exception):
    """A call to a ticket system did not end well; ``told`` says what it means for the message."""

    def __init__(self, told: Told) -> None:
        self.told = told
        super().__init__(told.reason)


class TicketSystem(Protocol):
    """The few things that are asked of a ticket system. Every method raises CallFailedError."""

    def find(self, key: str) -> list[Ticket]:
        """Tickets that carry ``key``, the newest first."""
        ...

    def notes(self, ticket: Ticket) -> list[str]:
        """Texts of the ticket's notes."""
        ...

    def create(self, key: str, notice: Notice, text: str) -> int:
        """A new ticket that carries ``key``; its number."""
        ...

    def add_note(self, ticket: Ticket, notice: Notice, text: str) -> None:
        """A note on a ticket."""
        ...

    def close(self, ticket: Ticket) -> None:
        """Set the ticket's status to closed."""
        ...


class ForOneCall(Protocol):
    """Makes the system for one message: who asks, and when."""

    def __call__(self, now: dt.datetime) -> TicketSystem:
        """A system that was logged in to. Raises CallFailedError."""
        ...


@dataclass(frozen=True)
class TicketChannel:
    """A ticket system as a channel. ``closes``: whether a resolved alert closes its ticket."""

    name: str
    pace: dt.timedelta
    open_system: ForOneCall = field(repr=False)
    closes: bool

    def tell(self, notice: Notice, recipient: str, now: dt.datetime) -> Told:  # noqa: ARG002 - there is one recipient
        """Find the alert's ticket, then create it, or note on it, unless that was done before."""
        try:
            return self._told(self.open_system(now), notice)
        except CallFailedError as error:
            return error.told

    def _told(self, system: TicketSystem, notice: Notice) -> Told:
        key, tickets = ticket_key(notice), []
        tickets = system.find(key)
        current = next((ticket for ticket in tickets if not ticket.is_closed), None)
        if notice.action in _OVER:
            return self._resolved(system, notice, current)
        if current is None and tickets and _is_told(system, tickets[0], notice):
            return Told(HandOver.SENT, f"ticket {tickets[0].ticket_id} has it already, and is closed")
        if current is None:
            return Told(HandOver.SENT, f"ticket {system.create(key, notice, ticket_text(notice))} created")
        return _noted(system, current, notice)

    def _resolved(self, system: TicketSystem, notice: Notice, current: Ticket | None) -> Told:
        if current is None:
            return Told(HandOver.SENT, "no open ticket to resolve")
        told = _noted(system, current, notice)
        if self.closes:
            system.close(current)
            return Told(HandOver.SENT, f"ticket {current.ticket_id} closed")
        return told


def ticket_key(notice: Notice) -> str:
    """What the alert's ticket is found by."""
    return f"ue-{notice.alert_key[:24]}"


def notice_mark(notice: Notice) -> str:
    """What a description or note of this notice is known by."""
    return f"[usage-etl notice {notice.notice_id[:24]}]"


def ticket_text(notice: Notice) -> str:
    """Description or note as plain text; the notice's mark is its last line."""
    facts = [f"{one_line(label)}: {one_line(printed)}" for label, printed in notice.facts.items()]
    parts = [one_line(notice.title), "", *map(one_line, notice.lines), "", *facts]
    for member in notice.members:
        parts += ["", one_line(member.title), *map(one_line, member.lines)]
    end = f"\n\n{notice_mark(notice)}"
    return "\n".join(parts).strip()[: TEXT_LIMIT - len(end)] + end


def _noted(system: TicketSystem, ticket: Ticket, notice: Notice) -> Told:
    if _is_told(system, ticket, notice):
        return Told(HandOver.SENT, f"ticket {ticket.ticket_id} has it already")
    system.add_note(ticket, notice, ticket_text(notice))
    return Told(HandOver.SENT, f"note on ticket {ticket.ticket_id}")


def _is_told(system: TicketSystem, ticket: Ticket, notice: Notice) -> bool:
    mark = notice_mark(notice)
    return mark in ticket.text or any(mark in text for text in system.notes(ticket))


@dataclass(frozen=True)
class JsonCalls:
    """Calls of a JSON API with the same headers."""

    http: GuardedHttp
    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    now: dt.datetime

    def read(self, method: str, path: str, document: object = None) -> Any:
        """The answer to a call that changes nothing. Raises CallFailedError, which then leaves no doubt: nothing was done."""
        content = b"" if document is None else json.dumps(document).encode("ascii")
        return self.send(method, path, content, _JSON, doubt=HandOver.UNSENT)

    def change(self, method: str, path: str, document: object) -> Any:
        """The answer to a call that creates or changes something. Raises CallFailedError."""
        return self.send(method, path, json.dumps(document).encode("ascii"), _JSON, doubt=HandOver.AMBIGUOUS)

    def send(self, method: str, path: str, content: bytes, headers: Mapping[str, str], *, doubt: HandOver) -> Any:
        """The answer to ``content`` as JSON. ``doubt``: what a missing answer means. Raises CallFailedError."""
        sent = {"Accept": "application/json", **self.headers, **headers}
        url = self.base_url.rstrip("/") + path
        told, answer = called(self.http, method, url, headers=sent, content=content, now=self.now)
        asked = f"{method} {path.partition('?')[0]}"
        if told.status is not HandOver.SENT or answer is None:
            status = doubt if told.status is HandOver.AMBIGUOUS else told.status
            raise CallFailedError(replace(told, status=status, reason=f"{asked}: {told.reason}"))
        if answer.is_cut:
            raise CallFailedError(Told(doubt, f"{asked}: the answer broke off or is too long"))
        try:
            return json.loads(answer.body) if answer.body.strip() else None
        except ValueError:
            raise CallFailedError(Told(doubt, f"{asked}: the answer is not JSON")) from None


def rows(found: Any, name: str | None = None) -> Sequence[Mapping[str, Any]]:
    """A list of objects of an answer. Raises CallFailedError when the answer is something else."""
    listed = found.get(name) if name is not None and isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise CallFailedError(Told(HandOver.UNSENT, "the search was answered by something else than a list"))
    return listed


def number(found: Any, name: str) -> int:
    """A number of an answer. Raises CallFailedError when there is none: what was asked may have been done."""
    value = found.get(name) if isinstance(found, dict) else None
    if isinstance(value, bool) or not isinstance(value, int):
        raise CallFailedError(Told(HandOver.AMBIGUOUS, f"the answer holds no {name}"))
    return value
