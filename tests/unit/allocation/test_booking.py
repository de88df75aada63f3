"""What is booked where: closed lines, corrections of closed months, and what is carried."""

import datetime as dt
import hashlib
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.allocation.booking_lines import AUGUST, JULY, SEPTEMBER, Books, allocation_line, totals
from usage_etl.allocation.booking import check_closed_lines, lines_in_force, lines_sha256
from usage_etl.allocation.corrections import IDENTITY, INPUT_WORDS, _check_conserved, correction_reason, corrections, moved_costs
from usage_etl.errors import ConservationError, IntegrityError
from usage_etl.schemas.periods import ALL_OTHERS


@pytest.fixture
def closed_july():
    """July of openai is closed: red pays 60, blue 40; August is red's 10."""
    books = Books()
    books.allocate(JULY, allocation_line("openai", JULY, "red", "60"), allocation_line("openai", JULY, "blue", "40"))
    books.allocate(AUGUST, allocation_line("openai", AUGUST, "red", "10"))
    books.close("openai", JULY)
    return books


def corrected(lines):
    return lines.filter(pl.col("corrects_month").is_not_null())


def test_own_lines_are_the_allocation_with_the_status_of_the_month():
    books = Books(as_of=dt.date(2026, 8, 30))
    books.allocate(JULY, allocation_line("openai", JULY, "red", "60"))
    books.allocate(AUGUST, allocation_line("openai", AUGUST, "red", "10"))
    assert books.book(JULY)["period_status"].to_list() == ["preliminary"]
    booked = books.book(AUGUST)
    assert booked["period_status"].to_list() == ["open"]
    assert booked.select(books.now[AUGUST].columns).equals(books.now[AUGUST])
    assert booked["corrects_month"].null_count() == 1


def test_month_without_anything_is_empty():
    assert Books().book(JULY).is_empty()


def test_closed_month_keeps_its_lines_whatever_the_rules_give_now(closed_july):
    before = closed_july.book(JULY)
    closed_july.allocate(JULY, allocation_line("openai", JULY, "green", "999"), allocation_line("aws", JULY, "red", "5"))
    assert closed_july.book(JULY).equals(before)
    assert before["period_status"].unique().to_list() == ["closed"]


def test_changes_of_a_closed_month_are_booked_in_the_next_open_one(closed_july):
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "65.50"), allocation_line("openai", JULY, "green", "3"))
    lines = corrected(closed_july.book(AUGUST))
    assert {row["team_id"]: row["allocated_cost"] for row in lines.iter_rows(named=True)} == {
        "red": Decimal("5.5"),
        "blue": Decimal(-40),
        "green": Decimal(3),
    }
    for row in lines.iter_rows(named=True):
        assert (row["month"], row["corrects_month"]) == (AUGUST.first_day, JULY.first_day)
        assert (row["charge_class"], row["charge_category"], row["line_kind"]) == ("Correction", "Usage", "allocated")
        assert (row["requests_count"], row["total_tokens"], row["metered_cost"]) == (0, 0, None)
        assert (row["rule_name"], row["correction_reason"], row["invoice_line_id"]) == ("correction", "bill restated", None)
    blue = next(row for row in lines.iter_rows(named=True) if row["team_id"] == "blue")
    assert blue["allocation_rule"] == "2026-07: 0 USD now, 40 booked before"
    assert blue["cost_center_name"] == "cost_center of blue"


def test_what_a_closing_corrected_is_not_corrected_again(closed_july):
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "70"), allocation_line("openai", JULY, "blue", "40"))
    closed_july.close("openai", AUGUST)
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "71"), allocation_line("openai", JULY, "blue", "40"))
    lines = corrected(closed_july.book(SEPTEMBER))
    assert lines["allocated_cost"].to_list() == [Decimal(1)]
    assert lines["allocation_rule"].to_list() == ["2026-07: 71 USD now, 70 booked before"]


def test_only_the_first_open_month_holds_the_corrections(closed_july):
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "70"))
    closed_july.allocate(SEPTEMBER, allocation_line("openai", SEPTEMBER, "red", "10"))
    assert corrected(closed_july.book(AUGUST)).height == 2
    assert corrected(closed_july.book(SEPTEMBER)).is_empty()


