"""Whatever senders, servers and clocks do: nothing is lost, nothing overtakes, and what arrives twice was in doubt."""

import datetime as dt
import random
from collections import Counter

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.delivery.notices import NOW, Clock, notice
from usage_etl.delivery.outbox import LEASE, Outbox
from usage_etl.lake import open_state

ENDS = ("sent", "unsent", "dead", "lost answer", "lost message", "died before", "died after")
KINDS = st.lists(st.sampled_from(ENDS), min_size=1, max_size=7)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """One database for all examples, emptied by each; it need not survive a crash of the machine."""
    engine = open_state(f"sqlite:///{tmp_path_factory.mktemp('outbox')}/state.sqlite")
    engine.dispose()
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    yield engine
    engine.dispose()


class World:
    """A server, two senders that share an outbox, and a clock. ``arrived`` is what the server took, in order."""

    def __init__(self, engine, seed, ends):
        self.chance, self.ends, self.clock, self.engine = random.Random(seed), ends, Clock(), engine
        with self.engine.begin() as connection:
            connection.exec_driver_sql("delete from usage_etl_outbox")
        self.senders = [Outbox(self.engine, self.clock, chance=random.Random(seed + number)) for number in range(2)]
        self.arrived, self.dead, self.tries = [], set(), Counter()

    def step(self):
        """One sender takes one message, and something happens to it."""
        sender = self.chance.choice(self.senders)
        sender.recover(self.clock.now)
        due = sender.due(self.clock.now)
        if not due:
            self.clock.pass_(seconds=self.chance.choice((1, 60, LEASE.total_seconds(), 9 * 3600)))
            return
        held = sender.claim(self.chance.choice(due).position, self.clock.now)
        assert held is not None
        assert all(other.claim(held.position, self.clock.now) is None for other in self.senders), "two hold one message"
        self.tries[held.notice.notice_id] += 1
        self.end(sender, held, self.chance.choice(self.ends))

    def end(self, sender, held, how):
        """What becomes of a claimed message."""
        if how in ("sent", "lost answer", "died after"):
            self.arrived.append(held.notice)
        if how == "sent":
            sender.mark_sent(held)
        elif how == "dead":
            assert sender.mark_dead(held, "404")
            self.dead.add(held.notice.notice_id)
        elif how == "unsent":
            sender.mark_unsent(held, "503")
        elif how in ("lost answer", "lost message"):
            sender.mark_ambiguous(held, "no answer")


@settings(max_examples=15)
@given(
    st.integers(0, 2**32),
    KINDS,
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["fired", "corrected", "resolved"])), max_size=6),
)
def test_every_notice_ends_sent_or_dead_in_order_and_doubles_were_in_doubt(database, seed, ends, told):
    world = World(database, seed, ends)
    notices = [notice(number, alert=f"{seed} {alert}", action=action) for number, (alert, action) in enumerate(told)]
    with world.engine.begin() as connection:
        assert world.senders[0].put(connection, notices) == len(notices)
    steps = 0
    while world.senders[0].items(["pending", "claimed", "ambiguous"]):
        world.step()
        steps += 1
        assert steps < 5000
        if world.clock.now > NOW + dt.timedelta(days=60):
            raise AssertionError("a message waits for ever")
    rows = {item.notice.notice_id: item for item in world.senders[0].items(["sent", "dead"])}
    assert rows.keys() == {item.notice_id for item in notices}, "a notice was lost"
    copies = Counter(item.notice_id for item in world.arrived)
    for identity, row in rows.items():
        assert row.state == "dead" or copies[identity] >= 1
        assert copies[identity] <= 1 + row.doubts_count, "doubled without a doubt"
        assert row.attempts_count == world.tries[identity]
    firsts = list(dict.fromkeys(item.notice_id for item in world.arrived))
    for alert in {item.alert_key for item in notices}:
        order = [item.notice_id for item in notices if item.alert_key == alert and item.notice_id in copies]
        assert [identity for identity in firsts if identity in order] == order, "a notice overtook an earlier one of its alert"
