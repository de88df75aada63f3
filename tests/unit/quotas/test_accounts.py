"""Accounts, months of tokens and users by day: what is 0, what is not known, who is near and who is over."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.quotas.samples import daily, day, quota, quotas, users
from usage_etl.periods import Month
from usage_etl.quotas.accounts import accounts_month, team_tokens, tokens_month, user_tokens, users_daily
from usage_etl.schemas import FACT_USER_TOKENS_MONTHLY

NOVEMBER = Month(2026, 11)
START = dt.date(2026, 1, 1)


def history(*rows: dict[str, Any]) -> pl.DataFrame:
    usage = daily(*rows)
    months = {Month.of(row["usage_date"]) for row in rows}
    return pl.concat([FACT_USER_TOKENS_MONTHLY.empty(), *(user_tokens(usage, month=one) for one in sorted(months))])


def accounts(
    told: pl.DataFrame, people: pl.DataFrame, limits: pl.DataFrame, *, floor: dt.date | None = dt.date(2026, 9, 1), near: int = 80
) -> dict[str, dict[str, Any]]:
    frame = accounts_month(
        told, people, limits, month=NOVEMBER, through_date=day(20), history_floor=floor, near_pct=Decimal(near)
    )
    return {row["user_id"]: row for row in frame.to_dicts()}


def test_an_account_tells_month_month_before_and_all_time_by_kind() -> None:
    told = history(
        {"usage_date": dt.date(2026, 9, 5), "tokens": 1},
        {"usage_date": dt.date(2026, 10, 31), "tokens": 20},
        {"usage_date": dt.date(2026, 10, 31), "tokens": 7, "primitive": "ai.embed"},
        {"usage_date": day(2), "tokens": 300},
        {"usage_date": day(9), "tokens": 50, "primitive": "ai.embed"},
    )
    limits = quotas(
        quota("user:ada", "inference_tokens", 1000), quota("user:ada", "embedding_tokens", 50, period="billing_month")
    )
    found = accounts(told, users(("ada", "web", None, START, None)), limits)["ada"]
    assert {name: found[name] for name in found if name.endswith("_tokens")} == {
        "max_inference_tokens": 1000, "max_embedding_tokens": 50, "inference_tokens": 300, "embedding_tokens": 50,
        "previous_inference_tokens": 20, "previous_embedding_tokens": 7, "lifetime_inference_tokens": 321,
        "lifetime_embedding_tokens": 57, "lifetime_total_tokens": 378,
    }  # fmt: skip
    assert (found["first_seen_date"], found["last_active_date"]) == (dt.date(2026, 9, 5), day(9))
    assert found["history_floor_date"] == dt.date(2026, 9, 1)
    assert (found["inference_utilisation_ratio"], found["embedding_utilisation_ratio"]) == (0.3, 1.0)
    assert found["allocation_status"] == "near"


@pytest.mark.parametrize(("tokens", "status"), [(0, "within"), (79, "within"), (80, "near"), (100, "near"), (101, "over")])
def test_near_begins_at_the_share_and_over_above_the_whole(tokens: int, status: str) -> None:
    told = history({"usage_date": day(2), "tokens": tokens})
    found = accounts(told, users(), quotas(quota("user:ada", "inference_tokens", 100)))
    assert found["ada"]["allocation_status"] == status


def test_a_user_without_usage_has_used_nothing_and_one_without_allocation_has_none() -> None:
    told = history({"usage_date": day(2), "tokens": 5}, {"usage_date": dt.date(2026, 10, 2), "tokens": 5})
    people = users(("bob", "web", None, START, None), ("eve", "web", None, START, day(20)))
    found = accounts(told, people, quotas(quota("user:new", "inference_tokens", 10)))
    assert sorted(found) == ["ada", "bob", "new"]
    assert (found["bob"]["inference_tokens"], found["bob"]["lifetime_total_tokens"], found["bob"]["first_seen_date"]) == (
        0,
        0,
        None,
    )
    assert (found["bob"]["allocation_status"], found["bob"]["inference_utilisation_ratio"]) == ("none", None)
    assert (found["new"]["is_in_directory"], found["new"]["allocation_status"]) == (False, "within")
    assert (found["ada"]["is_in_directory"], found["ada"]["team_id"]) == (False, None)


def test_months_that_the_lake_does_not_hold_are_not_known() -> None:
    told = history({"usage_date": day(2), "tokens": 5})
    found = accounts(told, users(), quotas(), floor=dt.date(2026, 10, 2))["ada"]
    assert (found["previous_inference_tokens"], found["inference_tokens"]) == (None, 5)
    empty = accounts(FACT_USER_TOKENS_MONTHLY.empty(), users(("ada", "web", None, START, None)), quotas(), floor=None)["ada"]
    assert [empty[name] for name in ("inference_tokens", "previous_inference_tokens", "lifetime_total_tokens")] == [None] * 3


def test_a_user_of_two_teams_stands_at_the_larger_share() -> None:
    people = users(("ada", "web", Decimal(40), START, None), ("ada", "ops", Decimal(60), START, None))
    assert accounts(history({"usage_date": day(2)}), people, quotas())["ada"]["team_id"] == "ops"


def test_of_several_monthly_allocations_the_smallest_counts_and_daily_ones_do_not() -> None:
    rows = (
        quota("user:ada", "inference_tokens", 100, enforcement="soft"),
        quota("user:ada", "inference_tokens", 120, enforcement="hard"),
        quota("user:ada", "inference_tokens", 5, period="day"),
        quota("user:ada", "inference_tokens", 1, period="billing_month", end=day(20)),
        quota("user:ada", "total_tokens", 2),
    )
    assert accounts(history({"usage_date": day(2)}), users(), quotas(*rows))["ada"]["max_inference_tokens"] == 100


def test_usage_that_names_nobody_is_no_account_and_is_in_the_months() -> None:
    told = history({"usage_date": day(2), "tokens": 5, "user_id": None})
    assert accounts(told, users(), quotas()) == {}
    months = tokens_month(told, month=NOVEMBER, through_date=day(20), history_floor=dt.date(2026, 9, 1))
    assert months.select("token_kind", "total_tokens", "active_users_count").rows() == [("embedding", 0, 0), ("inference", 5, 0)]


def test_a_month_stands_beside_the_month_before() -> None:
    told = history(
        {"usage_date": dt.date(2026, 10, 2), "tokens": 100},
        {"usage_date": day(2), "tokens": 75},
        {"usage_date": day(3), "tokens": 50, "user_id": "bob"},
        {"usage_date": day(3), "tokens": 375, "primitive": "ai.embed"},
    )
    whole = tokens_month(told, month=NOVEMBER, through_date=day(30), history_floor=dt.date(2026, 9, 1))
    assert whole.select("token_kind", "total_tokens", "active_users_count", "share_ratio", "change_ratio").rows() == [
        ("embedding", 375, 1, 0.75, None),
        ("inference", 125, 2, 0.25, 0.25),
    ]
    part = tokens_month(told, month=NOVEMBER, through_date=day(29), history_floor=dt.date(2026, 10, 2))
    assert part.select("is_partial", "previous_total_tokens", "change_ratio").rows() == [(True, None, None)] * 2
    before = tokens_month(told, month=NOVEMBER, through_date=day(29), history_floor=None)
    assert before["total_tokens"].to_list() == [None, None]


def test_users_are_counted_day_by_day() -> None:
    people = users(
        ("ada", "web", Decimal(40), START, day(3)), ("ada", "ops", Decimal(60), START, day(3)), ("bob", "web", None, day(2), None)
    )
    usage = daily({"usage_date": day(2)}, {"usage_date": day(3)}, {"usage_date": day(3), "user_id": None})
    found = users_daily(usage, people, month=NOVEMBER, through_date=day(4), first_date=START)
    assert found.drop("month").rows() == [
        (day(1), 1, None, None),
        (day(2), 2, 1, 0),
        (day(3), 1, 1, 1),
        (day(4), 1, None, None),
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 30), st.sampled_from(["a", "b", None]), st.sampled_from(["ai.chat", "ai.embed", "ai.image"]),
            st.integers(0, 10**12),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_no_token_is_lost_between_facts(rows: list[tuple[int, str | None, str, int]]) -> None:
    usage = daily(
        *({"usage_date": day(at), "user_id": user, "primitive": kind, "tokens": tokens} for at, user, kind, tokens in rows)
    )
    whole = sum(tokens for *_, tokens in rows)
    assert user_tokens(usage, month=NOVEMBER)["total_tokens"].sum() == whole
    assert team_tokens(usage, month=NOVEMBER)["total_tokens"].sum() == whole
    assert user_tokens(usage, month=NOVEMBER.next).is_empty()
