"""The verdict on one promise: what was measured beside what was promised, brought to the same days and volume."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from usage_etl.periods import Month
from usage_etl.recommendations.estimates import exactly
from usage_etl.recommendations.texts import verdict_text
from usage_etl.schemas.recommendations import USAGE_KINDS

TAKEN_RATIO = Decimal("0.1")
"""Less than this share of what could move is not taken."""
_BY_SHARE = ("model_substitution", "batch_processing", "flex_processing")
"""Kinds of which a share of requests moves; of the others the part of the promise tells how much was done."""
_COPIED = ("recommendation_id", "recommendation_kind", "scope_kind", "scope_id", "scope_name", "team_id", "feature_id",
           "model_id", "target_model_id", "target_processing", "currency")  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """This month's counts of what a promise is about, and what moved at both prices; null where no price compares."""

    whole_count: int
    part_count: int
    former_cost: Decimal | None
    actual_cost: Decimal | None

    @property
    def realised(self) -> Decimal | None:
        """What was saved; below zero where it costs more."""
        return None if self.former_cost is None or self.actual_cost is None else self.former_cost - self.actual_cost


@dataclass(frozen=True)
class _Promised:
    """A promise at this month's days and volume: ``volume`` is this month's count by that of the evidence, as a fraction."""

    cost: Decimal
    lower: Decimal
    upper: Decimal
    volume: tuple[int, int]


def judged(
    promise: Mapping[str, Any], found: Measured, *, month: Month, through_date: dt.date, minimum_days: int
) -> dict[str, Any]:
    """A row of MART_RECOMMENDATION_VERDICTS."""
    days = (through_date - month.first_day).days + 1
    promised = _promised(promise, found, days)
    why_not = _cannot_tell(promise, found, month=month, through_date=through_date, minimum_days=minimum_days)
    moved = None if why_not else _moved_ratio(promise, found, promised)
    verdict, reason = ("cannot_tell", why_not) if why_not else _verdict(promise, found, promised, moved or Decimal(0))
    is_told = why_not is None
    row = {name: promise[name] for name in _COPIED} | {
        "month": month.first_day,
        "through_date": through_date,
        "promised_month": promise["month"],
        "is_preliminary": through_date < month.last_day,
        "promised_monthly_savings_cost": promise["monthly_savings_cost"],
        "promised_cost": promised.cost,
        "promised_lower_cost": promised.lower,
        "promised_upper_cost": promised.upper,
        "volume_ratio": _volume_ratio(promise, promised, days),
        "whole_count": found.whole_count,
        "part_count": found.part_count,
        "moved_ratio": None if moved is None else float(moved),
        "former_cost": found.former_cost if is_told else None,
        "actual_cost": found.actual_cost if is_told else None,
        "realised_savings_cost": found.realised if is_told else None,
        "verdict": verdict,
        "verdict_reason": reason,
    }
    return row | {"verdict_text": verdict_text(row)}


def _promised(promise: Mapping[str, Any], found: Measured, days: int) -> _Promised:
    """The promise by the counts of both: twice the requests are twice the promise, and half the days are half of them."""
    names = ("monthly_savings_cost", "monthly_savings_lower_cost", "monthly_savings_upper_cost")
    days_of_promise = Month.of(promise["month"]).days_count
    if promise["recommendation_kind"] in USAGE_KINDS:
        is_prompt = promise["recommendation_kind"] == "prompt_efficiency"
        now, then = (found.part_count, promise["part_count"]) if is_prompt else (found.whole_count, promise["whole_count"])
        volume = (now * promise["window_days_count"], max(then, 1) * days_of_promise)
        factor, divisor = volume
    else:
        now, then = 1, 1
        factor, divisor = days, days_of_promise
        factor, divisor = (1, 1) if days >= 28 else (factor, divisor)
    cost, lower, upper = (exactly(promise[name], factor, divisor) for name in names)
    return _Promised(cost, lower, upper, (now, max(then, 1)))


def _volume_ratio(promise: Mapping[str, Any], promised: _Promised, days: int) -> float | None:
    if promise["recommendation_kind"] not in USAGE_KINDS:
        return None
    now, then = promised.volume
    return now * int(promise["window_days_count"]) / (then * days)


def _cannot_tell(
    promise: Mapping[str, Any], found: Measured, *, month: Month, through_date: dt.date, minimum_days: int
) -> str | None:
    """Why no verdict is possible; null where one is."""
    days = (through_date - month.first_day).days + 1
    if promise["recommendation_kind"] not in USAGE_KINDS and through_date < month.last_day:
        return "the month's bill is not complete"
    if days < minimum_days:
        return f"only {days} day(s) of the month have data, {minimum_days} are needed"
    if not found.whole_count:
        return "there is no such traffic or charge in this month"
    if found.realised is None:
        return "what moved has no price to compare it with"
    return None


def _moved_ratio(promise: Mapping[str, Any], found: Measured, promised: _Promised) -> Decimal:
    """Share of what could still move that did, between 0 and 1."""
    realised = found.realised or Decimal(0)
    if promise["recommendation_kind"] in _BY_SHARE:
        then_whole, then_part = max(promise["whole_count"], 1), promise["part_count"]
        gained = found.part_count * then_whole - then_part * found.whole_count
        could = (then_whole - then_part) * found.whole_count
        return max(Decimal(0), Decimal(gained) / could) if could else Decimal(0)
    return min(Decimal(1), max(Decimal(0), realised / promised.cost)) if promised.cost > 0 else Decimal(0)


def _verdict(promise: Mapping[str, Any], found: Measured, promised: _Promised, moved: Decimal) -> tuple[str, str]:
    realised = found.realised or Decimal(0)
    is_share = promise["recommendation_kind"] in _BY_SHARE
    share = f"{moved:.0%} of the requests that could move did" if is_share else f"{moved:.0%} of the promise was saved"
    if realised < 0 and (moved >= TAKEN_RATIO or not is_share):
        return "cost_more", share if is_share else "it costs more than before"
    if moved < TAKEN_RATIO:
        return "not_taken", share
    return ("kept" if realised >= promised.lower else "partly"), share
