"""What is due goes out once, in order, at its pace; no channel holds up another, and nothing is lost without a word."""

import datetime as dt
import email
import multiprocessing
import random
import threading
from email import policy

import pytest

from tests.unit.delivery.http_servers import serving_http
from tests.unit.delivery.notices import NOW, Clock, notice
from tests.unit.delivery.outbox_worker import DyingChannel, send, webhook
from tests.unit.delivery.psa_servers import ConnectWiseServer
from tests.unit.delivery.smtp_servers import Inbox, free_port, serving
from usage_etl.delivery.channel_states import ChannelStates
from usage_etl.delivery.channels.email import EmailChannel, MailTexts
from usage_etl.delivery.channels.tickets import TicketChannel
from usage_etl.delivery.due import deliver_due
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.mail import SmtpMailer
from usage_etl.delivery.outbox import LEASE, Outbox, Route
from usage_etl.errors import DeliveryError

FORK = multiprocessing.get_context("forkserver")
CFO, OPS = "cfo@northwind.example", "ops@northwind.example"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(engine, clock):
    return Outbox(engine, clock, routes={"mail": Route((CFO, OPS))}, chance=random.Random(7))


def queue(engine, outbox, *notices):
    with engine.begin() as connection:
        return outbox.put(connection, notices)


def ids_of(endpoint):
    return [heard.headers["webhook-id"].removeprefix("msg_") for heard in endpoint.heard]


def mail_channel(port):
    mailer = SmtpMailer(host="127.0.0.1", port=port, security="none", timeout_s=5)
    write = lambda told: MailTexts(told.title, "\n".join(told.lines), f"<p>{told.title}</p>")  # noqa: E731
    return EmailChannel("mail", dt.timedelta(), mailer, Mailbox("alerts@northwind.example"), write)


def mails(inbox):
    return [(recipients, email.message_from_bytes(content, policy=policy.default)) for recipients, content in inbox.accepted]


def test_everything_due_is_sent_in_order_and_once(engine, outbox):
    told = [notice(), notice(action="resolved"), notice(2, alert="b")]
    queue(engine, outbox, *told)
    with serving_http() as server:
        report = deliver_due(outbox, {"ops": webhook(server.url)}, NOW)
        assert report.counts == {"sent": 3}
        assert deliver_due(outbox, {"ops": webhook(server.url)}, NOW).counts == {}
        assert sorted(ids_of(server)) == sorted(item.notice_id for item in told)
        assert ids_of(server).index(told[0].notice_id) < ids_of(server).index(told[1].notice_id)


