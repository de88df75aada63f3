"""A message has the headers and recipients we gave it and no others, whatever stands in names and subjects."""

import datetime as dt
import itertools
import re
from email import policy
from email.parser import BytesParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from usage_etl.delivery.headers import Mailbox, clean_line, mailbox_header, parse_mailbox, plain_header, text_header
from usage_etl.delivery.message import Attachment, Draft, compose
from usage_etl.errors import DeliveryError

AS_OF = dt.datetime(2026, 11, 20, 6, 30, tzinfo=dt.UTC)
SENDER = Mailbox("reports@northwind.example", "AI usage reports")
CFO = Mailbox("cfo@northwind.example", "Chief Financial Officer")
HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "List-Id",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
]


def draft(**changes):
    base = {
        "report": "executive",
        "period": "2026-11",
        "content_sha256": "a" * 64,
        "as_of": AS_OF,
        "sender": SENDER,
        "subject": "AI cost, November: $1,362 so far",
        "text": "All is well.\n",
        "html": "<html><body><p>All is well.</p></body></html>",
    }
    return Draft(**base | changes)


def parsed(message):
    return BytesParser(policy=policy.default).parsebytes(message.content)


def raw_headers(message):
    """Header lines as a relay sees them: unfolded by hand, names only by what stands before the colon."""
    block = message.content.split(b"\r\n\r\n", 1)[0].decode("ascii")
    return re.sub(r"\r\n[ \t]+", " ", block).split("\r\n")


BREAKS = [
    "\r\n",
    "\n",
    "\r",
    "\n\n",
    "\r\n\r\n",
    "\x00",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1d",
    "\x1e",
    "\x85",
    "\u2028",
    "\u2029",
    "\r\n ",
    "\n\t",
]
INJECTIONS = [
    "Bcc: evil@x.example",
    "To: evil@x.example",
    "Content-Type: text/html",
    "<script>",
    ", evil@x.example",
    "evil@x.example>,<b@x.example",
    "",
]
WORDS = [
    "=?utf-8?q?hello=0D=0ABcc:_evil@x.example?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAeC5leGFtcGxl?=",
    "=?utf-8?q?evil@x.example,_?=",
    "=?us-ascii?q?=22_=3Cevil=40x.example=3E=2C_?= <a@x.example>",
    "=?iso-8859-1?q?=0A?==?iso-8859-1?q?=0D?=",
    "=?utf-8?q?=?= =?utf-8?q??=",
    "=?utf-16?b?//4KAA==?=",
    "=?utf-7?q?+AA0ACg-Bcc:evil@x.example?=",
    "==??utf-8?q?x=0A?==",
    "=\u200b?utf-8?q?=0D=0ABcc:_evil@x.example?=",
    "=\x00?utf-8?q?=0D=0ABcc:_evil@x.example?=",
    "=\n?utf-8?q?=0D=0ABcc:_evil@x.example?=",
    "\u202eevil\u202c",
    '"', '""', "\\", '\\"', "(comment)", "<", ">", "<>", "@", ",", ";", "a@b", "group: a@x.example;", "a" * 2000, "é" * 2000,
    "🧑\u200d💻" * 90, "\ud800", "\udcff", "x " * 900, " ", "", "\t", "trailing newline\n", "trailing return\r", "\ufeff", "\x7f",
    "\x9f", "日本語" * 40, "Ω≈ç√∫", "=?utf-8?q?unclosed", "?=", "=?", "=?=?=?", "a\tb", "a  b", " a ",
]  # fmt: skip
PAYLOADS = [
    *WORDS,
    *(f"x{a}{b}" for a, b in itertools.product(BREAKS, INJECTIONS)),
    *(f"{w}{b}" for w in WORDS[:4] for b in BREAKS),
]


def test_payload_table_is_long_enough():
    assert len(set(PAYLOADS)) >= 200