def test_provider_that_comes_after_the_month_was_closed_as_a_whole_is_a_correction(closed_july):
    assert closed_july.periods.in_force(ALL_OTHERS, JULY)
    closed_july.allocate(JULY, *closed_july.now[JULY].iter_rows(named=True), allocation_line("aws", JULY, "green", "7"))
    assert "aws" not in closed_july.book(JULY)["provider_name"]
    lines = corrected(closed_july.book(AUGUST))
    assert totals(lines, "provider_name", "team_id") == {("aws", "green"): Decimal(7)}


def test_one_provider_closed_leaves_the_other_open():
    books = Books()
    books.allocate(JULY, allocation_line("openai", JULY, "red", "60"), allocation_line("aws", JULY, "red", "5"))
    books.close("openai", JULY)
    assert not books.periods.is_sealed(JULY)
    assert dict(books.book(JULY).select("provider_name", "period_status").iter_rows()) == {
        "openai": "closed",
        "aws": "preliminary",
    }


def test_bill_that_changes_its_currency_leaves_one_and_enters_the_other(closed_july):
    lines = [allocation_line("openai", JULY, team, cost, currency="EUR", fx_rate=Decimal("0.9"), invoice_currency="USD")
             for team, cost in (("red", "54"), ("blue", "36"))]  # fmt: skip
    closed_july.allocate(JULY, *lines)
    found = corrected(closed_july.book(AUGUST))
    assert totals(found, "billing_currency") == {("USD",): Decimal(-100), ("EUR",): Decimal(90)}
    assert {row["fx_rate"] for row in found.filter(pl.col("billing_currency") == "EUR").iter_rows(named=True)} == {Decimal("0.9")}


def test_change_of_the_amortised_view_alone_is_booked(closed_july):
    closed_july.allocate(
        JULY, allocation_line("openai", JULY, "red", "60", effective="55"), allocation_line("openai", JULY, "blue", "40")
    )
    lines = corrected(closed_july.book(AUGUST))
    assert lines.select("allocated_cost", "allocated_effective_cost").rows() == [(Decimal(0), Decimal(-5))]


def test_other_rule_name_or_invoice_id_is_no_correction(closed_july):
    rows = [dict(row) for row in closed_july.now[JULY].iter_rows(named=True)]
    closed_july.allocate(JULY, *({**row, "rule_name": "new", "invoice_id": "INV-7", "team_name": "Renamed"} for row in rows))
    assert corrected(closed_july.book(AUGUST)).is_empty()


@pytest.mark.parametrize("column", [name for name in IDENTITY if name not in ("provider_name", "billing_currency")])
def test_money_that_moves_between_who_pays_or_what_for_is_corrected_on_both_sides(column):
    allowed = {
        "charge_category": ("Usage", "Tax"),
        "charge_basis": ("billed", "priced_usage"),
        "charge_kind": ("usage", "support"),
        "line_kind": ("allocated", "unexplained"),
    }
    values = allowed.get(column, ("before", "after"))
    books = Books()
    for month, value in ((JULY, values[0]), (AUGUST, values[1])):
        books.allocate(JULY, allocation_line("openai", JULY, "red", "60", **{column: value}))
        if month == JULY:
            books.close("openai", JULY)
    lines = corrected(books.book(AUGUST))
    assert totals(lines, column) == {(values[0],): Decimal(-60), (values[1],): Decimal(60)}
    assert lines["line_id"].n_unique() == 2
    assert lines["line_id"].str.contains("^[0-9a-f]{32}$").all()


