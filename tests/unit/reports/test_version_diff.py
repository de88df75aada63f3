"""Two versions of a chargeback: every line is accounted for, and every sum of changes is the change of the whole."""

import datetime as dt
from decimal import Decimal, localcontext
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.money import MONEY
from usage_etl.reports.version_diff import AMORTISED, BILLED, UNCHANGED, VersionDiff, diff_versions

SCHEMA = pl.Schema(
    {
        "line_id": pl.String(),
        "line_kind": pl.String(),
        "provider_name": pl.String(),
        "billing_account_id": pl.String(),
        "invoice_line_id": pl.String(),
        "charge_category": pl.String(),
        "model_id": pl.String(),
        "cost_center_id": pl.String(),
        "cost_center_name": pl.String(),
        "team_id": pl.String(),
        "project_id": pl.String(),
        "requests_count": pl.Int64(),
        "total_tokens": pl.Int64(),
        "metered_cost": MONEY,
        BILLED: MONEY,
        AMORTISED: MONEY,
        "billing_currency": pl.String(),
        "invoice_currency": pl.String(),
        "fx_rate": MONEY,
        "fx_rate_date": pl.Date(),
        "rule_name": pl.String(),
        "corrects_month": pl.Date(),
        "correction_reason": pl.String(),
        "dispute_id": pl.String(),
    }
)
BASE: dict[str, Any] = {
    "line_kind": "allocated",
    "provider_name": "openai",
    "billing_account_id": "org",
    "invoice_line_id": "i",
    "charge_category": "Usage",
    "model_id": "gpt-5.2",
    "cost_center_id": "cc-1",
    "cost_center_name": "One",
    "team_id": "t-1",
    "requests_count": 1,
    "total_tokens": 10,
    "metered_cost": Decimal(1),
    BILLED: Decimal(1),
    AMORTISED: Decimal(1),
    "billing_currency": "USD",
    "rule_name": "default",
}


def frame(*lines: dict[str, Any]) -> pl.DataFrame:
    rows = [[{**BASE, **line}.get(name) for name in SCHEMA] for line in lines]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def reasons(found: VersionDiff) -> dict[str, Decimal]:
    return {one.member_id: one.change for one in found.by_reason}


def test_equal_versions_differ_in_nothing() -> None:
    lines = frame({"line_id": "a"}, {"line_id": "b", BILLED: Decimal("-3.5")})
    found = diff_versions(lines, lines)
    assert (found.lines, found.by_cost_center, found.described_otherwise_count) == ((), (), 0)
    assert reasons(found) == {UNCHANGED: 0}
    assert [(one.before, one.after, one.lines_count) for one in found.totals] == [(Decimal("-2.5"), Decimal("-2.5"), 2)]


def test_added_removed_and_changed_lines_are_told_apart() -> None:
    before = frame({"line_id": "gone", BILLED: Decimal(5)}, {"line_id": "same"}, {"line_id": "more"})
    after = frame({"line_id": "same"}, {"line_id": "more", BILLED: Decimal(3)}, {"line_id": "new", BILLED: Decimal("0.01")})
    found = diff_versions(before, after)
    told = {line.line_id: (line.what, line.before, line.after, line.change) for line in found.lines}
    assert told == {
        "gone": ("removed", 5, None, -5),
        "more": ("changed", 1, 3, 2),
        "new": ("added", None, Decimal("0.01"), Decimal("0.01")),
    }
    assert [line.line_id for line in found.lines] == ["gone", "more", "new"], "the largest change first"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fx_rate": Decimal("1.1"), "fx_rate_date": dt.date(2026, 10, 31), "invoice_currency": "EUR"}, "exchange rate"),
        ({"rule_name": "by-headcount"}, "allocation rule"),
        ({"metered_cost": Decimal(2)}, "bill and usage"),
        ({}, "bill"),
    ],
)
def test_a_changed_amount_says_what_else_changed(change: dict[str, Any], reason: str) -> None:
    found = diff_versions(frame({"line_id": "a"}), frame({"line_id": "a", BILLED: Decimal(2), **change}))
    assert [line.reason for line in found.lines] == [reason]


