"""Windows of the cube at month ends, leap days, in young lakes, and where clocks change."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.facts.windows import WEEK, Window, custom_window, month_windows, segments
from usage_etl.periods import Month, day_start
from usage_etl.schemas.summary import SUMMARY_WINDOWS

COVERED = dt.date(2026, 1, 1)


def windows(through: str, covered: dt.date = COVERED) -> dict[str, Window]:
    day = dt.date.fromisoformat(through)
    return {window.name: window for window in month_windows(Month.of(day), through_date=day, first_covered=covered)}


def days(window: Window) -> tuple[str, str]:
    return str(window.start.date()), str((window.end - dt.timedelta(seconds=1)).date())


def test_every_stored_window_is_made() -> None:
    assert windows("2026-11-19").keys() == set(SUMMARY_WINDOWS)


@pytest.mark.parametrize(
    ("through", "name", "first"),
    [
        ("2026-11-19", "day_24h", "2026-11-19"),
        ("2026-11-19", "days_7", "2026-11-13"),
        ("2026-11-19", "days_30", "2026-10-21"),
        ("2026-11-19", "month", "2026-11-01"),
        ("2026-11-19", "months_3", "2026-08-20"),
        ("2026-11-30", "months_3", "2026-09-01"),
        ("2026-05-30", "months_3", "2026-02-28"),
        ("2028-02-29", "months_12", "2027-03-01"),
        ("2028-02-28", "months_12", "2027-02-28"),
        ("2026-12-31", "months_12", "2026-01-01"),
        ("2026-11-19", "all", "2026-01-01"),
    ],
)
def test_a_window_ends_with_the_last_day_and_begins(through: str, name: str, first: str) -> None:
    assert days(windows(through)[name]) == (first, through)


@given(through=st.dates(dt.date(2024, 1, 1), dt.date(2032, 12, 31)))
def test_the_period_before_is_as_long_on_the_same_weekdays_and_apart(through: dt.date) -> None:
    for name, window in windows(through.isoformat()).items():
        if name in {"month", "all"}:
            continue
        assert window.previous_start is not None
        assert window.previous_end is not None
        assert window.previous_end - window.previous_start == window.end - window.start
        assert window.previous_end <= window.start
        assert window.start - window.previous_start < window.end - window.start + WEEK
        assert window.start.weekday() == window.previous_start.weekday()


def test_a_month_is_compared_with_the_same_days_of_the_month_before() -> None:
    march = windows("2026-03-31")["month"]
    assert (march.previous_start, march.previous_end) == (day_start(dt.date(2026, 2, 1)), day_start(dt.date(2026, 3, 1)))
    leap = windows("2028-03-30")["month"]
    assert leap.previous_end == day_start(dt.date(2028, 3, 1)), "29 February is one of the days"


def test_a_day_has_24_hours_where_clocks_change() -> None:
    for through in ("2026-03-29", "2026-10-25", "2026-11-01"):
        assert len(segments([windows(through)["day_24h"]]).hours) == 48, "24 and the 24 a week before"


def test_the_24_hours_may_end_within_a_day() -> None:
    newest = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
    day = dt.date(2026, 11, 19)
    window = month_windows(Month(2026, 11), through_date=day, first_covered=COVERED, ends_at=newest)[0]
    assert (window.start, window.end) == (newest - dt.timedelta(days=1), newest)


def test_custom_days_are_inclusive_and_never_turned_round() -> None:
    window = custom_window("custom", dt.date(2028, 2, 28), dt.date(2028, 3, 1))
    assert window.end - window.start == dt.timedelta(days=3)
    with pytest.raises(ValueError, match="2026-11-01 is before"):
        custom_window("custom", dt.date(2026, 11, 2), dt.date(2026, 11, 1))


@given(through=st.dates(dt.date(2025, 1, 1), dt.date(2029, 12, 31)), age=st.integers(0, 900))
def test_pieces_of_a_window_are_exactly_its_days(through: dt.date, age: int) -> None:
    found = windows(through.isoformat(), through - dt.timedelta(days=age))
    pieces = segments(list(found.values()))
    placed = dict(pieces.days.iter_rows())
    assert len(placed) == pieces.days.height, "a day lies in one piece"
    for name, window in found.items():
        if window.is_hourly:
            continue
        for is_previous, start, end in ((False, window.start, window.end), (True, window.previous_start, window.previous_end)):
            own = set(pieces.windows.filter(window=name, is_previous=is_previous)["segment"]) if start else set()
            covered = sorted(day for day, piece in placed.items() if piece in own)
            assert len(covered) == ((end - start).days if start and end else 0)
            if start and end:
                assert (covered[0], covered[-1]) == (start.date(), (end - dt.timedelta(days=1)).date())
