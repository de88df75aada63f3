"""The book of alerts on real databases: several processes decide once, crashes leave nothing half, silences are kept."""

import datetime as dt
import multiprocessing as mp

import pytest
import sqlalchemy as sa

from tests.unit.alerts.samples import NOW, silence
from tests.unit.delivery.alert_worker import STEPS, decide, evaluate, seen
from usage_etl.delivery.alert_book import AlertBook
from usage_etl.errors import DeliveryError
from usage_etl.lake import open_state
from usage_etl.schemas.alert_state import Decision, alert_crossings, alert_notices
from usage_etl.schemas.outbox_state import outbox


def told(engine):
    """Notices of the book and of the outbox, which must be the same."""
    with engine.connect() as connection:
        decided = connection.execute(sa.select(alert_notices.c.notice_id, alert_notices.c.title)).all()
        queued = connection.execute(sa.select(outbox.c.notice_id)).scalars().all()
    assert sorted(queued) == sorted(notice_id for notice_id, _ in decided)
    return sorted(title for _, title in decided)


def test_processes_that_evaluate_the_same_steps_at_once_tell_everything_once(state_url):
    alone = open_state("sqlite://")
    for number in range(len(STEPS)):
        decide(alone, number)
    expected = told(alone)
    assert len(expected) > 12
    alone.dispose()

    context = mp.get_context("spawn")
    barrier, said = context.Barrier(2), context.Queue()
    workers = [context.Process(target=evaluate, args=(state_url, barrier, said)) for _ in range(2)]
    for worker in workers:
        worker.start()
    counts = [said.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    engine = open_state(state_url)
    assert told(engine) == expected
    assert sum(counts) == len(expected), "each notice was decided by one of them"
    engine.dispose()


def test_a_level_cannot_be_crossed_twice_in_an_episode_whoever_tries(engine):
    decided = decide(engine, 1)
    again = Decision(crossings=decided.crossings)
    assert decided.crossings
    with pytest.raises(sa.exc.IntegrityError):
        AlertBook(engine, "acme").decide(lambda: None, lambda memory, _: again, NoOutbox(), now=NOW)
    assert AlertBook(engine, "acme").sequence() == 1, "nothing of the second was stored"


class NoOutbox:
    """Queues nothing."""

    def put(self, connection, notices):
        return 0


def test_a_decision_that_fails_on_its_way_to_the_outbox_is_not_remembered(engine):
    class FullDisk:
        def put(self, connection, notices):
            raise OSError("no space")

    book = AlertBook(engine, "acme")
    decided = decide(engine, 0)
    states = book.states()
    with pytest.raises(OSError, match="no space"):
        book.decide(lambda: seen(2), lambda memory, _: Decision(states=decided.states[:1]), FullDisk(), now=NOW)
    assert book.states() == states
    assert book.sequence() == 1


def test_what_is_stored_is_read_back_as_it_was(engine):
    decided = decide(engine, 2)
    book = AlertBook(engine, "acme")
    assert sorted(book.states(), key=lambda state: state.alert_key) == sorted(decided.states, key=lambda state: state.alert_key)
    assert {notice.notice_id: notice for notice, _, _ in book.history()} == {one.notice_id: one for one in decided.notices}
    assert all(is_told for _, _, is_told in book.history())
    assert AlertBook(engine, "globex").states() == []
    with engine.connect() as connection:
        levels = connection.execute(sa.select(alert_crossings.c.level, alert_crossings.c.told)).all()
    assert ("80", "fired") in levels
    assert ("50", "passed") in levels


def test_silences_are_kept_found_by_the_beginning_of_their_id_and_ended(engine):
    book = AlertBook(engine, "acme")
    kept = book.silence(silence(scope_ids=("team-a", "team-b"), rule="quota"), now=NOW)
    assert (kept.rule, kept.scope_ids, kept.owner, kept.reason) == ("quota", ("team-a", "team-b"), "Ada", "migration")
    assert book.silence(silence(scope_ids=("team-a", "team-b"), rule="quota"), now=NOW) == kept, "the same again is nothing"
    other = book.silence(silence(reason="another"), now=NOW)
    with pytest.raises(DeliveryError, match="2 silences that are on begin with ''"):
        book.unsilence("", by="Bob", now=NOW)
    later = NOW + dt.timedelta(hours=1)
    assert book.unsilence(kept.silence_id[:8], by="Bob", now=later) == kept
    assert {one.silence_id: one.ends_at for one in book.silences()} == {
        kept.silence_id: later,
        other.silence_id: other.ends_at,
    }
    with pytest.raises(DeliveryError, match="0 silences"):
        book.unsilence(kept.silence_id, by="Bob", now=later)
    with pytest.raises(DeliveryError, match="is over already"):
        book.silence(silence(ends_at=NOW), now=NOW)
