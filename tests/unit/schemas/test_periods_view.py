"""What the closings mean for a provider's month and for the month as a whole."""

import datetime as dt

import pytest

from usage_etl.periods import Month
from usage_etl.schemas.periods import ALL_OTHERS, Closing, Periods

AUGUST, SEPTEMBER, OCTOBER, NOVEMBER = (Month(2026, number) for number in (8, 9, 10, 11))
AT = dt.datetime(2026, 11, 8, tzinfo=dt.UTC)


def closed(provider, month, number=1):
    return Closing(provider, month, number, AT, "Ada", 0, "a" * 64)


def reopened(provider, month, number=1):
    return closed(provider, month, number).reopened(at=AT, by="Ada", reason="late")


@pytest.mark.parametrize(
    ("as_of", "status"),
    [(dt.date(2026, 10, 30), "open"), (dt.date(2026, 10, 31), "preliminary"), (dt.date(2027, 3, 1), "preliminary")],
)
def test_month_without_closing_goes_by_the_last_complete_day(as_of, status):
    assert Periods().status_of("openai", OCTOBER, as_of=as_of) == status
    assert Periods().month_status(OCTOBER, as_of=as_of) == status


def test_closed_provider_does_not_close_the_month():
    periods = Periods([closed("openai", OCTOBER)])
    assert periods.status_of("openai", OCTOBER, as_of=AT.date()) == "closed"
    assert periods.status_of("aws", OCTOBER, as_of=AT.date()) == "preliminary"
    assert periods.month_status(OCTOBER, as_of=AT.date()) == "preliminary"


def test_sealed_month_is_closed_for_whoever_comes_later():
    periods = Periods([closed("openai", OCTOBER), closed(ALL_OTHERS, OCTOBER)])
    assert periods.is_closed("aws", OCTOBER)
    assert periods.in_force("aws", OCTOBER) is None
    assert periods.month_status(OCTOBER, as_of=AT.date()) == "closed"
    assert periods.first_open_after("aws", SEPTEMBER) == SEPTEMBER.next.next


def test_reopened_provider_reopens_the_month_and_no_other_provider():
    periods = Periods([closed("aws", OCTOBER), reopened("openai", OCTOBER), closed(ALL_OTHERS, OCTOBER)])
    assert not periods.is_closed("openai", OCTOBER)
    assert periods.is_closed("aws", OCTOBER)
    assert periods.is_closed("google", OCTOBER)
    assert not periods.is_month_closed(OCTOBER)
    again = Periods([*periods.closings, closed("openai", OCTOBER, 2)])
    assert again.is_month_closed(OCTOBER)
    assert again.of_month(OCTOBER)["openai"] == {"status": "closed", "closing_number": 2}


def test_corrections_are_booked_right_after_the_closed_months():
    periods = Periods([closed("openai", month) for month in (AUGUST, SEPTEMBER, OCTOBER)])
    assert periods.closed_run_before("openai", NOVEMBER) == [AUGUST, SEPTEMBER, OCTOBER]
    assert {periods.first_open_after("openai", month) for month in (AUGUST, SEPTEMBER, OCTOBER)} == {NOVEMBER}
    assert periods.closed_run_before("openai", NOVEMBER.next) == []
    with_gap = Periods([closed("openai", AUGUST), closed("openai", OCTOBER)])
    assert with_gap.closed_run_before("openai", NOVEMBER) == [OCTOBER]
    assert with_gap.first_open_after("openai", AUGUST) == SEPTEMBER
