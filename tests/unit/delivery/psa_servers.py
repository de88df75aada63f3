"""Ticket systems as their real interfaces answer, over HTTP: ConnectWise, Autotask and HaloPSA, each with a login."""

import base64
import html
import itertools
import json
import re
from urllib.parse import parse_qs, urlsplit

from tests.unit.delivery.http_servers import local_http
from usage_etl.delivery.channels.autotask import Autotask, autotask_headers
from usage_etl.delivery.channels.connectwise import ConnectWise, connectwise_headers
from usage_etl.delivery.channels.halopsa import HaloPsa


def answer(status, document):
    """An answer in JSON."""
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


class TicketServer:
    """Keeps tickets and their notes. ``spoil`` may replace an answer after the work was done: a lost acknowledgement.

    ``is_loose``: searches find tickets that were not asked for, too.
    """

    def __init__(self):
        self.tickets, self.ids, self.spoil, self.is_loose = {}, itertools.count(101), None, False

    def __call__(self, heard):
        """Answer one request."""
        result = self.respond(heard, urlsplit(heard.path))
        return self.spoil(heard) or result if self.spoil else result

    def add(self, **fields):
        """A ticket with the next number."""
        number = next(self.ids)
        self.tickets[number] = {"id": number, "notes": [], **fields}
        return number

    def notes(self):
        """Texts of all notes."""
        return [text for ticket in self.tickets.values() for text in ticket["notes"]]


class ConnectWiseServer(TicketServer):
    """Service tickets of API 3.0: conditions, Basic authorization of ``company+public:private``, a clientId header."""

    login = "Basic " + base64.b64encode(b"acme+pub:priv").decode()

    def respond(self, heard, url):
        """As Manage does."""
        if heard.headers.get("Authorization") != self.login or heard.headers.get("clientId") != "client-1":
            return answer(401, {"code": "Unauthorized"})
        parts = url.path.removeprefix("/v4_6_release/apis/3.0/service/tickets").strip("/").split("/")
        if heard.method == "GET" and parts == [""]:
            found = re.fullmatch(r'externalXRef = "([^"]*)"', parse_qs(url.query)["conditions"][0])
            rows = [self.row(ticket) for ticket in self.tickets.values() if self.is_loose or ticket["externalXRef"] == found[1]]
            return answer(200, rows[::-1])
        if heard.method == "POST" and parts == [""]:
            return self.create(heard.json())
        ticket = self.tickets[int(parts[0])]
        if heard.method == "PATCH":
            (change,) = heard.json()
            assert change["op"] == "replace"
            assert change["path"] == "status"
            ticket["status"] = change["value"]["name"]
            return answer(200, self.row(ticket))
        assert parts[1:] == ["notes"]
        if heard.method == "POST":
            ticket["notes"].append(heard.json()["text"])
            return answer(201, {"id": len(ticket["notes"])})
        texts = [ticket["initialDescription"], *ticket["notes"]]
        return answer(200, [{"id": number, "text": text} for number, text in enumerate(texts)])

    def create(self, asked):
        if not 1 <= len(asked["summary"]) <= 100 or asked["company"] != {"identifier": "Northwind"}:
            return answer(400, {"code": "InvalidObject", "message": "ticket object is invalid"})
        number = self.add(status="New", **asked)
        return answer(201, self.row(self.tickets[number]))

    def row(self, ticket):
        """A ticket as it is read: the description is a note."""
        hidden = ("notes", "initialDescription")
        return {name: held for name, held in ticket.items() if name not in hidden} | {"closedFlag": ticket["status"] == "Closed"}

    def system(self, url):
        """Our side of it."""
        login = {"company_login": "acme", "public_key": "pub", "private_key": "priv", "client_id": "client-1"}
        return ConnectWise(
            local_http(), f"{url}/v4_6_release/apis/3.0", "Northwind", "Alerts", "Closed", connectwise_headers(**login)
        )


