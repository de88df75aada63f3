"""Figures as people read them: exact, never misleading, never scientific; names that cannot reorder or break a sentence."""

import datetime as dt
import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.money import minor_unit
from usage_etl.reports.comparison import change, compared, ratio_of, share
from usage_etl.reports.formatting import (
    MINUS,
    NBSP,
    count_compact,
    count_full,
    day_label,
    display_name,
    listed,
    money_axis,
    money_cell,
    money_exact,
    money_short,
    percent,
    percent_floor,
    plural,
    span_label,
)
from usage_etl.reports.rounding import tied_amounts

AMOUNTS = st.decimals(min_value=-(10**13), max_value=10**13, places=18)
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CHF"])


@pytest.mark.parametrize(
    ("amount", "short", "exact"),
    [
        ("1361.73", "$1,362", "$1,361.73"),
        ("99.994", "$99.99", "$99.99"),
        ("0", "$0", "$0.00"),
        ("-42.175", f"{MINUS}$42.18", f"{MINUS}$42.18"),
        ("0.001", "$0.00", "$0.00"),
        ("-0.001", "$0.00", "$0.00"),
        ("12345678.9", "$12.3M", "$12,345,678.90"),
        ("999999.6", "$1.00M", "$999,999.60"),
    ],
)
def test_money_is_short_in_sentences_and_exact_in_tables(amount, short, exact):
    assert money_short(Decimal(amount), "USD") == short
    assert money_exact(Decimal(amount), "USD") == exact


def test_currencies_have_their_own_minor_units_and_signs():
    assert money_exact(Decimal("1234.5"), "JPY") == "¥1,235"
    assert money_exact(Decimal("1234.5"), "KWD") == f"KWD{NBSP}1,234.500"
    assert money_exact(Decimal("1234.5"), "EUR") == "€1,234.50"


@given(AMOUNTS, CURRENCIES)
def test_exact_money_reads_back_as_the_rounded_amount(amount, currency):
    text = money_cell(amount, currency).replace(",", "").replace(MINUS, "-")
    assert abs(Decimal(text) - amount) <= minor_unit(currency) / 2
    assert "E" not in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9_999, "9,999"), (10_000, "10.0k"), (245_973, "246k"), (999_499, "999k"), (999_500, "1.00M"),
     (491_600_000, "492M"), (64_850_000, "64.9M"), (1_370_000_000, "1.37B"), (-12_345, f"{MINUS}12.3k")],
)  # fmt: skip
def test_counts_keep_three_digits(number, text):
    assert count_compact(number) == text


@given(st.integers(min_value=0, max_value=10**17))
def test_compact_counts_are_within_half_a_percent(number):
    text = count_compact(number)
    factor = {"k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}.get(text[-1], 1)
    shown = Decimal(text.rstrip("kMBT").replace(",", "")) * factor
    assert abs(shown - number) <= Decimal(number) / 200


def test_percent_never_rounds_a_share_away_or_a_quality_up():
    assert percent(Decimal("0.004")) == f"<1{NBSP}%"
    assert percent(Decimal("0.235"), plus=True) == f"+24{NBSP}%"
    assert percent(Decimal("-0.223")) == f"{MINUS}22{NBSP}%"
    assert percent_floor(Decimal("0.99999")) == f"99.9{NBSP}%"
    assert percent_floor(Decimal(1)) == f"100{NBSP}%"
    assert percent_floor(Decimal(0)) == f"0{NBSP}%"


def test_change_says_in_words_what_is_no_number():
    assert change(Decimal(5), Decimal(4), has_previous=False).text == "no earlier data"
    assert change(None, Decimal(4), has_previous=True).text == "no price"
    assert change(Decimal(5), Decimal(0), has_previous=True).text == "new"
    assert change(Decimal(5), None, has_previous=True).text == "new"
    assert change(Decimal(0), Decimal(0), has_previous=True).value is None
    assert change(Decimal(5), Decimal(-1), has_previous=True).text == "was negative"
    assert change(0, 7, has_previous=True).text == f"{MINUS}100{NBSP}%"


def test_a_change_of_ten_times_is_a_factor_and_not_a_percentage():
    moved = change(Decimal(2192), Decimal(100), has_previous=True)
    assert moved.text == "22\u00d7"
    assert compared(moved, "October") == "22\u00d7 of October"
    assert compared(change(5, 4, has_previous=True), "October") == f"+25{NBSP}% vs October"


@given(AMOUNTS, AMOUNTS)
def test_no_change_is_ever_infinite(now, before):
    text = change(now, before, has_previous=True).text
    assert "inf" not in text.lower()
    assert "nan" not in text.lower()


def test_a_share_of_nothing_is_no_number():
    assert share(Decimal(1), Decimal(0)).value is None
    assert ratio_of(Decimal(1), Decimal(-3)) is None


def test_axis_labels_are_short():
    assert [money_axis(amount, "USD") for amount in (0, 0.5, 750, 12_500, 10_000, -20, 2_500_000)] == [
        "$0", "$0.50", "$750", "$12.5k", "$10k", f"{MINUS}$20", "$2.5M",
    ]  # fmt: skip


def test_words_fit_their_numbers():
    assert plural(1, "request") == "1 request"
    assert plural(3214, "request") == "3,214 requests"
    assert listed(["a", "b", "c"]) == "a, b and c"
    days = [dt.date(2026, 11, day) for day in (10, 11, 12)]
    assert day_label(days[0]) == f"10{NBSP}Nov"
    assert span_label(days) == f"10{NBSP}Nov to 12{NBSP}Nov"
    assert count_full(245973) == "245,973"


@given(st.text())
def test_names_hold_no_control_and_no_override_characters(name):
    shown = display_name(name).strip("\u2068\u2069")
    assert 0 < len(shown) <= 64
    assert not [char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}]


def test_names_that_run_right_to_left_are_isolated_and_long_ones_cut():
    assert display_name("فريق") == "\u2068فريق\u2069"
    assert display_name("\u202eevil\nname") == "evil name"
    assert display_name("x" * 200) == "x" * 63 + "…"
    assert display_name("\x00") == "(no name)"


@given(st.lists(st.one_of(st.none(), AMOUNTS), max_size=40), CURRENCIES)
def test_tied_amounts_add_up_to_the_rounded_total(amounts, currency):
    unit = minor_unit(currency)
    tied = tied_amounts(amounts, unit=unit)
    known = [amount for amount in amounts if amount is not None]
    total = sum(known, Decimal(0))
    assert abs(sum((amount for amount in tied if amount is not None), Decimal(0)) - total) <= unit / 2
    for exact, shown in zip(amounts, tied, strict=True):
        assert (shown is None) == (exact is None)
        assert exact is None or abs(shown - exact) < unit
