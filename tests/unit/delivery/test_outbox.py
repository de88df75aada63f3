"""A notice is queued once with its cause, claimed by one sender, tried for three days in order, and never lost."""

import datetime as dt
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.delivery.notices import NOW, Clock, notice
from usage_etl.delivery.notice_json import notice_from_json, notice_to_json
from usage_etl.delivery.outbox import LEASE, Outbox, Route
from usage_etl.delivery.retries import GIVE_UP_AFTER, STEPS, next_attempt_at
from usage_etl.errors import ConflictingNoticeError, DeliveryError
from usage_etl.schemas.outbox_state import channel_states

ROUTES = {"mail": Route(("cfo@northwind.example", "ops@northwind.example")), "pager": Route(is_per_alert=True)}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(engine, clock):
    return Outbox(engine, clock, routes=ROUTES, chance=random.Random(7))


def queue(engine, outbox, *notices):
    with engine.begin() as connection:
        return outbox.put(connection, notices)


def test_second_put_of_the_same_notice_is_nothing(engine, outbox):
    assert queue(engine, outbox, notice()) == 1
    assert queue(engine, outbox, notice(), notice(2, alert="other")) == 1
    assert [item.notice for item in outbox.due(NOW)] == [notice(), notice(2, alert="other")]


def test_notice_that_was_sent_is_not_queued_again(engine, outbox):
    queue(engine, outbox, notice())
    outbox.mark_sent(outbox.claim(outbox.due(NOW)[0].position, NOW))
    assert queue(engine, outbox, notice()) == 0
    assert outbox.due(NOW) == []


def test_one_id_for_two_contents_is_refused_and_the_first_stays(engine, outbox):
    queue(engine, outbox, notice())
    with pytest.raises(ConflictingNoticeError, match="another content"):
        queue(engine, outbox, notice(title="Something else"))
    assert [item.notice.title for item in outbox.due(NOW)] == [notice().title]


def test_what_the_caller_rolls_back_was_never_queued(engine, outbox):
    with engine.connect() as connection, connection.begin() as transaction:
        assert outbox.put(connection, [notice()]) == 1
        transaction.rollback()
    assert outbox.due(NOW) == []


def test_every_recipient_of_a_channel_has_a_row_of_its_own(engine, outbox):
    assert queue(engine, outbox, notice(channel="mail")) == 2
    assert [item.recipient for item in outbox.due(NOW)] == ["cfo@northwind.example", "ops@northwind.example"]
    doubled = Outbox(engine, routes={"mail": Route(("CFO@northwind.example", "cfo@Northwind.example"))})
    assert queue(engine, doubled, notice(2, channel="mail")) == 1


def test_members_of_a_digest_go_one_by_one_where_each_alert_is_kept_apart(engine, outbox):
    members = (notice(1, channel="pager"), notice(2, alert="b", action="resolved", channel="pager"))
    digest = notice(3, alert="digest", action="digest", channel="pager", members=members)
    assert queue(engine, outbox, digest) == 2
    assert [item.notice for item in outbox.due(NOW)] == list(members)
    assert queue(engine, outbox, notice(4, alert="more", action="digest", channel="ops", members=members)) == 1


def test_resolved_waits_until_fired_is_sent_or_dead(engine, outbox, clock):
    queue(engine, outbox, notice(), notice(action="resolved"), notice(alert="other"))
    fired, other = outbox.due(NOW)
    assert (fired.notice.action, other.notice.alert_key) == ("fired", notice(alert="other").alert_key)
    held = outbox.claim(fired.position, NOW)
    assert held is not None
    assert outbox.claim(fired.position + 1, NOW) is None, "resolved overtook fired"
    assert outbox.mark_unsent(held, "503") == "pending"
    clock.pass_(days=1)
    outbox.mark_dead(outbox.claim(fired.position, clock.now), "404")
    assert outbox.due(clock.now)[0].notice.action == "resolved"


def test_claim_is_given_to_one_of_sixteen_threads(engine, outbox):
    queue(engine, outbox, notice())
    position, start = outbox.due(NOW)[0].position, threading.Barrier(16)

    def race(_):
        start.wait()
        return outbox.claim(position, NOW) is not None

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(race, range(16))) == 1
    assert outbox.find(position).attempts_count == 1


def test_claim_of_a_dead_process_becomes_ambiguous_when_its_lease_is_over(engine, outbox, clock):
    queue(engine, outbox, notice())
    position = outbox.due(NOW)[0].position
    first = outbox.claim(position, NOW)
    assert outbox.recover(NOW + LEASE - dt.timedelta(seconds=1)) == 0
    assert outbox.due(NOW + LEASE) == []
    assert outbox.recover(NOW + LEASE) == 1
    again = outbox.due(NOW + LEASE)[0]
    assert (again.state, again.doubts_count) == ("ambiguous", 1)
    second = outbox.claim(position, NOW + LEASE)
    assert not outbox.mark_dead(first, "too late"), "a lost lease decided"
    outbox.mark_ambiguous(first, "too late")
    assert outbox.find(position).state == "claimed"
    outbox.mark_sent(second)
    assert (outbox.find(position).state, outbox.find(position).attempts_count) == ("sent", 2)


