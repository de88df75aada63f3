"""A report for one period and content reaches each recipient once, whoever asks, how often and whatever dies."""

import contextlib
import datetime as dt
import multiprocessing
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.delivery.send_worker import RECIPIENTS, draft, mail
from tests.unit.delivery.smtp_servers import Inbox, free_port, serving
from tests.unit.delivery.stores import RecordingStore
from usage_etl.delivery.deliver import deliver_once
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.ledger import SendLedger
from usage_etl.delivery.mail import FileMailer, HandOver, Outcome, SmtpMailer
from usage_etl.errors import DeliveryError, UndeliveredError
from usage_etl.lake import open_state

ROOT = Path(__file__).parents[3]
LATER = dt.timedelta(minutes=20)
A, B = (recipient.address for recipient in RECIPIENTS)


SQLITE_IS_ENOUGH = pytest.mark.parametrize("state_url", ["sqlite"], indirect=True)
"""For facts that do not depend on the database; the ledger's own tests run on both."""


def smtp(port):
    return SmtpMailer(host="127.0.0.1", port=port, security="none", timeout_s=5)


def now_plus(delta):
    return lambda: dt.datetime.now(dt.UTC) + delta


def statuses(report):
    return {address: delivered.status for address, delivered in report.outcomes.items()}


def subjects(inbox):
    return [str(BytesParser(policy=policy.default).parsebytes(content)["Subject"]) for _, content in inbox.accepted]


