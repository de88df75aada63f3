"""Rates of a day: the newest that is not too old, from the first source by name, and crosses for weights alone."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.unit.allocation.frames import rates
from usage_etl.allocation.rates import SAME, Rates

DAY = dt.date(2026, 11, 30)


def book(*rows: dict[str, object]) -> Rates:
    return Rates(rates(*({"rate": Decimal(1), **row} for row in rows)), max_age_days=7)


def test_the_newest_rate_up_to_the_day_counts_and_of_one_day_the_first_source() -> None:
    found = book(
        {"rate": Decimal(5), "rate_date": dt.date(2026, 12, 1)},
        {"rate": Decimal(2), "rate_source": "Zeta"},
        {"rate": Decimal(3), "rate_source": "Alpha"},
        {"rate": Decimal(4), "rate_date": dt.date(2026, 11, 29)},
    ).newest("USD", "EUR", DAY)
    assert found is not None
    assert (found.factor, found.rate, found.date, found.source) == (3, 3, DAY, "Alpha")


def test_a_rate_of_nothing_is_no_rate() -> None:
    found = book({"rate": Decimal(0), "rate_source": "Alpha"}, {"rate": Decimal(-1), "rate_source": "Beta"})
    assert found.newest("USD", "EUR", DAY) is None
    mixed = book({"rate": Decimal(0), "rate_source": "Alpha"}, {"rate": Decimal(2), "rate_source": "Beta"})
    assert (mixed.newest("USD", "EUR", DAY) or SAME).source == "Beta"


def test_invoices_are_converted_by_direct_rates_only() -> None:
    found = book({"from_currency": "EUR", "to_currency": "USD", "rate": Decimal(2)})
    assert found.newest("USD", "EUR", DAY) is None
    assert found.newest("EUR", "EUR", DAY) is SAME


@pytest.mark.parametrize(
    ("from_currency", "to_currency", "factor"),
    [
        ("EUR", "USD", Fraction(2)),
        ("USD", "EUR", Fraction(1, 2)),
        ("CHF", "EUR", Fraction(3, 2)),
        ("EUR", "CHF", Fraction(2, 3)),
        ("CHF", "CHF", Fraction(1)),
        ("CHF", "GBP", None),
        ("GBP", "CHF", None),
        ("GBP", "JPY", None),
    ],
)
def test_weights_cross_by_the_inverse_or_through_the_organizations_currency(from_currency, to_currency, factor) -> None:
    found = book(
        {"from_currency": "EUR", "to_currency": "USD", "rate": Decimal(2)},
        {"from_currency": "CHF", "to_currency": "USD", "rate": Decimal(3)},
    )
    assert found.factor(from_currency, to_currency, DAY, through="USD") == factor


def test_a_problem_names_the_newest_rate_that_is_too_old() -> None:
    found = book({"rate_date": dt.date(2026, 11, 1)}, {"rate_date": DAY + dt.timedelta(days=1)})
    text = found.problem("USD", "EUR", DAY, "bill")
    assert text.startswith("bill: finance/fx_rates.csv has no rate from USD to EUR for 2026-11-30; the newest is of 2026-11-01")
    assert "the newest" in book({"rate_date": DAY}).problem("USD", "EUR", DAY, "bill")
    assert "the newest" not in book().problem("USD", "EUR", DAY, "bill")
