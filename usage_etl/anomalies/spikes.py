"""Cost spikes of the organization and its teams, with the key, model and user that carried most of each."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.anomalies.baseline import MEMORY_DAYS, WARM_UP_DAYS, WEEK, judge_days
from usage_etl.keys import fingerprint
from usage_etl.money import minor_unit
from usage_etl.periods import Month
from usage_etl.schemas.anomalies import MART_ANOMALIES

HISTORY_DAYS = MEMORY_DAYS + WARM_UP_DAYS
"""Days before the month that judging it needs."""

_TOPS = {"top_api_key_id": "api_key_id", "top_model_id": "model_id", "top_user_id": "user_id"}


def spikes(
    daily: pl.DataFrame, detail: pl.DataFrame, *, month: Month, currency: str, floor: Decimal = Decimal(25)
) -> pl.DataFrame:
    """One (day, scope) that cost far above its own past (mart_anomalies), dearest excess first.

    ``daily`` has usage_date, scope_kind (organization or team), scope_id, scope_name and effective_cost in ``currency``;
    ``detail`` has usage_date, team_id, api_key_id, model_id, user_id and effective_cost. Both hold the month and the ten
    weeks before it; null costs count as nothing. A day of which nobody has a row is unknown, not free.

    The rule is ``baseline.judge_days``; every day is judged from earlier days only. ``floor`` is the least excess worth
    a line. The named key, model and user are those whose own cost rose most above what the same weekday had in the eight
    weeks before; ``top_share_ratio`` is the key's part of the excess, at most 1 (the model's where no key is logged).
    """
    rows = []
    for scope in _scopes(daily, month):
        first = (month.first_day - scope.first_day).days
        for index, judgement in judge_days(scope.costs, first=max(0, first), floor=float(floor)).items():
            if judgement.is_flagged:
                rows.append(_row(scope, index, judgement.expected, detail, month=month, currency=currency))
    frame = pl.DataFrame(rows, schema=MART_ANOMALIES.polars_schema)
    return MART_ANOMALIES.validate(
        frame.sort("excess_cost", "usage_date", "scope_kind", "scope_id", descending=[True, False, False, False])
    )


@dataclass(frozen=True)
class _Scope:
    """One scope's exact daily costs from its first day in view; None on days of which nobody has a row."""

    kind: str
    scope_id: str
    name: str
    first_day: dt.date
    exact: Sequence[Decimal | None]
    costs: Sequence[float | None]

    def day(self, index: int) -> dt.date:
        """Date of a position in the costs."""
        return self.first_day + dt.timedelta(days=index)


def _scopes(daily: pl.DataFrame, month: Month) -> Iterator[_Scope]:
    first_needed = month.first_day - dt.timedelta(days=HISTORY_DAYS)
    seen = daily.filter(pl.col("usage_date").is_between(first_needed, month.last_day))
    known_days = set(seen["usage_date"])
    grouped = (
        seen.group_by(pl.col("scope_kind", "scope_id").cast(pl.String), "usage_date")
        .agg(pl.col("effective_cost").sum(), pl.col("scope_name").cast(pl.String).drop_nulls().max())
        .sort("scope_kind", "scope_id", "usage_date")
    )
    for (kind, scope_id), group in grouped.group_by("scope_kind", "scope_id", maintain_order=True):
        costs = dict(group.select("usage_date", "effective_cost").iter_rows())
        first_day, last_day = min(costs), max(known_days)
        days = [first_day + dt.timedelta(days=offset) for offset in range((last_day - first_day).days + 1)]
        exact = [costs.get(day, Decimal(0)) if day in known_days else None for day in days]
        name = group["scope_name"].drop_nulls().max()
        numbers = [None if cost is None else float(cost) for cost in exact]
        yield _Scope(str(kind), str(scope_id), str(name or scope_id), first_day, exact, numbers)


def _row(scope: _Scope, index: int, expected: float, detail: pl.DataFrame, *, month: Month, currency: str) -> dict[str, object]:
    observed = scope.exact[index]
    assert observed is not None
    expected_exact = Decimal(repr(expected)).quantize(minor_unit(currency))
    excess = observed - expected_exact
    tops = _tops(scope, index, detail)
    carrier = tops["top_api_key_id"] or tops["top_model_id"]
    day = scope.day(index)
    return {
        "month": month.first_day,
        "anomaly_id": _identity(scope, day),
        "episode_id": _identity(scope, day),
        "episode_start_date": day,
        "usage_date": day,
        "scope_kind": scope.kind,
        "scope_id": scope.scope_id,
        "scope_name": scope.name,
        "measure": "effective_cost",
        "detector": "own_past",
        "observed_quantity": observed,
        "expected_quantity": expected_exact,
        "excess_quantity": excess,
        "currency": currency,
        "excess_cost": excess,
        "score_ratio": None,
        "is_alerting": True,
        "suppressed_by": None,
        "top_feature_id": None,
        **{name: found[0] if found else None for name, found in tops.items()},
        "top_share_ratio": min(1.0, carrier[1] / float(excess)) if carrier else None,
        "cause_text": _cause(tops),
    }


def _identity(scope: _Scope, day: dt.date) -> str:
    return fingerprint({"scope": [scope.kind, scope.scope_id], "measure": "effective_cost", "day": day})[:32]


def _cause(tops: dict[str, tuple[str, float] | None]) -> str:
    named = {column: found[0] for column, found in tops.items() if found}
    words = {"top_api_key_id": "key", "top_model_id": "model", "top_user_id": "user"}
    parts = [f"{words[column]} {member}" for column, member in named.items()]
    return f"Above usual by {', '.join(parts)}" if parts else "Above usual; no key, model or user stands out"


def _tops(scope: _Scope, index: int, detail: pl.DataFrame) -> dict[str, tuple[str, float] | None]:
    """The member of each kind with the largest excess of its own, and that excess; None where none rose."""
    day = scope.day(index)
    weeks = [day - dt.timedelta(days=WEEK * week) for week in range(MEMORY_DAYS // WEEK + 1)]
    rows = detail.filter(pl.col("usage_date").is_in(weeks))
    if scope.kind == "team":
        rows = rows.filter(pl.col("team_id").cast(pl.String) == scope.scope_id)
    return {name: _largest_excess(rows, column, scope, index) for name, column in _TOPS.items()}


def _largest_excess(rows: pl.DataFrame, column: str, scope: _Scope, index: int) -> tuple[str, float] | None:
    peers = [offset for offset in range(index - WEEK, index - MEMORY_DAYS - 1, -WEEK) if offset >= 0]
    known = [scope.day(offset) for offset in peers if scope.exact[offset] is not None]
    cost = pl.col("effective_cost").cast(pl.Float64).fill_null(0)
    by_day = (
        rows.filter(pl.col(column).is_not_null())
        .group_by(pl.col(column).cast(pl.String).alias("member"), "usage_date")
        .agg(cost.sum())
        .sort("member", "usage_date")
    )
    best: tuple[str, float] | None = None
    for (member,), group in by_day.group_by("member", maintain_order=True):
        costs = dict(group.select("usage_date", "effective_cost").iter_rows())
        excess = costs.get(scope.day(index), 0.0) - statistics.median(costs.get(day, 0.0) for day in known)
        if excess > (best[1] if best else 0.0):
            best = str(member), excess
    return best
