"""Division of what an invoice line says: exact, near the exact share, in any order, of any sign and size."""

from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_etl.money import MONEY
from usage_etl.remainder import from_attos, to_attos
from usage_etl.reports.finance.shares import converted, divide, in_whole_units, weights_of

WEIGHTS = st.lists(st.integers(min_value=0, max_value=10**30), min_size=1, max_size=12).filter(lambda found: sum(found) > 0)


@settings(max_examples=200, deadline=None)
@given(st.integers(min_value=-(10**40), max_value=10**40), WEIGHTS)
def test_parts_add_up_and_are_within_one_step(total, weights):
    keys = [f"k{index}" for index in range(len(weights))]
    parts = divide(total, weights, keys=keys)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert weight or not part
    assert divide(-total, weights, keys=keys) == [-part for part in parts]
    again = divide(total, weights[::-1], keys=keys[::-1])
    assert again[::-1] == parts


def test_the_larger_loss_is_served_first_and_ties_by_hash():
    assert divide(10, [1, 1, 4], keys=["a", "b", "c"]) in ([2, 2, 6], [1, 2, 7], [2, 1, 7])
    assert divide(3, [10, 19], keys=["a", "b"]) == [1, 2]
    ties = divide(1, [1, 1, 1], keys=["a", "b", "c"])
    assert sorted(ties) == [0, 0, 1]
    assert divide(1, [1, 1, 1], keys=["c", "a", "b"]) == [ties[2], ties[0], ties[1]]


@pytest.mark.parametrize("weights", [[0, 0], [2, -1], [-1, -1]])
def test_weights_that_divide_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="cannot divide"):
        divide(5, weights, keys=["a", "b"])


def test_weights_are_metered_cost_then_charges_then_even():
    assert weights_of([3, 1], [10, 20]) == [3, 1]
    assert weights_of([3, None], [10, 20]) == [10, 20]
    assert weights_of([3, None], [-10, -20]) == [10, 20]
    assert weights_of([3, None], [0, 0]) == [3, 0]
    assert weights_of([None, None], [5, -5]) == [1, 1]
    assert weights_of([0, 0], [5, -4]) == [1, 1]
    assert weights_of([-1, 2], [0, 4]) == [0, 4]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.decimals(min_value=-(10**12), max_value=10**12, places=18, allow_nan=False), max_size=8))
def test_whole_units_keep_the_sum_and_leave_whole_amounts_alone(amounts):
    rest = -sum((Fraction(amount) for amount in amounts), Fraction(0))
    amounts = [*amounts, *from_attos([int(rest * 10**18)], "rest")]
    unit = Decimal("0.01")
    found = in_whole_units(amounts, unit, keys=[str(index) for index in range(len(amounts))])
    assert sum(map(Fraction, found)) == 0
    for amount, rounded in zip(amounts, found, strict=True):
        assert Fraction(rounded) % Fraction(unit) == 0
        assert abs(Fraction(rounded) - Fraction(amount)) < Fraction(unit)
        assert Fraction(amount) % Fraction(unit) or rounded == amount


def test_units_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="add up"):
        in_whole_units([Decimal("0.005")], Decimal("0.01"), keys=["a"])


def test_conversion_rounds_half_to_even_once():
    assert converted(5, None) == 5
    assert converted(5, Decimal("0.5")) == 2
    assert converted(7, Decimal("0.5")) == 4
    assert converted(-5, Decimal("0.5")) == -2


def test_attos_and_back():
    series = pl.Series("a", [Decimal("1.000000000000000001"), None, Decimal(-(10**17))], dtype=MONEY)
    assert to_attos(series) == [10**18 + 1, None, -(10**35)]
    assert from_attos(to_attos(series), "a").to_list() == series.to_list()
