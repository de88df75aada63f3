"""Recommendations of a month: questions about its traffic, their answers added up, ranked, and cleared of overlap."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.config.recommendations import RecommendationSettings
from usage_etl.money import MONEY, exact_sum
from usage_etl.periods import Month
from usage_etl.recommendations.caching import uncached_repeats
from usage_etl.recommendations.estimates import Estimate, best_of_each, estimated, exactly
from usage_etl.recommendations.processing import slower_classes
from usage_etl.recommendations.prompts import long_prompts
from usage_etl.recommendations.substitution import substitutions
from usage_etl.recommendations.texts import advice_text
from usage_etl.recommendations.traffic import Question, all_asked, is_priced, is_unpriced, last_days, of_scope
from usage_etl.schemas import MART_RECOMMENDATIONS

Names = Mapping[tuple[str, str], str]
"""(scope_kind, id) to a name for people."""


@dataclass(frozen=True)
class Window:
    """Days of the evidence, and the month that savings are scaled to."""

    month: Month
    through_date: dt.date
    start: dt.date

    @classmethod
    def of(cls, month: Month, through_date: dt.date, first_covered: dt.date) -> Window:
        """As many days as the month has, up to ``through_date``; fewer where data begins later.

        A month that is over is its own evidence; a running one takes days of the month before.
        """
        return cls(month, through_date, max(through_date - dt.timedelta(days=month.days_count - 1), first_covered))

    @property
    def days_count(self) -> int:
        """Days of the evidence."""
        return (self.through_date - self.start).days + 1

    @property
    def charge_month(self) -> Month:
        """The last month that is over: bills of a running one are not complete."""
        return self.month if self.through_date == self.month.last_day else self.month.previous


@dataclass(frozen=True)
class Inquiry:
    """Everything that is asked about the traffic of a window. ``asked`` goes to the prices and comes back with answers."""

    rows: pl.DataFrame
    questions: tuple[Question, ...]
    asked: pl.DataFrame
    left_out: Mapping[str, int]
    """Requests without a price of the same traffic, by case."""
    cost: Decimal
    """Priced usage of the window."""


def inquire(rows: pl.DataFrame, *, window: Window, settings: RecommendationSettings, currency: str) -> Inquiry:
    """Questions about ``rows`` (``traffic_rows``) of the window; none before there are ``settings.minimum_days``."""
    seen = last_days(rows, window.start, window.through_date)
    priced = seen.filter(is_priced(currency))
    questions: tuple[Question, ...] = ()
    if window.days_count >= settings.minimum_days:
        questions = (
            *substitutions(priced, settings),
            *slower_classes(priced, settings),
            *uncached_repeats(priced, settings),
            *long_prompts(priced, settings),
        )
        questions = tuple({question.case.case_id: question for question in reversed(questions)}.values())[::-1]
    unpriced = seen.filter(is_unpriced())
    return Inquiry(
        rows=rows,
        questions=questions,
        asked=all_asked(questions, rows),
        left_out={question.case.case_id: _unpriced_count(unpriced, question) for question in questions},
        cost=exact_sum(priced["effective_cost"]),
    )


def _unpriced_count(unpriced: pl.DataFrame, question: Question) -> int:
    case = question.case
    return int(unpriced.filter(of_scope(case.scope_kind, case.scope_id, case.feature_id))["requests_count"].sum())


def recommend(
    inquiry: Inquiry,
    answered: pl.DataFrame,
    of_charges: Sequence[Estimate],
    *,
    window: Window,
    names: Names,
    settings: RecommendationSettings,
    currency: str,
) -> pl.DataFrame:
    """MART_RECOMMENDATIONS: the order is impact by effort, and what an earlier one saves no later one counts in its net saving.

    ``answered`` is ``inquiry.asked`` with what the prices say. ``of_charges`` are for the whole month already.
    """
    by_use = best_of_each(
        estimated(inquiry.questions, answered, currency=currency, left_out=inquiry.left_out),
        minimum_active_days=settings.minimum_active_days,
    )
    found = [(one, window.days_count) for one in by_use] + [(one, window.month.days_count) for one in of_charges]
    kept = [(one, days) for one, days in found if _monthly(one.savings, window, days) >= settings.minimum_monthly_savings]
    kept.sort(key=lambda pair: (-_monthly(pair[0].worth, window, pair[1]), pair[0].case.case_id))
    net, overlaps = _without_overlap([one for one, _ in kept])
    rows = [
        _row(one, days, window, names=names, currency=currency, whole_cost=inquiry.cost)
        | {"rank": rank, "net_monthly_savings_cost": _monthly(net[rank - 1], window, days), "overlaps_with": overlaps[rank - 1]}
        for rank, (one, days) in enumerate(kept, start=1)
    ]
    schema = MART_RECOMMENDATIONS.polars_schema
    return pl.DataFrame(rows, schema=schema, orient="row").sort(MART_RECOMMENDATIONS.sort_by)


def _monthly(amount: Decimal, window: Window, days_count: int) -> Decimal:
    """An amount of ``days_count`` days as one of the whole month."""
    return amount if days_count == window.month.days_count else exactly(amount, window.month.days_count, days_count)


def _without_overlap(ranked: Sequence[Estimate]) -> tuple[list[Decimal], list[str | None]]:
    """By rank: the saving of rows that no earlier one has, and the ids of those that concern some of the same rows.

    Every row is one recommendation's at most, so all of them together never save more than the rows cost.
    """
    ranks = pl.concat(
        [one.row_savings.with_columns(rank=pl.lit(rank, pl.Int64)) for rank, one in enumerate(ranked)]
        or [pl.DataFrame(schema={"row_number": pl.UInt32, "saving_cost": MONEY, "rank": pl.Int64})]
    )
    own = ranks.filter(pl.col("rank") == pl.col("rank").min().over("row_number"))
    sums = dict(own.group_by("rank").agg(pl.col("saving_cost").sum()).iter_rows())
    pairs = ranks.select("row_number", "rank").join(ranks.select("row_number", other="rank"), on="row_number")
    met = pairs.filter(pl.col("rank") != pl.col("other")).select("rank", "other").unique().sort("rank", "other")
    others = dict(met.group_by("rank", maintain_order=True).agg("other").iter_rows())
    net, overlaps = [], []
    for rank, one in enumerate(ranked):
        of_rows = exactly(Decimal(sums.get(rank, 0)), one.expected_ratio) if one.row_savings.height else one.savings
        net.append(max(Decimal(0), of_rows))
        overlaps.append(", ".join(ranked[other].case.case_id for other in others.get(rank, [])) or None)
    return net, overlaps


def _row(one: Estimate, days_count: int, window: Window, *, names: Names, currency: str, whole_cost: Decimal) -> dict[str, Any]:
    case = one.case
    name = names.get((case.scope_kind, case.scope_id), case.scope_id)
    feature_name = names.get(("feature", case.feature_id), case.feature_id) if case.feature_id else None
    is_of_use = case.basis != "charges"
    first, end = case.night_hours or (None, None)
    return {
        "month": window.month.first_day,
        "through_date": window.through_date,
        "recommendation_id": case.case_id,
        "recommendation_kind": case.recommendation_kind,
        "scope_kind": case.scope_kind,
        "scope_id": case.scope_id,
        "scope_name": name,
        "team_id": one.team_id,
        "feature_id": case.feature_id,
        "model_id": case.model_id,
        "target_model_id": case.target_model_id,
        "target_processing": case.target_processing,
        "currency": currency,
        "difficulty": case.difficulty,
        "basis": case.basis,
        "monthly_savings_cost": _monthly(one.savings, window, days_count),
        "monthly_savings_lower_cost": _monthly(one.lower_savings, window, days_count),
        "monthly_savings_upper_cost": _monthly(one.upper_savings, window, days_count),
        "window_start": window.start if is_of_use else window.charge_month.first_day,
        "window_days_count": days_count,
        "window_cost": one.window_cost,
        "window_target_cost": one.window_target_cost,
        "rows_count": one.rows_count,
        "requests_count": one.requests_count,
        "cost_share_ratio": float(one.window_cost / whole_cost) if is_of_use and whole_cost else None,
        "left_out_requests_count": one.left_out_requests_count,
        "price_ids": one.price_ids,
        "target_price_ids": one.target_price_ids,
        "whole_count": case.whole_count,
        "part_count": case.part_count,
        "night_from_hour": first,
        "night_to_hour": end,
        "max_request_input_tokens": case.max_request_input_tokens,
        "advice_text": advice_text(one, name=name, feature_name=feature_name, currency=currency, days_count=days_count),
    }
