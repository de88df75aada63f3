"""The period book: closings happen once, in order, for good reasons, and nobody changes them unseen."""

import datetime as dt
import threading

import pytest
import sqlalchemy as sa

from usage_etl.errors import ClosedPeriodError, LakeError, PeriodBusyError, UsageEtlError
from usage_etl.lake import open_state
from usage_etl.lake.periods import FIRST, PeriodBook
from usage_etl.periods import Month
from usage_etl.schemas.periods import ALL_OTHERS, Closing
from usage_etl.schemas.state import metadata, period_events

SEPTEMBER, OCTOBER, NOVEMBER = (Month(2026, number) for number in (9, 10, 11))
AT = dt.datetime(2026, 11, 8, 9, 30, 15, 123456, tzinfo=dt.UTC)


@pytest.fixture
def book(state, clock):
    """An empty period book in each kind of database."""
    return PeriodBook(state, clock)


def closing(provider="openai", month=OCTOBER, number=1, **others):
    values = {
        "closed_at": AT,
        "closed_by": "Zoë",
        "lines_count": 3,
        "lines_sha256": "a" * 64,
        "totals": {"USD": "12.340000000000000000"},
        "inputs": {"2026-10/bill": "b" * 64},
        "gates": ("invoice INV-1 is registered",),
    }
    return Closing(provider, month, number, **(values | others))


def close(book, *closings):
    for item in closings:
        with book.recording(head=book.head(), what="closing") as recording:
            recording.close(item)


def test_closing_is_read_back_as_it_was_recorded(book):
    close(book, closing())
    assert list(book.periods()) == [closing()]
    assert book.faults() == []


def test_closed_month_is_not_closed_again(book):
    close(book, closing())
    with pytest.raises(ClosedPeriodError, match="2026-10 of openai is closed: Zoë closed it at 2026-11-08 09:30 UTC"):
        close(book, closing(number=2))
    assert list(book.periods()) == [closing()]


@pytest.mark.parametrize("number", [0, 2, 7])
def test_numbers_follow_each_other(book, number):
    with pytest.raises(UsageEtlError, match="does not follow"):
        close(book, closing(number=number))


def test_reopening_leaves_its_trace_and_the_next_closing_is_the_second(book, clock):
    close(book, closing())
    reopened = book.reopen("openai", OCTOBER, by="Ada", reason=" the bill was wrong ")
    assert (reopened.status, reopened.reopened_by, reopened.reopened_reason) == ("reopened", "Ada", "the bill was wrong")
    assert reopened.reopened_at == clock.now
    assert not book.periods().is_closed("openai", OCTOBER)
    close(book, closing(number=2, closed_by="Bob"))
    assert [(item.number, item.status, item.closed_by) for item in book.periods().closings] == [
        (1, "reopened", "Zoë"),
        (2, "closed", "Bob"),
    ]
    assert book.faults() == []


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_reopening_needs_a_reason(book, reason):
    close(book, closing())
    with pytest.raises(UsageEtlError, match="a reason is required"):
        book.reopen("openai", OCTOBER, by="Ada", reason=reason)
    assert book.periods().is_closed("openai", OCTOBER)


def test_what_is_not_closed_is_not_reopened(book):
    with pytest.raises(UsageEtlError, match="2026-10 of openai is not closed"):
        book.reopen("openai", OCTOBER, by="Ada", reason="why not")
    close(book, closing())
    book.reopen("openai", OCTOBER, by="Ada", reason="once")
    with pytest.raises(UsageEtlError, match="is not closed"):
        book.reopen("openai", OCTOBER, by="Ada", reason="twice")


def test_later_months_are_reopened_first_and_named_in_order(book):
    close(book, closing(month=SEPTEMBER), closing(), closing("aws"), closing(month=NOVEMBER))
    with pytest.raises(UsageEtlError, match="in this order: 2026-11 of openai, 2026-10 of openai"):
        book.reopen("openai", SEPTEMBER, by="Ada", reason="late")
    for month in (NOVEMBER, OCTOBER, SEPTEMBER):
        book.reopen("openai", month, by="Ada", reason="late")
    assert book.periods().is_closed("aws", OCTOBER)


def test_month_as_a_whole_is_reopened_only_while_no_later_month_is_closed(book):
    close(book, closing(), closing(ALL_OTHERS), closing("aws", NOVEMBER))
    with pytest.raises(UsageEtlError, match="2026-11 of aws"):
        book.reopen(ALL_OTHERS, OCTOBER, by="Ada", reason="a bill was forgotten")
    with pytest.raises(UsageEtlError, match=r"booked in 2026-11; to book it in 2026-10, reopen provider '\*'"):
        book.reopen("google", OCTOBER, by="Ada", reason="a bill was forgotten")
    book.reopen("aws", NOVEMBER, by="Ada", reason="a bill was forgotten")
    book.reopen(ALL_OTHERS, OCTOBER, by="Ada", reason="a bill was forgotten")
    assert not book.periods().is_month_closed(OCTOBER)
    assert book.periods().is_closed("openai", OCTOBER)