def test_two_processes_send_every_message_exactly_once(engine, outbox, state_url):
    told = [notice(number, alert=f"alert {number}") for number in range(20)]
    queue(engine, outbox, *told)
    with serving_http() as server:
        barrier = FORK.Barrier(2)
        workers = [FORK.Process(target=send, args=(state_url, webhook(server.url), barrier)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
        assert sorted(ids_of(server)) == sorted(item.notice_id for item in told)
    assert outbox.counts() == {"sent": 20}


@pytest.mark.parametrize("death", [("before", 1), ("after", 2)], ids=lambda death: death[0])
def test_message_of_a_dead_process_goes_out_under_the_same_id(engine, outbox, state_url, clock, death):
    moment, copies = death
    queue(engine, outbox, notice())
    with serving_http() as server:
        dying = FORK.Process(target=send, args=(state_url, DyingChannel(webhook(server.url), moment)))
        dying.start()
        dying.join()
        assert dying.exitcode == 9
        assert deliver_due(outbox, {"ops": webhook(server.url)}, clock.now).counts == {}, "the lease holds"
        clock.pass_(seconds=LEASE.total_seconds() + 60)
        assert deliver_due(outbox, {"ops": webhook(server.url)}, clock.now).counts == {"recovered": 1, "sent": 1}
        assert ids_of(server) == [notice().notice_id] * copies
        assert len({heard.body for heard in server.heard}) == 1
    assert outbox.find(1).doubts_count == 1


def test_process_that_dies_after_creating_a_ticket_makes_no_second_one(engine, outbox, state_url, clock):
    queue(engine, outbox, notice(channel="psa"))
    shop = ConnectWiseServer()
    with serving_http(shop) as server:
        channel = TicketChannel("psa", dt.timedelta(), shop.system(server.url), closes=False)
        dying = FORK.Process(target=send, args=(state_url, DyingChannel(channel, "after")))
        dying.start()
        dying.join()
        assert (dying.exitcode, len(shop.tickets)) == (9, 1)
        clock.pass_(seconds=LEASE.total_seconds() + 60)
        deliver_due(outbox, {"psa": channel}, clock.now)
    assert (len(shop.tickets), shop.notes(), outbox.find(1).last_reason) == (1, [], "ticket 101 has it already")


def test_channel_that_is_down_or_slow_holds_up_no_other(engine, outbox):
    names = ("down", "slow", "broken", "fine")
    queue(engine, outbox, *(notice(number, alert=f"{name}{number}", channel=name) for name in names for number in range(5)))
    released = threading.Event()
    with serving_http() as server, serving_http() as slow:
        slow.answer = lambda heard: (released.wait(10) and 200) or 500

        class Broken:
            name, pace = "broken", dt.timedelta()

            def tell(self, told, recipient, now):
                raise RuntimeError("R0UT1NGKEY")

        server.answer = lambda heard: released.set() or 200 if len(server.heard) == 5 else 200
        channels = {
            "down": webhook(f"http://127.0.0.1:{free_port()}", "down"),
            "slow": webhook(slow.url, "slow"),
            "broken": Broken(),
            "fine": webhook(server.url, "fine"),
        }
        report = deliver_due(outbox, channels, NOW)
    assert released.is_set(), "the others waited for the slow one"
    assert report.counts == {"sent": 10, "pending": 3, "ambiguous": 3}
    reasons = {item.last_reason for item in outbox.items(["ambiguous"])}
    assert reasons == {"the channel failed in an unforeseen way: RuntimeError"}
    assert len([item for item in outbox.items(["pending"]) if item.attempts_count == 0]) == 4, (
        "the rest was spent on a dead channel"
    )


def test_server_that_asks_for_a_pause_gets_it_for_the_whole_channel(engine, outbox, clock):
    queue(engine, outbox, *(notice(number, alert=f"a{number}") for number in range(5)))
    with serving_http((429, {"Retry-After": "300"}, b"")) as server:
        deliver_due(outbox, {"ops": webhook(server.url)}, clock.now)
        clock.pass_(seconds=200)
        assert deliver_due(outbox, {"ops": webhook(server.url)}, clock.now, budget=dt.timedelta(seconds=50)).counts == {}
        assert len(server.heard) == 1
        server.answer = 200
        clock.pass_(seconds=102)
        assert deliver_due(outbox, {"ops": webhook(server.url)}, clock.now).counts == {"sent": 5}


@pytest.mark.parametrize("status", [400, 404, 422])
def test_message_that_will_never_be_taken_dies_at_once_and_alone(engine, outbox, status):
    queue(engine, outbox, notice(), notice(2, alert="b"))
    with serving_http() as server:
        server.answer = lambda heard: status if len(server.heard) == 1 else 200
        report = deliver_due(outbox, {"ops": webhook(server.url)}, NOW)
    assert report.counts == {"dead": 1, "sent": 1}
    assert report.problems() == [f"dead letter 1 ops: {status}"]


def test_gone_address_switches_its_channel_off_until_a_person_switches_it_on(engine, outbox, clock):
    queue(engine, outbox, *(notice(number, alert=f"a{number}") for number in range(3)))
    with serving_http(410) as server:
        report = deliver_due(outbox, {"ops": webhook(server.url)}, NOW)
        assert (report.counts, report.disabled, len(server.heard)) == ({"dead": 1}, ["ops"], 1)
        clock.pass_(days=5)
        assert deliver_due(outbox, {"ops": webhook(server.url)}, clock.now).counts == {}
        assert [(item.channel, item.reason) for item in outbox.states.disabled()] == [("ops", "410")]
        server.answer = 200
        outbox.states.enable("ops")
        assert deliver_due(outbox, {"ops": webhook(server.url)}, clock.now).counts == {"sent": 2}
    with pytest.raises(DeliveryError, match="not disabled"):
        outbox.states.enable("ops")


def test_message_of_a_channel_that_nobody_configured_dies_by_name(engine, outbox):
    queue(engine, outbox, notice(channel="typo"), notice(2, alert="b", channel="no secret"))
    report = deliver_due(outbox, {}, NOW, held_back=frozenset({"no secret"}))
    assert report.problems() == ["dead letter 1 typo: no channel named typo is configured"]
    assert [item.channel for item in outbox.due(NOW)] == ["no secret"]


def test_pace_of_a_channel_is_kept_over_processes_and_calls(engine, outbox):
    states, pace, latest = ChannelStates(engine), dt.timedelta(seconds=1), NOW + dt.timedelta(seconds=20)
    slots = [ChannelStates(engine).reserve("ops", NOW, pace=pace, latest=latest) for _ in range(5)]
    assert slots == [NOW + number * pace for number in range(5)]
    assert states.reserve("ops", NOW, pace=pace, latest=NOW + dt.timedelta(seconds=4)) is None
    assert states.reserve("ops", NOW, pace=pace, latest=latest) == NOW + 5 * pace, "a refusal took a place"
    assert states.reserve("other", NOW, pace=pace, latest=latest) == NOW
    start, taken = threading.Barrier(8), []

    def race():
        start.wait()
        taken.append(states.reserve("race", NOW, pace=pace, latest=latest))

    racers = [threading.Thread(target=race) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(taken) == [NOW + number * pace for number in range(8)]


def test_time_of_a_call_ends_before_the_queue_does(engine, outbox):
    queue(engine, outbox, *(notice(number, alert=f"a{number}") for number in range(10)))
    slept = []
    with serving_http() as server:
        channel = webhook(server.url)
        object.__setattr__(channel, "pace", dt.timedelta(seconds=100))
        report = deliver_due(outbox, {"ops": channel}, NOW, budget=dt.timedelta(seconds=350), sleep=slept.append)
    assert report.counts == {"sent": 4}
    assert [round(seconds, -2) for seconds in slept] == [100, 200, 300]
    assert len(outbox.due(NOW)) == 6


def test_refused_recipient_dies_alone_and_the_other_has_the_mail(engine, outbox):
    queue(engine, outbox, notice(channel="mail"))
    inbox = Inbox(recipients={CFO: "550 no such user"})
    with serving(inbox) as port:
        report = deliver_due(outbox, {"mail": mail_channel(port)}, NOW)
    assert report.counts == {"dead": 1, "sent": 1}
    assert report.dead == [f"1 mail {CFO}: 550 no such user"]
    assert [recipients for recipients, _ in mails(inbox)] == [(OPS,)]


def test_mail_that_is_put_off_goes_out_later_with_the_same_bytes(engine, outbox, clock):
    queue(engine, outbox, notice(channel="mail"))
    inbox = Inbox(recipients={CFO: "451 try later"})
    with serving(inbox) as port:
        assert deliver_due(outbox, {"mail": mail_channel(port)}, NOW).counts == {"pending": 1, "sent": 1}
        inbox.recipients.clear()
        clock.pass_(minutes=5)
        assert deliver_due(outbox, {"mail": mail_channel(port)}, clock.now).counts == {"sent": 1}
    assert sorted(recipients for recipients, _ in mails(inbox)) == [(CFO,), (OPS,)]


def test_mail_whose_answer_was_lost_is_sent_again_with_the_same_message_id(engine, outbox, clock):
    queue(engine, outbox, notice(channel="mail"))
    inbox = Inbox(data="drop")
    with serving(inbox) as port:
        assert deliver_due(outbox, {"mail": mail_channel(port)}, NOW).counts == {"ambiguous": 2}
        inbox.data = "250 kept"
        clock.pass_(minutes=5)
        assert deliver_due(outbox, {"mail": mail_channel(port)}, clock.now).counts == {"sent": 2}
    assert [item.doubts_count for item in outbox.items(["sent"])] == [1, 1]
    by_recipient = {}
    for recipients, content in inbox.accepted:
        by_recipient.setdefault(recipients, []).append(content)
    assert {recipients: len(set(copies)) for recipients, copies in by_recipient.items()} == {(CFO,): 1, (OPS,): 1}
    assert {len(copies) for copies in by_recipient.values()} == {2}


def test_mails_of_one_alert_stand_in_one_thread_and_others_do_not(engine, outbox):
    queue(
        engine,
        outbox,
        *(notice(channel="mail", alert=a, action=b) for a, b in (("x", "fired"), ("x", "resolved"), ("y", "fired"))),
    )
    inbox = Inbox()
    with serving(inbox) as port:
        assert deliver_due(outbox, {"mail": mail_channel(port)}, NOW).counts == {"sent": 6}
    found = [message for recipients, message in mails(inbox) if recipients == (CFO,)]
    roots = [message["References"] for message in found]
    assert [message["In-Reply-To"] for message in found] == roots
    assert len(set(roots)) == 2
    assert sorted(roots.count(root) for root in set(roots)) == [1, 2]
    assert len({message["Message-ID"] for _, message in mails(inbox)}) == 6


def test_mail_of_a_hostile_notice_has_no_header_of_its_making(engine, outbox):
    title = "x\r\nBcc: evil@example.com\r\n\r\n=?utf-8?q?=0d=0aBcc:_evil@example.com?= \u202e\x00\ud800"
    queue(engine, outbox, notice(channel="mail", title=title, lines=(title,), facts={title: title}))
    inbox = Inbox()
    with serving(inbox) as port:
        assert deliver_due(outbox, {"mail": mail_channel(port)}, NOW).counts == {"sent": 2}
    for _, message in mails(inbox):
        assert message["Bcc"] is None
        assert "\n" not in message["Subject"]
