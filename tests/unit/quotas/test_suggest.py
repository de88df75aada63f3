"""Limits proposed from thirty days: nothing before them, and nothing that the baseline itself would break too often."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.quotas.samples import daily, quota, quotas
from usage_etl.cli.quotas import write_proposal
from usage_etl.config.directory import read_directories
from usage_etl.quotas.suggest import Suggestion, suggest_quotas
from usage_etl.schemas import DIM_QUOTA

LAST = dt.date(2026, 11, 19)
FIRST = LAST - dt.timedelta(days=29)


def suggested(
    amounts: list[int], *, floor: dt.date | None = FIRST, measure: str = "total_tokens", existing: tuple[object, ...] = (),
    quantile: float = 0.95, kinds: tuple[str, ...] = ("user",),
) -> Suggestion:  # fmt: skip
    rows = [{"usage_date": LAST - dt.timedelta(days=back), "tokens": tokens, "effective_cost": Decimal(tokens) / 100}
            for back, tokens in enumerate(reversed(amounts))]  # fmt: skip
    return suggest_quotas(
        daily(*rows), quotas(*existing), organization_id="me", scope_kinds=kinds, measure=measure, currency="USD",
        quantile=quantile, through_date=LAST, history_floor=floor, valid_from=dt.date(2026, 12, 1),
    )  # fmt: skip


def limits(found: Suggestion) -> dict[str, Decimal]:
    return dict(found.proposed.select("period_kind", "limit_quantity").iter_rows())


@pytest.mark.parametrize(("floor", "missing"), [(None, 30), (FIRST, 0), (FIRST + dt.timedelta(days=1), 1), (LAST, 29)])
def test_there_is_no_number_before_thirty_days(floor: dt.date | None, missing: int) -> None:
    found = suggested([100] * 30, floor=floor)
    assert found.missing_days == missing
    assert found.proposed.is_empty() is bool(missing)


def test_even_days_are_proposed_as_they_are() -> None:
    assert limits(suggested([100] * 30)) == {"day": 100, "calendar_month": 3100}


def test_one_wild_day_in_thirty_makes_no_daily_limit() -> None:
    found = limits(suggested([100] * 29 + [100_000]))
    assert found["day"] == 100
    assert found["calendar_month"] > 100_000


def test_days_without_usage_count_as_nothing() -> None:
    assert limits(suggested([100] + [0] * 29))["calendar_month"] >= 100
    assert "day" not in limits(suggested([100] + [0] * 29))


def test_a_scope_that_is_younger_than_the_baseline_is_warming_up() -> None:
    found = suggested([100] * 10)
    assert found.warming_up == (("user", "ada"),)
    assert found.proposed.is_empty()


def test_what_has_a_quota_is_left_out_soft_or_hard() -> None:
    found = suggested([100] * 30, existing=(quota("user:ada", "total_tokens", 1, period="day", enforcement="hard"),))
    assert set(limits(found)) == {"calendar_month"}


def test_every_kind_of_scope_is_proposed() -> None:
    found = suggested([100] * 30, kinds=("organization", "department", "team", "user", "api_key", "feature"))
    assert found.proposed.select("scope_kind", "scope_id").unique().height == 6


def test_money_has_its_currency() -> None:
    found = suggested([1000] * 30, measure="effective_cost")
    assert found.proposed["currency"].to_list() == ["USD", "USD"]
    assert limits(found) == {"day": 10, "calendar_month": 310}


@given(st.lists(st.integers(1, 10**9), min_size=30, max_size=30), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_days_limit_is_passed_no_more_often_than_asked(amounts: list[int], quantile: float) -> None:
    found = limits(suggested(amounts, quantile=quantile))
    assert sum(tokens > found["day"] for tokens in amounts) <= (1 - quantile) * 30 + 1e-9
    assert found["calendar_month"] * 30 >= sum(amounts) * 30


def test_a_proposal_is_read_as_quotas_and_overwrites_nothing(tmp_path: Path) -> None:
    found = suggested([123] * 30)
    place = tmp_path / "quotas.csv"
    write_proposal(found, place)
    assert read_directories(tmp_path)[DIM_QUOTA.name].equals(found.proposed)
    assert place.read_text(encoding="utf-8").splitlines()[0].split(",") == list(DIM_QUOTA.columns)
    with pytest.raises(FileExistsError):
        write_proposal(found, place)
