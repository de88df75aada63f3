"""Random stories of a world, two evaluators, crashes and restarts: what arrives is exactly what the small model tells."""

import datetime as dt
from collections import Counter
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.unit.alerts import samples
from tests.unit.alerts.model import CRITICAL, INFO, WARNING, Model, ModelRule, Seen
from usage_etl.alerts import Observations, Policy, step
from usage_etl.delivery.alert_book import AlertBook
from usage_etl.delivery.outbox import Outbox
from usage_etl.lake import open_state
from usage_etl.schemas import alert_state, outbox_state

CAP = 4
TEAMS = ("team-a", "team-b")
PERCENTS = st.sampled_from([0, 47.4, 47.5, 50, 75.9, 76, 79, 80, 94, 95, 99, 100, 120])
RATES = st.sampled_from([None, 1, 4, 4.75, 5, 6, 18, 19, 20, 30])
START = dt.datetime(2026, 3, 10, 9, tzinfo=dt.UTC)
EMPTIED = (
    alert_state.alert_states,
    alert_state.alert_crossings,
    alert_state.alert_notices,
    alert_state.alert_evaluations,
    outbox_state.outbox,
)
RULES = {
    "quota": samples.rule(name="quota", levels=("50", "80", "100", "projected"), repeat="daily"),
    "errors": samples.rate_rule(name="errors", channels=("mail", "chat"), severity={"20": "critical"}),
}
MODELS = {
    "quota": ModelRule(
        "quota",
        (50, 80, 100, "projected"),
        ("mail",),
        is_daily=True,
        severities={50: INFO, 80: WARNING, "projected": WARNING, 100: CRITICAL},
    ),
    "errors": ModelRule(
        "errors", (5, 20), ("mail", "chat"), is_rate=True, fire_after=2, clear_after=2, severities={5: WARNING, 20: CRITICAL}
    ),
}


class DiedError(Exception):
    """The process is gone."""


class DyingOutbox:
    """Queues, and dies before the transaction ends."""

    def __init__(self, outbox):
        self.outbox = outbox

    def put(self, connection, notices):
        """Rows are written, and never committed."""
        self.outbox.put(connection, notices)
        raise DiedError


