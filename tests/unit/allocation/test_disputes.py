"""Disputes: a pair of lines that adds up to nothing, booked once, and every wrong one named before anything is booked."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.allocation.booking_lines import (
    AUGUST,
    JULY,
    SEPTEMBER,
    Books,
    allocation_line,
    dispute,
    disputes,
    owner_paths,
    team_row,
    totals,
)
from usage_etl.allocation.booking import own_closed_lines
from usage_etl.allocation.disputes import open_faults
from usage_etl.errors import DisputeError

SPLIT = owner_paths(
    team_row("red"),
    team_row("halves", cost_center="cc-1", pct=Decimal("33.3")),
    team_row("halves", cost_center="cc-2", pct=Decimal("66.7")),
    team_row("gone", until=dt.date(2026, 7, 1)),
)


@pytest.fixture
def books():
    """July: red pays 60 of which 30 effective; blue gets 40 back."""
    made = Books(owners=SPLIT)
    made.allocate(
        JULY,
        allocation_line("openai", JULY, "red", "60", effective="30", invoice_id="INV-1"),
        allocation_line("openai", JULY, "blue", "-40"),
    )
    made.allocate(AUGUST, allocation_line("openai", AUGUST, "red", "10"))
    return made


def line_of(books, team, month=JULY):
    return books.now[month].filter(pl.col("team_id") == team)["line_id"].item()


def pair(lines):
    return lines.filter(pl.col("line_kind") == "dispute").sort("allocated_cost")


def test_accepted_dispute_of_a_month_that_is_not_closed_is_booked_in_it(books):
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "20"))
    off, onto = pair(books.book(JULY)).iter_rows(named=True)
    assert (off["team_id"], off["allocated_cost"], off["allocated_effective_cost"]) == ("red", Decimal(-20), Decimal(-10))
    assert (onto["team_id"], onto["team_name"], onto["allocated_cost"]) == ("unallocated", "Unallocated", Decimal(20))
    for row in (off, onto):
        assert (row["dispute_id"], row["charge_category"], row["charge_kind"]) == ("D-1", "Adjustment", "adjustment")
        assert (row["corrects_month"], row["charge_class"], row["invoice_id"]) == (JULY.first_day, None, "INV-1")
        assert row["correction_reason"] == "dispute D-1 accepted"
        assert (row["requests_count"], row["metered_cost"]) == (0, None)
    assert pair(books.book(AUGUST)).is_empty()


def test_accepted_dispute_of_a_closed_month_is_booked_once_in_the_next_open_one(books):
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "60", accepted="45", to="red"))
    lines = pair(books.book(AUGUST))
    assert totals(lines, "billing_currency") == {}
    assert lines["allocated_cost"].to_list() == [Decimal(-45), Decimal(45)]
    assert lines["charge_class"].unique().to_list() == ["Correction"]
    assert lines["corrects_month"].unique().to_list() == [JULY.first_day]
    assert lines["business_unit_name"].to_list() == ["business_unit of red", "The unit"]
    books.close("openai", AUGUST)
    assert pair(books.book(SEPTEMBER)).is_empty()
    assert pair(books.book(AUGUST)).height == 2


def test_corrections_do_not_undo_a_dispute(books):
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "20"))
    books.close("openai", AUGUST)
    assert books.book(SEPTEMBER).is_empty()


def test_negative_line_is_given_back_the_other_way(books):
    books.disputes = disputes(dispute("D-1", line_of(books, "blue"), "-15"))
    assert totals(pair(books.book(JULY)), "team_id") == {("blue",): Decimal(15), ("unallocated",): Decimal(-15)}


@pytest.mark.parametrize("resolution", ["open", "rejected"])
def test_open_and_rejected_disputes_book_nothing(books, resolution):
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "20", resolution=resolution))
    assert pair(books.book(JULY)).is_empty()


@given(cents=st.integers(1, 6000))
def test_team_that_is_split_takes_its_shares_to_the_last_cent(cents):
    books = Books(owners=SPLIT)
    books.allocate(JULY, allocation_line("openai", JULY, "red", "60", effective="59.99"))
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), Decimal(cents) / 100, to="halves"))
    lines = pair(books.book(JULY))
    assert set(lines["cost_center_id"]) == {"cost_center-of-red", "cc-1", "cc-2"}
    for view in ("allocated_cost", "allocated_effective_cost"):
        assert totals(lines, "billing_currency", cost=view) == {}
    taken = {row["cost_center_id"]: row["allocated_cost"] for row in lines.iter_rows(named=True)}
    assert abs(taken["cc-1"] - Decimal(cents) * Decimal("0.00333")) < Decimal("0.01")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"line_id": "f" * 32}, "line f+ is in no published chargeback"),
        ({"cost": "60.01"}, "disputed_cost 60.01 is more than line .* of 60 USD"),
        ({"cost": "60", "accepted": "61"}, "accepted_cost 61 is more than"),
        ({"cost": "-1"}, "disputed_cost -1 has another sign"),
        ({"cost": "0.001"}, "0.001 is finer than USD can be paid"),
        ({"cost": "1", "to": "nobody"}, "charge_to_team_id nobody is no team on 2026-07-31"),
        ({"cost": "1", "to": "gone"}, "charge_to_team_id gone is no team on 2026-07-31"),
    ],
)
@pytest.mark.parametrize("is_closed", [False, True])
def test_wrong_dispute_is_named_and_nothing_is_booked(books, values, fault, is_closed):
    wanted = {"line_id": line_of(books, "red"), "cost": "1"} | values
    if is_closed:
        books.close("openai", JULY)
    books.disputes = disputes(
        dispute("D-1", wanted["line_id"], wanted["cost"], accepted=wanted.get("accepted"), to=wanted.get("to")),
        dispute("D-2", line_of(books, "red"), "1"),
    )
    with pytest.raises(DisputeError, match=f"dispute D-1: .*{fault}"):
        books.book(AUGUST)


def faults_of(books):
    published = pl.concat([books.published(), own_closed_lines(books.closed_lines)])
    return open_faults(books.disputes, published, books.closed_lines, books.owners)


@pytest.mark.parametrize("resolution", ["open", "rejected"])
def test_dispute_that_is_not_accepted_stops_nothing_whatever_became_of_its_line(books, resolution):
    books.disputes = disputes(
        dispute("D-1", "f" * 32, "1", resolution=resolution), dispute("D-2", line_of(books, "red"), "61", resolution=resolution)
    )
    assert books.book(JULY).height == 2


def test_faults_of_open_disputes_are_told_those_of_others_are_not(books):
    red = line_of(books, "red")
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", red, "50"))
    books.close("openai", AUGUST)
    books.disputes = disputes(
        dispute("D-2", "f" * 32, "1", resolution="open"),
        dispute("D-3", red, "11", resolution="open"),
        dispute("D-4", red, "10", resolution="rejected"),
        dispute("D-5", "e" * 32, "1", resolution="rejected"),
    )
    assert faults_of(books) == [
        f"dispute D-2: line {'f' * 32} is in no published chargeback; use a line_id of chargeback.csv",
        f"dispute D-3: with earlier disputes 61 is taken off line {red} of 60 USD, which is more than it has",
    ]
    books.disputes = disputes(dispute("D-3", red, "10", resolution="open", to="red"))
    assert faults_of(books) == []


def test_disputes_of_one_line_do_not_take_more_than_it_has(books):
    line_id = line_of(books, "red")
    books.disputes = disputes(dispute("D-1", line_id, "40"), dispute("D-2", line_id, "20.01"))
    with pytest.raises(DisputeError, match=r"D-2: with earlier disputes 60\.01 is taken off"):
        books.book(JULY)


@pytest.mark.parametrize("later", ["D-2", "C-9"])
def test_what_an_earlier_close_took_off_a_line_is_not_there_to_take_again(books, later):
    line_id = line_of(books, "red")
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", line_id, "50"))
    books.close("openai", AUGUST)
    books.disputes = disputes(dispute("D-1", line_id, "50"), dispute(later, line_id, "10"))
    assert totals(pair(books.book(SEPTEMBER)), "team_id") == {("red",): Decimal(-10), ("unallocated",): Decimal(10)}
    books.disputes = disputes(dispute("D-1", line_id, "50"), dispute(later, line_id, "11"))
    with pytest.raises(DisputeError, match=f"{later}: with earlier disputes 61 is taken off line {line_id} of 60 USD"):
        books.book(SEPTEMBER)


def test_all_wrong_disputes_are_named_at_once(books):
    books.disputes = disputes(dispute("D-1", "f" * 32, "1"), dispute("D-2", line_of(books, "red"), "-1"))
    with pytest.raises(DisputeError, match=r"2 problem\(s\)"):
        books.book(JULY)


def test_booked_dispute_that_left_the_files_still_counts_against_its_line(books):
    line_id = line_of(books, "red")
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", line_id, "50"))
    books.close("openai", AUGUST)
    books.disputes = disputes(dispute("D-2", line_id, "11"))
    with pytest.raises(DisputeError, match=f"D-2: with earlier disputes 61 is taken off line {line_id} of 60 USD"):
        books.book(SEPTEMBER)
    books.disputes = disputes(dispute("D-2", line_id, "10"))
    assert totals(pair(books.book(SEPTEMBER)), "team_id") == {("red",): Decimal(-10), ("unallocated",): Decimal(10)}


def test_booked_dispute_that_now_names_another_line_is_named(books):
    books.allocate(JULY, allocation_line("openai", JULY, "red", "60"), allocation_line("openai", JULY, "halves", "60"))
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "20"))
    books.close("openai", AUGUST)
    books.disputes = disputes(dispute("D-1", line_of(books, "halves"), "20"))
    with pytest.raises(DisputeError, match=f"D-1 is booked in 2026-08 with 20 of line {line_of(books, 'red')} and was changed"):
        books.book(SEPTEMBER)


def test_team_that_takes_over_is_named_as_the_allocation_names_it():
    owners = owner_paths(team_row("red"), department_name="Red Works", cost_center_names=[("cost_center-of-red", "Center 9")])
    books = Books(owners=owners)
    books.allocate(JULY, allocation_line("openai", JULY, "blue", "60"))
    books.disputes = disputes(dispute("D-1", line_of(books, "blue"), "20", to="red"))
    taken = pair(books.book(JULY)).row(-1, named=True)
    named = [taken[f"{level}_name"] for level in ("business_unit", "department", "cost_center", "team")]
    assert named == ["The unit", "Red Works", "Center 9", "Red"]


@pytest.mark.parametrize(
    "changed", [{"resolution": "rejected"}, {"resolution": "open"}, {"accepted": "19"}], ids=["rejected", "open", "amount"]
)
def test_dispute_that_changed_after_it_was_booked_is_named(books, changed):
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "20"))
    books.close("openai", AUGUST)
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "20", **changed))
    with pytest.raises(DisputeError, match=r"D-1 is booked in 2026-08 with 20 of line .* and was changed since"):
        books.book(SEPTEMBER)


def test_dispute_that_left_the_files_after_it_was_booked_stays_booked(books):
    books.close("openai", JULY)
    books.disputes = disputes(dispute("D-1", line_of(books, "red"), "20"))
    books.close("openai", AUGUST)
    books.disputes = disputes()
    assert pair(books.book(AUGUST)).height == 2
    assert books.book(SEPTEMBER).is_empty()


def test_correction_and_adjustment_can_be_disputed_like_any_line(books):
    books.close("openai", JULY)
    books.allocate(
        JULY, allocation_line("openai", JULY, "red", "70", effective="30"), allocation_line("openai", JULY, "blue", "-40")
    )
    correction = books.book(AUGUST).filter(pl.col("corrects_month").is_not_null())["line_id"].item()
    books.disputes = disputes(dispute("D-1", correction, "10"))
    books.close("openai", AUGUST)
    adjustment = books.closed_lines.filter(pl.col("rule_name") == "dispute_taken_over")["line_id"].item()
    books.disputes = disputes(dispute("D-1", correction, "10"), dispute("D-2", adjustment, "10", to="red"))
    assert totals(pair(books.book(SEPTEMBER)), "team_id") == {("unallocated",): Decimal(-10), ("red",): Decimal(10)}