def test_correction_tells_the_newer_names_rate_and_the_one_invoice(closed_july):
    newer = {"team_name": "Renamed", "fx_rate": Decimal("1.1"), "invoice_id": "INV-7"}
    closed_july.allocate(
        JULY, allocation_line("openai", JULY, "red", "61", **newer), allocation_line("openai", JULY, "blue", "40")
    )
    (line,) = corrected(closed_july.book(AUGUST)).iter_rows(named=True)
    assert {name: line[name] for name in newer} == newer
    split = [allocation_line("openai", JULY, "red", cost, line_id=cost, invoice_id=f"INV-{cost}") for cost in ("30", "31")]
    closed_july.allocate(JULY, *split, allocation_line("openai", JULY, "blue", "40"))
    (line,) = corrected(closed_july.book(AUGUST)).iter_rows(named=True)
    assert (line["allocated_cost"], line["invoice_id"]) == (Decimal(1), None)


def test_changes_that_do_not_add_up_are_loud(closed_july):
    now, nothing = closed_july.now[JULY], closed_july.closed_lines.clear()
    changes = now.with_columns(allocated_cost=pl.col("allocated_cost") + Decimal("0.01"))
    _check_conserved(now, now, nothing, JULY)
    with pytest.raises(ConservationError, match=r"allocated_cost of corrections of 2026-07, \('openai', 'USD'\)"):
        _check_conserved(changes, now, nothing, JULY)


@pytest.mark.parametrize(("threshold", "is_booked"), [("3.99", True), ("4", False), ("4.01", False)])
def test_small_corrections_are_carried_until_they_move_more_than_the_threshold(closed_july, threshold, is_booked):
    closed_july.threshold = Decimal(threshold)
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "62"), allocation_line("openai", JULY, "blue", "38"))
    assert bool(corrected(closed_july.book(AUGUST)).height) == is_booked
    waiting = moved_costs(corrections(AUGUST, closed_july.now, closed_july.closed_lines, closed_july.periods))
    assert waiting.rows() == [("openai", JULY.first_day, "USD", Decimal(4))]


def test_one_month_above_the_threshold_does_not_book_the_other(closed_july):
    closed_july.close("openai", AUGUST)
    closed_july.threshold = Decimal(5)
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "61"), allocation_line("openai", JULY, "blue", "40"))
    closed_july.allocate(AUGUST, allocation_line("openai", AUGUST, "red", "30"))
    lines = corrected(closed_july.book(SEPTEMBER))
    assert totals(lines, "corrects_month", "team_id") == {(AUGUST.first_day, "red"): Decimal(20)}


def test_a_closed_provider_takes_no_correction_into_a_month_that_others_keep_open(closed_july):
    closed_july.allocate(AUGUST, allocation_line("openai", AUGUST, "red", "10"), allocation_line("aws", AUGUST, "red", "7"))
    closed_july.close("openai", AUGUST)
    assert not closed_july.periods.is_month_closed(AUGUST)
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "65"), allocation_line("openai", JULY, "blue", "40"))
    assert corrected(closed_july.book(AUGUST)).is_empty()
    assert totals(corrected(closed_july.book(SEPTEMBER)), "team_id") == {("red",): Decimal(5)}


def test_carried_corrections_survive_the_closing_of_their_month(closed_july):
    closed_july.threshold = Decimal(5)
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "62"), allocation_line("openai", JULY, "blue", "38"))
    closed_july.close("openai", AUGUST)
    assert corrected(closed_july.book(SEPTEMBER)).is_empty()
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "63"), allocation_line("openai", JULY, "blue", "37"))
    assert totals(corrected(closed_july.book(SEPTEMBER)), "team_id") == {("red",): Decimal(3), ("blue",): Decimal(-3)}


def test_one_currency_above_the_threshold_books_all_of_the_month(closed_july):
    closed_july.threshold = Decimal(95)
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "90", currency="EUR"))
    assert totals(corrected(closed_july.book(AUGUST)), "billing_currency") == {("USD",): Decimal(-100), ("EUR",): Decimal(90)}


def test_reopened_month_is_booked_as_the_rules_give_it_now(closed_july):
    closed_july.allocate(JULY, allocation_line("openai", JULY, "red", "61"))
    closed_july.reopen("openai", JULY)
    assert closed_july.book(JULY)["allocated_cost"].to_list() == [Decimal(61)]
    assert corrected(closed_july.book(AUGUST)).is_empty()
    closed_july.close("openai", JULY)
    assert [(item.number, item.status) for item in closed_july.periods.closings if item.provider_name == "openai"] == [
        (1, "reopened"),
        (2, "closed"),
    ]


