"""ConnectWise PSA (Manage), REST API 3.0: service tickets, found by ``externalXRef``."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from usage_etl.delivery.channels.tickets import JsonCalls, Ticket, number, rows
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.texts import clipped, one_line
from usage_etl.schemas.notices import Notice

_SUMMARY_LIMIT = 100
_PAGE = 25


@dataclass(frozen=True)
class ConnectWise:
    """A member of the API, and what new tickets are given. ``board`` null takes the default."""

    http: GuardedHttp
    base_url: str
    company: str
    board: str | None
    closed_status: str
    headers: Mapping[str, str] = field(repr=False)

    def __call__(self, now: dt.datetime) -> ConnectWiseTickets:
        """The system for one message; there is nothing to log in to."""
        return ConnectWiseTickets(JsonCalls(self.http, self.base_url, self.headers, now), self)


def connectwise_headers(*, company_login: str, public_key: str, private_key: str, client_id: str) -> dict[str, str]:
    """What every call carries: Basic authorization of ``company+public:private``, and the integration's id."""
    login = base64.b64encode(f"{company_login}+{public_key}:{private_key}".encode()).decode()
    return {"Authorization": f"Basic {login}", "clientId": client_id}


@dataclass(frozen=True)
class ConnectWiseTickets:
    """Service tickets, as one message sees them."""

    calls: JsonCalls
    settings: ConnectWise

    def find(self, key: str) -> list[Ticket]:
        """Tickets whose ``externalXRef`` is ``key``."""
        query = urlencode({"conditions": f'externalXRef = "{key}"', "orderBy": "id desc", "pageSize": _PAGE})
        found = rows(self.calls.read("GET", f"/service/tickets?{query}"))
        return [
            Ticket(number(row, "id"), is_closed=row.get("closedFlag") is True) for row in found if row.get("externalXRef") == key
        ]

    def notes(self, ticket: Ticket) -> list[str]:
        """Notes, of which the first is the initial description."""
        query = urlencode({"orderBy": "id desc", "pageSize": 1000})
        found = rows(self.calls.read("GET", f"/service/tickets/{ticket.ticket_id}/notes?{query}"))
        return [str(row.get("text") or "") for row in found]

    def create(self, key: str, notice: Notice, text: str) -> int:
        """A ticket of the configured company and board."""
        document: dict[str, object] = {
            "summary": clipped(one_line(notice.title), _SUMMARY_LIMIT),
            "company": {"identifier": self.settings.company},
            "externalXRef": key,
            "initialDescription": text,
        }
        if self.settings.board is not None:
            document["board"] = {"name": self.settings.board}
        return number(self.calls.change("POST", "/service/tickets", document), "id")

    def add_note(self, ticket: Ticket, notice: Notice, text: str) -> None:  # noqa: ARG002 - notes have no title here
        """A note of the discussion."""
        note = {"text": text, "detailDescriptionFlag": True, "internalAnalysisFlag": False, "resolutionFlag": False}
        self.calls.change("POST", f"/service/tickets/{ticket.ticket_id}/notes", note)

    def close(self, ticket: Ticket) -> None:
        """Set the closed status of the ticket's board."""
        change = [{"op": "replace", "path": "status", "value": {"name": self.settings.closed_status}}]
        self.calls.change("PATCH", f"/service/tickets/{ticket.ticket_id}", change)