class AutotaskServer(TicketServer):
    """Tickets of REST 1.0: queries by POST with a filter, itemId as the answer to a new one, PATCH of the collection."""

    login = (("UserName", "api@acme.example"), ("Secret", "s3cret"), ("ApiIntegrationCode", "CODE"))

    def respond(self, heard, url):
        """As Autotask does."""
        if any(heard.headers.get(name) != text for name, text in self.login):
            return answer(401, {"errors": ["login"]})
        path = url.path.removeprefix("/atservicesrest/v1.0")
        if path in ("/Tickets/query", "/TicketNotes/query"):
            (wanted,) = heard.json()["filter"]
            assert wanted["op"] == "eq"
            if path == "/Tickets/query":
                rows = [
                    ticket for ticket in self.tickets.values() if self.is_loose or ticket.get(wanted["field"]) == wanted["value"]
                ]
                return answer(200, {"items": rows, "pageDetails": {"count": len(rows)}})
            return answer(200, {"items": [{"description": text} for text in self.tickets[wanted["value"]]["notes"]]})
        return self.change(heard.method, path, heard.json())

    def change(self, method, path, asked):
        """New tickets and notes, changed tickets."""
        if (method, path) == ("POST", "/Tickets"):
            if not {"companyID", "title", "status", "priority", "dueDateTime"} <= set(asked) or len(asked["title"]) > 255:
                return answer(500, {"errors": ["Missing Required Field"]})
            return answer(200, {"itemId": self.add(**asked)})
        if (method, path) == ("PATCH", "/Tickets"):
            self.tickets[asked["id"]] |= asked
            return answer(200, {"itemId": asked["id"]})
        number = int(re.fullmatch(r"/Tickets/(\d+)/Notes", path)[1])
        assert {"title", "description", "noteType", "publish"} <= set(asked)
        self.tickets[number]["notes"].append(asked["description"])
        return answer(200, {"itemId": 1})

    def system(self, url):
        """Our side of it."""
        headers = autotask_headers(username="api@acme.example", secret="s3cret", integration_code="CODE")
        priorities = {"critical": 4, "warning": 2, "info": 3}
        return Autotask(local_http(), f"{url}/atservicesrest/v1.0", 0, None, 1, 5, priorities, headers)


class HaloServer(TicketServer):
    """Tickets and actions: client credentials, a search by words of the summary, lists as bodies."""

    def respond(self, heard, url):
        """As HaloPSA does."""
        query = {name: texts[0] for name, texts in parse_qs(url.query).items()}
        if url.path == "/auth/token":
            form = {name: texts[0] for name, texts in parse_qs(heard.body.decode()).items()}
            is_known = (form["client_id"], form["client_secret"], query["tenant"]) == ("id-1", "s3cret", "acme")
            return answer(200, {"access_token": "tok"}) if is_known else answer(400, {"error": "invalid_client"})
        if heard.headers.get("Authorization") != "Bearer tok":
            return answer(401, {})
        return self.read(url.path, query) if heard.method == "GET" else self.change(url.path, heard.json())

    def read(self, path, query):
        """Lists and single tickets."""
        if path == "/api/Tickets":
            word = query["search_summary"].lower()
            rows = [self.row(ticket) for ticket in self.tickets.values() if word[:8] in ticket["summary"].lower()]
            return answer(200, {"record_count": len(rows), "tickets": rows})
        if path == "/api/Actions":
            notes = self.tickets[int(query["ticket_id"])]["notes"]
            return answer(200, {"record_count": len(notes), "actions": [{"note": text} for text in notes]})
        ticket = self.tickets[int(path.rpartition("/")[2])]
        return answer(200, self.row(ticket) | {"details": as_text(ticket["details_html"])})

    def change(self, path, document):
        """New actions and tickets, changed tickets: always lists of one."""
        (asked,) = document
        if path == "/api/Actions":
            self.tickets[asked["ticket_id"]]["notes"].append(as_text(asked["note_html"]))
            return answer(201, {"id": 1, "ticket_id": asked["ticket_id"]})
        if "id" in asked:
            self.tickets[asked["id"]] |= asked
            return answer(201, {"id": asked["id"]})
        return answer(201, {"id": self.add(status_id=1, **asked)})

    def row(self, ticket):
        """A ticket in a list, without its details."""
        return {name: ticket[name] for name in ("id", "summary", "status_id")}

    def system(self, url):
        """Our side of it."""
        return HaloPsa(local_http(), f"{url}/api", f"{url}/auth", "acme", 12, None, 9, "id-1", "s3cret")


def as_text(markup):
    """What is left of HTML as text."""
    return html.unescape(re.sub(r"<br>", "\n", markup))


SERVERS = {"connectwise": ConnectWiseServer, "autotask": AutotaskServer, "halopsa": HaloServer}
