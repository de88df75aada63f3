"""The largest-remainder rule against exact rational arithmetic."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.allocation.frames import allocate, directories, lines, usage
from usage_etl.remainder import ATTOS, from_attos, largest_remainder, round_groups, round_shares, stable_hash, to_attos

CENT = Decimal("0.01")
UNITS = st.sampled_from([Decimal(1), CENT, Decimal("0.001")])
WEIGHTS = st.lists(st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 10**24)), min_size=1, max_size=12).filter(any)
SHARES = st.lists(st.tuples(st.integers(-(10**24), 10**24), st.integers(1, 10**24)), max_size=12)


def keys(count: int) -> list[str]:
    return [f"line-{index}" for index in range(count)]


def exact(value: int, unit: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = 76
        return value * unit


@given(units=st.integers(-(10**24), 10**24), weights=WEIGHTS, unit=UNITS)
def test_parts_add_up_and_stay_within_one_unit_of_the_rational_share(units: int, weights: list[int], unit: Decimal) -> None:
    total = exact(units, unit)
    decimals = [Decimal(weight) for weight in weights]
    parts = largest_remainder(total, decimals, unit=unit, tie_keys=keys(len(weights)))
    assert sum(map(Fraction, parts), Fraction(0)) == Fraction(total)
    for part, weight in zip(parts, weights, strict=True):
        share = Fraction(total) * weight / sum(weights)
        assert abs(Fraction(part) - share) < Fraction(unit)
        assert (Fraction(part) / Fraction(unit)).denominator == 1
        if weight == 0:
            assert part == 0


@given(units=st.integers(0, 10**24), weights=WEIGHTS)
def test_a_larger_remainder_is_never_served_after_a_smaller_one(units: int, weights: list[int]) -> None:
    parts = largest_remainder(Decimal(units), [Decimal(w) for w in weights], unit=Decimal(1), tie_keys=keys(len(weights)))
    shares = [Fraction(units * weight, sum(weights)) for weight in weights]
    served = [share % 1 for share, part in zip(shares, parts, strict=True) if part > share]
    passed_over = [share % 1 for share, part in zip(shares, parts, strict=True) if part < share]
    if served and passed_over:
        assert min(served) >= max(passed_over)


@given(units=st.integers(-(10**6), 10**6), weights=WEIGHTS, data=st.data())
def test_order_of_the_lines_does_not_matter(units: int, weights: list[int], data: st.DataObject) -> None:
    lines = list(zip(weights, keys(len(weights)), strict=True))
    shuffled = data.draw(st.permutations(lines))

    def split(order: list[tuple[int, str]]) -> dict[str, Decimal]:
        parts = largest_remainder(
            Decimal(units), [Decimal(w) for w, _ in order], unit=Decimal(1), tie_keys=[key for _, key in order]
        )
        return dict(zip([key for _, key in order], parts, strict=True))

    assert split(lines) == split(list(shuffled))


@given(units=st.integers(0, 10**24), weights=WEIGHTS)
def test_a_credit_mirrors_the_charge_it_takes_back(units: int, weights: list[int]) -> None:
    decimals = [Decimal(weight) for weight in weights]
    charge = largest_remainder(Decimal(units), decimals, unit=Decimal(1), tie_keys=keys(len(weights)))
    credit = largest_remainder(Decimal(-units), decimals, unit=Decimal(1), tie_keys=keys(len(weights)))
    assert [-part for part in credit] == charge


@given(shares=SHARES)
def test_mixed_shares_round_to_their_own_rounded_sum(shares: list[tuple[int, int]]) -> None:
    parts = round_shares(shares, tie_keys=keys(len(shares)))
    fractions = [Fraction(numerator, denominator) for numerator, denominator in shares]
    assert sum(parts) == round(sum(fractions, Fraction(0)))
    for part, share in zip(parts, fractions, strict=True):
        assert abs(part - share) < 1


@given(shares=SHARES.filter(lambda shares: sum(Fraction(n, d) for n, d in shares) != 0))
def test_mixed_shares_mirror_when_all_signs_turn(shares: list[tuple[int, int]]) -> None:
    forth = round_shares(shares, tie_keys=keys(len(shares)))
    back = round_shares([(-numerator, denominator) for numerator, denominator in shares], tie_keys=keys(len(shares)))
    assert [-part for part in back] == forth


@given(values=st.lists(st.one_of(st.none(), st.integers(-(10**37), 10**37)), max_size=8))
def test_attos_go_there_and_back(values: list[int | None]) -> None:
    column = from_attos(values, "money")
    assert column.dtype == pl.Decimal(38, 18)
    assert to_attos(column) == values


def test_an_atto_is_the_last_decimal_of_the_lake() -> None:
    assert to_attos(pl.Series([Decimal(1)], dtype=pl.Decimal(38, 18))) == [ATTOS] == [10**18]


@pytest.mark.parametrize(
    ("total", "weights", "names", "reason"),
    [
        (Decimal("0.005"), [Decimal(1)], ["a"], "not a whole number"),
        (Decimal(1), [Decimal(-1), Decimal(2)], ["a", "b"], "negative"),
        (Decimal(1), [Decimal(0)], ["a"], "no weight"),
        (Decimal(1), [], [], "no weight"),
        (Decimal(1), [Decimal(1), Decimal(1)], ["a", "a"], "unique"),
        (Decimal(1), [Decimal(1), Decimal(1)], ["a"], "2 weights for 1 keys"),
    ],
)
def test_what_cannot_be_split_is_refused(total: Decimal, weights: list[Decimal], names: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        largest_remainder(total, weights, unit=CENT, tie_keys=names)


def test_nothing_to_split_needs_no_weights() -> None:
    assert largest_remainder(Decimal(0), [Decimal(0), Decimal(0)], unit=CENT, tie_keys=["a", "b"]) == [0, 0]


def test_a_dollar_in_three_goes_out_whole() -> None:
    parts = largest_remainder(Decimal("1.00"), [Decimal(1)] * 3, unit=CENT, tie_keys=["a", "b", "c"])
    assert sorted(parts) == [Decimal("0.33"), Decimal("0.33"), Decimal("0.34")]


def test_ties_are_served_in_the_same_order_on_every_machine() -> None:
    parts = largest_remainder(Decimal(2), [Decimal(1)] * 4, unit=Decimal(1), tie_keys=["north", "east", "south", "west"])
    assert parts == [0, 0, 1, 1]


GROUPS = st.lists(st.tuples(st.lists(st.integers(-(10**24), 10**24), min_size=1, max_size=6), st.integers(1, 10**24)), max_size=5)


def reference(shares: list[Fraction], names: list[str]) -> list[int]:
    """The rule in its plainest words: cut, then one unit each to those that lost most, ties by hash."""
    total = sum(shares, Fraction(0))
    sign = -1 if total < 0 else 1
    cut = [(sign * share).__floor__() for share in shares]
    order = sorted(range(len(shares)), key=lambda at: (cut[at] - sign * shares[at], stable_hash(names[at])))
    for at in order[: round(sign * total) - sum(cut)]:
        cut[at] += 1
    return [sign * units for units in cut]


@given(groups=GROUPS)
def test_groups_of_one_denominator_round_as_the_plain_rule_says(groups: list[tuple[list[int], int]]) -> None:
    shares = [Fraction(numerator, denominator) for numerators, denominator in groups for numerator in numerators]
    assert round_groups(groups, tie_keys=keys(len(shares))) == reference(shares, keys(len(shares)))


@given(close=st.lists(st.integers(0, 3), min_size=2, max_size=8), denominator=st.integers(10**30, 10**36))
def test_losses_that_agree_in_their_first_sixty_bits_are_told_apart(close: list[int], denominator: int) -> None:
    groups = [([denominator // 3 + nudge], denominator) for nudge in close]
    shares = [Fraction(numerators[0], below) for numerators, below in groups]
    assert round_groups(groups, tie_keys=keys(len(close))) == reference(shares, keys(len(close)))


def test_the_closest_losses_that_their_denominators_allow_are_told_apart() -> None:
    for middle in range(2**30 - 40, 2**30):
        groups = [([middle + 1], 2 * middle + 1), ([middle], 2 * middle - 1)]
        assert round_groups(groups, tie_keys=[f"a-{middle}", f"b-{middle}"]) == [0, 1]


def test_shares_that_cancel_out_round_as_a_total_that_is_not_negative() -> None:
    for number in range(20):
        names = [f"a-{number}", f"b-{number}"]
        assert round_shares([(1, 2), (-1, 2)], tie_keys=names) == reference([Fraction(1, 2), Fraction(-1, 2)], names)


LEVELS = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(1, 10**12)), min_size=1, max_size=9)


@settings(max_examples=30, deadline=None)
@given(teams=LEVELS, cost=st.decimals(-(10**6), 10**6, places=2))
def test_divisions_from_the_top_down_equal_one_division_where_the_shares_multiply(
    teams: list[tuple[str, int]], cost: Decimal
) -> None:
    """By department and then by team, each by metered cost, is by team."""
    rows = [
        {"team_id": f"team-{number}", "department_id": department, "effective_cost": Decimal(attos).scaleb(-18)}
        for number, (department, attos) in enumerate(teams)
    ]
    owners = directories(teams=[{name: row[name] for name in ("team_id", "department_id")} for row in rows])
    bill = lines({"charge_category": "Purchase", "billed_cost": cost})
    step = {"method": "proportional", "weight": "cost"}
    deep = [{**step, "level": "department"}, {**step, "level": "team"}]
    flat = allocate(bill, usage(*rows), owners)
    divided = allocate(bill, usage(*rows), owners, rules=[{"name": "deep", "steps": deep}])
    columns = ("line_id", "team_id", "allocated_cost")
    assert divided.select(columns).equals(flat.select(columns))


@settings(max_examples=40, deadline=None)
@given(weights=st.lists(st.integers(1, 10**15), min_size=1, max_size=9), cost=st.decimals(-(10**9), 10**9, places=3))
def test_every_line_is_less_than_one_minor_unit_from_its_exact_share(weights: list[int], cost: Decimal) -> None:
    rows = [{"team_id": f"t{number}", "effective_cost": Decimal(weight).scaleb(-9)} for number, weight in enumerate(weights)]
    found = allocate(lines({"charge_category": "Purchase", "billed_cost": cost}), usage(*rows))
    for team, paid in found.select("team_id", "allocated_cost").iter_rows():
        share = Fraction(cost) * weights[int(team[1:])] / sum(weights)
        assert abs(Fraction(paid) - share) < Fraction(1, 100)
    assert sum(found["allocated_cost"]) == round(cost, 2)
