"""What a recommendation and a verdict say in one plain sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from usage_etl.recommendations.estimates import Estimate
from usage_etl.recommendations.traffic import Case

_CLASS_NAMES = {"batch": "batch processing", "flex": "flex processing"}


def advice_text(one: Estimate, *, name: str, feature_name: str | None, currency: str, days_count: int) -> str:
    """The advice with what was measured. ``name`` is the scope's, for people."""
    where = place(one.case, name, feature_name)
    return _ADVICE[one.case.recommendation_kind](one, where, _Money(currency), days_count)


def place(case: Case, name: str, feature_name: str | None) -> str:
    """Where it is: a feature, a key or a team, with the feature where the scope is part of it."""
    inside = f" in {feature_name}" if feature_name and case.scope_kind != "feature" else ""
    return f"{name}{inside}"


class _Money:
    """Prints amounts in one currency."""

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def __call__(self, amount: Decimal) -> str:
        return f"{amount:,.2f} {self._currency}"


_Teller = Callable[[Estimate, str, _Money, int], str]


def _substitution(one: Estimate, where: str, money: _Money, days: int) -> str:
    case = one.case
    return (
        f"{where}: use {case.target_model_id} instead of {case.model_id}. Its {one.requests_count:,} requests of {days} days "
        f"cost {money(one.window_cost)}; the same tokens there would have cost {money(one.window_target_cost)}."
    )


def _processing(one: Estimate, where: str, money: _Money, days: int) -> str:
    hours = one.case.night_hours
    if hours is None:
        who = f"nobody waits for its {one.requests_count:,} requests of {days} days"
    else:
        who = f"{one.requests_count:,} requests of {days} nights ({hours[0]:02d}:00 to {hours[1]:02d}:00) name no person"
    return (
        f"{where}: send it through {_CLASS_NAMES[one.case.target_processing or '']}. {who[0].upper()}{who[1:]}; they cost "
        f"{money(one.window_cost)}, and {money(one.window_target_cost)} at the listed price of that class."
    )


def _prompts(one: Estimate, where: str, money: _Money, days: int) -> str:
    said = one.case.measures
    return (
        f"{where}: shorten prompts. A request sends {said['own']} input tokens, the median of {said['peers_count']} other teams "
        f"is {said['peers']}; with that much its {days} days would have cost {money(one.window_target_cost)} instead of "
        f"{money(one.window_cost)}."
    )


def _caching(one: Estimate, where: str, money: _Money, days: int) -> str:
    said = one.case.measures
    whose = f"{said['peers_count']} others there read" if one.case.basis == "peers" else "it is assumed that"
    reach = f"{said['low']} to {said['high']}" + ("" if one.case.basis == "peers" else " could be")
    return (
        f"{where}: cache what repeats in prompts to {one.case.model_id}. {said['own']} of its input in busy hours is read from "
        f"the cache, {whose} {reach}; its {days} days cost {money(one.window_cost)} and would have cost "
        f"{money(one.window_cost - one.upper_savings)} to {money(one.window_cost - one.lower_savings)}."
    )


def _seats(one: Estimate, where: str, money: _Money, _: int) -> str:
    said = one.case.measures
    more = f" {said['rarely']} more were used on one or two days." if said["rarely"] != "0" else ""
    return (
        f"{where}: give back idle seats. {said['idle']} of {said['seats']} seats show no use in the month and cost "
        f"{money(one.savings)}.{more}"
    )


def _commitment(one: Estimate, where: str, money: _Money, _: int) -> str:
    return (
        f"{where}: size commitments by use when they are renewed. Of {money(one.window_cost)} in the month, "
        f"{money(one.savings)} are billed as unused."
    )


def _capacity(one: Estimate, where: str, money: _Money, _: int) -> str:
    model = f" for {one.case.model_id}" if one.case.model_id else ""
    return (
        f"{where}: give back provisioned capacity{model}. It cost {money(one.window_cost)} in the month; what it can have served "
        f"comes to {money(one.window_target_cost)} at the price of use."
    )


_ADVICE: Mapping[str, _Teller] = {
    "model_substitution": _substitution,
    "prompt_efficiency": _prompts,
    "caching": _caching,
    "batch_processing": _processing,
    "flex_processing": _processing,
    "idle_seats": _seats,
    "unused_commitment": _commitment,
    "unused_capacity": _capacity,
}


def verdict_text(row: Mapping[str, Any]) -> str:
    """What became of a promise, from a row of mart_recommendation_verdicts."""
    money = _Money(row["currency"])
    promised = f"promised {money(row['promised_cost'])}"
    kept = f"saved {money(row['realised_savings_cost'])}" if row["realised_savings_cost"] is not None else ""
    so_far = " so far" if row["is_preliminary"] else ""
    lost = -(row["realised_savings_cost"] or Decimal(0))
    told = {
        "kept": f"kept{so_far}: {kept}, {promised} for these days and this volume",
        "partly": f"kept in part{so_far}: {kept}, {promised} for these days and this volume",
        "not_taken": f"not taken{so_far}: {promised} for these days and this volume",
        "cost_more": f"cost more{so_far}: {money(lost)} more instead of less, {promised}",
        "cannot_tell": f"cannot be told{so_far}",
    }[row["verdict"]]
    return f"{row['scope_name']}: {told}. {row['verdict_reason'][0].upper()}{row['verdict_reason'][1:]}."
