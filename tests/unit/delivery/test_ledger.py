"""One claim wins, results are kept, doubt is listed and only a person resolves it."""

import datetime as dt
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from usage_etl.delivery.ledger import Send, SendLedger
from usage_etl.errors import DeliveryError

NOW = dt.datetime(2026, 11, 20, 8, 0, tzinfo=dt.UTC)
SEND = Send("chargeback", "2026-10", "email", "cfo@northwind.example", "a" * 64)


class Clock:
    """A clock that stands still until told."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        """The present."""
        return self.now

    def pass_(self, **time_passed):
        """Let time pass."""
        self.now += dt.timedelta(**time_passed)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(engine, clock):
    return SendLedger(engine, clock=clock)


def test_claim_is_given_once(ledger):
    assert ledger.claim(SEND)
    assert not ledger.claim(SEND)
    assert not ledger.claim(Send(SEND.report, SEND.period, SEND.channel, "CFO@Northwind.example", SEND.content_sha256))
    assert ledger.claim(Send(SEND.report, SEND.period, SEND.channel, SEND.recipient, "b" * 64))


def test_sixteen_threads_race_for_one_claim(ledger):
    start = threading.Barrier(16)

    def race(_):
        start.wait()
        return ledger.claim(SEND)

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(race, range(16))) == 1
    assert ledger.claim(SEND) is False


def test_threads_race_for_one_released_claim(ledger):
    ledger.claim(SEND)
    ledger.give_back(SEND.send_key, "451 later")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: ledger.claim(SEND), range(8))) == 1


def test_record_keeps_instants_in_utc(ledger, clock):
    ledger.claim(SEND)
    clock.pass_(seconds=90)
    ledger.mark_sent(SEND.send_key, "250 kept")
    record = ledger.find(SEND.send_key)
    assert (record.send, record.status, record.status_reason) == (SEND, "sent", "250 kept")
    assert (record.claimed_at, record.finished_at) == (NOW, NOW + dt.timedelta(seconds=90))
    assert record.claimed_at.tzinfo is dt.UTC
    assert ledger.find("0" * 64) is None


def test_fresh_claim_is_in_flight_and_stale_claim_is_ambiguous(ledger, clock):
    ledger.claim(SEND)
    clock.pass_(minutes=14)
    assert ledger.standing(SEND).status == "claimed"
    assert ledger.open_items() == []
    clock.pass_(minutes=1)
    assert [item.send for item in ledger.open_items()] == [SEND], "listed even if nobody asks for it again"
    record = ledger.standing(SEND)
    assert record.status == "ambiguous"
    assert "may have died" in record.status_reason
    assert not ledger.claim(SEND), "never sent again by itself"


def test_process_that_was_slow_but_alive_still_reports_its_result(ledger, clock):
    ledger.claim(SEND)
    clock.pass_(hours=1)
    ledger.standing(SEND)
    ledger.mark_sent(SEND.send_key, "250 kept")
    assert ledger.open_items() == []


@pytest.mark.parametrize("result", ["mark_ambiguous", "mark_dead"])
def test_operator_releases_doubtful_and_dead_sends(ledger, result):
    ledger.claim(SEND)
    getattr(ledger, result)(SEND.send_key, "550 no such user")
    assert [item.status_reason for item in ledger.open_items()] == ["550 no such user"]
    assert not ledger.claim(SEND)
    ledger.release(SEND.send_key, "address mended")
    assert ledger.find(SEND.send_key).status == "released"
    assert ledger.open_items() == []
    assert ledger.claim(SEND)
    assert ledger.find(SEND.send_key).finished_at is None


def test_operator_releases_and_confirms_stale_claims_without_asking_first(ledger, clock):
    other = Send("executive", "2026-10", "email", "ceo@northwind.example", "a" * 64)
    ledger.claim(SEND)
    ledger.claim(other)
    clock.pass_(minutes=20)
    ledger.release(SEND.send_key, "the relay's log does not show it")
    ledger.confirm(other.send_key, "the relay's log shows it")
    assert ledger.claim(SEND)
    assert not ledger.claim(other)
    assert ledger.find(other.send_key).status == "sent"


def test_operator_cannot_release_what_is_sent_or_on_its_way(ledger):
    ledger.claim(SEND)
    with pytest.raises(DeliveryError, match="it is claimed"):
        ledger.release(SEND.send_key, "impatient")
    with pytest.raises(DeliveryError, match="it is claimed"):
        ledger.confirm(SEND.send_key, "impatient")
    ledger.mark_sent(SEND.send_key)
    with pytest.raises(DeliveryError, match="it is sent"):
        ledger.release(SEND.send_key, "again please")
    with pytest.raises(DeliveryError, match="not in the ledger"):
        ledger.release("0" * 64, "mistyped")


def test_sent_stays_sent(ledger):
    ledger.claim(SEND)
    ledger.mark_sent(SEND.send_key)
    for change in (ledger.mark_ambiguous, ledger.mark_dead, ledger.give_back):
        with pytest.raises(DeliveryError, match="it is sent"):
            change(SEND.send_key, "late word")


@pytest.mark.parametrize(
    ("result", "counts"), [("mark_sent", True), ("mark_ambiguous", True), ("mark_dead", False), ("give_back", False)]
)
def test_other_content_counts_when_it_may_have_arrived(ledger, result, counts):
    ledger.claim(SEND)
    getattr(ledger, result)(SEND.send_key, "reason")
    restated = Send(SEND.report, SEND.period, SEND.channel, "CFO@northwind.example", "b" * 64)
    assert ledger.has_other_content(restated) is counts
    assert not ledger.has_other_content(SEND)
    assert not ledger.has_other_content(Send(SEND.report, "2026-09", SEND.channel, SEND.recipient, "b" * 64))


def test_exclusive_lets_one_in_at_a_time(ledger):
    inside, most = [], []

    def work(number):
        with ledger.exclusive("chargeback 2026-10"):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.02)
            inside.remove(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert most == [1] * 6


def test_exclusive_is_given_back_when_the_work_fails(ledger):
    with pytest.raises(RuntimeError), ledger.exclusive("x"):
        raise RuntimeError
    with ledger.exclusive("x"):
        pass


def test_hostile_values_stay_values(ledger):
    hostile = Send("chargeback", "2026-10", "email", "'; drop table usage_etl_sends; --", "a" * 64)
    assert ledger.claim(hostile)
    assert ledger.find(hostile.send_key).send == hostile