def test_what_is_not_sent_is_tried_for_three_days_and_then_dead(engine, outbox, clock):
    queue(engine, outbox, notice())
    tried = []
    while items := outbox.items(["pending"]):
        clock.now = items[0].next_attempt_at
        tried.append(clock.now - NOW)
        outbox.mark_unsent(outbox.claim(items[0].position, clock.now), "503 busy")
    dead = outbox.items(["dead"])[0]
    assert tried[-1] == GIVE_UP_AFTER
    assert 10 < len(tried) < 60
    assert dead.last_reason == f"given up after {len(tried)} attempts: 503 busy"


def test_message_that_ends_every_sender_is_given_up_too(engine, outbox, clock):
    queue(engine, outbox, notice())
    deaths = 0
    while outbox.items(["pending", "ambiguous"]):
        assert outbox.claim(1, clock.now) is not None
        deaths += 1
        clock.pass_(hours=5)
        assert outbox.recover(clock.now) == 1
    dead = outbox.find(1)
    assert (dead.state, dead.doubts_count, dead.finished_at) == ("dead", deaths, clock.now)
    assert deaths == 15


@given(st.integers(1, 100), st.floats(0, 72 * 3600), st.integers(0, 2**32), st.none() | st.integers(0, 10**9))
def test_waits_lie_between_nothing_and_the_step_but_never_below_what_was_asked(attempts, age_s, seed, asked_s):
    now = NOW + dt.timedelta(seconds=age_s)
    asked = None if asked_s is None else dt.timedelta(seconds=asked_s)
    again = next_attempt_at(attempts, now=now, give_up_at=NOW + GIVE_UP_AFTER, chance=random.Random(seed), asked_pause=asked)
    if now >= NOW + GIVE_UP_AFTER:
        assert again is None
        return
    longest = max(STEPS[min(attempts, len(STEPS)) - 1], min(asked or dt.timedelta(), dt.timedelta(days=1)))
    shortest = max(dt.timedelta(seconds=1), min(asked or dt.timedelta(), dt.timedelta(days=1)))
    assert min(now + shortest, NOW + GIVE_UP_AFTER) <= again <= min(now + longest, NOW + GIVE_UP_AFTER)


def test_two_senders_with_other_chances_do_not_come_back_together():
    waits = {next_attempt_at(5, now=NOW, give_up_at=NOW + GIVE_UP_AFTER, chance=random.Random(seed)) for seed in range(50)}
    assert len(waits) == 50


def test_disabled_channel_holds_its_notices_and_no_others(engine, outbox):
    queue(engine, outbox, notice(), notice(2, alert="b", channel="mail"))
    with engine.begin() as connection:
        connection.execute(channel_states.insert().values(channel="ops", disabled_at=NOW))
    assert {item.channel for item in outbox.due(NOW)} == {"mail"}


def test_operator_retries_a_dead_letter_for_another_three_days(engine, outbox, clock):
    queue(engine, outbox, notice())
    outbox.mark_dead(outbox.claim(1, NOW), "404")
    clock.pass_(days=30)
    item = outbox.retry(1)
    assert (item.state, item.attempts_count, item.give_up_at) == ("pending", 0, clock.now + GIVE_UP_AFTER)
    assert [item.position for item in outbox.due(clock.now)] == [1]


def test_fired_is_not_sent_after_its_resolved(engine, outbox):
    queue(engine, outbox, notice(), notice(action="resolved"))
    outbox.mark_dead(outbox.claim(1, NOW), "404")
    outbox.mark_sent(outbox.claim(2, NOW))
    with pytest.raises(DeliveryError, match="later notice of the same alert"):
        outbox.retry(1)


def test_dropped_letter_is_listed_no_more_and_never_sent(engine, outbox):
    queue(engine, outbox, notice())
    outbox.drop(1, "nobody needs it")
    assert outbox.items(["dead"]) == []
    assert outbox.counts() == {}
    assert outbox.due(NOW + dt.timedelta(days=9)) == []
    assert queue(engine, outbox, notice()) == 0
    for command in (outbox.retry, lambda position: outbox.drop(position, "again")):
        with pytest.raises(DeliveryError):
            command(1)
    with pytest.raises(DeliveryError, match="no message 99"):
        outbox.retry(99)


def test_sent_and_held_messages_cannot_be_retried_or_dropped(engine, outbox):
    queue(engine, outbox, notice())
    held = outbox.claim(1, NOW)
    for command in (outbox.retry, lambda position: outbox.drop(position, "x")):
        with pytest.raises(DeliveryError, match="claimed"):
            command(1)
    outbox.mark_sent(held)
    with pytest.raises(DeliveryError, match="sent"):
        outbox.retry(1)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, st.lists(TEXT), st.dictionaries(TEXT, TEXT))
def test_notice_reads_back_from_json_as_it_was_in_its_order(title, lines, facts):
    written = notice(title=title, lines=tuple(lines), facts=facts, members=(notice(2, title=title),))
    read = notice_from_json(notice_to_json(written))
    assert read == written
    assert list(read.facts) == list(written.facts)
    assert notice_to_json(read) == notice_to_json(written)


def test_tables_are_made_with_the_state_database(engine):
    assert {"usage_etl_outbox", "usage_etl_channels"} <= set(sa.inspect(engine).get_table_names())
