"""Text to numbers and times: what converts is exact, what does not is null, never something else."""

import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.sources.rows.typed_text import counts, epochs, instants, milliseconds, numbers

UNREADABLE = ["", " ", "x", "12x", "1 2", "0x1F", "1_000", "true", "nan", "inf", "-Infinity", "12.5", "1e-3", "1e400", "१२"]


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_number_is_read_exactly(number: int) -> None:
    assert counts(pl.Series([str(number)])).to_list() == [number]


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_whole_number_written_as_a_float_is_read_exactly(number: int) -> None:
    assert counts(pl.Series([f"{number}.0"])).to_list() == [number]


def test_what_is_no_whole_number_is_null() -> None:
    found = pl.Series([*UNREADABLE, str(2**63), "9007199254740993.0", None])

    assert counts(found).to_list() == [None] * len(found)


def test_unreadable_cells_do_not_disturb_their_neighbours() -> None:
    assert counts(pl.Series(["1", "x", "2.0", None, "3e2", "-4"])).to_list() == [1, None, 2, None, 300, -4]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_its_shortest_spelling(number: float) -> None:
    assert numbers(pl.Series([repr(number)])).to_list() == [number]


@given(st.sampled_from([math.inf, -math.inf, math.nan]))
def test_no_number_is_ever_infinite(number: float) -> None:
    assert numbers(pl.Series([repr(number), "1"])).to_list() == [None, 1.0]


def test_milliseconds_are_rounded() -> None:
    assert milliseconds(pl.Series(["12", "12.6", "-0.4", "x", "inf", None])).to_list() == [12, 13, 0, None, None, None]


@given(
    st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)),  # noqa: DTZ001 - written with and without zones below
    st.sampled_from([0, 60, -300, 330, 765]),
)
def test_an_instant_survives_every_spelling(naive: dt.datetime, offset_minutes: int) -> None:
    zone = dt.timezone(dt.timedelta(minutes=offset_minutes))
    utc = naive.replace(tzinfo=dt.UTC)
    spellings = [
        str(naive),
        naive.isoformat(),
        f"{naive:%Y-%m-%d %H:%M:%S.%f}",
        utc.isoformat(),
        utc.isoformat().replace("+00:00", "Z"),
        str(utc),
        utc.astimezone(zone).isoformat(),
        utc.astimezone(zone).isoformat(timespec="microseconds").replace("T", " "),
    ]

    assert instants(pl.Series(spellings)).to_list() == [utc] * len(spellings)


def test_what_is_no_time_is_null() -> None:
    found = [
        "2026-02-30 00:00:00",
        "2026-11-02",
        "12:00:00",
        "1762070401",
        "2026-11-02 24:00:00",
        "2026/11/02 00:00:00",
        "",
        "now",
        None,
    ]

    assert instants(pl.Series(found)).to_list() == [None] * len(found)


@pytest.mark.parametrize(
    ("unit", "text", "micros"),
    [
        ("s", "1763545200", 1763545200_000000),
        ("s", "1763545200.123457", 1763545200_123457),
        ("ms", "1763545200123", 1763545200_123000),
        ("us", "1763545200123457", 1763545200_123457),
        ("ns", "1763545200123457499", 1763545200_123457),
        ("ns", "1763545200123457500", 1763545200_123458),
        ("ns", "1763545200123458500", 1763545200_123458),
        ("ns", "1763545200123458500.0", 1763545200_123458),
        ("ns", "9223372036854774999", 9223372036854775),
        ("s", "0", 0),
        ("s", "-1", None),
        ("s", "9223372036855", None),
        ("ns", "9223372036854775808", None),
        ("ms", "soon", None),
    ],
)
def test_an_epoch_is_exact_to_the_microsecond(unit: str, text: str, micros: int | None) -> None:
    found = epochs(pl.Series([text, None, "17"]), unit)
    assert found.dt.timestamp("us").to_list()[:2] == [micros, None]
    assert found.null_count() == (micros is None) + 1
