"""Hard quotas: who is over one, and what a gateway should be told, given what it was told before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from usage_etl.schemas.limits import Hold, LimitPlan, PlannedAction, Refusal
from usage_etl.schemas.quotas import MONEY_MEASURES

FRESH_DAYS = 2
"""A status older than this many days blocks nobody: too much may have changed."""
GATEWAY_SCOPES = ("api_key", "team")
"""Kinds of scopes that the gateway's admin interface can block."""
GATEWAY_CURRENCY = "USD"
"""In which the gateway counts its own spend."""
_DURATIONS: Mapping[str, str] = {"day": "1d", "calendar_month": "30d"}
"""Periods that the gateway has too: it begins them anew at midnight, and ``30d`` on the first of a month."""
Scope = tuple[str, str]


@dataclass(frozen=True)
class HardQuotas:
    """The hard quotas of the newest day, as rows of mart_quota_status; ``status_date`` is that day, null without any."""

    rows: tuple[Mapping[str, Any], ...]
    status_date: dt.date | None

    @classmethod
    def on(cls, status: pl.DataFrame, day: dt.date) -> HardQuotas:
        """Of ``day``, the newest one that mart_quota_status covers."""
        hard = status.filter(pl.col("enforcement") == "hard", pl.col("status_date") == day)
        return cls(tuple(hard.sort("quota_id").to_dicts()), day)


def refusals(hard: HardQuotas, *, today: dt.date, never_block: Collection[str]) -> list[Refusal]:
    """Scopes whose hard quota is used up in a period that ``today`` is in, but for those that are never blocked.

    A feed that is late changes nothing here: what was counted was used. A day's quota is over before its data is complete.
    """
    return [
        _refusal(row)
        for row in hard.rows
        if _is_used_up(row) and row["period_end"] >= today and f"{row['scope_kind']}:{row['scope_id']}" not in never_block
    ]


def _is_used_up(row: Mapping[str, Any]) -> bool:
    return row["used_quantity"] is not None and row["used_quantity"] >= row["limit_quantity"]


def _refusal(row: Mapping[str, Any]) -> Refusal:
    return Refusal(**{name: row[name] for name in Refusal.__dataclass_fields__})


def plan_limits(
    hard: HardQuotas,
    holds: Sequence[Hold],
    *,
    today: dt.date,
    mode: Literal["dry_run", "limits", "blocks"],
    never_block: Collection[str],
    max_blocks: int,
    billing_day: int,
) -> LimitPlan:
    """What to change at the gateway. A dry run plans as ``blocks`` does.

    Money quotas of keys and teams whose period the gateway has too become its budgets. A block is the last step: where the
    gateway has no such budget, or has it since an earlier run and the quota is used up all the same. Late feeds and old data
    make no new block. A block ends with its period, with a raised limit, with usage that was restated below it, and when the
    quota is gone; only what we told the gateway is taken back.
    """
    budgets = _budgets(hard, never_block, billing_day)
    held: dict[tuple[str, str, str], Hold] = {(hold.kind, hold.scope_kind, hold.scope_id): hold for hold in holds}
    actions = [action for scope, action in budgets.items() if _is_new_budget(action, held.get(("limit", *scope)))]
    actions += [_restore(hold) for hold in holds if hold.kind == "limit" and (hold.scope_kind, hold.scope_id) not in budgets]
    over = [one for one in refusals(hard, today=today, never_block=never_block) if one.scope_kind in GATEWAY_SCOPES]
    standing = {(one.scope_kind, one.scope_id) for one in over}
    actions += [
        _unblock(hold, why)
        for hold in holds
        if hold.kind == "block" and (why := _why_unblock(hold, hard, standing, today=today, never_block=never_block))
    ]
    blocks, left_alone = _new_blocks(over, hard, held, budgets=budgets, today=today, mode=mode)
    fresh_blocks = [one for one in blocks if ("block", one.scope_kind, one.scope_id) not in held]
    if len(fresh_blocks) > max_blocks:
        repeated = [one for one in blocks if one not in fresh_blocks]
        return LimitPlan((*actions, *repeated), too_many=tuple(fresh_blocks), left_alone=tuple(left_alone))
    return LimitPlan((*actions, *blocks), left_alone=tuple(left_alone))


