"""HaloPSA: tickets, found by the alert's key at the end of their summary.

Halo's list of tickets can be searched by summary and by details, not by a reference of our own, so the summary carries it.
Bodies that create or change are lists.
"""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import dataclass, field
from urllib.parse import urlencode

from usage_etl.delivery.channels.channel import Told
from usage_etl.delivery.channels.tickets import CallFailedError, JsonCalls, Ticket, number, rows
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.mail import HandOver
from usage_etl.delivery.texts import clipped, one_line
from usage_etl.schemas.notices import Notice

_SUMMARY_LIMIT = 200
_PAGE = 25


@dataclass(frozen=True)
class HaloPsa:
    """An API application, and what new tickets are given. Null takes Halo's defaults."""

    http: GuardedHttp
    base_url: str
    auth_url: str
    tenant: str | None
    halo_client_id: int | None
    ticket_type_id: int | None
    closed_status: int
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)

    def __call__(self, now: dt.datetime) -> HaloPsaTickets:
        """Logs in (OAuth 2 client credentials) and gives the system for one message. Raises CallFailedError."""
        tenant = f"?{urlencode({'tenant': self.tenant})}" if self.tenant else ""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": "read:tickets edit:tickets",
        }
        login = JsonCalls(self.http, self.auth_url, {}, now)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        granted = login.send("POST", f"/token{tenant}", urlencode(form).encode("ascii"), headers, doubt=HandOver.UNSENT)
        token = granted.get("access_token") if isinstance(granted, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise CallFailedError(Told(HandOver.BLOCKED, "the authorization server gave no token"))
        return HaloPsaTickets(JsonCalls(self.http, self.base_url, {"Authorization": f"Bearer {token}"}, now), self)


@dataclass(frozen=True)
class HaloPsaTickets:
    """Tickets, as one message sees them."""

    calls: JsonCalls
    settings: HaloPsa

    def find(self, key: str) -> list[Ticket]:
        """Tickets whose summary ends with ``key``; the search itself is by words, so it is checked again."""
        query = urlencode({"search_summary": key, "order": "id", "orderdesc": "true", "count": _PAGE})
        found = rows(self.calls.read("GET", f"/Tickets?{query}"), "tickets")
        mine = [row for row in found if str(row.get("summary") or "").endswith(_reference(key))]
        closed = self.settings.closed_status
        tickets = [
            Ticket(
                number(row, "id"),
                row.get("status_id") == closed or row.get("hasbeenclosed") is True,
                str(row.get("details") or ""),
            )
            for row in mine
        ]
        return sorted(tickets, key=lambda ticket: -ticket.ticket_id)

    def notes(self, ticket: Ticket) -> list[str]:
        """Description and actions of the ticket."""
        whole = self.calls.read("GET", f"/Tickets/{ticket.ticket_id}?includedetails=true")
        query = urlencode({"ticket_id": ticket.ticket_id, "excludesys": "true", "count": 1000})
        actions = rows(self.calls.read("GET", f"/Actions?{query}"), "actions")
        description = str(whole.get("details") or "") if isinstance(whole, dict) else ""
        return [description, *(str(row.get("note") or "") for row in actions)]

    def create(self, key: str, notice: Notice, text: str) -> int:
        """A ticket of the configured client and type."""
        reference = _reference(key)
        document: dict[str, object] = {
            "summary": clipped(one_line(notice.title), _SUMMARY_LIMIT - len(reference)) + reference,
            "details_html": _as_html(text),
            "dateoccurred": f"{notice.happened_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        if self.settings.halo_client_id is not None:
            document["client_id"] = self.settings.halo_client_id
        if self.settings.ticket_type_id is not None:
            document["tickettype_id"] = self.settings.ticket_type_id
        return number(_first(self.calls.change("POST", "/Tickets", [document])), "id")

    def add_note(self, ticket: Ticket, notice: Notice, text: str) -> None:  # noqa: ARG002 - actions have no title
        """A private note."""
        action = {"ticket_id": ticket.ticket_id, "outcome": "note", "note_html": _as_html(text), "hiddenfromuser": True}
        self.calls.change("POST", "/Actions", [action])

    def close(self, ticket: Ticket) -> None:
        """Set the closed status."""
        self.calls.change("POST", "/Tickets", [{"id": ticket.ticket_id, "status_id": self.settings.closed_status}])


def _reference(key: str) -> str:
    return f" [{key}]"


def _as_html(text: str) -> str:
    """Plain text as Halo shows it: escaped, with line breaks."""
    return html.escape(text).replace("\n", "<br>")


def _first(found: object) -> object:
    """Halo answers a list of one with the ticket itself, or with a list of one."""
    return found[0] if isinstance(found, list) and found else found
