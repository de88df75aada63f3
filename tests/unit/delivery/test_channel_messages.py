"""What each channel is told: signed, within the other end's limits, and without a way for names to become markup."""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import html
import json
import re

import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.delivery.http_servers import local_http, serving_http
from tests.unit.delivery.notices import NOW, notice
from usage_etl.config.channels import webhook_secret
from usage_etl.delivery.channels.channel import retry_after
from usage_etl.delivery.channels.pagerduty import PagerDutyChannel, event
from usage_etl.delivery.channels.slack import SlackChannel, slack_escaped, slack_message
from usage_etl.delivery.channels.teams import TeamsChannel, teams_message
from usage_etl.delivery.channels.webhook import WebhookChannel, signature, webhook_body
from usage_etl.delivery.mail import HandOver
from usage_etl.delivery.texts import clipped, one_line, utf16_length

PACE = dt.timedelta(seconds=1)
SAME = {"info": "info", "warning": "warning", "critical": "critical"}
HOSTILE = [
    "<!channel> <@U1> <https://evil.example|click>",
    "<script>alert(1)</script>",
    "[click](https://evil.example) **bold** `x`",
    "{{DATE(2017-02-14T06:08:39Z, SHORT)}} ${title}",
    "line\r\nbreak\x00\x1b[31m\x85\u2028end",
    "\u202egnirts desrever\u202c \u2066x\u2069 a\u200bb",
    "👩‍👩‍👧‍👦 " * 30,
    "x" * 200,
    "\ud800 lone",
    "&lt;!here&gt; &amp;",
]
ANY = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
SHORT = hypothesis.settings(max_examples=60, phases=set(hypothesis.Phase) - {hypothesis.Phase.shrink})
"""A failing example is shown as it was found: making it smaller takes minutes with values of this size."""
NOTICES = st.builds(
    lambda title, lines, facts, count, action, severity: notice(
        title=title,
        lines=tuple(lines),
        facts=facts,
        action=action,
        severity=severity,
        members=tuple(notice(number, title=title, lines=tuple(lines)) for number in range(count)),
    ),
    ANY,
    st.lists(ANY, max_size=6),
    st.dictionaries(ANY, ANY, max_size=12),
    st.sampled_from([0, 0, 1, 5]),
    st.sampled_from(["fired", "corrected", "resolved", "no_data", "digest"]),
    st.sampled_from(["info", "warning", "critical"]),
)


# The receiver's side of Standard Webhooks 1.0.0, written from the text of the specification alone.


def verified_as_the_specification_says(secrets, headers, body, *, now, tolerance=300):
    """The parsed payload; raises ValueError for a message that must be refused."""
    headers = {name.lower(): text for name, text in headers.items()}
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(now - int(timestamp)) > tolerance:
        raise ValueError("the timestamp is too far away")
    to_sign = message_id.encode() + b"." + timestamp.encode() + b"." + body
    for secret in secrets:
        assert secret.startswith("whsec_")
        expected = hmac.new(binascii.a2b_base64(secret[6:]), to_sign, "sha256").digest()
        for part in headers["webhook-signature"].split(" "):
            version, _, encoded = part.partition(",")
            if version == "v1" and hmac.compare_digest(binascii.a2b_base64(encoded), expected):
                return json.loads(body)
    raise ValueError("no signature fits")


def secret_of(seed):
    return "whsec_" + base64.b64encode(hashlib.sha256(seed).digest()).decode()


def test_signature_of_the_specifications_own_example():
    secret = webhook_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


@SHORT
@given(st.binary(min_size=24, max_size=64), st.binary(min_size=24, max_size=64), NOTICES, st.integers(0, 2**33))
def test_receiver_with_either_secret_verifies_and_one_with_neither_refuses(key, other, told, timestamp):
    body = webhook_body(told)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature([key, other], "msg_1", timestamp, body),
    }
    for one in (key, other):
        secret = "whsec_" + base64.b64encode(one).decode()
        assert verified_as_the_specification_says([secret], headers, body, now=timestamp)["data"]["notice_id"] == told.notice_id
    with pytest.raises(ValueError, match="fits"):
        verified_as_the_specification_says([secret_of(b"nobody's")], headers, body, now=timestamp)
    with pytest.raises(ValueError, match="fits"):
        verified_as_the_specification_says([secret], headers, body + b" ", now=timestamp)
    with pytest.raises(ValueError, match="too far"):
        verified_as_the_specification_says([secret], headers, body, now=timestamp + 301)


