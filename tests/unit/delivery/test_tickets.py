"""One ticket for each alert in every ticket system, whatever gets lost on the way; later notices are notes, once each."""

import datetime as dt

import pytest

from tests.unit.delivery.http_servers import serving_http
from tests.unit.delivery.notices import NOW, notice
from tests.unit.delivery.psa_servers import SERVERS, HaloServer, answer
from usage_etl.delivery.channels.tickets import TicketChannel, notice_mark, ticket_key, ticket_text
from usage_etl.delivery.mail import HandOver

PACE = dt.timedelta(seconds=1)


@pytest.fixture(params=SERVERS)
def shop(request):
    """A ticket system, its HTTP endpoint, and a channel to it."""
    server = SERVERS[request.param]()
    with serving_http(server) as endpoint:
        yield server, endpoint, TicketChannel("psa", PACE, server.system(endpoint.url), closes=False)


def tell(channel, told):
    return channel.tell(told, "", NOW)


def is_closed(ticket):
    return ticket.get("status") in ("Closed", 5) or ticket.get("status_id") == 9


def test_fired_raised_and_resolved_share_one_ticket(shop):
    server, _, channel = shop
    assert tell(channel, notice(1)).reason == "ticket 101 created"
    assert tell(channel, notice(2, title="Now at 100 %")).reason == "note on ticket 101"
    assert tell(channel, notice(3, action="resolved", title="Back below")).reason == "note on ticket 101"
    assert tell(channel, notice(4, alert="another")).reason == "ticket 102 created"
    assert [text.splitlines()[0] for text in server.notes()] == ["Now at 100 %", "Back below"]
    assert not any(is_closed(ticket) for ticket in server.tickets.values())


def test_resolved_closes_where_the_settings_say_so(shop):
    server, endpoint, _ = shop
    channel = TicketChannel("psa", PACE, server.system(endpoint.url), closes=True)
    for told in (notice(1), notice(2, action="resolved")):
        assert tell(channel, told).status is HandOver.SENT
    assert is_closed(server.tickets[101])
    assert len(server.notes()) == 1
    assert tell(channel, notice(2, action="resolved")).reason == "no open ticket to resolve"
    assert tell(channel, notice(1)).reason == "ticket 101 has it already, and is closed"
    assert tell(channel, notice(3)).reason == "ticket 102 created", "a new episode after the ticket was closed"


@pytest.mark.parametrize("action", ["fired", "resolved"])
def test_same_notice_again_changes_nothing(shop, action):
    server, _, channel = shop
    tell(channel, notice(1))
    for _ in range(3):
        assert tell(channel, notice(2, action=action)).status is HandOver.SENT
        assert tell(channel, notice(1)).status is HandOver.SENT
    assert (len(server.tickets), len(server.notes())) == (1, 1)


@pytest.mark.parametrize("loss", ["hang up", "cut body", 502, 504, (200, {}, b"<html>proxy</html>"), (200, {}, b'{"no": "id"}')])
def test_lost_answer_to_a_new_ticket_makes_no_second_one(shop, loss):
    server, _, channel = shop
    server.spoil = lambda heard: loss if heard.method == "POST" and len(server.tickets) == 1 else None
    told = tell(channel, notice(1))
    assert told.status is HandOver.AMBIGUOUS
    server.spoil = None
    assert tell(channel, notice(1)).reason == "ticket 101 has it already"
    assert (len(server.tickets), server.notes()) == (1, [])


def test_lost_answer_to_a_note_makes_no_second_one(shop):
    server, _, channel = shop
    tell(channel, notice(1))
    server.spoil = lambda heard: "hang up" if server.notes() else None
    assert tell(channel, notice(2)).status is HandOver.AMBIGUOUS
    server.spoil = None
    assert tell(channel, notice(2)).reason == "ticket 101 has it already"
    assert len(server.notes()) == 1


@pytest.mark.parametrize("loss", ["hang up", 500, 503, (200, {}, b"null"), (200, {}, b"{"), (200, {}, b"[1]")])
def test_failed_search_creates_nothing_and_leaves_no_doubt(shop, loss):
    server, endpoint, channel = shop
    server.spoil = lambda heard: None if "token" in heard.path else loss
    assert tell(channel, notice(1)).status is HandOver.UNSENT
    assert server.tickets == {}
    asked = [heard for heard in endpoint.heard if "token" not in heard.path]
    assert len(asked) == 1, "something was created although nobody knew what was there"


def test_wrong_login_is_told_and_waits_for_a_person(shop):
    server, _, channel = shop
    server.spoil = lambda heard: answer(401, {"error": "who are you"})
    told = tell(channel, notice(1))
    assert told.status is HandOver.BLOCKED
    assert "look at the channel's secrets" in told.reason


def test_token_that_is_none_is_not_used():
    server = HaloServer()
    server.spoil = lambda heard: answer(200, {"token_type": "x"})
    with serving_http(server) as endpoint:
        told = tell(TicketChannel("psa", PACE, server.system(endpoint.url), closes=False), notice(1))
    assert (told.status, told.reason) == (HandOver.BLOCKED, "the authorization server gave no token")


def test_ticket_of_somebody_else_is_not_taken(shop):
    """Searches that answer with more than was asked for: the key is compared again."""
    server, _, channel = shop
    server.is_loose = True
    strange = {
        "externalXRef": "ue-other",
        "externalID": "ue-other",
        "summary": f"{ticket_key(notice())} and more",
        "status_id": 1,
    }
    server.add(status=1, **strange, initialDescription="", description="", details_html="")
    assert tell(channel, notice(1)).reason == "ticket 102 created"


def test_hostile_texts_stay_text_and_within_limits(shop):
    server, _, channel = shop
    hostile = notice(
        1, title="</p><script>alert(1)</script> & \r\n\x00" + "🔥" * 400, lines=("x" * 50_000,), facts={"<b>": "\x1b[31m"}
    )
    assert tell(channel, hostile).status is HandOver.SENT
    ticket = server.tickets[101]
    assert "\x00" not in str(ticket)
    if markup := ticket.get("details_html"):
        assert "<script>" not in markup
    assert tell(channel, hostile).reason == "ticket 101 has it already", "the mark fell off a long text"


def test_text_ends_with_the_mark_however_long_it_is():
    text = ticket_text(notice(lines=("y" * 100_000,)))
    assert len(text) <= 8000
    assert text.endswith(notice_mark(notice()))


def test_digest_without_alerts_of_its_own_is_one_ticket(shop):
    server, _, channel = shop
    digest = notice(9, alert="digest", action="digest", members=(notice(1), notice(2, alert="b")))
    assert tell(channel, digest).status is HandOver.SENT
    assert len(server.tickets) == 1
