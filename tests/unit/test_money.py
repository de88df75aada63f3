"""Money is exact or refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.money import MAX_AMOUNT, MONEY, amount_text, exact_sum, minor_unit, parse_amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1.50", "1.50"),
        ("-0.01", "-0.01"),
        ("1e-06", "0.000001"),
        ("5.64902E-05", "0.0000564902"),
        ("0", "0"),
        (".5", "0.5"),
        (7, "7"),
    ],
)
def test_digits_are_kept(text: str | int, amount: str) -> None:
    assert parse_amount(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1_000", "1,5", "$1", "1.2.3", "NaN", "Infinity", "-inf", "0x10", "١٢", "1e9999", "--1", True, 0.1, None,
     "1" + "0" * 12, "-" + "9" * 13, "0." + "0" * 18 + "1", "1e-19"],
)  # fmt: skip
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"money arrived|not a|out of range|decimals"):
        parse_amount(text)  # type: ignore[arg-type]  # the very thing that must be refused


@given(st.decimals(min_value=-MAX_AMOUNT + 1, max_value=MAX_AMOUNT - 1, places=18, allow_nan=False))
def test_every_amount_of_the_lake_survives_its_text(amount: Decimal) -> None:
    assert parse_amount(str(amount)) == amount
    assert pl.Series([amount], dtype=MONEY).to_list() == [amount]


@given(st.lists(st.decimals(min_value=-(10**11), max_value=10**11, places=18), max_size=30))
def test_the_referee_adds_what_integers_add(amounts: list[Decimal]) -> None:
    assert Fraction(exact_sum(pl.Series(amounts, dtype=MONEY))) == sum(map(Fraction, amounts))


def test_minor_units_follow_the_currency() -> None:
    assert [minor_unit(code) for code in ("USD", "jpy", "KWD")] == [Decimal("0.01"), Decimal(1), Decimal("0.001")]


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0.00"), ("1.5", "1.50"), ("-0.010", "-0.01"), ("100", "100.00"), ("0.000000000000000001", "0.000000000000000001"),
     ("1E+3", "1000.00"), ("123456789012345678901234567890.120", "123456789012345678901234567890.12")],
)  # fmt: skip
def test_amounts_for_people_keep_every_digit(amount: str, text: str) -> None:
    assert amount_text(Decimal(amount)) == text
