"""What moves between owners adds up to what each pays more or less, to the last minor unit, whatever the lines are."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.allocation.moves import OWNER_LEVELS, owner_changes, owner_moves
from usage_etl.errors import ConservationError
from usage_etl.schemas import MART_ALLOCATION_MONTHLY


def allocation(*lines: tuple[str, str | None, str | None, str, object], **more: object) -> pl.DataFrame:
    """Lines given as account, invoice line, project, team and amount."""
    fixed = {
        "month": dt.date(2026, 10, 1), "line_kind": "allocated", "charge_basis": "billed", "provider_name": "openai",
        "charge_kind": "usage", "charge_category": "Usage", "business_unit_id": "bu", "business_unit_name": "BU",
        "department_id": "dep", "department_name": "Dep", "cost_center_id": "cc", "cost_center_name": "CC",
        "requests_count": 1, "total_tokens": 1, "billing_currency": "USD", "rule_name": "usage", "allocation_rule": "by cost",
        "allocated_effective_cost": Decimal(0), **more,
    }  # fmt: skip
    rows = [
        {**fixed, "line_id": str(number), "billing_account_id": account, "invoice_line_id": line, "project_id": project,
         "team_id": team, "team_name": team.title(), "allocated_cost": Decimal(str(amount))}
        for number, (account, line, project, team, amount) in enumerate(lines)
    ]  # fmt: skip
    schema = MART_ALLOCATION_MONTHLY.polars_schema
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def moves(before: pl.DataFrame, after: pl.DataFrame, level: str = "team") -> list[tuple[object, ...]]:
    return [(giver, taker, f"{cost.normalize():f}") for giver, taker, cost, _ in owner_moves(before, after, level).iter_rows()]


def test_what_one_owner_pays_less_the_other_pays() -> None:
    before = allocation(("a", "l1", None, "red", 70), ("a", "l1", None, "blue", 30))
    after = allocation(("a", "l1", None, "red", 50), ("a", "l1", None, "green", 50))
    assert moves(before, after) == [("blue", "green", "30"), ("red", "green", "20")]
    assert owner_changes(before, after, "team").select("owner", "before_cost", "after_cost", "change_cost").rows() == [
        ("blue", 30, 0, -30), ("green", 0, 50, 50), ("red", 70, 50, -20),
    ]  # fmt: skip


def test_nothing_moves_where_nothing_changes() -> None:
    same = allocation(("a", "l1", None, "red", 70), ("a", "l2", None, "red", -70))
    assert owner_moves(same, same, "team").is_empty()
    assert owner_moves(same, same, "team").columns == ["from_owner", "to_owner", "moved_cost", "currency"]
    assert owner_changes(same, same, "team")["change_cost"].to_list() == [Decimal(0)]
    assert owner_moves(same.clear(), same.clear(), "team").is_empty()


def test_a_credit_moves_the_other_way() -> None:
    before, after = allocation(("a", "l1", None, "red", "-8.50")), allocation(("a", "l1", None, "blue", "-8.50"))
    assert moves(before, after) == [("blue", "red", "8.5")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a", "l1", "p"), ("a", "l1", "q")),
        (("a", "l1", None), ("a", "l2", None)),
        (("a", "l1", None), ("b", "l1", None)),
        (("a", None, None), ("b", None, None)),
    ],
)
def test_money_moves_within_its_own_place_first(first: tuple[str, str, str], second: tuple[str, str, str]) -> None:
    before = allocation((*first, "a", 10), (*second, "b", 10))
    after = allocation((*first, "y", 10), (*second, "x", 10))
    assert moves(before, after) == [("a", "y", "10"), ("b", "x", "10")]


def test_what_changes_its_project_too_moves_within_its_invoice_line() -> None:
    before = allocation(("a", "l1", "p", "a", 10), ("a", "l2", "p", "b", 10))
    after = allocation(("a", "l1", "q", "y", 10), ("a", "l2", "q", "x", 10))
    assert moves(before, after) == [("a", "y", "10"), ("b", "x", "10")]


def test_a_cent_that_rounding_puts_on_another_line_is_found_in_the_account() -> None:
    before = allocation(("a", "l1", None, "red", "10.01"), ("a", "l2", None, "blue", "5.00"))
    after = allocation(("a", "l1", None, "red", "10.00"), ("a", "l2", None, "blue", "5.01"))
    assert moves(before, after) == [("red", "blue", "0.01")]
    both_ways = allocation(("a", "l1", None, "red", "10.00"), ("a", "l2", None, "red", "0.01"), ("a", "l2", None, "blue", "5.00"))
    assert moves(before, both_ways) == []


def test_what_has_no_invoice_line_moves_within_its_model() -> None:
    kind = {"charge_basis": "priced_usage", "line_kind": "estimate"}
    parts = [(("a", "y"), "m-1", 5), (("b", "x"), "m-2", 5)]
    before, after = (
        pl.concat(allocation((None, None, None, teams[side], cost), model_id=model, **kind) for teams, model, cost in parts)
        for side in (0, 1)
    )
    assert moves(before, after) == [("a", "y", "5"), ("b", "x", "5")]


def test_equal_changes_are_matched_by_name_in_any_order_of_lines() -> None:
    before = allocation(("a", "l", None, "b", 5), ("a", "l", None, "a", 5))
    after = allocation(("a", "l", None, "y", 5), ("a", "l", None, "x", 5))
    assert moves(before, after) == moves(before.reverse(), after.reverse()) == [("a", "x", "5"), ("b", "y", "5")]


def test_a_team_that_changes_its_cost_center_moves_at_that_level_only() -> None:
    before = allocation(("a", "l", None, "red", 5))
    after = allocation(("a", "l", None, "red", 5), cost_center_id="cc-2")
    assert {level: moves(before, after, level) for level in OWNER_LEVELS} == {
        "team": [], "cost_center": [("cc", "cc-2", "5")], "department": [], "business_unit": [],
    }  # fmt: skip


def test_currencies_are_kept_apart() -> None:
    def both(team: str) -> pl.DataFrame:
        return pl.concat(allocation(("a", "l", None, team, 5), billing_currency=currency) for currency in ("USD", "EUR"))

    found = owner_moves(both("red"), both("blue"), "team")
    assert found.rows() == [("red", "blue", Decimal(5), "EUR"), ("red", "blue", Decimal(5), "USD")]


def test_accounts_that_differ_are_no_move_even_where_they_make_up_for_each_other() -> None:
    before = allocation(("a", "l1", None, "red", 5), ("b", "l2", None, "red", 5))
    after = allocation(("a", "l1", None, "red", 6), ("b", "l2", None, "red", 4))
    with pytest.raises(ConservationError, match=r"openai a billed USD: 1\.0+ is not 0"):
        owner_moves(before, after, "team")


ACCOUNTS, LINES, PROJECTS = ("a", "b"), ("l1", "l2", None), (None, "p")
OWNERS = ("red", "blue", "green", "unallocated", "unexplained")
CENTS = st.integers(-(10**24), 10**24) | st.integers(-3, 3)
SHARES = st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(PROJECTS), st.sampled_from(OWNERS), CENTS), max_size=9)


@st.composite
def two_allocations(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Any lines on both sides; the last line of each account on the second makes the totals equal."""
    before, after = [], []
    for account in ACCOUNTS:
        old, new = draw(SHARES), draw(SHARES)
        rest = sum(share[3] for share in old) - sum(share[3] for share in new)
        new.append((draw(st.sampled_from(LINES)), draw(st.sampled_from(PROJECTS)), draw(st.sampled_from(OWNERS)), rest))
        before += [(account, *share[:3], Decimal(share[3]).scaleb(-10)) for share in old]
        after += [(account, *share[:3], Decimal(share[3]).scaleb(-10)) for share in new]
    return allocation(*before), allocation(*after)


@given(two_allocations())
def test_moves_of_an_owner_add_up_to_its_change_and_all_changes_to_nothing(pair: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    before, after = pair
    net: dict[str, Fraction] = defaultdict(Fraction)
    for giver, taker, cost, currency in owner_moves(before, after, "team").iter_rows():
        assert giver != taker
        assert cost > 0
        assert currency == "USD"
        net[giver] -= Fraction(cost)
        net[taker] += Fraction(cost)
    changes = {owner: Fraction(change) for owner, change in owner_changes(before, after, "team")["owner", "change_cost"].rows()}
    assert {owner: change for owner, change in net.items() if change} == {owner: c for owner, c in changes.items() if c}
    assert sum(changes.values()) == 0


@given(two_allocations(), st.randoms())
def test_moves_do_not_depend_on_the_order_of_lines(pair: tuple[pl.DataFrame, pl.DataFrame], random: object) -> None:
    before, after = pair
    shuffled = (frame.sample(fraction=1, shuffle=True, seed=random.randrange(10**6)) for frame in pair)  # type: ignore[attr-defined]
    assert owner_moves(*shuffled, "team").equals(owner_moves(before, after, "team"))
    assert owner_moves(after, before, "team").height == owner_moves(before, after, "team").height