@pytest.mark.parametrize("place", ["subject", "sender", "recipient", "link", "bodies"])
def test_no_payload_adds_a_header_or_a_recipient(place):
    for payload in PAYLOADS if place in ("subject", "sender", "recipient") else PAYLOADS[::4]:
        changes = {
            "subject": {"subject": payload},
            "sender": {"sender": Mailbox(SENDER.address, payload)},
            "link": {"link": payload, "attachments": (Attachment("a.pdf", b"12", "application/pdf"),), "attach_limit_bytes": 1},
            "bodies": {"text": payload, "html": payload},
        }.get(place, {})
        recipients = [Mailbox("a@x.example", payload), CFO] if place == "recipient" else [CFO]
        message = compose(draft(**changes), recipients, is_update=False)
        assert [line.partition(":")[0] for line in raw_headers(message)] == HEADERS, payload
        found = parsed(message)
        assert found.keys() == HEADERS, payload
        assert [address.addr_spec for address in found["To"].addresses] == [mailbox.address for mailbox in recipients], payload
        assert [address.addr_spec for address in found["From"].addresses] == [SENDER.address], payload
        assert message.recipients == tuple(mailbox.address for mailbox in recipients)
        assert message.content.isascii()
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", message.content), payload
        assert max(map(len, message.content.split(b"\r\n"))) <= 998


def test_no_payload_passes_as_an_address_or_file_name():
    good = {"a@b"}
    for payload in PAYLOADS:
        if payload not in good:
            with pytest.raises(DeliveryError):
                Mailbox(payload)
        for address in (f"a@x.example{payload}", f"{payload}a@x.example", f"a{payload}@x.example"):
            try:
                mailbox = Mailbox(address)
            except DeliveryError:
                continue
            assert mailbox.address.isprintable()
            assert not set(mailbox.address) & set(' <>,;:"()[]\\\r\n')
            assert mailbox.address.count("@") == 1
            assert "=?" not in mailbox.address
        with pytest.raises(DeliveryError):
            Attachment(f"a{payload}.pdf" if payload.strip() and not payload.isalnum() else "a\n.pdf", b"", "application/pdf")
        with pytest.raises(DeliveryError):
            Attachment("a.pdf", b"", f"application/pdf{payload} ")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300), st.text(max_size=80), st.text(max_size=400))
@example("=?=?\r\n", '"\r\n', "\r\n.\r\n")
@example("a" * 74 + " b", "é" * 60, "=\n" * 40 + " \n\t\n.")
def test_any_text_reads_back(subject, name, body):
    message = compose(draft(subject=subject, text=body, html=body), [Mailbox("a@x.example", name)], is_update=False)
    found = parsed(message)
    assert str(found["Subject"]) == clean_line(subject)
    wanted = re.sub(r"\r\n|\r", "\n", body).rstrip("\n") + "\n"
    assert found.get_body(("plain",)).get_content().replace("\r\n", "\n") == wanted


def test_people_see_the_subject_they_should():
    for subject in ["AI cost, November: $1,362 so far, likely 6 % over budget", "Kosten für Oktober: 1.362 €", "コスト報告 10月"]:
        assert str(parsed(compose(draft(subject=subject), [CFO], is_update=False))["Subject"]) == subject
    assert str(parsed(compose(draft(), [CFO], is_update=True))["Subject"]).startswith("Updated: AI cost")


def test_machine_headers():
    found = parsed(compose(draft(), [CFO], is_update=False))
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["List-Id"] == "<executive.usage-etl.northwind.example>"
    assert found["Date"].datetime == AS_OF
    assert re.fullmatch(r"<[0-9a-f]{40}@northwind\.example>", found["Message-ID"])


def test_tree_is_mixed_of_alternative_and_files():
    pdf = Attachment("executive.pdf", bytes(range(256)) * 40, "application/pdf")
    csv = Attachment("chargeback.csv", b"\xef\xbb\xbfa,b\r\n1,2\r\n", "text/csv; charset=utf-8")
    found = parsed(compose(draft(attachments=(pdf, csv)), [CFO], is_update=False))
    assert [part.get_content_type() for part in found.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/pdf",
        "text/csv",
    ]
    assert [(part.get_filename(), part.get_payload(decode=True)) for part in found.iter_attachments()] == [
        ("executive.pdf", pdf.content),
        ("chargeback.csv", csv.content),
    ]


