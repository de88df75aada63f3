"""Limits proposed from a baseline of thirty days: what a scope stays under in all but few days and months like those."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist, fmean, stdev
from typing import Any

import polars as pl

from usage_etl.quotas.usage import SCOPE_COLUMNS, quota_usage
from usage_etl.schemas.quotas import DIM_QUOTA, MONEY_MEASURES, QUOTA_KEY

BASELINE_DAYS = 30
"""Days of history without which no limit is proposed."""
LONGEST_MONTH = 31


@dataclass(frozen=True)
class Suggestion:
    """``proposed`` has the columns of dim_quota; ``warming_up`` are scopes whose first usage is younger than the baseline."""

    proposed: pl.DataFrame
    warming_up: tuple[tuple[str, str], ...]
    missing_days: int
    """Days that the baseline still lacks; with any, nothing is proposed."""


def suggest_quotas(
    daily: pl.LazyFrame,
    quotas: pl.DataFrame,
    *,
    organization_id: str,
    scope_kinds: Sequence[str],
    measure: str,
    currency: str,
    quantile: float,
    through_date: dt.date,
    history_floor: dt.date | None,
    valid_from: dt.date,
) -> Suggestion:
    """Soft limits by day and by calendar month for every scope of ``scope_kinds`` with usage in the thirty days.

    ``daily`` is fact_usage_daily of as much past as there is; ``quotas`` is dim_quota: what has a quota of the measure and period
    in force on ``valid_from`` is left out. A day's limit is the ``quantile`` of the thirty days by nearest rank, days without
    usage among them. A month's limit is the mean of the days times 31, plus what a sum of 31 such days stays under with the
    same chance (normal, days taken as independent). Both are rounded up to two digits.
    """
    first_day = through_date - dt.timedelta(days=BASELINE_DAYS - 1)
    missing = BASELINE_DAYS if history_floor is None else max(0, (history_floor - first_day).days)
    if missing:
        return Suggestion(DIM_QUOTA.empty(), (), min(missing, BASELINE_DAYS))
    unit = currency if measure in MONEY_MEASURES else None
    wanted = _scopes(daily, scope_kinds, organization_id, measure, unit)
    usage = quota_usage(daily.filter(pl.col("usage_date") <= through_date), wanted, organization_id=organization_id)
    standing = set(quotas.filter(_in_force(valid_from)).select(QUOTA_KEY[:-1]).iter_rows())
    rows: list[tuple[Any, ...]] = []
    warming_up = []
    for (series,), days in usage.group_by("series_id", maintain_order=True):
        kind, member, *_ = str(series).split("\x1f")
        recent = days.filter(pl.col("usage_date") >= first_day)["quantity"]
        if recent.sum() == 0:
            continue
        first_used = days["usage_date"].min()
        if isinstance(first_used, dt.date) and first_used > first_day:
            warming_up.append((kind, member))
            continue
        rows += [
            (kind, member, measure, period, limit, unit, "soft", valid_from, None)
            for period, limit in _limits([float(quantity) for quantity in recent], quantile).items()
            if (kind, member, measure, period) not in standing
        ]
    frame = pl.DataFrame(rows, schema=DIM_QUOTA.polars_schema, orient="row")
    return Suggestion(DIM_QUOTA.validate(frame.sort(*DIM_QUOTA.sort_by)), tuple(sorted(warming_up)), 0)


def _limits(amounts: Sequence[float], quantile: float) -> dict[str, Decimal]:
    """Period to limit, from the days that had any usage; a limit of nothing is none."""
    baseline = sorted([0.0] * (BASELINE_DAYS - len(amounts)) + [*amounts])
    found = {"day": _by_rank(baseline, quantile), "calendar_month": _of_month(baseline, quantile)}
    return {period: _rounded_up(limit) for period, limit in found.items() if limit > 0}


def _scopes(
    daily: pl.LazyFrame, scope_kinds: Sequence[str], organization_id: str, measure: str, currency: str | None
) -> pl.DataFrame:
    """Every named member of the kinds, as rows that quota_usage takes."""
    parts = [
        daily.select(scope_kind=pl.lit(kind), scope_id=pl.col(SCOPE_COLUMNS[kind]).cast(pl.String)).drop_nulls().unique()
        for kind in scope_kinds
        if kind != "organization"
    ]
    whole = (
        [pl.DataFrame({"scope_kind": ["organization"], "scope_id": [organization_id]})] if "organization" in scope_kinds else []
    )
    empty = pl.DataFrame(schema={"scope_kind": pl.String, "scope_id": pl.String})
    scopes = pl.concat([empty, *whole, *(pl.collect_all(parts) if parts else [])])
    return scopes.with_columns(measure=pl.lit(measure), currency=pl.lit(currency, pl.String))


def _in_force(day: dt.date) -> pl.Expr:
    return (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))


def _by_rank(baseline: Sequence[float], quantile: float) -> float:
    return baseline[max(0, math.ceil(quantile * len(baseline)) - 1)]


def _of_month(baseline: Sequence[float], quantile: float) -> float:
    spread = NormalDist().inv_cdf(quantile) * stdev(baseline) * math.sqrt(LONGEST_MONTH)
    return fmean(baseline) * LONGEST_MONTH + max(0.0, spread)


def _rounded_up(limit: float) -> Decimal:
    """Two digits that mean something, never less than ``limit``; whole from 10 on."""
    step = Decimal(1).scaleb(max(0, math.floor(math.log10(limit)) - 1))
    return (Decimal(math.ceil(Decimal(repr(limit)) / step)) * step).quantize(Decimal(1))
