"""A change note adds up: before and change are now, reasons are the change, and what is left out is one row that ties."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reports.paper_sample import VERSIONS, center_lines, change_note, correction_lines, note_frames
from usage_etl.errors import ConservationError
from usage_etl.money import exact_sum
from usage_etl.reports import change_note as change_note_module
from usage_etl.reports.booked_lines import read_lines
from usage_etl.reports.change_note_model import ChangeNote, Versions

MINUS = "\N{MINUS SIGN}"


def number(text: str) -> Decimal:
    return Decimal(text.replace(MINUS, "-").replace(",", "").replace("+", ""))


LINE = st.fixed_dictionaries(
    {
        "cost_center_id": st.sampled_from([f"cc-{place}" for place in range(9)]),
        "allocated_cost": st.integers(-(10**10), 10**10).map(lambda cents: Decimal(cents) / 100),
        "billing_currency": st.sampled_from(["USD", "EUR"]),
        "provider_name": st.sampled_from(["openai", "anthropic"]),
    }
)
CORRECTION = st.fixed_dictionaries(
    {
        "corrects_month": st.just(dt.date(2026, 10, 1)),
        "correction_reason": st.none() | st.sampled_from(["bill restated", "prices changed", "directory changed"]),
        "dispute_id": st.none() | st.just("D-1"),
    }
)


@given(st.lists(LINE, max_size=30), st.lists(st.tuples(LINE, CORRECTION), max_size=30), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_any_note_adds_up(before, changes, room):
    corrections = [line | correction for line, correction in changes]
    frames = note_frames(before, corrections)
    note = change_note(before, corrections, rows_limit=room)
    assert [change.currency for change in note.changes] == sorted({line["billing_currency"] for line in corrections})
    for change in note.changes:
        was, plus = (exact_sum(one.filter(pl.col("billing_currency") == change.currency)["allocated_cost"]) for one in frames)
        *rows, total = change.centers
        assert number(total.before.text) == sum(number(row.before.text) for row in rows if row.before.value is not None) == was
        assert number(total.change.text) == sum(number(row.change.text) for row in rows) == plus
        assert number(total.after.text) == sum(number(row.after.text) for row in rows) == was + plus
        assert all(number(row.after.text) - number(row.change.text) == (row.before.value or 0) for row in rows)
        *reasons, all_reasons = change.reasons
        assert number(all_reasons.net.text) == sum(number(row.net.text) for row in reasons) == plus
        assert number(all_reasons.moved.text) == sum(number(row.moved.text) for row in reasons) >= plus


def test_the_note_says_what_changed_where_and_what_to_do():
    before = [{"cost_center_id": "a", "cost_center_name": "Alpha", "allocated_cost": "100"}]
    note = change_note(
        [*before, {"cost_center_id": "b", "cost_center_name": "Beta", "allocated_cost": "50"}],
        [line | {"allocated_cost": "10", "cost_center_id": "a"} for line in correction_lines(1, 1)],
    )
    assert note.headline.replace("\u00a0", " ") == (
        "The AI charges of October 2026 rose by $10.00 (from $150.00 to $160.00). 1 cost center pays another amount than"
        " version 1 says. The differences are booked in November 2026."
    )
    assert note.subject == "What changed in AI charges of October 2026 since version 1: +$10.00"
    assert note.status.text == "November 2026: preliminary"
    assert [row.kind for row in note.changes[0].centers] == ["member", "same", "total"]
    assert note.changes[0].centers[1].name == "1 cost center unchanged"
    assert "Keep what you booked for October 2026" in note.what_to_do[0]


def test_money_that_moves_between_owners_is_said_to_move():
    moved = [
        line | {"cost_center_id": center, "allocated_cost": amount}
        for line in correction_lines(1, 1)
        for center, amount in (("a", "-7"), ("b", "7"))
    ]
    note = change_note([{"cost_center_id": "a", "allocated_cost": "10"}], moved)
    assert "are the same in all; money moved between owners. 2 cost centers pay" in note.headline
    assert note.subject.endswith("money moved between owners")
    assert note.changes[0].reasons[-1].moved.text == "7.00"
    assert note.changes[0].net.text == "$0.00"
    assert next(row for row in note.changes[0].centers if row.cost_center_id == "b").before.value is None


def test_disputes_are_a_reason_of_their_own():
    note = change_note(corrections=[correction_lines(1, 1)[0] | {"dispute_id": "D-1", "line_kind": "dispute"}])
    assert note.changes[0].reasons[0].reason == "Dispute accepted"


def test_a_cost_center_whose_corrections_cancel_is_unchanged():
    both = [line | {"allocated_cost": amount} for line in correction_lines(1, 1) for amount in ("7", "-7")]
    note = change_note(center_lines(1), both)
    assert [row.kind for row in note.changes[0].centers] == ["same", "total"]
    assert "cancels out: every cost center pays what version" in note.headline
    assert note.subject.endswith(": nothing")


def test_nothing_changed():
    note = change_note(corrections=[])
    assert note.headline.replace("\u00a0", " ") == "Nothing changed in October 2026 since version 1."
    assert note.subject.endswith(": nothing")


def test_corrections_of_another_month_are_refused():
    with pytest.raises(ValueError, match="2026-09-01"):
        change_note(corrections=[correction_lines(1, 1)[0] | {"corrects_month": dt.date(2026, 9, 1)}])
    with pytest.raises(ValueError, match="None"):
        change_note(corrections=[{}])


def test_a_note_that_lost_a_line_is_refused(monkeypatch):
    monkeypatch.setattr(change_note_module, "read_lines", lambda frame: read_lines(frame)[1:])
    with pytest.raises(ConservationError, match="change note, before in USD"):
        change_note()


def test_the_id_is_that_of_the_content():
    others = [
        change_note(center_lines(5)),
        change_note(corrections=correction_lines(3)),
        change_note(versions=Versions("1", VERSIONS.before_date)),
    ]
    assert len({one.note_id for one in [change_note(), *others]}) == 4
    assert change_note(rows_limit=4, proof=None).note_id == change_note().note_id


def test_a_note_survives_json():
    assert ChangeNote.model_validate_json(change_note().model_dump_json()) == change_note()
