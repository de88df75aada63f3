"""The life of an anomaly: opened once, acknowledged, resolved by people or by itself, opened again when it goes on."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from usage_etl.errors import UsageEtlError
from usage_etl.lake.anomaly_book import AnomalyBook
from usage_etl.periods import Month
from usage_etl.schemas import MART_ANOMALIES
from usage_etl.schemas.anomaly_state import anomaly_events

NOVEMBER = Month(2026, 11)
FIRST = dt.date(2026, 11, 12)


def days(*offsets: int, **changes: Any) -> pl.DataFrame:
    """Rows of mart_anomalies: one team's cost on the given days after the first."""
    rows = [
        {
            "month": NOVEMBER.first_day,
            "anomaly_id": f"day-{offset}",
            "episode_id": "e" * 32,
            "episode_start_date": FIRST,
            "usage_date": FIRST + dt.timedelta(days=offset),
            "scope_kind": "team",
            "scope_id": "vision",
            "scope_name": "Vision",
            "measure": "effective_cost",
            "detector": "own_past",
            "observed_quantity": Decimal(200),
            "expected_quantity": Decimal(100),
            "excess_quantity": Decimal(100 + offset),
            "currency": "USD",
            "excess_cost": Decimal(100 + offset),
            "is_alerting": True,
            "cause_text": f"Requests of day {offset}",
        }
        | changes
        for offset in offsets
    ]
    return pl.DataFrame(rows, schema=MART_ANOMALIES.polars_schema)


@pytest.fixture
def book(state: sa.Engine) -> AnomalyBook:
    return AnomalyBook(state)


def observe(book: AnomalyBook, rows: pl.DataFrame, through: int) -> None:
    book.observe(rows, month=NOVEMBER, through_date=FIRST + dt.timedelta(days=through))


def story(book: AnomalyBook) -> list[tuple[str, str, str]]:
    (one,) = book.episodes(with_resolved=True)
    return [(event.status, event.done_by, event.reason) for event in one.events]


def test_an_episode_is_opened_once_and_keeps_its_figures(book: AnomalyBook) -> None:
    for _ in range(3):
        observe(book, days(0, 1), 1)
    (one,) = book.episodes()
    assert story(book) == [("open", "usage-etl", "found")]
    assert (one.first_date, one.last_date, one.days_count) == (FIRST, FIRST + dt.timedelta(days=1), 2)
    assert (one.excess, one.currency, one.cause) == (Decimal(201), "USD", "Requests of day 1")


def test_it_ends_by_itself_after_three_ordinary_days(book: AnomalyBook) -> None:
    observe(book, days(0), 2)
    assert [one.status for one in book.episodes()] == ["open"]
    observe(book, days(0), 3)
    assert book.episodes() == []
    assert story(book)[-1] == ("resolved", "usage-etl", "back to normal since 2026-11-13")
    observe(book, days(0), 9)
    assert len(story(book)) == 2, "resolved once"


def test_a_resolved_one_that_goes_on_is_opened_again(book: AnomalyBook) -> None:
    observe(book, days(0), 0)
    book.resolve("eeee", by="anna", reason="key revoked")
    observe(book, days(0), 1)
    assert [status for status, _, _ in story(book)] == ["open", "resolved"]
    observe(book, days(0, 2), 2)
    assert [status for status, _, _ in story(book)] == ["open", "resolved", "open"]
    assert story(book)[-1] == ("open", "usage-etl", "it goes on")


def test_an_acknowledged_one_stays_acknowledged_while_it_goes_on(book: AnomalyBook) -> None:
    observe(book, days(0), 0)
    book.acknowledge("e", by="ben", reason="asked the team")
    observe(book, days(0, 1), 1)
    assert [(one.status, one.days_count) for one in book.episodes()] == [("acknowledged", 2)]
    observe(book, days(0, 1), 4)
    assert [status for status, _, _ in story(book)] == ["open", "acknowledged", "resolved"]


def test_one_whose_days_are_restated_to_ordinary_is_resolved_and_comes_back_with_them(book: AnomalyBook) -> None:
    observe(book, days(0), 1)
    observe(book, days(), 1)
    assert story(book)[-1] == ("resolved", "usage-etl", "its days are anomalous no more")
    observe(book, days(0), 1)
    assert story(book)[-1][0] == "open"


def test_suppressed_and_ranked_days_open_nothing(book: AnomalyBook) -> None:
    observe(book, days(0, is_alerting=False, suppressed_by="load test"), 0)
    assert book.episodes(with_resolved=True) == []


def test_the_month_before_does_not_take_back_what_the_next_one_said(book: AnomalyBook) -> None:
    observe(book, days(0, 1), 1)
    book.observe(days(), month=NOVEMBER.previous, through_date=NOVEMBER.previous.last_day)
    assert [one.status for one in book.episodes()] == ["open"]


def test_faults_are_named(book: AnomalyBook) -> None:
    observe(book, days(0), 0)
    with pytest.raises(UsageEtlError, match="0 anomalies have an id that begins with 'f'"):
        book.acknowledge("f", by="anna")
    with pytest.raises(UsageEtlError, match="a reason is required"):
        book.resolve("e", by="anna", reason=" ")
    book.resolve("e", by="anna", reason="done")
    with pytest.raises(UsageEtlError, match=r"was resolved by anna at .* UTC \(done\)"):
        book.acknowledge("e", by="ben")


def test_two_processes_at_once_open_it_once(state: sa.Engine) -> None:
    books = [AnomalyBook(state) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda book: observe(book, days(0, 1), 1), books * 3))
    with state.connect() as connection:
        assert connection.execute(sa.select(anomaly_events.c.number, anomaly_events.c.status)).all() == [(1, "open")]


def test_the_database_refuses_a_second_event_of_a_number(book: AnomalyBook, state: sa.Engine) -> None:
    observe(book, days(0), 0)
    with state.begin() as connection:
        row = connection.execute(sa.select(anomaly_events)).mappings().one()
    with pytest.raises(sa.exc.IntegrityError), state.begin() as connection:
        connection.execute(anomaly_events.insert().values(**row))