class FixedMailer:
    """Answers as told, recipient by recipient, and counts what it took over."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.taken = []

    def send(self, message):
        """The next answer for all recipients."""
        status = self.answers.pop(0) if self.answers else HandOver.SENT
        if status in (HandOver.SENT, HandOver.AMBIGUOUS):
            self.taken += message.recipients
        if isinstance(status, Exception):
            raise status
        return dict.fromkeys(message.recipients, Outcome(status, "as told"))


@SQLITE_IS_ENOUGH
def test_asked_again_it_is_not_sent_again(engine):
    inbox = Inbox()
    with serving(inbox) as port:
        first = deliver_once(SendLedger(engine), smtp(port), draft(), RECIPIENTS)
        again = deliver_once(SendLedger(engine), smtp(port), draft(), RECIPIENTS)
    assert statuses(first) == {A: "sent", B: "sent"}
    assert statuses(again) == {A: "already_sent", B: "already_sent"}
    assert len(inbox.accepted) == 1
    again.raise_for_failures()


@SQLITE_IS_ENOUGH
def test_new_recipient_gets_it_alone(engine):
    inbox = Inbox()
    with serving(inbox) as port:
        deliver_once(SendLedger(engine), smtp(port), draft(), RECIPIENTS[:1])
        report = deliver_once(SendLedger(engine), smtp(port), draft(), [*RECIPIENTS, Mailbox(A.upper())])
    assert statuses(report)[B] == "sent"
    assert [recipients for recipients, _ in inbox.accepted] == [(A,), (B,)]


@SQLITE_IS_ENOUGH
def test_changed_figures_go_out_as_an_update_to_those_who_had_the_old_ones(engine):
    inbox = Inbox()
    newcomer = Mailbox("c@northwind.example")
    with serving(inbox) as port:
        deliver_once(SendLedger(engine), smtp(port), draft(), RECIPIENTS)
        report = deliver_once(SendLedger(engine), smtp(port), draft("b" * 64), [*RECIPIENTS, newcomer])
    assert set(statuses(report).values()) == {"sent"}
    assert list(report.outcomes) == [A, B, newcomer.address]
    assert [recipients for recipients, _ in inbox.accepted] == [(A, B), (newcomer.address,), (A, B)]
    assert subjects(inbox) == ["AI cost, November", "AI cost, November", "Updated: AI cost, November"]


@SQLITE_IS_ENOUGH
def test_part_refusal_is_recorded_by_recipient_and_only_the_refused_one_stays_open(engine):
    inbox = Inbox(recipients={A: "550 no such user"})
    ledger = SendLedger(engine)
    with serving(inbox) as port:
        report = deliver_once(ledger, smtp(port), draft(), RECIPIENTS)
        again = deliver_once(ledger, smtp(port), draft(), RECIPIENTS)
    assert statuses(report) == {A: "dead", B: "sent"}
    assert statuses(again) == {A: "dead", B: "already_sent"}
    with pytest.raises(UndeliveredError, match="550 no such user") as caught:
        again.raise_for_failures()
    assert caught.value.is_permanent
    assert [item.send.recipient for item in ledger.open_items()] == [A]
    assert len(inbox.accepted) == 1


@SQLITE_IS_ENOUGH
def test_put_off_recipients_get_it_next_time(engine):
    inbox = Inbox(data="451 later")
    ledger = SendLedger(engine)
    with serving(inbox) as port:
        report = deliver_once(ledger, smtp(port), draft(), RECIPIENTS)
        with pytest.raises(UndeliveredError) as caught:
            report.raise_for_failures()
        assert not caught.value.is_permanent
        assert ledger.open_items() == []
        inbox.data = "250 ok"
        assert statuses(deliver_once(ledger, smtp(port), draft(), RECIPIENTS)) == {A: "sent", B: "sent"}
    assert len(inbox.accepted) == 1


@SQLITE_IS_ENOUGH
def test_no_server_is_no_loss(engine):
    report = deliver_once(SendLedger(engine), smtp(free_port()), draft(), RECIPIENTS)
    assert statuses(report) == {A: "unsent", B: "unsent"}


@SQLITE_IS_ENOUGH
def test_blocked_by_settings_is_permanent_and_sent_once_they_are_mended(engine):
    ledger = SendLedger(engine)
    report = deliver_once(ledger, FixedMailer(HandOver.BLOCKED), draft(), RECIPIENTS)
    with pytest.raises(UndeliveredError) as caught:
        report.raise_for_failures()
    assert caught.value.is_permanent
    assert statuses(deliver_once(ledger, FixedMailer(), draft(), RECIPIENTS)) == {A: "sent", B: "sent"}


@SQLITE_IS_ENOUGH
def test_line_lost_after_the_content_is_ambiguous_and_never_sent_again_by_itself(engine):
    inbox = Inbox(data="drop")
    ledger = SendLedger(engine)
    with serving(inbox) as port:
        assert statuses(deliver_once(ledger, smtp(port), draft(), RECIPIENTS)) == {A: "ambiguous", B: "ambiguous"}
        inbox.data = "250 ok"
        again = deliver_once(ledger, smtp(port), draft(), RECIPIENTS)
        assert statuses(again) == {A: "ambiguous", B: "ambiguous"}
        assert len(inbox.accepted) == 1
        ledger.confirm(again.outcomes[A].send_key, "arrived")
        ledger.release(again.outcomes[B].send_key, "did not arrive")
        assert statuses(deliver_once(ledger, smtp(port), draft(), RECIPIENTS)) == {A: "already_sent", B: "sent"}
    assert [recipients for recipients, _ in inbox.accepted] == [(A, B), (B,)]


@SQLITE_IS_ENOUGH
def test_unforeseen_fault_of_the_mailer_is_ambiguous_and_loud(engine):
    ledger = SendLedger(engine)
    with pytest.raises(RuntimeError):
        deliver_once(ledger, FixedMailer(RuntimeError("segment lost")), draft(), RECIPIENTS)
    assert [item.status for item in ledger.open_items()] == ["ambiguous", "ambiguous"]
    assert "segment lost" in ledger.open_items()[0].status_reason


@SQLITE_IS_ENOUGH
def test_message_that_cannot_be_composed_claims_nothing(engine, monkeypatch):
    ledger = SendLedger(engine)
    with monkeypatch.context() as patched:
        patched.setattr("usage_etl.delivery.message.text_header", lambda name, text: b"Bcc: evil@x.example\r\n")
        with pytest.raises(DeliveryError):
            deliver_once(ledger, FixedMailer(), draft(), RECIPIENTS)
    assert statuses(deliver_once(ledger, FixedMailer(), draft(), RECIPIENTS)) == {A: "sent", B: "sent"}


@SQLITE_IS_ENOUGH
def test_recipient_the_mailer_forgot_is_ambiguous(engine):
    class Forgetful(FixedMailer):
        """Says nothing about the second recipient."""

        def send(self, message):
            """One word too few."""
            return {A: Outcome(HandOver.SENT, "ok")}

    assert statuses(deliver_once(SendLedger(engine), Forgetful(), draft(), RECIPIENTS)) == {A: "sent", B: "ambiguous"}


@SQLITE_IS_ENOUGH
def test_nobody_to_mail_is_nothing_to_do(engine):
    mailer = FixedMailer()
    deliver_once(SendLedger(engine), mailer, draft(), []).raise_for_failures()
    assert mailer.taken == []


@SQLITE_IS_ENOUGH
def test_files_are_written_once_too(engine):
    store = RecordingStore()
    for _ in range(3):
        deliver_once(SendLedger(engine), FileMailer(store), draft(), RECIPIENTS)
    assert len(store.changes) == 1


@pytest.fixture
def processes(monkeypatch):
    """Starts processes that have all imports behind them: a fork of a server that holds nothing else."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.delivery.send_worker"])
    return context


