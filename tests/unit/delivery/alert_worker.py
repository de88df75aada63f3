"""What a process does that evaluates the same steps as others, at the same moments."""

import datetime as dt

import sqlalchemy as sa

from tests.unit.alerts.samples import NOW, rate_rule, rule, used
from tests.unit.alerts.samples import errors as rate
from usage_etl.alerts import Observations, Policy, step
from usage_etl.delivery.alert_book import AlertBook
from usage_etl.delivery.outbox import Outbox
from usage_etl.errors import AlertsBusyError

RULES = (rule(repeat="daily"), rate_rule(fire_after=1, clear_after=1))
STEPS = (20, 50, 85, 83, 101, 97, 101, 60, 82, 130, 20, 99)
"""What team-a has used at each step; team-b has used half of it, and the error rate is a fifth of it."""


def seen(number):
    """What the world shows at a step."""
    day = number + 1
    rows = (used(STEPS[number]), used(STEPS[number] / 2, scope="team-b"), rate(STEPS[number] / 5, day))
    return Observations(rows, frozenset())


def instant(number):
    """When a step is evaluated."""
    return NOW + dt.timedelta(hours=12 * number)


def decide(engine, number):
    """One evaluation of a step."""

    def decided(memory, observations):
        return step(memory, observations, RULES, (), instant(number), organization_id="acme", policy=Policy(groups=False))

    book = AlertBook(engine, "acme")
    return book.decide(lambda: seen(number), decided, Outbox(engine, clock=lambda: instant(number)), now=instant(number))


def evaluate(url, barrier, said):
    """Evaluate every step together with the others; tell ``said`` how many notices this process decided."""
    engine = sa.create_engine(url, connect_args={"timeout": 60} if url.startswith("sqlite") else {})
    decided = 0
    for number in range(len(STEPS)):
        barrier.wait(timeout=120)
        for _ in range(3):
            try:
                decided += len(decide(engine, number).notices)
                break
            except AlertsBusyError:
                continue
    said.put(decided)
    engine.dispose()
