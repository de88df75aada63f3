"""What each case would save: the cost of the very rows now and as asked, summed exactly, with its range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import polars as pl

from usage_etl.money import MONEY_SCALE
from usage_etl.recommendations.traffic import EFFORT, Case, Question

ROW_SAVINGS = ("row_number", "saving_cost")
_IDS_SHOWN = 5
_UNIT = Decimal(1).scaleb(-MONEY_SCALE)


@dataclass(frozen=True)
class Estimate:
    """One case with its answer, for the window as it was. ``row_savings`` has the saving of each usage row it means."""

    case: Case
    window_cost: Decimal
    window_target_cost: Decimal
    lower_savings: Decimal
    upper_savings: Decimal
    rows_count: int
    requests_count: int
    left_out_requests_count: int
    team_id: str | None
    price_ids: str | None
    target_price_ids: str | None
    row_savings: pl.DataFrame
    active_days_count: int
    expected_ratio: Decimal = Decimal(1)
    """Which part of window_cost minus window_target_cost is expected, where not everything can be moved."""

    @property
    def savings(self) -> Decimal:
        """Expected saving of the window."""
        return exactly(self.window_cost - self.window_target_cost, self.expected_ratio)

    @property
    def worth(self) -> Decimal:
        """Impact by effort."""
        return self.savings / EFFORT[self.case.difficulty]


def exactly(amount: Decimal, factor: Decimal | int, divisor: int = 1) -> Decimal:
    """``amount`` times ``factor`` by ``divisor`` at the lake's 18 decimals; unchanged where nothing is to be done."""
    with localcontext() as context:
        context.prec, context.rounding = 76, ROUND_HALF_EVEN
        return (amount * factor / divisor).quantize(_UNIT)


def row_answers(answered: pl.DataFrame, *, currency: str) -> pl.DataFrame:
    """One (case_id, row_number): before_cost, asked costs of the three variants, and ``is_usable`` where all have a price.

    The range of a case that asks for one variant only is that of the context bands which are possible.
    """
    variant = pl.col("variant")
    expected, lower, upper = (variant == name for name in ("expected", "lower", "upper"))
    is_known = (
        (pl.col("asked_price_status") == "priced")
        & (pl.col("asked_currency") == currency)
        & pl.col("is_processing_listed").fill_null(value=False)
        & pl.col("asked_upper_cost").is_not_null()
    ).fill_null(value=False)
    most, least = pl.col("asked_upper_cost"), pl.col("asked_lower_cost")
    return answered.group_by("case_id", "row_number").agg(
        before_cost=pl.col("effective_cost").first(),
        requests_count=pl.col("requests_count").first(),
        usage_date=pl.col("usage_date").first(),
        team_id=pl.col("team_id").first(),
        price_id=pl.col("price_id").first(),
        asked_price_id=pl.col("asked_price_id").filter(expected).first(),
        is_usable=is_known.all(),
        expected_cost=pl.col("asked_cost").filter(expected).first(),
        dearest_cost=pl.coalesce(most.filter(lower).first(), most.filter(expected).first()),
        cheapest_cost=pl.coalesce(least.filter(upper).first(), least.filter(expected).first()),
    )


def estimated(
    questions: Sequence[Question], answered: pl.DataFrame, *, currency: str, left_out: Mapping[str, int]
) -> list[Estimate]:
    """An estimate for each question of which any row has an answer. ``left_out`` counts unpriced requests by case."""
    found = row_answers(answered, currency=currency).sort("case_id", "row_number")
    by_case = {str(case_id): rows for (case_id,), rows in found.group_by("case_id", maintain_order=True)}
    estimates = []
    for case in (question.case for question in questions):
        rows = by_case.get(case.case_id)
        if rows is not None and rows["is_usable"].any():
            estimates.append(_estimate(case, rows, left_out.get(case.case_id, 0)))
    return estimates


def _estimate(case: Case, rows: pl.DataFrame, unpriced_count: int) -> Estimate:
    usable = rows.filter("is_usable")
    before, expected, dearest, cheapest = (
        Decimal(usable[name].sum()) for name in ("before_cost", "expected_cost", "dearest_cost", "cheapest_cost")
    )
    lower = before - exactly(dearest, 1 + case.margin_ratio)
    upper = before - exactly(cheapest, 1 - case.margin_ratio)
    saving = before - expected
    return Estimate(
        case=case,
        window_cost=before,
        window_target_cost=expected,
        lower_savings=exactly(min(lower, saving), case.movable_ratio),
        upper_savings=max(upper, saving),
        rows_count=usable.height,
        requests_count=int(usable["requests_count"].sum()),
        left_out_requests_count=unpriced_count + int(rows.filter(~pl.col("is_usable"))["requests_count"].sum()),
        team_id=_main_team(usable),
        price_ids=_ids(usable["price_id"]),
        target_price_ids=_ids(usable["asked_price_id"]),
        row_savings=usable.select("row_number", saving_cost=pl.col("before_cost") - pl.col("expected_cost")),
        active_days_count=usable["usage_date"].n_unique(),
        expected_ratio=case.movable_ratio,
    )


def best_of_each(estimates: Sequence[Estimate], *, minimum_active_days: int) -> list[Estimate]:
    """Of the estimates of one choice that whose low end saves most by effort; only what saves for certain, as a habit."""
    best: dict[str, Estimate] = {}
    for one in sorted(estimates, key=lambda one: (-one.lower_savings / EFFORT[one.case.difficulty], one.case.case_id)):
        if one.lower_savings > 0 and one.savings > 0 and one.active_days_count >= minimum_active_days:
            best.setdefault(one.case.choice, one)
    return list(best.values())


def _main_team(rows: pl.DataFrame) -> str | None:
    teams = rows.group_by("team_id").agg(pl.col("before_cost").sum()).sort("before_cost", "team_id", descending=[True, False])
    return None if teams.is_empty() else str(teams["team_id"][0])


def _ids(found: pl.Series) -> str | None:
    """Distinct ids, the first few, and how many more."""
    ids = found.drop_nulls().unique().sort().to_list()
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return f"{', '.join(ids[:_IDS_SHOWN])}{more}" if ids else None