def test_usage_of_others_moves_a_share_of_the_same_bill() -> None:
    before = frame({"line_id": "a", BILLED: Decimal(5)}, {"line_id": "b", BILLED: Decimal(5), "cost_center_id": "cc-2"})
    after = frame(
        {"line_id": "a", BILLED: Decimal(4)},
        {"line_id": "b", BILLED: Decimal(6), "cost_center_id": "cc-2", "metered_cost": Decimal("1.5")},
    )
    found = diff_versions(before, after)
    assert {line.line_id: line.reason for line in found.lines} == {"a": "usage", "b": "usage"}
    assert {one.member_id: one.change for one in found.by_cost_center} == {"cc-1": -1, "cc-2": 1}
    assert [one.change for one in found.totals] == [0]


def test_a_share_that_moves_by_rounding_alone_is_no_change_of_bill_or_usage() -> None:
    before = frame({"line_id": "a", BILLED: Decimal("0.01")}, {"line_id": "b", BILLED: Decimal(0)})
    after = frame({"line_id": "a", BILLED: Decimal(0)}, {"line_id": "b", BILLED: Decimal("0.01")})
    assert {line.reason for line in diff_versions(before, after).lines} == {"rounding, or a rule's shares"}


def test_corrections_and_disputes_are_their_own_reasons() -> None:
    correction = {"corrects_month": dt.date(2026, 9, 1), "correction_reason": "late log file"}
    after = frame(
        {"line_id": "c", **correction, BILLED: Decimal(-2)},
        {"line_id": "d", "dispute_id": "D-7", "line_kind": "dispute", BILLED: Decimal(-1)},
        {"line_id": "e", "corrects_month": dt.date(2026, 9, 1)},
    )
    found = diff_versions(frame(), after)
    assert reasons(found) == {
        "correction of 2026-09: late log file": -2,
        "correction of 2026-09: no reason given": 1,
        "dispute D-7": -1,
    }


def test_another_description_with_the_same_amount_is_counted_only() -> None:
    found = diff_versions(frame({"line_id": "a"}), frame({"line_id": "a", "cost_center_name": "Uno", "total_tokens": 11}))
    assert (found.lines, found.described_otherwise_count) == ((), 1)


def test_a_line_in_another_currency_is_another_line() -> None:
    found = diff_versions(frame({"line_id": "a"}), frame({"line_id": "a", "billing_currency": "EUR"}))
    assert [(line.what, line.currency, line.change) for line in found.lines] == [("added", "EUR", 1), ("removed", "USD", -1)]
    assert {one.currency: one.change for one in found.totals} == {"EUR": 1, "USD": -1}


def test_columns_that_one_version_lacks_are_not_compared() -> None:
    old = frame({"line_id": "a"}).drop("rule_name", "fx_rate", "invoice_currency", AMORTISED, "corrects_month", "dispute_id")
    found = diff_versions(old, frame({"line_id": "a", BILLED: Decimal(2)}))
    assert [line.reason for line in found.lines] == ["bill"]


def test_the_amortised_view_has_its_own_amounts() -> None:
    found = diff_versions(frame({"line_id": "a"}), frame({"line_id": "a", AMORTISED: Decimal(4)}), amount=AMORTISED)
    assert [(line.before, line.after) for line in found.lines] == [(1, 4)]


AMOUNTS = st.decimals(min_value=-(10**15), max_value=10**15, places=18, allow_nan=False)
LINES = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.fixed_dictionaries(
        {
            BILLED: AMOUNTS,
            "cost_center_id": st.sampled_from(["cc-1", "cc-2", "unallocated"]),
            "billing_currency": st.sampled_from(["USD", "EUR"]),
            "invoice_line_id": st.sampled_from(["i", "j", None]),
            "metered_cost": st.one_of(st.none(), AMOUNTS),
            "dispute_id": st.sampled_from([None, None, "D"]),
        }
    ),
    max_size=8,
)


@given(LINES, LINES)
def test_all_changes_add_up_in_any_pair_of_versions(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = (frame(*({"line_id": name, **line} for name, line in side.items())) for side in (old, new))
    found, back = diff_versions(before, after), diff_versions(after, before)
    with localcontext() as context:
        context.prec = 80
        for currency in ("USD", "EUR"):
            wanted = sum((line[BILLED] for line in new.values() if line["billing_currency"] == currency), Decimal(0)) - sum(
                (line[BILLED] for line in old.values() if line["billing_currency"] == currency), Decimal(0)
            )
            for parts in (found.totals, found.by_cost_center, found.by_reason, found.lines):
                assert sum((part.change for part in parts if part.currency == currency), Decimal(0)) == wanted
        assert {(line.line_id, line.currency, line.change) for line in found.lines} == {
            (line.line_id, line.currency, -line.change) for line in back.lines
        }
