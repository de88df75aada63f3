"""Where money can be saved, and what became of last month's advice: the first recommendations as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.reports.formatting import (
    count_compact,
    count_full,
    display_name,
    listed,
    money_short,
    month_name,
    percent,
    plural,
)
from usage_etl.reports.inputs import MonthFacts
from usage_etl.reports.model import Advice, Figure, Savings

ADVICE_COUNT = 3
_NAMED_COUNT = 2
_VERDICTS = {
    "kept": "kept",
    "partly": "kept in part",
    "cost_more": "cost more than before",
    "not_taken": "not taken",
    "cannot_tell": "cannot be told",
}
"""In the order in which they are told."""
_DONE = ("kept", "partly", "cost_more")


def savings_of(facts: MonthFacts) -> Savings:
    """The three first recommendations of the month and the verdicts on those of the month before; empty without either."""
    advice = _in_currency(facts, facts.inputs.recommendations).sort("rank")
    verdicts = _in_currency(facts, facts.inputs.verdicts)
    return Savings(
        title="Where money can be saved",
        note=_note(facts, advice),
        advice=tuple(_advice(facts, row) for row in advice.head(ADVICE_COUNT).iter_rows(named=True)),
        verdict=_verdict(facts, verdicts),
    )


def _in_currency(facts: MonthFacts, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter((pl.col("month") == facts.month.first_day) & (pl.col("currency") == facts.currency))


def _note(facts: MonthFacts, advice: pl.DataFrame) -> str:
    if advice.is_empty():
        return ""
    total = money_short(exact_sum(advice["net_monthly_savings_cost"]), facts.currency)
    days = plural(int(advice["window_days_count"].max() or 0), "day")  # type: ignore[arg-type]  # a column of whole numbers
    what = "one recommendation" if advice.height == 1 else f"all {advice.height}, no request counted twice"
    return f"{total} a month in {what}; measured on {days}"


def _advice(facts: MonthFacts, row: Mapping[str, Any]) -> Advice:
    low, high = (money_short(row[f"monthly_savings_{end}_cost"], facts.currency) for end in ("lower", "upper"))
    saving = row["monthly_savings_cost"]
    span = f"{low} to {high}" if low != high else "At listed prices"
    return Advice(
        title=_title(facts, row),
        savings=Figure(value=saving, text=money_short(saving, facts.currency)),
        effort=f"{row['difficulty']} effort",
        detail=f"{span}; {_evidence(row)}.",
    )


def _title(facts: MonthFacts, row: Mapping[str, Any]) -> str:
    scope = display_name(row["scope_name"])
    inside = ""
    if row["feature_id"] is not None and row["scope_kind"] != "feature":
        inside = f" in {facts.name_of('feature', row['feature_id'])}"
    current, target = (_model(row[name]) for name in ("model_id", "target_model_id"))
    told = {
        "model_substitution": f"{target} instead of {current}",
        "batch_processing": "through batch processing",
        "flex_processing": "through flex processing",
        "caching": f"cache what repeats in prompts to {current}",
        "prompt_efficiency": "prompts as short as other teams'",
        "idle_seats": "give back idle seats",
        "unused_commitment": "commitments by use",
        "unused_capacity": "give back provisioned capacity",
    }[row["recommendation_kind"]]
    at_night = " at night" if row["night_from_hour"] is not None else ""
    return f"{scope}{inside}: {told}{at_night}"


def _model(model_id: str | None) -> str:
    return display_name((model_id or "").partition("/")[2] or "its models")


def _evidence(row: Mapping[str, Any]) -> str:
    if row["basis"] == "charges":
        return f"from {plural(row['rows_count'], 'line')} of the bill"
    share = row["cost_share_ratio"]
    of_cost = f", {percent(Decimal(str(share)))} of cost" if share is not None else ""
    assumed = {"assumption": ", in part assumed", "peers": ", measured on others"}.get(row["basis"], "")
    return f"{count_compact(row['requests_count'])} requests{of_cost}{assumed}"


def _verdict(facts: MonthFacts, verdicts: pl.DataFrame) -> str:
    """One paragraph: how many of last month's promises were kept, and those that were acted on by name."""
    if verdicts.is_empty():
        return ""
    found = verdicts.with_columns(pl.col("verdict").cast(pl.String))
    counts = dict(found.group_by("verdict").len().iter_rows())
    parts = [f"{count_full(counts[verdict])} {text}" for verdict, text in _VERDICTS.items() if verdict in counts]
    so_far = " so far" if bool(found["is_preliminary"].any()) else ""
    name = month_name(Month.of(facts.month.first_day).previous.first_day)
    head = f"Advice of {name}{so_far}: {listed(parts)}."
    done = found.filter(pl.col("verdict").is_in(_DONE)).sort(
        pl.col("realised_savings_cost").abs(), "recommendation_id", descending=[True, False]
    )
    told = [_told(facts, row) for row in done.head(_NAMED_COUNT).iter_rows(named=True)]
    return " ".join([head, *told])


def _told(facts: MonthFacts, row: Mapping[str, Any]) -> str:
    saved, promised = row["realised_savings_cost"], money_short(row["promised_cost"], facts.currency)
    scope = display_name(row["scope_name"])
    if saved < 0:
        return f"{scope} costs {money_short(-saved, facts.currency)} more, where {promised} less was promised."
    return f"{scope} saved {money_short(saved, facts.currency)}, where {promised} was promised for this volume."