def _budgets(hard: HardQuotas, never_block: Collection[str], billing_day: int) -> dict[Scope, PlannedAction]:
    """The smallest money quota of each key and team that the gateway can count."""
    found: dict[Scope, PlannedAction] = {}
    for row in hard.rows:
        scope, duration = (row["scope_kind"], row["scope_id"]), _duration(row, billing_day)
        if duration is None or f"{scope[0]}:{scope[1]}" in never_block:
            continue
        action = PlannedAction(
            "limit", *scope, row["quota_id"], f"hard quota of {row['limit_quantity'].normalize():f} {GATEWAY_CURRENCY}",
            row["limit_quantity"], row["period_end"], duration,
        )  # fmt: skip
        if scope not in found or action.limit_quantity < found[scope].limit_quantity:
            found[scope] = action
    return found


def _duration(row: Mapping[str, Any], billing_day: int) -> str | None:
    """The gateway's name of the row's period; null where it cannot count the quota."""
    is_countable = row["measure"] in MONEY_MEASURES and row["currency"] == GATEWAY_CURRENCY
    if not is_countable or row["scope_kind"] not in GATEWAY_SCOPES:
        return None
    period = "calendar_month" if row["period_kind"] == "billing_month" and billing_day == 1 else row["period_kind"]
    return _DURATIONS.get(period)


def _is_new_budget(action: PlannedAction, hold: Hold | None) -> bool:
    return (
        hold is None or hold.state != "held" or hold.quota_id != action.quota_id or hold.limit_quantity != action.limit_quantity
    )


def _restore(hold: Hold) -> PlannedAction:
    return PlannedAction(
        "restore",
        hold.scope_kind,
        hold.scope_id,
        hold.quota_id,
        "the quota is no longer in force",
        hold.limit_quantity,
        hold.period_end,
    )


def _unblock(hold: Hold, why: str) -> PlannedAction:
    return PlannedAction("unblock", hold.scope_kind, hold.scope_id, hold.quota_id, why, hold.limit_quantity, hold.period_end)


def _why_unblock(
    hold: Hold, hard: HardQuotas, standing: Collection[Scope], *, today: dt.date, never_block: Collection[str]
) -> str | None:
    """Why a block that we made is to end; null while it stands."""
    if f"{hold.scope_kind}:{hold.scope_id}" in never_block:
        return "it is never to be blocked"
    if (hold.scope_kind, hold.scope_id) in standing:
        return None
    if hold.period_end < today:
        return f"its period ended on {hold.period_end}"
    row = next((row for row in hard.rows if row["quota_id"] == hold.quota_id), None)
    if row is not None:
        return _why_no_longer_over(row, hold)
    return None if hard.status_date is None else "the quota is no longer in force"


def _why_no_longer_over(row: Mapping[str, Any], hold: Hold) -> str | None:
    """Of a quota that is not used up: what changed; null where a late feed may hide that it is."""
    if row["limit_quantity"] > hold.limit_quantity:
        return f"the limit was raised to {row['limit_quantity'].normalize():f}"
    if row["used_quantity"] is None or row["is_stale"]:
        return None
    return f"usage was restated to {row['used_quantity'].normalize():f}, below the limit"


def _new_blocks(
    over: Sequence[Refusal],
    hard: HardQuotas,
    held: Mapping[tuple[str, str, str], Hold],
    *,
    budgets: Mapping[Scope, PlannedAction],
    today: dt.date,
    mode: str,
) -> tuple[list[PlannedAction], list[str]]:
    """Blocks to make, and scopes over a quota that are left alone, with why."""
    is_late = {row["quota_id"]: row["is_stale"] for row in hard.rows}
    blocks: dict[Scope, PlannedAction] = {}
    left_alone = []
    for one in over:
        scope = (one.scope_kind, one.scope_id)
        hold = held.get(("block", *scope))
        if scope in blocks or (hold is not None and hold.state == "held"):
            continue
        budget = held.get(("limit", *scope))
        is_countable = scope in budgets and budgets[scope].quota_id == one.quota_id
        why = _why_left_alone(
            is_late=is_late[one.quota_id],
            is_old=hard.status_date is None or (today - hard.status_date).days > FRESH_DAYS,
            waits_for_budget=is_countable and (budget is None or budget.state != "held"),
            is_blocking=mode != "limits",
        )
        if why and hold is None:
            left_alone.append(f"{one.scope_kind} {one.scope_id}: {why}")
            continue
        blocks[scope] = PlannedAction(
            "block", *scope, one.quota_id, one.reason, one.limit_quantity, one.period_end
        )  # fmt: skip
    return list(blocks.values()), left_alone


def _why_left_alone(*, is_late: bool, is_old: bool, waits_for_budget: bool, is_blocking: bool) -> str | None:
    if is_late:
        return "a feed is late"
    if is_old:
        return f"the newest complete day is more than {FRESH_DAYS} days ago"
    if waits_for_budget:
        return "the gateway is given the budget first"
    return None if is_blocking else "gateway_mode is limits"
