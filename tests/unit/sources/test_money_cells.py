"""A dollar cell gives its digits; any other currency or comma stays what it is, and does not convert."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.sources.rows.money_cells import dollar_text
from usage_etl.sources.rows.typed_text import decimals


def read(cell: str) -> Decimal | None:
    text = pl.DataFrame({"cell": [cell]}).select(dollar_text(pl.col("cell"), ("included", "-", "free")))["cell"]
    found: Decimal | None = decimals(text)[0]
    return found


def digits(cell: str) -> str | None:
    found: str | None = pl.DataFrame({"cell": [cell]}).select(dollar_text(pl.col("cell"), ("included", "-", "free")))["cell"][0]
    return found


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("$0.12", "0.12"),
        (" $ 0.12 ", "0.12"),
        ("-$0.12", "-0.12"),
        ("US$3", "3"),
        ("$1,234,567.50", "1234567.5"),
        ("0.12", "0.12"),
        ("$1E-7", "0.0000001"),
        ("$.5", "0.5"),
    ],
)
def test_dollars_are_read(cell: str, amount: str) -> None:
    assert read(cell) == Decimal(amount)


@pytest.mark.parametrize("cell", ["", "  ", "Included", "-", "FREE"])
def test_words_for_no_amount_are_no_amount(cell: str) -> None:
    assert digits(cell) is None


@pytest.mark.parametrize(
    "cell",
    [
        "€0.12",
        "¥1",
        "EUR 3,50",
        "3,50",
        "1,234",
        "$3,50",
        "$1,23,456",
        "1e400",
        "0.12$",
        "$",
        "$$1",
        "($1)",
        "$1.2.3",
        "1 USD",
        "A$5",
    ],
)
def test_anything_else_is_no_amount_of_dollars_and_not_nothing(cell: str) -> None:
    assert read(cell) is None
    assert digits(cell) is not None


@given(st.decimals(-(10**11), 10**11, places=18), st.booleans())
def test_every_amount_is_read_exactly(amount: Decimal, is_grouped: bool) -> None:
    sign = "-" if amount < 0 else ""
    written = f"{amount.copy_abs():,f}" if is_grouped else f"{amount.copy_abs():f}"
    assert read(f"{sign}${written}") == amount
