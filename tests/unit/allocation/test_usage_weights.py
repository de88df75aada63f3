"""Weights of owners: what a conversion makes of them, and their whole units."""

from fractions import Fraction

import pytest

from usage_etl.allocation.usage_weights import Weights


@pytest.mark.parametrize("factor", [Fraction(1), Fraction(2), Fraction(1, 2), Fraction(7, 3)])
def test_converted_weights_have_the_units_of_the_new_currency(factor):
    found = Weights([4, 9], [30, 60], scale=10).times(factor)
    assert found.owners == [4, 9]
    assert [Fraction(weight, found.scale) for weight in found.weights] == [3 * factor, 6 * factor]


def test_units_are_whole_and_add_up_to_the_rounded_sum():
    weights = Weights([1, 2, 3], [15, 15, 10], scale=10)
    assert (weights.total, sum(weights.units), sorted(weights.units)) == (40, 4, [1, 1, 2])
    assert dict(weights.by_owner) == dict(zip([1, 2, 3], weights.units, strict=True))
    assert Weights([1, 2], [15, 5]).units == [15, 5]
