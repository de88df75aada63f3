"""Who is refused, and what a gateway is told: never more than asked, never the same twice, and taken back in time."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal

import polars as pl
import pytest

from tests.unit.quotas.samples import daily, day, feeds, quota, quotas
from usage_etl.periods import Month, days_between
from usage_etl.quotas.enforcement import HardQuotas, plan_limits, refusals
from usage_etl.quotas.status import quota_days
from usage_etl.quotas.usage import quota_usage, scope_feeds
from usage_etl.schemas.limits import Hold, LimitPlan

TODAY = day(21)
THROUGH = day(20)
Mode = Literal["dry_run", "limits", "blocks"]


def hard(*rows: tuple[Any, ...], tokens: int = 100, cost: str = "5", last_feed: dt.date = THROUGH) -> HardQuotas:
    limits = quotas(*rows)
    usage = daily({"usage_date": day(2), "tokens": tokens, "effective_cost": Decimal(cost)})
    found = quota_days(
        limits, quota_usage(usage, limits, organization_id="me"), scope_feeds(usage, limits, organization_id="me"),
        pl.DataFrame(schema={"scope_kind": pl.String, "scope_id": pl.String, "scope_name": pl.String}),
        feeds=feeds(days_between(day(1), last_feed + dt.timedelta(days=1))),
        month=Month(2026, 11), through_date=THROUGH, first_date=day(1, 1), billing_day=1,
    )  # fmt: skip
    return HardQuotas.on(found.status.with_columns(pl.col(pl.Categorical).cast(pl.String)), THROUGH)


def tokens_quota(scope: str, limit: int = 50, **more: Any) -> tuple[Any, ...]:
    return quota(scope, "total_tokens", limit, enforcement="hard", **more)


def planned(
    found: HardQuotas, *holds: Hold, mode: Mode = "blocks", never: tuple[str, ...] = (), most: int = 10, today: dt.date = TODAY
) -> LimitPlan:
    return plan_limits(found, holds, today=today, mode=mode, never_block=never, max_blocks=most, billing_day=1)


def told(plan: LimitPlan) -> list[tuple[str, str, str]]:
    return [(one.action, one.scope_id, one.reason) for one in plan.actions]


def hold(
    scope: str = "api_key:key-1", *, kind: Literal["block", "limit"] = "block", state: Any = "held", limit: str = "50",
    end: dt.date = dt.date(2026, 11, 30), quota_id: str = "api_key:key-1:total_tokens:calendar_month:hard",
) -> Hold:  # fmt: skip
    scope_kind, _, member = scope.partition(":")
    return Hold(scope_kind, member, kind, quota_id, state, Decimal(limit), end, {"blocked": False})


def test_a_used_up_hard_quota_is_refused_with_its_reason() -> None:
    found = refusals(hard(tokens_quota("user:ada"), quota("user:ada", "total_tokens", 1)), today=TODAY, never_block=())
    assert [(one.scope_kind, one.scope_id, one.reason) for one in found] == [
        ("user", "ada", "used 100 of 50 total tokens from 2026-11-01 to 2026-11-30")
    ]


@pytest.mark.parametrize("limit", [100, 101])
def test_the_limit_itself_is_the_last_that_may_be_used(limit: int) -> None:
    found = refusals(hard(tokens_quota("user:ada", limit)), today=TODAY, never_block=())
    assert bool(found) is (limit == 100)


def test_nobody_is_refused_after_the_period_nor_for_a_day_that_is_over() -> None:
    assert refusals(hard(tokens_quota("user:ada")), today=dt.date(2026, 12, 1), never_block=()) == []
    usage_day = hard(tokens_quota("user:ada", 0, period="day"))
    assert refusals(usage_day, today=TODAY, never_block=()) == []


def test_who_is_never_blocked_is_in_no_file_and_no_plan() -> None:
    found = hard(tokens_quota("api_key:key-1"), quota("api_key:key-1", "effective_cost", 1, enforcement="hard"))
    assert refusals(found, today=TODAY, never_block=("api_key:key-1",)) == []
    assert planned(found, never=("api_key:key-1",)).actions == ()
    assert told(planned(found, hold(), never=("api_key:key-1",))) == [("unblock", "key-1", "it is never to be blocked")]


def test_tokens_block_because_the_gateway_has_no_such_budget() -> None:
    plan = planned(hard(tokens_quota("api_key:key-1"), tokens_quota("team:web"), tokens_quota("user:ada")))
    assert [(one.action, one.scope_kind) for one in plan.actions] == [("block", "api_key"), ("block", "team")]


def test_money_is_a_budget_first_and_a_block_only_when_that_did_not_hold() -> None:
    found = hard(quota("api_key:key-1", "effective_cost", 4, enforcement="hard"))
    first = planned(found)
    assert [(one.action, one.budget_duration, one.limit_quantity) for one in first.actions] == [("limit", "30d", 4)]
    assert first.left_alone == ("api_key key-1: the gateway is given the budget first",)
    money = "api_key:key-1:effective_cost:calendar_month:hard"
    budget = hold(kind="limit", limit="4", quota_id=money)
    assert [one.action for one in planned(found, budget).actions] == ["block"]
    assert planned(found, budget, mode="limits").actions == ()
    assert planned(found, budget, hold(limit="4", quota_id=money)).actions == ()


def test_a_raised_budget_is_written_again_and_one_whose_quota_is_gone_is_restored() -> None:
    money = "api_key:key-1:effective_cost:calendar_month:hard"
    raised = planned(
        hard(quota("api_key:key-1", "effective_cost", 9, enforcement="hard")), hold(kind="limit", limit="4", quota_id=money)
    )
    assert [(one.action, one.limit_quantity) for one in raised.actions] == [("limit", 9)]
    gone = planned(hard(), hold(kind="limit", limit="4", quota_id=money))
    assert told(gone) == [("restore", "key-1", "the quota is no longer in force")]


@pytest.mark.parametrize("more", [{"currency": "EUR"}, {"period": "billing_month"}])
def test_a_budget_that_the_gateway_cannot_count_is_not_written(more: dict[str, str]) -> None:
    found = hard(quota("api_key:key-1", "effective_cost", 4, enforcement="hard", **more))
    plan = plan_limits(found, [], today=TODAY, mode="blocks", never_block=(), max_blocks=9, billing_day=5)
    assert "limit" not in {one.action for one in plan.actions}


@pytest.mark.parametrize(
    ("found", "today", "why"),
    [
        (hard(tokens_quota("api_key:key-1"), last_feed=day(17)), TODAY, "a feed is late"),
        (hard(tokens_quota("api_key:key-1")), day(23), "the newest complete day is more than 2 days ago"),
    ],
)
def test_late_or_old_data_blocks_nobody_and_frees_nobody(found: HardQuotas, today: dt.date, why: str) -> None:
    plan = planned(found, today=today)
    assert plan.actions == ()
    assert plan.left_alone == (f"api_key key-1: {why}",)
    assert planned(found, hold(), today=today).actions == ()


def test_more_blocks_than_allowed_block_nobody_and_name_everybody() -> None:
    found = hard(tokens_quota("api_key:key-1"), tokens_quota("team:web"))
    plan = planned(found, most=1)
    assert plan.actions == ()
    assert [one.scope_id for one in plan.too_many] == ["key-1", "web"]
    assert [one.scope_id for one in planned(found, most=2).actions] == ["key-1", "web"]
    assert planned(found, most=0).too_many
    assert [one.scope_id for one in planned(found, hold(), most=1).actions] == ["web"]


def test_too_many_blocks_do_not_keep_anybody_blocked() -> None:
    found = hard(tokens_quota("api_key:key-1"), tokens_quota("team:web"))
    plan = planned(found, hold("team:ops", end=day(20), quota_id="x"), most=0)
    assert told(plan) == [("unblock", "ops", "its period ended on 2026-11-20")]
    assert len(plan.too_many) == 2


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (hard(tokens_quota("api_key:key-1", 200)), "the limit was raised to 200"),
        (hard(tokens_quota("api_key:key-1", 200), last_feed=day(10)), "the limit was raised to 200"),
        (hard(tokens_quota("api_key:key-1"), tokens=40), "usage was restated to 40, below the limit"),
        (hard(), "the quota is no longer in force"),
    ],
)
def test_a_block_ends_when_its_reason_does(found: HardQuotas, why: str) -> None:
    assert told(planned(found, hold())) == [("unblock", "key-1", why)]


def test_less_usage_of_a_late_feed_frees_nobody() -> None:
    assert planned(hard(tokens_quota("api_key:key-1"), tokens=40, last_feed=day(10)), hold()).actions == ()


def test_a_block_ends_with_its_period_even_when_data_is_late() -> None:
    found = hard(tokens_quota("api_key:key-1"), last_feed=day(10))
    assert told(planned(found, hold(), today=dt.date(2026, 12, 1))) == [("unblock", "key-1", "its period ended on 2026-11-30")]


def test_a_lake_without_a_status_frees_nobody_before_the_period_ends() -> None:
    nothing = HardQuotas((), None)
    assert planned(nothing, hold()).actions == ()
    assert [one.action for one in planned(nothing, hold(), today=dt.date(2026, 12, 1)).actions] == ["unblock"]


@pytest.mark.parametrize("state", ["intended", "releasing"])
def test_what_a_crash_left_open_is_done_again_and_does_not_count_as_new(state: str) -> None:
    found = hard(tokens_quota("api_key:key-1"))
    assert [one.action for one in planned(found, hold(state=state), most=0).actions] == ["block"]
    assert [one.action for one in planned(hard(), hold(state=state)).actions] == ["unblock"]


def test_a_block_that_stands_is_not_made_again() -> None:
    assert planned(hard(tokens_quota("api_key:key-1")), hold()).actions == ()