def test_webhook_over_the_wire_verifies_and_its_id_and_body_stay_over_attempts():
    old, new = secret_of(b"old"), secret_of(b"new")
    with serving_http([500, 200].pop) as server:
        server.answer = lambda heard: 500 if len(server.heard) == 1 else 204
        channel = WebhookChannel("ops", PACE, local_http(), f"{server.url}/hook?x=1", (webhook_secret(new), webhook_secret(old)))
        later = NOW + dt.timedelta(minutes=5)
        assert [channel.tell(notice(), "", at).status for at in (NOW, later)] == [HandOver.UNSENT, HandOver.SENT]
        first, second = server.heard
        assert (first.path, first.body, first.headers["webhook-id"]) == ("/hook?x=1", second.body, second.headers["webhook-id"])
        assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
        for heard, at in ((first, NOW), (second, later)):
            for secret in (old, new):
                payload = verified_as_the_specification_says([secret], heard.headers, heard.body, now=int(at.timestamp()))
                assert payload["type"] == "usage_etl.alert.fired"
                assert payload["data"]["facts"] == dict(notice().facts)


@pytest.mark.parametrize(
    "text", ["whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"x" * 23).decode(), base64.b64encode(b"x" * 65).decode()]
)
def test_secret_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="Standard Webhooks"):
        webhook_secret(text)


HUGE = [
    notice(title="x" * 100_000, lines=("👩‍👩‍👧‍👦 " * 5000,) * 40, facts={f"{n} {'k' * 200}": "ﷺ" * 3000 for n in range(30)}),
    notice(title="", lines=("", "", "\n"), facts={"": ""}),
    notice(action="digest", title="<" * 500, lines=(), members=tuple(notice(n, title="&" * 300) for n in range(300))),
]


def texts_in(document):
    if isinstance(document, dict):
        for key, found in document.items():
            if key == "text" and isinstance(found, str):
                yield document, found
            yield from texts_in(found)
    elif isinstance(document, list):
        for found in document:
            yield from texts_in(found)


@SHORT
@given(NOTICES)
@example(HUGE[0])
@example(HUGE[1])
@example(HUGE[2])
def test_slack_message_keeps_slacks_limits_and_mentions_nobody(told):
    message = slack_message(told)
    assert len(json.dumps(message)) < 500_000
    assert len(message["blocks"]) <= 50
    for owner, text in texts_in(message):
        assert not re.search(r"[<>]", text)
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)
        assert all(character.isprintable() or character in "\n\u200d\ufe0f" for character in text)
        if owner.get("type") == "mrkdwn":
            assert owner["verbatim"] is True
    for block in message["blocks"]:
        limit = {"header": 150, "section": 3000}.get(block["type"])
        if limit and "text" in block:
            assert 1 <= utf16_length(block["text"]["text"]) <= limit
        assert len(block.get("fields", [])) <= 10
        assert all(1 <= utf16_length(field["text"]) <= 2000 for field in block.get("fields", []))
    assert message["mrkdwn"] is False


@SHORT
@given(NOTICES)
@example(HUGE[0])
@example(HUGE[1])
@example(HUGE[2])
def test_teams_card_fits_shows_no_markup_and_counts_what_is_left_out(told):
    content = teams_message(told)
    assert len(content) <= 20_000, "Teams has refused cards from 21 KB"
    (attachment,) = json.loads(content)["attachments"]
    body = attachment["content"]["body"]
    kinds = {block["type"] for block in body}
    assert kinds <= {"RichTextBlock", "ColumnSet"}, "a TextBlock would read Markdown"
    for _, text in texts_in(attachment):
        assert "{{" not in text
        assert "${" not in text
        assert "\n" not in text
    everything = len(told.lines) + len(told.facts) + len(told.members) + sum(len(member.lines[:1]) for member in told.members)
    said = re.search(r"(\d+) further lines", content.decode())
    assert len(body) - 2 - bool(said) + (int(said[1]) if said else 0) == everything


@SHORT
@given(NOTICES)
@example(HUGE[0])
@example(HUGE[1])
@example(HUGE[2])
def test_pagerduty_event_keeps_its_limits_and_its_key(told):
    document = event(told, SAME)
    assert document["dedup_key"] == told.alert_key
    assert document["event_action"] == ("resolve" if told.action in ("resolved", "corrected") else "trigger")
    assert len(json.dumps(document)) < 512 * 1024
    if payload := document.get("payload"):
        assert utf16_length(payload["summary"]) <= 1024
        assert payload["severity"] in ("critical", "error", "warning", "info")


