"""Autotask, REST API 1.0: tickets, found by ``externalID``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from usage_etl.delivery.channels.tickets import JsonCalls, Ticket, number, rows
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.texts import clipped, one_line
from usage_etl.schemas.notices import Notice

_TITLE_LIMIT = 250
_DUE_AFTER = dt.timedelta(days=1)
_STANDARD_NOTE, _FOR_ALL_AUTOTASK_USERS = 1, 1


@dataclass(frozen=True)
class Autotask:
    """An API user, and what new tickets are given. ``queue_id`` null takes the default of the ticket category."""

    http: GuardedHttp
    base_url: str
    company_id: int
    queue_id: int | None
    new_status: int
    closed_status: int
    priorities: Mapping[str, int]
    headers: Mapping[str, str] = field(repr=False)

    def __call__(self, now: dt.datetime) -> AutotaskTickets:
        """The system for one message; there is nothing to log in to."""
        return AutotaskTickets(JsonCalls(self.http, self.base_url, self.headers, now), self)


def autotask_headers(*, username: str, secret: str, integration_code: str) -> dict[str, str]:
    """What every call carries."""
    return {"UserName": username, "Secret": secret, "ApiIntegrationCode": integration_code}


@dataclass(frozen=True)
class AutotaskTickets:
    """Tickets, as one message sees them."""

    calls: JsonCalls
    settings: Autotask

    def find(self, key: str) -> list[Ticket]:
        """Tickets whose ``externalID`` is ``key``."""
        query = {"MaxRecords": 25, "filter": [{"op": "eq", "field": "externalID", "value": key}]}
        found = [row for row in rows(self.calls.read("POST", "/Tickets/query", query), "items") if row.get("externalID") == key]
        tickets = [
            Ticket(number(row, "id"), row.get("status") == self.settings.closed_status, str(row.get("description") or ""))
            for row in found
        ]
        return sorted(tickets, key=lambda ticket: -ticket.ticket_id)

    def notes(self, ticket: Ticket) -> list[str]:
        """Notes of the ticket."""
        query = {"MaxRecords": 500, "filter": [{"op": "eq", "field": "ticketID", "value": ticket.ticket_id}]}
        return [str(row.get("description") or "") for row in rows(self.calls.read("POST", "/TicketNotes/query", query), "items")]

    def create(self, key: str, notice: Notice, text: str) -> int:
        """A ticket of the configured company and queue; times are UTC, as Autotask wants them."""
        document: dict[str, object] = {
            "companyID": self.settings.company_id,
            "title": clipped(one_line(notice.title), _TITLE_LIMIT),
            "description": text,
            "externalID": key,
            "status": self.settings.new_status,
            "priority": self.settings.priorities[notice.severity],
            "dueDateTime": f"{notice.happened_at.astimezone(dt.UTC) + _DUE_AFTER:%Y-%m-%dT%H:%M:%SZ}",
        }
        if self.settings.queue_id is not None:
            document["queueID"] = self.settings.queue_id
        return number(self.calls.change("POST", "/Tickets", document), "itemId")

    def add_note(self, ticket: Ticket, notice: Notice, text: str) -> None:
        """A note for everybody in Autotask."""
        note = {
            "ticketID": ticket.ticket_id,
            "title": clipped(one_line(notice.title), _TITLE_LIMIT),
            "description": text,
            "noteType": _STANDARD_NOTE,
            "publish": _FOR_ALL_AUTOTASK_USERS,
        }
        self.calls.change("POST", f"/Tickets/{ticket.ticket_id}/Notes", note)

    def close(self, ticket: Ticket) -> None:
        """Set the closed status; PATCH, because PUT would empty every field that is not sent."""
        self.calls.change("PATCH", "/Tickets", {"id": ticket.ticket_id, "status": self.settings.closed_status})