def test_equal_drafts_have_equal_bytes_and_recipients_change_the_identity():
    one, two = (compose(draft(), [CFO], is_update=False) for _ in range(2))
    assert one == two
    other = compose(draft(), [Mailbox("b@x.example")], is_update=False)
    assert other.key != one.key
    assert compose(draft(content_sha256="b" * 64), [CFO], is_update=False).key != one.key
    assert one.file_name == f"executive-2026-11-{one.key[:12]}.eml"


def test_files_above_the_limit_are_named_with_a_link_in_both_bodies():
    files = (Attachment("small.csv", b"1" * 400, "text/csv"), Attachment("large.pdf", b"2" * 700, "application/pdf"))
    link = "https://reports.northwind.example/executive/2026-11/?a=1&b=2"
    message = compose(draft(attachments=files, attach_limit_bytes=1000, link=link), [CFO], is_update=False)
    found = parsed(message)
    assert [part.get_filename() for part in found.iter_attachments()] == ["small.csv"]
    text, html = (found.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "large.pdf" in text
    assert link in text
    assert f'<a href="{link.replace("&", "&amp;")}">' in html
    assert html.index("large.pdf") < html.index("</body>")
    at_limit = compose(draft(attachments=files, attach_limit_bytes=1100), [CFO], is_update=False)
    assert len(list(parsed(at_limit).iter_attachments())) == 2


@pytest.mark.parametrize("link", ["javascript:alert(1)", "out/executive/2026-11/executive.pdf", '"><script>x</script>'])
def test_link_that_is_no_web_address_stays_text(link):
    files = (Attachment("large.pdf", b"22", "application/pdf"),)
    html = parsed(compose(draft(attachments=files, attach_limit_bytes=1, link=link), [CFO], is_update=False)).get_body(("html",))
    assert "href" not in html.get_content()
    assert "<script>" not in html.get_content()


def test_message_to_nobody_is_refused():
    with pytest.raises(DeliveryError, match="recipient"):
        compose(draft(), [], is_update=False)


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("a@x.example", Mailbox("a@x.example")),
        (" A B <a@x.example> ", Mailbox("a@x.example", "A B")),
        ('"B, A" <a@x.example>', Mailbox("a@x.example", "B, A")),
        ("<a@localhost>", Mailbox("a@localhost")),
    ],
)
def test_mailboxes_are_read_from_settings(text, mailbox):
    assert parse_mailbox(text) == mailbox


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a@",
        "@x",
        "a@x.example, b@x.example",
        "A <a@x.example> b",
        "ü@x.example",
        "a@ü.example",
        "a@-x.example",
        "a..b@x.example",
        f"{'a' * 65}@x.example",
    ],
)
def test_text_that_is_no_mailbox_is_refused(text):
    with pytest.raises(DeliveryError):
        parse_mailbox(text)


def test_long_address_lists_fold_between_addresses():
    line = mailbox_header("To", [Mailbox(f"person.number.{number}@northwind.example") for number in range(40)])
    assert max(map(len, line.split(b"\r\n"))) <= 78
    assert line.count(b"@") == 40


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"Subject: x\r\nBcc: evil@x.example\r\n", "Bcc"),
        (b"", "headers"),
        (b"Subject: another\r\n", "Subject"),
        (b"Subject: AI cost, November: $1,362 so far\n", "line ends"),
    ],
)
def test_message_that_does_not_read_back_is_not_sent(monkeypatch, line, complaint):
    monkeypatch.setattr("usage_etl.delivery.message.text_header", lambda name, text: line)
    with pytest.raises(DeliveryError, match=complaint):
        compose(draft(), [CFO], is_update=False)


def test_plain_headers_refuse_what_is_not_plain():
    with pytest.raises(DeliveryError):
        plain_header("X", "a\r\nBcc: b")
    assert text_header("Subject", "") == b"Subject: \r\n"