def test_closing_that_fails_inside_leaves_nothing(book):
    def cut_short():
        with book.recording(head=book.head(), what="closing") as recording:
            recording.close(closing())
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk"):
        cut_short()
    assert list(book.periods()) == []
    assert book.head() == FIRST


def test_two_closers_at_once_one_wins_and_the_other_is_told(book, state, clock):
    start, outcomes = threading.Barrier(2), {}

    def run(name):
        mine = PeriodBook(state, clock)
        head = mine.head()
        start.wait()
        try:
            with mine.recording(head=head, what=f"{OCTOBER} of openai") as recording:
                recording.close(closing(closed_by=name))
            outcomes[name] = "won"
        except PeriodBusyError as error:
            outcomes[name] = str(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("Ada", "Bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = next(name for name, outcome in outcomes.items() if outcome == "won")
    loser = ({"Ada", "Bob"} - {winner}).pop()
    assert outcomes[loser].startswith("2026-10 of openai: the period book or the allocation changed meanwhile; nothing")
    assert [item.closed_by for item in book.periods().closings] == [winner]
    assert book.faults() == []


def test_book_that_moved_on_takes_no_closing_made_before(book):
    head = book.head()
    close(book, closing("aws"))
    with pytest.raises(PeriodBusyError), book.recording(head=head, what="closing"):
        pytest.fail("must not get here")


def test_constraints_of_the_database_hold_without_the_lock(book, state):
    close(book, closing())
    with state.connect() as connection:
        row = dict(connection.execute(period_events.select()).mappings().one())
    for changes in ({"sequence": 2}, {"sequence": 2, "sha256": "c" * 64}, {"sequence": 2, "sha256": "c" * 64, "number": 2}):
        with pytest.raises(sa.exc.IntegrityError), state.begin() as connection:
            connection.execute(period_events.insert().values(**(row | changes)))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("lines_sha256", "f" * 64),
        ("totals", '{"USD":"99"}'),
        ("inputs", "{}"),
        ("gates", "[]"),
        ("done_by", "Mallory"),
        ("happened_at", "2026-11-08T09:30:15.123457+00:00"),
        ("month", dt.date(2026, 9, 1)),
        ("number", 3),
        ("lines_count", 4),
        ("reason", "none"),
    ],
)
def test_changed_row_is_found(book, state, column, value):
    close(book, closing(), closing("aws"))
    with state.begin() as connection:
        connection.execute(period_events.update().where(period_events.c.sequence == 1).values({column: value}))
    assert len(book.faults()) == 1
    assert "event 1" in book.faults()[0]


def test_removed_row_is_found(book, state):
    close(book, closing(), closing("aws"), closing("google"))
    with state.begin() as connection:
        connection.execute(period_events.delete().where(period_events.c.sequence == 2))
    assert [fault.partition(":")[0] for fault in book.faults()] == [
        "period book, event 3 (closed 2026-10 of google)",
    ]


def test_reopening_without_its_closing_is_loud(book, state):
    close(book, closing())
    book.reopen("openai", OCTOBER, by="Ada", reason="late")
    with state.begin() as connection:
        connection.execute(period_events.delete().where(period_events.c.sequence == 1))
    with pytest.raises(LakeError, match="never closed"):
        book.periods()
    assert book.faults()


def test_database_of_an_earlier_version_gets_the_table(tmp_path):
    url = f"sqlite:///{tmp_path}/state.sqlite"
    engine = sa.create_engine(url)
    metadata.create_all(engine, tables=[table for table in metadata.sorted_tables if table is not period_events])
    engine.dispose()
    opened = open_state(url)
    close(PeriodBook(opened), closing())
    assert PeriodBook(opened).faults() == []
    opened.dispose()


def test_a_view_of_the_past_shows_the_book_as_it_stood_and_records_nothing(book, state, clock):
    close(book, closing())
    before = clock.now
    clock.forward(hours=1)
    book.reopen("openai", OCTOBER, by="Ada", reason="late bill")
    view = PeriodBook(state, until=before)
    assert view.periods().is_closed("openai", OCTOBER)
    assert not book.periods().is_closed("openai", OCTOBER)
    assert list(PeriodBook(state, until=before - dt.timedelta(days=3650)).periods()) == []
    with pytest.raises(LakeError, match="in the past"):
        view.reopen("openai", OCTOBER, by="Ada", reason="again")
