"""From daily facts to anomalies, each with its parts and its cause."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from usage_etl.anomalies.candidates import Candidate, candidates
from usage_etl.anomalies.explain import Explained, Explainer
from usage_etl.anomalies.profiles import price_lines
from usage_etl.anomalies.series import Panel, detail_rows, scope_sums
from usage_etl.anomalies.suppression import Known, is_alerting, price_starts, restated_costs, suppression
from usage_etl.keys import fingerprint
from usage_etl.periods import Month
from usage_etl.schemas.anomalies import ALERTING_KINDS, MART_ANOMALIES, MART_ANOMALY_FACTORS, RANKED_KINDS

if TYPE_CHECKING:
    from usage_etl.config.anomalies import AnomalySettings

HISTORY_DAYS = 120
"""Days before the month that judging and explaining it needs."""


@dataclass(frozen=True)
class About:
    """Whose anomalies of which month, and what is known besides the days."""

    month: Month
    organization_id: str
    organization_name: str
    currency: str
    settled_date: dt.date
    """Last day whose feeds are complete: later days cannot be found too low."""
    settings: AnomalySettings
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Kind of member to id to name for people."""


@dataclass(frozen=True)
class Findings:
    """Rows of mart_anomalies and of mart_anomaly_factors."""

    anomalies: pl.DataFrame
    factors: pl.DataFrame


def find_anomalies(daily: pl.LazyFrame, *, prices: pl.DataFrame, restatements: pl.DataFrame, about: About) -> Findings:
    """Anomalies of the month with their factors, from fact_usage_daily of it and of the days before it.

    Each day is judged from earlier days only; a day of which nobody has a row is unknown, not free. ``prices`` is
    dim_price, ``restatements`` fact_restatements. Rows that something known explains stay, with ``suppressed_by``.
    """
    first = about.month.first_day - dt.timedelta(days=HISTORY_DAYS)
    window = pl.col("usage_date").is_between(first, about.month.last_day)
    detail = detail_rows(daily.filter(window), currency=about.currency)
    if detail.is_empty():
        return Findings(MART_ANOMALIES.empty(), MART_ANOMALY_FACTORS.empty())
    known = Known(about.settings.known_events, price_starts(prices), restated_costs(restatements, currency=about.currency))
    explainer = Explainer(detail, price_lines(prices), about.organization_id, about.names)
    search = _Search(about, detail, known, explainer)
    anomalies, factors = search.rows()
    return Findings(_table(MART_ANOMALIES, anomalies), _table(MART_ANOMALY_FACTORS, factors))


def _table(table: Any, rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=table.polars_schema, orient="row")
    checked: pl.DataFrame = table.validate(frame.sort(table.sort_by))
    return checked


@dataclass(frozen=True)
class _Search:
    about: About
    detail: pl.DataFrame
    known: Known
    explainer: Explainer

    def rows(self) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        anomalies: list[dict[str, object]] = []
        factors: list[dict[str, object]] = []
        found = self._found
        cost_days = {(one.kind, one.scope_id, one.day) for one in found if one.measure == "effective_cost"}
        for candidate in found:
            explained = self.explainer.explain(candidate)
            reason = suppression(
                candidate,
                self.known,
                price_part=explained.price_part,
                priced_share=explained.priced_share,
                models=explained.models,
                cost_days=cost_days,
            )
            row = self._anomaly(candidate, explained, reason)
            anomalies.append(row)
            factors += [self._factor(candidate, str(row["anomaly_id"]), part) for part in explained.rows]
        return anomalies, factors

    @cached_property
    def _found(self) -> list[Candidate]:
        """Anomalous days of the month; too low only where the day is settled."""
        return [
            one
            for one in self._candidates()
            if one.day >= self.about.month.first_day and (one.excess > 0 or one.day <= self.about.settled_date)
        ]

    def _candidates(self) -> Iterator[Candidate]:
        days = self.detail["usage_date"]
        first_day, last_day = days.min(), days.max()
        assert isinstance(first_day, dt.date)
        assert isinstance(last_day, dt.date)
        known = np.zeros((last_day - first_day).days + 1, dtype=bool)
        known[(days.unique() - first_day).dt.total_days().to_numpy()] = True
        for kind in (*ALERTING_KINDS, *RANKED_KINDS):
            sums = scope_sums(self.detail, kind=kind, organization_id=self.about.organization_id)
            if sums.height:
                panel = Panel.of(sums, kind=kind, first_day=first_day, known=known)
                yield from candidates(panel, settings=self.about.settings, currency=self.about.currency)

    def _anomaly(self, one: Candidate, explained: Explained, reason: str | None) -> dict[str, object]:
        is_money = one.measure == "effective_cost"
        excess = one.excess
        return {
            "month": self.about.month.first_day,
            "anomaly_id": self._identity(one, one.day),
            "episode_id": self._identity(one, one.episode_start, "episode"),
            "episode_start_date": one.episode_start,
            "usage_date": one.day,
            "scope_kind": one.kind,
            "scope_id": one.scope_id,
            "scope_name": self._name(one),
            "measure": one.measure,
            "detector": one.detector,
            "observed_quantity": one.observed,
            "expected_quantity": one.expected,
            "excess_quantity": excess,
            "currency": self.about.currency if is_money else None,
            "excess_cost": excess if is_money else None,
            "score_ratio": abs(float(excess)) / one.least_excess if one.least_excess > 0 else None,
            "is_alerting": is_alerting(one, reason),
            "suppressed_by": reason,
            **explained.tops,
            "cause_text": explained.text,
        }

    def _factor(self, one: Candidate, anomaly_id: str, part: Mapping[str, object]) -> dict[str, object]:
        return {
            "month": self.about.month.first_day,
            "anomaly_id": anomaly_id,
            "measure": one.measure,
            "currency": self.about.currency if one.measure == "effective_cost" else None,
            "comparison_days_count": len(one.compared_days),
            **part,
        }

    def _identity(self, one: Candidate, day: dt.date, what: str = "day") -> str:
        scope = [self.about.organization_id, one.kind, one.scope_id]
        return fingerprint({"scope": scope, "measure": one.measure, "detector": one.detector, what: day})[:32]

    def _name(self, one: Candidate) -> str:
        if one.kind == "organization":
            return self.about.organization_name
        return self.about.names.get(one.kind, {}).get(one.scope_id) or one.scope_id