def test_slack_and_teams_over_the_wire():
    with serving_http((200, {}, b"ok")) as server:
        for kind in (SlackChannel, TeamsChannel):
            assert (
                kind("chat", PACE, local_http(), f"{server.url}/services/T/B/x").tell(notice(), "", NOW).status is HandOver.SENT
            )
        slack, teams = (heard.json() for heard in server.heard)
        assert slack["blocks"][0]["text"]["text"] == f"🔴 {notice().title}"
        assert teams["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"


def test_pagerduty_opens_and_resolves_one_incident():
    with serving_http((202, {}, b'{"status":"success"}')) as server:
        channel = PagerDutyChannel("pager", PACE, local_http(), server.url, SAME | {"warning": "error"}, "R0UT1NGKEY")
        for told in (notice(severity="warning"), notice(action="resolved")):
            assert channel.tell(told, "", NOW).status is HandOver.SENT
        fired, resolved = (heard.json() for heard in server.heard)
        assert fired["dedup_key"] == resolved["dedup_key"] == notice().alert_key
        assert (fired["event_action"], fired["payload"]["severity"], fired["routing_key"]) == ("trigger", "error", "R0UT1NGKEY")
        assert resolved["event_action"] == "resolve"


@pytest.mark.parametrize(
    ("status", "headers", "means", "is_gone", "pause_s"),
    [
        (200, {}, HandOver.SENT, False, None),
        (202, {"Retry-After": "5"}, HandOver.SENT, False, None),
        (302, {"Location": "http://169.254.169.254/"}, HandOver.BLOCKED, False, None),
        (400, {}, HandOver.REFUSED, False, None),
        (401, {}, HandOver.BLOCKED, False, None),
        (403, {}, HandOver.BLOCKED, False, None),
        (404, {}, HandOver.REFUSED, False, None),
        (408, {}, HandOver.UNSENT, False, None),
        (409, {}, HandOver.UNSENT, False, None),
        (410, {}, HandOver.REFUSED, True, None),
        (413, {}, HandOver.REFUSED, False, None),
        (422, {}, HandOver.REFUSED, False, None),
        (429, {"Retry-After": "30"}, HandOver.UNSENT, False, 30),
        (429, {"Retry-After": "Fri, 20 Nov 2026 08:02:00 GMT"}, HandOver.UNSENT, False, 120),
        (429, {"Retry-After": "soon"}, HandOver.UNSENT, False, None),
        (500, {}, HandOver.UNSENT, False, None),
        (502, {}, HandOver.AMBIGUOUS, False, None),
        (503, {"Retry-After": "0"}, HandOver.UNSENT, False, 0),
        (504, {}, HandOver.AMBIGUOUS, False, None),
    ],
)
def test_status_decides_what_happens_next(status, headers, means, is_gone, pause_s):
    with serving_http((status, headers, b"words of the\nserver")) as server:
        told = SlackChannel("chat", PACE, local_http(), server.url).tell(notice(), "", NOW)
    assert (told.status, told.is_gone) == (means, is_gone)
    assert told.asked_pause == (None if pause_s is None else dt.timedelta(seconds=pause_s))
    assert told.reason.startswith(f"{status} words of the server")


@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_sender(text):
    pause = retry_after(text, NOW)
    assert pause is None or pause >= dt.timedelta()


def test_reason_does_not_repeat_a_secret_that_the_server_echoes():
    with serving_http((400, {}, b"no such key: R0UT1NGKEY")) as server:
        channel = PagerDutyChannel("pager", PACE, local_http(secrets=("R0UT1NGKEY",)), server.url, SAME, "R0UT1NGKEY")
        assert channel.tell(notice(), "", NOW).reason == "400 no such key: ***"


@given(st.text(st.sampled_from("<>&ab 🔥")), st.integers(1, 60))
def test_cut_text_is_never_longer_than_its_limit_nor_cut_inside_an_escape(text, limit):
    cut = clipped(text, limit, escape=slack_escaped)
    assert utf16_length(cut) <= limit
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", cut)
    whole = html.unescape(cut)
    assert whole == text if utf16_length(slack_escaped(text)) <= limit else text.startswith(whole.removesuffix("…"))


@given(ANY)
def test_one_line_is_printable_and_turns_nothing_round(text):
    line = one_line(text)
    assert all(character.isprintable() or character in "\u200d\ufe0f" for character in line)
    assert one_line(line) == line