def test_line_ids_stay_the_same_when_amounts_change(closed_july):
    ids = []
    for cost in ("70", "71"):
        closed_july.allocate(JULY, allocation_line("openai", JULY, "red", cost), allocation_line("openai", JULY, "blue", "40"))
        ids.append(corrected(closed_july.book(AUGUST))["line_id"].to_list())
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("recorded", "present", "reason"),
    [
        ({}, {"bill": "b"}, "delivered after the month was closed"),
        ({"bill": "a", "program": "1"}, {"bill": "b", "program": "2"}, "bill restated"),
        ({"bill": "a", "program": "1"}, {"bill": "a", "program": "2"}, "the program changed"),
        ({"bill": "a"}, {"bill": "a"}, "no recorded input differs"),
        (
            {"invoice": "a", "usage": "a", "prices": "a", "directory": "a", "rules": "a", "exchange_rates": "a"},
            {},
            ", ".join(INPUT_WORDS[name] for name in ("invoice", "usage", "prices", "directory", "rules", "exchange_rates")),
        ),
    ],
)
def test_reason_names_what_differs(recorded, present, reason):
    assert correction_reason(recorded, present) == reason


def test_hash_of_lines_knows_every_cell_and_no_order(closed_july):
    lines = closed_july.closed_lines
    found = lines_sha256(lines)
    assert lines_sha256(lines.reverse().select(*reversed(lines.columns))) == found
    assert lines_sha256(lines.with_columns(pl.lit(None, pl.String).alias("a_later_column"))) == found
    assert lines_sha256(lines.head(1)) != found
    for name in lines.columns:
        if lines[name].null_count() == lines.height:
            continue
        other = lines.with_columns(pl.when(pl.int_range(pl.len()) == 0).then(None).otherwise(pl.col(name)).alias(name))
        assert lines_sha256(other) != found, name
    swapped = lines.with_columns(team_id=pl.col("team_name"), team_name=pl.col("team_id"))
    assert lines_sha256(swapped) != found


def test_hash_is_the_one_that_its_docstring_says():
    rows = {
        "n": [1, None],
        "t": ["é\n1:a", ""],
        "d": [dt.date(2026, 7, 1), None],
        "m": [Decimal("-0.01"), Decimal(0)],
    }
    frame = pl.DataFrame(rows, schema={"n": pl.Int64, "t": pl.String, "d": pl.Date, "m": pl.Decimal(38, 18)})
    days = (dt.date(2026, 7, 1) - dt.date(1970, 1, 1)).days
    lines = [[f"d={days}", f"m={-(10**16)}", "n=1", "t=é\n1:a"], ["m=0", "t="]]
    texts = sorted("".join(f"{len(cell.encode())}:{cell}" for cell in line) for line in lines)
    data = "".join(f"{len(text.encode())}:{text}" for text in texts).encode()
    assert lines_sha256(frame) == hashlib.sha256(data).hexdigest()


def test_changed_closed_lines_are_loud(closed_july):
    closing = closed_july.periods.in_force("openai", JULY)
    check_closed_lines(closed_july.closed_lines, closing)
    with pytest.raises(IntegrityError, match="closing 1 of 2026-07 of openai: number of lines is 1"):
        check_closed_lines(closed_july.closed_lines.head(1), closing)
    with pytest.raises(IntegrityError, match="sha256 of its lines"):
        check_closed_lines(closed_july.closed_lines, replace(closing, lines_sha256="f" * 64))


def test_only_recorded_closings_that_were_not_reopened_are_read(closed_july):
    first = closed_july.closed_lines
    closed_july.reopen("openai", JULY)
    cut_short = first.with_columns(closing_number=pl.lit(2, pl.Int64))
    stored = pl.concat([first, cut_short]).lazy()
    assert lines_in_force(stored, closed_july.periods).collect().is_empty()
    closed_july.close("openai", JULY)
    assert lines_in_force(stored, closed_july.periods).collect()["closing_number"].unique().to_list() == [2]
