"""Any sequence of restating, closing, reopening and disputing leaves closed lines alone and loses no money."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.unit.allocation.booking_lines import (
    AUGUST,
    JULY,
    OCTOBER,
    SEPTEMBER,
    Books,
    allocation,
    allocation_line,
    dispute,
    disputes,
    totals,
)
from usage_etl.allocation.booking import lines_sha256
from usage_etl.allocation.corrections import IDENTITY
from usage_etl.schemas.periods import ALL_OTHERS

MONTHS = (JULY, AUGUST, SEPTEMBER, OCTOBER)
LAST = OCTOBER.next
"""Never closed: what arrives after everything was closed ends here."""
PROVIDERS = ("openai", "aws")
CENTS = st.integers(-50_000, 200_000).map(lambda cents: Decimal(cents) / 100)
SHARES = st.dictionaries(
    st.sampled_from(("red", "blue", "unallocated")), st.tuples(CENTS, CENTS, st.sampled_from(("gpt-5.2", "o9"))), max_size=3
)
MONTH_INDEX = st.integers(0, len(MONTHS) - 1)


class BooksInAnyOrder(RuleBasedStateMachine):
    """Four months of two providers; every closed line is remembered as it was closed."""

    def __init__(self):
        super().__init__()
        self.books = Books()
        self.shares = {}
        self.sealed_files = {}

    @rule(index=MONTH_INDEX, provider=st.sampled_from(PROVIDERS), shares=SHARES, currency=st.sampled_from(("USD", "USD", "EUR")))
    def restate(self, index, provider, shares, currency):
        """The bill of a provider's month is this now."""
        month = MONTHS[index]
        self.shares[month, provider] = [
            allocation_line(provider, month, team, cost, effective=effective, model=model, currency=currency)
            for team, (cost, effective, model) in shares.items()
        ]
        lines = [line for name in PROVIDERS for line in self.shares.get((month, name), [])]
        self.books.allocate(month, *lines)

    @rule(provider=st.sampled_from(PROVIDERS))
    def close_next(self, provider):
        """Closes the provider's oldest month that has lines and is not closed."""
        for month in MONTHS:
            booked = self.books.book(month)
            has_lines = provider in booked["provider_name"].unique()
            if has_lines and not self.books.periods.is_closed(provider, month):
                self.books.close(provider, month)
                return

    @precondition(lambda self: len(list(self.books.periods)))
    @rule(provider=st.sampled_from((*PROVIDERS, ALL_OTHERS)))
    def reopen_last(self, provider):
        """Reopens the newest closing of a provider, or of a month as a whole where no later one is closed."""
        standing = list(self.books.periods)
        mine = [found for found in standing if found.provider_name == provider]
        if not mine or (provider == ALL_OTHERS and any(found.month > mine[-1].month for found in standing)):
            return
        self.books.reopen(provider, mine[-1].month)
        self.sealed_files.pop(mine[-1].month, None)
        kept = set(self.books.closed_lines["line_id"])
        self.books.disputes = self.books.disputes.filter(pl.col("line_id").is_in(list(kept)))

    @precondition(lambda self: self.books.closed_lines.height)
    @rule(place=st.integers(0, 100), part=st.sampled_from((1, 3)), to=st.sampled_from((None, "green")))
    def dispute_closed_line(self, place, part, to):
        """An owner's dispute of a third or all of a closed line is accepted."""
        line = self.books.closed_lines.row(place % self.books.closed_lines.height, named=True)
        cost = round(line["allocated_cost"] / part, 2)
        rows = self.books.disputes.rows()
        if any(row[1] == line["line_id"] for row in rows) or abs(cost) > abs(line["allocated_cost"]):
            return
        self.books.disputes = disputes(*rows, dispute(f"D{len(rows) + 1}-{line['line_id'][:6]}", line["line_id"], cost, to=to))

    @invariant()
    def books_are_in_order(self):
        """Closed lines are as they were closed, nothing is lost or booked twice, and disputes are booked once."""
        booked = {month: self.books.book(month) for month in (*MONTHS, LAST)}
        self.check_closed(booked)
        everything = pl.concat(booked.values())
        assert everything["line_id"].is_unique().all()
        self.check_conserved(everything)
        taken = totals(everything.filter(pl.col("rule_name") == "dispute"), "dispute_id")
        assert taken == {(row[0],): -row[2] for row in self.books.disputes.rows() if row[2]}

    def check_closed(self, booked):
        """Lines in force are those that were recorded, and a month closed as a whole is booked to the same lines for ever."""
        for closing in self.books.periods:
            is_of = (pl.col("provider_name") == closing.provider_name) & (pl.col("month") == closing.month.first_day)
            assert lines_sha256(self.books.closed_lines.filter(is_of)) == closing.lines_sha256
        for month in MONTHS:
            if self.books.periods.is_month_closed(month):
                found = lines_sha256(booked[month])
                assert self.sealed_files.setdefault(month, found) == found
                assert set(booked[month]["period_status"].unique()) <= {"closed"}

    def check_conserved(self, everything):
        """By original month and identity, all that is booked is what the rules give now; disputes add up to nothing."""
        is_dispute = pl.col("dispute_id").is_not_null()
        original = everything.filter(~is_dispute).with_columns(month=pl.coalesce("corrects_month", "month"))
        now = pl.concat([allocation(), *self.books.now.values()])
        for view in ("allocated_cost", "allocated_effective_cost"):
            assert totals(original, *IDENTITY, "month", cost=view) == totals(now, *IDENTITY, "month", cost=view)
            assert totals(everything.filter(is_dispute), "provider_name", "billing_currency", cost=view) == {}


BooksInAnyOrder.TestCase.settings = settings(
    max_examples=8, stateful_step_count=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TestBooksInAnyOrder = BooksInAnyOrder.TestCase


@pytest.mark.slow
def test_many_more_orders():
    run_state_machine_as_test(BooksInAnyOrder, settings=settings(max_examples=150, stateful_step_count=25))
