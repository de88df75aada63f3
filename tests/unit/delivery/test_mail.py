"""What a mailer says became of a message is what the server said, or that nobody can know."""

import datetime as dt
import re

import pytest

from tests.unit.delivery.smtp_servers import Inbox, certificate, free_port, scripted, serving
from tests.unit.delivery.stores import RecordingStore
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.mail import FileMailer, HandOver, SmtpMailer
from usage_etl.delivery.message import Attachment, Draft, compose
from usage_etl.errors import DeliveryError, LakeError

A, B = Mailbox("a@northwind.example"), Mailbox("b@northwind.example")


def message(*recipients, text="Hello\n.\n..dots\nend", attachments=()):
    draft = Draft(
        report="executive",
        period="2026-11",
        content_sha256="c" * 64,
        as_of=dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        sender=Mailbox("reports@northwind.example"),
        subject="AI cost",
        text=text,
        html="<p>Hello</p>",
        attachments=attachments,
    )
    return compose(draft, recipients or [A, B], is_update=False)


def mailer(port, **options):
    return SmtpMailer(**{"host": "127.0.0.1", "port": port, "security": "none", "timeout_s": 2.0} | options)


def statuses(outcomes):
    return [str(outcome.status) for outcome in outcomes.values()]


def test_accepted_message_arrives_byte_for_byte_for_the_envelope_recipients():
    sent = message(attachments=(Attachment("a.pdf", b"\r\n.\r\n" * 5000, "application/pdf"),))
    inbox = Inbox()
    with serving(inbox) as port:
        outcomes = mailer(port).send(sent)
    assert statuses(outcomes) == ["sent", "sent"]
    assert outcomes[A.address].reason == "250 kept"
    assert inbox.accepted == [((A.address, B.address), sent.content)]


def test_one_refused_recipient_does_not_hold_up_the_other():
    inbox = Inbox(recipients={A.address: "550 no such user"})
    with serving(inbox) as port:
        outcomes = mailer(port).send(message())
    assert outcomes[A.address].status is HandOver.REFUSED
    assert outcomes[A.address].reason == "550 no such user"
    assert outcomes[B.address].status is HandOver.SENT
    assert [recipients for recipients, _ in inbox.accepted] == [(B.address,)]


def test_recipient_put_off_is_unsent_and_recipient_refused_is_not():
    inbox = Inbox(recipients={A.address: "451 greylisted", B.address: "550 no"})
    with serving(inbox) as port:
        assert statuses(mailer(port).send(message())) == ["unsent", "refused"]
    assert inbox.accepted == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("451 later", "unsent"),
        ("550 spam", "refused"),
        ("552 too big", "refused"),
        ("421 closing", "unsent"),
        ("drop", "ambiguous"),
    ],
)
def test_answer_to_the_content_decides(answer, status):
    with serving(Inbox(data=answer)) as port:
        assert statuses(mailer(port).send(message())) == [status, status]


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ({"greeting": None}, "unsent"),
        ({"greeting": ...}, "unsent"),
        ({"greeting": b"554 go away"}, "blocked"),
        ({"greeting": b"421 busy"}, "unsent"),
        ({"mail": b"550 sender not allowed"}, "blocked"),
        ({"mail": b"451 later"}, "unsent"),
        ({"mail": b"552 too big"}, "refused"),
        ({"mail": None}, "unsent"),
        ({"rcpt": None}, "unsent"),
        ({"rcpt": b"nonsense"}, "unsent"),
        ({"data": None}, "unsent"),
        ({"data": b"451 later"}, "unsent"),
        ({"data": b"554 no valid recipients"}, "refused"),
        ({"content": None}, "ambiguous"),
        ({"content": ...}, "ambiguous"),
        ({"content": b"nonsense"}, "ambiguous"),
        ({"content": b"354 still waiting"}, "ambiguous"),
        ({"content": b"250 " + b"x" * 10_000}, "ambiguous"),
        ({"content": b"250-half an answer"}, "ambiguous"),
        ({"content": b"250 ok", "quit": None}, "sent"),
        ({"content": b"250 ok", "quit": b"500 no quitting"}, "sent"),
    ],
)
def test_every_step_that_can_break_is_classified(script, status):
    with scripted(**script) as port:
        assert statuses(mailer(port, timeout_s=0.3).send(message())) == [status, status]


def test_refusal_before_the_line_broke_is_kept():
    with scripted(rcpt=b"550 no", rset=None, quit=None) as port:
        assert statuses(mailer(port).send(message())) == ["refused", "refused"]


def test_content_is_not_offered_when_every_recipient_is_refused():
    heard = []
    with scripted(heard=heard, rcpt=b"550 no") as port:
        mailer(port).send(message())
    assert "rcpt" in heard
    assert "data" not in heard


def test_no_server_is_unsent_and_names_the_host():
    outcomes = mailer(free_port()).send(message())
    assert statuses(outcomes) == ["unsent", "unsent"]
    assert "127.0.0.1" in outcomes[A.address].reason


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_hand_over_verifies_the_certificate(security, tmp_path):
    server, client = certificate(tmp_path)
    options = {"tls_context": server, "require_starttls": True} if security == "starttls" else {"ssl_context": server}
    inbox = Inbox()
    with serving(inbox, **options) as port:
        assert statuses(mailer(port, security=security, tls=client).send(message())) == ["sent", "sent"]
        distrusted = mailer(port, security=security).send(message())
    assert statuses(distrusted) == ["blocked", "blocked"]
    assert "certificate" in distrusted[A.address].reason.lower()
    assert len(inbox.accepted) == 1


def test_server_without_starttls_gets_nothing_in_clear_text():
    inbox = Inbox()
    with serving(inbox) as port:
        assert statuses(mailer(port, security="starttls").send(message())) == ["blocked", "blocked"]
    assert inbox.accepted == []


@pytest.mark.parametrize(("password", "status"), [("right", "sent"), ("wrong", "blocked")])
def test_wrong_password_blocks_and_is_not_shown(password, status, tmp_path):
    server, client = certificate(tmp_path)
    inbox = Inbox()
    with serving(inbox, tls_context=server, require_starttls=True, auth_required=True, authenticator=inbox.authenticate) as port:
        login = mailer(port, security="starttls", tls=client, username="robot", password=password)
        outcomes = login.send(message())
    assert statuses(outcomes) == [status, status]
    assert password not in repr(login)
    assert password not in outcomes[A.address].reason


def test_password_never_crosses_a_network_in_clear_text():
    with pytest.raises(DeliveryError, match="clear text"):
        SmtpMailer(host="mail.example", port=25, security="none", username="robot", password="right")


def test_file_mailer_writes_the_message_once_under_a_stable_name():
    store = RecordingStore()
    sent = message()
    outcomes = FileMailer(store).send(sent)
    key = outcomes[A.address].reason
    assert re.fullmatch(r"mail/executive-2026-11-[0-9a-f]{12}\.eml", key)
    assert store.read(key) == sent.content
    assert statuses(outcomes) == ["sent", "sent"]


def test_file_that_cannot_be_written_is_unsent():
    class FullStore(RecordingStore):
        """A store without room."""

        def write(self, key, data, **_):
            """Always fails."""
            raise LakeError(f"{key}: no space left")

    assert statuses(FileMailer(FullStore()).send(message())) == ["unsent", "unsent"]