class Story(RuleBasedStateMachine):
    """A world of two teams with quotas and error rates, and everything that can happen to it."""

    engine: sa.Engine

    @initialize()
    def begin(self):
        with self.engine.begin() as connection:
            for table in EMPTIED:
                connection.execute(sa.delete(table))
        self.now = START
        self.month = dt.date(2026, 3, 1)
        self.limits = dict.fromkeys(TEAMS, 1000)
        self.used = {}
        self.projected = dict.fromkeys(TEAMS, 0)
        self.errors = dict.fromkeys(TEAMS)
        self.late = set()
        self.silences = []
        self.rules = dict.fromkeys(RULES)
        self.model = Model(list(MODELS.values()), CAP)
        self.received = {}

    # The world

    @rule(team=st.sampled_from(TEAMS), tokens=st.integers(1, 450))
    def use(self, team, tokens):
        self.used[team, self.month] = self.used.get((team, self.month), 0) + tokens
        self.evaluate(10, "")

    @rule(team=st.sampled_from(TEAMS), percents=st.lists(PERCENTS, min_size=1, max_size=4), is_old=st.booleans())
    def restate(self, team, percents, is_old):
        for percent in percents:
            month = self.before(self.month) if is_old else self.month
            self.used[team, month] = int(percent * (self.limits[team] or 1000) / 100)
            self.evaluate(20, "")

    @rule(team=st.sampled_from(TEAMS), limit=st.sampled_from([None, 500, 1000, 1250, 4000]))
    def change_limit(self, team, limit):
        self.limits[team] = limit

    @rule(team=st.sampled_from(TEAMS), percents=st.lists(st.sampled_from([0, 94, 95, 97, 100, 130]), min_size=1, max_size=4))
    def project(self, team, percents):
        for percent in percents:
            self.projected[team] = percent
            self.evaluate(20, "")

    @rule(team=st.sampled_from(TEAMS), days=st.lists(st.tuples(RATES, st.integers(0, 1)), min_size=1, max_size=5))
    def fail_requests(self, team, days):
        for percent, later in days:
            self.errors[team] = percent
            self.now += dt.timedelta(days=later)
            self.evaluate(5, "")

    @rule(team=st.sampled_from(TEAMS))
    def feed_stops_or_comes_back(self, team):
        self.late ^= {team}

    @rule(days=st.integers(1, 2))
    def days_pass(self, days):
        self.now += dt.timedelta(days=days)
        self.turn_the_month()

    @rule()
    def the_month_ends(self):
        self.now = dt.datetime.combine(self.after(self.month), dt.time(6), tzinfo=dt.UTC)
        self.turn_the_month()

    # People

    @rule(team=st.sampled_from([None, *TEAMS]), hours=st.integers(1, 40))
    def silence(self, team, hours):
        name, end = f"{len(self.silences):064d}", self.now + dt.timedelta(hours=hours)
        self.silences.append(samples.silence(silence_id=name, scope_ids=(team,) if team else (), ends_at=end))
        self.model.silences.append((name, team, end))

    @rule(name=st.sampled_from([*RULES]))
    def withdraw_or_restore(self, name):
        if name in self.rules:
            del self.rules[name]
        else:
            self.rules[name] = None
        self.model.rules = [MODELS[known] for known in RULES if known in self.rules]

    # The machine

    @rule(minutes=st.integers(1, 70), moment=st.sampled_from(["", "", "before the commit", "after the commit"]))
    def evaluate(self, minutes, moment):
        self.now += dt.timedelta(minutes=minutes)
        self.turn_the_month()
        if moment == "before the commit":
            with pytest.raises(DiedError):
                self.decide(sink=DyingOutbox(self.outbox()))
            return
        self.decide()
        self.model.look(self.now, self.seen())

    @rule(minutes=st.integers(1, 70), tokens=st.integers(0, 300))
    def two_evaluate_at_once(self, minutes, tokens):
        """The first has read its figures when data arrives and the second decides; it must read again."""
        self.now += dt.timedelta(minutes=minutes)
        self.turn_the_month()
        rivals = []

        def read():
            rows = self.observations()
            if not rivals:
                rivals.append(1)
                self.use(TEAMS[0], tokens)
                self.decide()
                self.model.look(self.now, self.seen())
            return rows

        self.decide(read=read)
        self.model.look(self.now, self.seen())

    @rule(is_fatal=st.booleans(), minutes=st.integers(0, 10))
    def deliver(self, is_fatal, minutes):
        self.now += dt.timedelta(minutes=minutes)
        self.turn_the_month()
        self.deliver_due(dies_after=1 if is_fatal else None)

    @invariant()
    def nobody_heard_what_was_not_told(self):
        if hasattr(self, "received"):
            told = Counter(message for _, channel, members in self.model.sent for message in [(channel, members)])
            heard = Counter((notice.channel, self.atoms(notice)) for notice in self.received.values())
            assert heard <= told

    def teardown(self):
        if not hasattr(self, "received"):
            return
        self.now += dt.timedelta(minutes=10)
        self.deliver_due()
        told = Counter((channel, members) for _, channel, members in self.model.sent)
        heard = Counter((notice.channel, self.atoms(notice)) for notice in self.received.values())
        assert heard == told
        with self.engine.connect() as connection:
            kept = connection.execute(sa.select(sa.func.count()).select_from(outbox_state.outbox)).scalar_one()
        assert kept == len(self.received)

    # How

    def decide(self, *, sink=None, read=None):
        rules = [RULES[name] for name in RULES if name in self.rules]

        def decided(memory, seen):
            policy = Policy(messages_per_hour=CAP)
            return step(memory, seen, rules, self.silences, self.now, organization_id="acme", policy=policy)

        book = AlertBook(self.engine, "acme")  # anew each time: nothing survives but the database
        return book.decide(read or self.observations, decided, sink or self.outbox(), now=self.now)

    def outbox(self):
        return Outbox(self.engine, clock=lambda: self.now)

    def deliver_due(self, dies_after=None):
        outbox = self.outbox()
        outbox.recover(self.now)
        while items := outbox.due(self.now):
            for item in items:
                claimed = outbox.claim(item.position, self.now)
                if claimed is None:
                    continue
                before = self.received.setdefault(claimed.notice.notice_id, claimed.notice)
                assert before == claimed.notice, "one id, one message"
                if dies_after is not None:
                    return
                outbox.mark_sent(claimed)

    def turn_the_month(self):
        self.month = self.now.date().replace(day=1)

    @staticmethod
    def before(month):
        return (month - dt.timedelta(days=1)).replace(day=1)

    @staticmethod
    def after(month):
        return (month + dt.timedelta(days=31)).replace(day=1)

    def quota_percent(self, team, month):
        hundredfold = Decimal(self.used.get((team, month), 0) * 100)
        return (hundredfold / self.limits[team]).quantize(Decimal("1e-12"), rounding=ROUND_DOWN)

    def months(self):
        for month in (self.before(self.month), self.month):
            yield month, self.after(month) - dt.timedelta(days=1)

    def observations(self):
        rows = []
        for team in TEAMS:
            is_stale = team in self.late
            for month, end in self.months():
                if self.limits[team] is not None:
                    settled = end + dt.timedelta(days=3)
                    period = {"period_start": month, "period_end": end, "watch_until": settled, "as_of": self.now.date()}
                    projected = Decimal(self.projected[team])
                    percent = self.quota_percent(team, month)
                    rows.append(samples.used(percent, scope=team, is_stale=is_stale, projected_percent=projected, **period))
            rate = samples.errors(self.errors[team], 1, scope=team, is_stale=is_stale, as_of=self.now.date())
            rows.append(rate)
        covered = frozenset(("quota_used_ratio", month) for month, _ in self.months())
        return Observations(tuple(rows), covered)

    def seen(self):
        found = {}
        for month, end in self.months():
            found["quota", month, end] = [
                Seen(team, Fraction(self.quota_percent(team, month)), Fraction(self.projected[team]), team in self.late)
                for team in TEAMS
                if self.limits[team] is not None
            ]
        found["errors", None, None] = [
            Seen(team, None if self.errors[team] is None else Fraction(self.errors[team]), None, team in self.late)
            for team in TEAMS
        ]
        return found

    def atoms(self, notice):
        """What a notice tells, in the model's words."""
        if notice.action == "digest":
            return frozenset(atom for member in notice.members for atom in self.atoms(member))
        scope = notice.facts["scope"].removeprefix("team ").lower()
        period = notice.facts.get("period")
        action = "reminder" if notice.title.startswith("Still: ") else notice.action
        level = notice.facts.get("level", "").removesuffix(" %")
        start = dt.date.fromisoformat(period[:10]) if period else None
        return frozenset([(action, notice.facts["rule"], "" if scope == "all" else scope, start, level)])


def run(engine, *, sequences, steps):
    """Plays ``sequences`` stories of up to ``steps`` events on one state database."""
    machine = type("StoryOnEngine", (Story,), {"engine": engine})
    settings = hypothesis.settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(machine, settings=settings)


def test_stories_tell_exactly_what_the_model_tells():
    engine = open_state("sqlite://")
    run(engine, sequences=150, steps=8)
    engine.dispose()


@pytest.mark.slow
def test_ten_thousand_stories_tell_exactly_what_the_model_tells():
    engine = open_state("sqlite://")
    run(engine, sequences=10_000, steps=8)
    engine.dispose()


def test_stories_on_postgresql_tell_exactly_what_the_model_tells(postgres_database):
    engine = open_state(postgres_database)
    run(engine, sequences=15, steps=20)
    engine.dispose()