def test_racing_processes_send_one_message(processes, state_url):
    inbox, said = Inbox(), processes.SimpleQueue()
    with serving(inbox) as port:
        racing = [processes.Process(target=mail, args=(state_url, port, "never", said)) for _ in range(4)]
        for process in racing:
            process.start()
        for process in racing:
            process.join(60)
    assert [process.exitcode for process in racing] == [0] * 4
    statuses_said = [status for _ in racing for status in said.get()]
    assert sorted(recipient for recipients, _ in inbox.accepted for recipient in recipients) == [A, B]
    assert statuses_said.count("sent") == 2
    assert set(statuses_said) <= {"sent", "already_sent", "in_flight"}


@pytest.mark.parametrize(
    ("state_url", "moment", "arrived"),
    [("sqlite", "before the hand-over", 0), ("postgresql", "after the hand-over", 1)],
    indirect=["state_url"],
)
def test_crash_between_claim_and_record_is_reported_not_repeated(processes, state_url, engine, moment, arrived):
    inbox, said = Inbox(), processes.SimpleQueue()
    with serving(inbox) as port:
        process = processes.Process(target=mail, args=(state_url, port, moment, said))
        process.start()
        process.join(60)
        assert process.exitcode == 9
        assert len(inbox.accepted) == arrived
        soon = deliver_once(SendLedger(engine), smtp(port), draft(), RECIPIENTS)
        assert statuses(soon) == {A: "in_flight", B: "in_flight"}
        ledger = SendLedger(engine, clock=now_plus(LATER))
        late = deliver_once(ledger, smtp(port), draft(), RECIPIENTS)
        assert statuses(late) == {A: "ambiguous", B: "ambiguous"}
        assert len(inbox.accepted) == arrived, "silence is not permission"
        with pytest.raises(UndeliveredError, match="may have died"):
            late.raise_for_failures()
        for item in ledger.open_items():
            ledger.release(item.send_key, "checked with the relay")
        assert statuses(deliver_once(ledger, smtp(port), draft(), RECIPIENTS)) == {A: "sent", B: "sent"}
    assert len(inbox.accepted) == arrived + 1
    assert len({content for _, content in inbox.accepted}) == 1, "the same bytes and Message-ID, so that a server can tell"


ANSWERS = st.sampled_from([*HandOver, RuntimeError("fault")])
STEPS = st.lists(
    st.tuples(st.just("ask"), st.sampled_from(["a", "b"]), ANSWERS) | st.tuples(st.sampled_from(["release", "wait"])), max_size=12
)


@settings(max_examples=30)
@given(STEPS)
def test_no_sequence_of_events_sends_twice_without_a_person(steps):
    engine = open_state("sqlite://")
    clock = {"now": dt.datetime(2026, 11, 20, tzinfo=dt.UTC)}
    ledger = SendLedger(engine, clock=lambda: clock["now"])
    taken, allowed = {"a": 0, "b": 0}, {"a": 1, "b": 1}
    for step in steps:
        if step[0] == "wait":
            clock["now"] += LATER
        elif step[0] == "release":
            for item in ledger.open_items():
                ledger.release(item.send_key, "by a person")
                allowed[item.send.content_sha256[0]] += 1
        else:
            _, content, answer = step
            mailer = FixedMailer(answer)
            with contextlib.suppress(RuntimeError):
                deliver_once(ledger, mailer, draft(content * 64), RECIPIENTS[:1])
            taken[content] += len(mailer.taken)
        assert all(taken[content] <= allowed[content] for content in taken)
    engine.dispose()
