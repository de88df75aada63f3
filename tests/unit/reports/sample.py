"""A realistic organisation as mart frames, for reports without a pipeline. Every frame keeps its table's contract."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import polars as pl

from usage_etl.periods import Month, day_start, days_between
from usage_etl.reports.executive import build_executive
from usage_etl.reports.inputs import ExecutiveInputs, ProofFacts
from usage_etl.reports.model import ExecutiveReport
from usage_etl.schemas import MART_ANOMALIES, MART_PROJECTION, MART_PROJECTION_ACCURACY, marts
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.contract import Table
from usage_etl.schemas.summary import MART_SUMMARY
from usage_etl.schemas.tie_out import MART_RECONCILIATION_MONTHLY, RESIDUAL_CAUSES

TEAMS = ("Sales", "Support", "Data platform", "Platform engineering", "Research", "Mobile", "Security", "Marketing", "Finance",
         "Legal", "People", "Field operations")  # fmt: skip
MODELS = (
    ("anthropic", "claude-sonnet-4-6", 31, 3, 15),
    ("openai", "gpt-5.2", 24, 2, 14),
    ("anthropic", "claude-opus-4-6", 5, 15, 75),
    ("google", "gemini-3-pro", 9, 2, 12),
    ("anthropic", "claude-haiku-4-5", 17, 1, 5),
    ("openai", "gpt-5-mini", 20, "0.25", 2),
    ("google", "gemini-3-flash", 14, "0.3", "2.5"),
    ("mistral", "mistral-large-3", 5, 2, 6),
    ("openai", "o5-pro", "0.4", 20, 80),
    ("openai", "text-embedding-3-large", 10, "0.13", 0),
    ("mistral", "codestral-2", 6, "0.3", "0.9"),
)
FEATURES = ("Ticket triage", "Draft replies", "Contract review", "Code assistant", "Meeting notes", "Lead scoring",
            "Alert summaries", "Knowledge search", "Call transcripts", "Invoice coding")  # fmt: skip


BILLED = frozenset({"openai", "anthropic"})


@dataclass(frozen=True)
class Scenario:
    """What differs from the usual sample."""

    as_of: dt.date = dt.date(2026, 11, 19)
    data_through: dt.date | None = None
    first_day: dt.date = dt.date(2026, 10, 1)
    teams: tuple[str, ...] = TEAMS
    rename: Callable[[str], str] = str
    is_priced: bool = True
    has_unpriced_model: bool = True
    unallocated_share: float = 0.013
    organization_budget: Decimal | None = Decimal(18800)
    budget_factors: tuple[float, ...] = (1.5, 1.15, 1.3, 1.7, 1.02, 0.95, 1.3, 1.6, 1.1, 1.25, 1.5, 1.02)
    spike_team: int | None = 4
    spike_days: tuple[dt.date, ...] = (dt.date(2026, 11, 10),)
    credit: Decimal = Decimal("-42.17")
    scale: Decimal = Decimal(1)
    partial_days: frozenset[dt.date] = frozenset()
    currency: str = "USD"
    providers: tuple[tuple[str, str], ...] = ()
    """(usual id, id to use instead)"""

    @property
    def through(self) -> dt.date:
        """Last day with data."""
        return self.data_through or self.as_of

    @property
    def month(self) -> Month:
        """The month reported on."""
        return Month.of(self.as_of)


@dataclass(frozen=True)
class Record:
    """One day, team, model and feature."""

    day: dt.date
    team_id: str
    provider: str
    model: str
    feature: str
    users: frozenset[str]
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None


@cache
def sample_report(scenario: Scenario = Scenario()) -> ExecutiveReport:
    """The report of the scenario, built once."""
    return build_executive(
        sample_inputs(scenario), organization_name="Northwind AI Systems", currency=scenario.currency, as_of=scenario.as_of
    )


@cache
def sample_inputs(scenario: Scenario = Scenario()) -> ExecutiveInputs:
    """Frames of the scenario's month, tied to each other to the last digit."""
    records = list(_records(scenario))
    month = scenario.month
    current = [one for one in records if month.first_day <= one.day <= scenario.through]
    return ExecutiveInputs(
        summary=_summary(scenario, records, current),
        spend_daily=_spend(scenario, records),
        projection=_projection(scenario, current),
        accuracy=_accuracy(scenario),
        anomalies=_anomalies(scenario, records),
        reconciliation=_reconciliation(scenario, current),
        chargeback=_chargeback(scenario, current),
        data_quality=_quality(scenario, current),
        proof=ProofFacts(
            manifests={
                f"{table.name}/{month.first_day}": f"{number:064x}"
                for number, table in enumerate((MART_SUMMARY, marts.MART_SPEND_DAILY, MART_CHARGEBACK_MONTHLY), start=10**60)
            },
            price_book_version="2026-11-01 (genai-prices 0.2.3 + contract)",
            code_version="0.1.0",
        ),
        partial_days=scenario.partial_days,
    )


def _records(scenario: Scenario) -> Iterable[Record]:
    rng = random.Random(20261119)
    weights = [1 / (1 + index * 0.55) for index in range(len(scenario.teams))]
    owners = [(f"team-{index:02d}", weight) for index, weight in enumerate(weights)]
    if scenario.unallocated_share:
        owners.append(("unallocated", sum(weights) * scenario.unallocated_share))
    for day in days_between(scenario.first_day, scenario.through + dt.timedelta(days=1)):
        season = 0.24 if day.weekday() > 4 else 1.0
        growth = 1.0035 ** (day - scenario.first_day).days
        for index, (team_id, weight) in enumerate(owners):
            for number, (provider, model, popularity, in_price, out_price) in enumerate(MODELS):
                if (index * 7 + number * 3) % 5 == 4 and len(owners) > 3:
                    continue
                requests = int(weight * float(popularity) * season * growth * rng.uniform(9, 15) * 5.4)
                if scenario.spike_team == index and day in scenario.spike_days and model == "gpt-5.2":
                    requests *= 55
                if not requests:
                    continue
                tokens_in, tokens_out = requests * rng.randint(1300, 2300), requests * rng.randint(220, 420)
                cost = (tokens_in * Decimal(in_price) + tokens_out * Decimal(out_price)) / 10**6 * 3 * scenario.scale
                people = 3 + int(weight * 30)
                yield Record(
                    day,
                    team_id,
                    dict(scenario.providers).get(provider, provider),
                    model,
                    FEATURES[(index + number) % len(FEATURES)],
                    frozenset(f"{team_id}-u{rng.randrange(people)}" for _ in range(min(people, requests // 12 + 1, 12))),
                    requests,
                    requests // 90,
                    tokens_in,
                    tokens_out,
                    cost if scenario.is_priced and not (scenario.has_unpriced_model and model == "codestral-2") else None,
                )


def _frame(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=table.polars_schema, orient="row")
    return table.validate(table.conform(frame.lazy()).sort(table.sort_by).collect())


def _cost(records: list[Record]) -> Decimal | None:
    costs = [one.cost for one in records if one.cost is not None]
    return sum(costs, Decimal(0)) if costs else None


def _summary(scenario: Scenario, records: list[Record], current: list[Record]) -> pl.DataFrame:
    days = scenario.through.day
    before_first = scenario.month.previous.first_day
    before_end = min(before_first + dt.timedelta(days=days), scenario.month.first_day)
    if scenario.through == scenario.month.last_day:
        before_end = scenario.month.first_day
    previous = [one for one in records if before_first <= one.day < before_end]
    covered = scenario.first_day <= before_first
    names = {f"team-{index:02d}": name for index, name in enumerate(scenario.teams)}
    keys: dict[str, Callable[[Record], str]] = {
        "organization": lambda one: "northwind",
        "team": lambda one: one.team_id,
        "model": lambda one: f"{one.provider}/{one.model}",
        "feature": lambda one: one.feature,
        "provider": lambda one: one.provider,
        "day": lambda one: one.day.isoformat(),
        "api_key": lambda one: f"sk-{one.team_id}",
    }
    rows = []
    for dimension, key in keys.items():
        groups: dict[str, list[Record]] = {}
        for one in current:
            groups.setdefault(key(one), []).append(one)
        for member, group in groups.items():
            earlier = [one for one in previous if key(one) == member] if covered and dimension != "day" else []
            unpriced = [one for one in group if one.cost is None]
            shown = names.get(member, member.split("/")[-1] if dimension == "model" else member)
            if dimension == "api_key":
                shown = f"key-{names.get(member.removeprefix('sk-'), 'unknown').lower().replace(' ', '-')}-batch"
            rows.append(
                {
                    "month": scenario.month.first_day,
                    "through_date": scenario.through,
                    "window": "month",
                    "window_start": scenario.month.first_day,
                    "window_start_at": day_start(scenario.month.first_day),
                    "window_end_at": day_start(scenario.through + dt.timedelta(days=1)),
                    "first_covered_date": scenario.month.first_day,
                    "dimension": dimension,
                    "member_id": member,
                    "member_name": scenario.rename(shown),
                    "requests_count": sum(one.requests for one in group),
                    "errors_count": sum(one.errors for one in group),
                    "cache_hits_count": 0,
                    "active_users_count": len({user for one in group for user in one.users}),
                    "investigations_count": 0,
                    "models_count": len({(one.provider, one.model) for one in group}),
                    "input_tokens": sum(one.input_tokens for one in group),
                    "input_uncached_tokens": sum(one.input_tokens for one in group),
                    "cache_read_tokens": 0,
                    "cache_write_5m_tokens": 0,
                    "cache_write_1h_tokens": 0,
                    "reasoning_tokens": 0,
                    "inference_tokens": sum(one.input_tokens + one.output_tokens for one in group),
                    "embedding_tokens": 0,
                    "output_tokens": sum(one.output_tokens for one in group),
                    "total_tokens": sum(one.input_tokens + one.output_tokens for one in group),
                    "unpriced_requests_count": sum(one.requests for one in unpriced),
                    "unpriced_tokens": sum(one.input_tokens + one.output_tokens for one in unpriced),
                    "latency_ms_sum": 0,
                    "latency_count": 0,
                    "effective_cost": _cost(group),
                    "currency": scenario.currency,
                    "previous_has_data": covered and dimension != "day",
                    "previous_requests_count": sum(one.requests for one in earlier) if earlier else None,
                    "previous_total_tokens": sum(one.input_tokens + one.output_tokens for one in earlier) if earlier else None,
                    "previous_active_users_count": len({user for one in earlier for user in one.users}) if earlier else None,
                    "previous_effective_cost": _cost(earlier),
                }
            )
    return _frame(MART_SUMMARY, rows)


def _spend(scenario: Scenario, records: list[Record]) -> pl.DataFrame:
    groups: dict[tuple[dt.date, str, str], list[Record]] = {}
    for one in records:
        groups.setdefault((one.day, one.provider, one.team_id), []).append(one)
    rows = [
        {
            "month": day.replace(day=1),
            "usage_date": day,
            "provider": provider,
            "team_id": team_id,
            "requests_count": sum(one.requests for one in group),
            "errors_count": sum(one.errors for one in group),
            "total_tokens": sum(one.input_tokens + one.output_tokens for one in group),
            "effective_cost": _cost(group),
            "currency": scenario.currency,
        }
        for (day, provider, team_id), group in groups.items()
    ]
    return _frame(marts.MART_SPEND_DAILY, rows)


def _projection(scenario: Scenario, current: list[Record]) -> pl.DataFrame:
    if not scenario.is_priced or not current:
        return MART_PROJECTION.empty()
    days, length = scenario.through.day, scenario.month.days_count
    scopes: list[tuple[str, str, list[Record], Decimal | None]] = [
        ("organization", "northwind", current, scenario.organization_budget)
    ]
    for index in range(len(scenario.teams)):
        team_id = f"team-{index:02d}"
        group = [one for one in current if one.team_id == team_id]
        cost = _cost(group) or Decimal(0)
        factor = Decimal(str(scenario.budget_factors[index % len(scenario.budget_factors)]))
        budget = (cost / days * length / 100 * factor).quantize(Decimal(1)) * 100
        scopes.append(("team", team_id, group, budget if scenario.organization_budget is not None else None))
    rows = []
    for kind, scope, group, limit in scopes:
        cost = _cost(group) or Decimal(0)
        linear = (cost / days * length).quantize(Decimal("0.000001"))
        end = (linear * Decimal("1.014")).quantize(Decimal("0.000001")) if days < length else cost
        rows.append(
            {
                "month": scenario.month.first_day,
                "through_date": scenario.through,
                "scope_kind": kind,
                "scope_id": scope,
                "settled_date": scenario.through,
                "measure": "effective_cost",
                "currency": scenario.currency,
                "to_date_quantity": cost,
                "projected_quantity": end,
                "projected_lower_quantity": end * Decimal("0.955"),
                "projected_upper_quantity": end * Decimal("1.06"),
                "linear_quantity": linear,
                "limit_quantity": limit,
                "breach_probability_ratio": None if limit is None else float(end > limit),
                "breach_date": None,
                "band_samples_count": 84,
            }
        )
    return _frame(MART_PROJECTION, rows)


def _accuracy(scenario: Scenario) -> pl.DataFrame:
    if not scenario.is_priced:
        return MART_PROJECTION_ACCURACY.empty()
    months = (scenario.month.previous.previous.previous, scenario.month.previous.previous, scenario.month.previous)
    rows = [
        {
            "month": month.first_day,
            "scope_kind": kind,
            "measure": "effective_cost",
            "currency": scenario.currency,
            "origin_day": day,
            "series_count": 14,
            "actual_quantity": Decimal(20000),
            "missed_quantity": Decimal(1200) if day == 15 else Decimal(2400),
            "linear_missed_quantity": Decimal(1800) if day == 15 else Decimal(4000),
            "missed_ratio": 0.06,
            "linear_missed_ratio": 0.09,
            "banded_count": 14,
            "held_count": 11,
        }
        for month in months
        for kind in ("organization", "team")
        for day in (5, 15)
    ]
    return _frame(MART_PROJECTION_ACCURACY, rows)


def _anomalies(scenario: Scenario, records: list[Record]) -> pl.DataFrame:
    rows = []
    team = scenario.spike_team
    for day in scenario.spike_days:
        if (
            team is None
            or not scenario.is_priced
            or not scenario.month.first_day <= day <= scenario.through
            or team >= len(scenario.teams)
        ):
            continue
        calm = next(d for weeks in range(1, 5) if (d := day - dt.timedelta(weeks=weeks)) not in scenario.spike_days)
        scopes = (("organization", "northwind", "Northwind AI Systems"), ("team", f"team-{team:02d}", scenario.teams[team]))
        for kind, scope, name in scopes:
            mine = [one for one in records if kind == "organization" or one.team_id == scope]
            observed = _cost([one for one in mine if one.day == day]) or Decimal(0)
            week = _cost([one for one in mine if one.day == calm]) or Decimal(0)
            rows.append(
                {
                    "month": scenario.month.first_day,
                    "usage_date": day,
                    "scope_kind": kind,
                    "scope_id": scope,
                    "scope_name": scenario.rename(name),
                    "anomaly_id": f"{kind}-{scope}-{day}",
                    "episode_id": f"{kind}-{scope}-{day}",
                    "episode_start_date": day,
                    "measure": "effective_cost",
                    "detector": "own_past",
                    "observed_quantity": observed,
                    "expected_quantity": week,
                    "excess_quantity": observed - week,
                    "excess_cost": observed - week,
                    "currency": scenario.currency,
                    "is_alerting": True,
                    "cause_text": "Requests \u00d72.0 by key research-batch (94 %) on gpt-5.2; price and mix unchanged",
                    "top_api_key_id": f"sk-team-{team:02d}",
                    "top_model_id": f"{dict(scenario.providers).get('openai', 'openai')}/gpt-5.2",
                    "top_user_id": "u-17",
                    "top_share_ratio": 0.94,
                }
            )
    return _frame(MART_ANOMALIES, rows)


def _by_model(current: list[Record]) -> dict[tuple[str, str], list[Record]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for one in current:
        groups.setdefault((one.provider, f"{one.provider}/{one.model}"), []).append(one)
    return groups


def _reconciliation(scenario: Scenario, current: list[Record]) -> pl.DataFrame:
    rows = []
    for (provider, model), group in _by_model(current).items():
        priced = _cost(group)
        is_billed = provider in BILLED and priced is not None
        factor = Decimal("1.012") if model == "openai/gpt-5.2" else Decimal(1)
        billed = (priced * factor).quantize(Decimal("0.000001")) if is_billed and priced is not None else None
        rows.append(
            {
                "month": scenario.month.first_day,
                "provider_name": provider,
                "billing_account_id": f"org-{provider}" if is_billed else None,
                "model_id": model,
                "billing_currency": scenario.currency,
                "token_class": "output_tokens",
                "processing": "standard",
                "billed_cost": billed,
                "metered_cost": priced,
                "difference_cost": None if billed is None or priced is None else billed - priced,
                "tie_out_status": "no_bill_yet" if billed is None else "explained" if factor != 1 else "matched",
                **{f"{cause}_cost": Decimal(0) for cause in (*RESIDUAL_CAUSES, "unexplained")},
            }
            | ({"bypassed_gateway_cost": billed - priced} if billed is not None and priced is not None and factor != 1 else {})
        )
    return _frame(MART_RECONCILIATION_MONTHLY, rows)


def _chargeback(scenario: Scenario, current: list[Record]) -> pl.DataFrame:
    names = {f"team-{index:02d}": name for index, name in enumerate(scenario.teams)} | {
        "unallocated": "Unallocated",
        "unexplained": "Unexplained",
    }
    rows: list[dict[str, Any]] = []

    def line(kind: str, category: str, provider: str, team_id: str, amount: Decimal, *, group: list[Record]) -> None:
        basis = "priced_usage" if kind == "estimate" or provider not in BILLED else "billed"
        rows.append(
            {
                "month": scenario.month.first_day,
                "line_id": f"line-{len(rows):05d}",
                "line_kind": kind,
                "charge_basis": basis,
                "charge_kind": "credit" if category == "Credit" else "usage",
                "charge_category": category,
                "provider_name": provider,
                "billing_account_id": f"org-{provider}" if basis == "billed" else None,
                "model_id": None,
                "business_unit_id": "b1",
                "business_unit_name": "All",
                "department_id": "d1",
                "department_name": "All",
                "team_id": team_id,
                "team_name": scenario.rename(names[team_id]),
                "cost_center_id": "cc",
                "cost_center_name": "CC",
                "requests_count": sum(one.requests for one in group),
                "total_tokens": sum(one.input_tokens + one.output_tokens for one in group),
                "metered_cost": _cost(group),
                "allocated_cost": amount,
                "allocated_effective_cost": amount,
                "billing_currency": scenario.currency,
                "rule_name": "usage",
                "allocation_rule": "metered share",
                "period_status": "preliminary",
            }
        )

    cent = Decimal("0.01")
    groups: dict[tuple[str, str], list[Record]] = {}
    for one in current:
        groups.setdefault((one.provider, one.team_id), []).append(one)
    for (provider, team_id), group in sorted(groups.items()):
        cost = _cost(group)
        if cost is None:
            continue
        is_billed = provider in BILLED
        kind = "unallocated" if team_id == "unallocated" else "allocated" if is_billed else "estimate"
        line(kind, "Usage", provider, team_id, cost.quantize(cent), group=group)
    if scenario.is_priced and current:
        line("unexplained", "Usage", "openai", "unexplained", Decimal("38.61"), group=[])
        line("unallocated", "Credit", "anthropic", "unallocated", scenario.credit, group=[])
    return _frame(MART_CHARGEBACK_MONTHLY, rows)


def _quality(scenario: Scenario, current: list[Record]) -> pl.DataFrame:
    if not current:
        return marts.MART_DATA_QUALITY.empty()
    requests = sum(one.requests for one in current)
    rows = []
    for source, kind, read, lost, missing, held, hour in (
        ("gateway", "litellm", requests + 1204, 96, 0, 0, 6),
        ("openai-costs", "openai", 2310, 0, 0, 1, 5),
        ("anthropic-costs", "anthropic", 1742, 3, 1, 0, 5),
    ):
        rows.append(
            {
                "month": scenario.month.first_day,
                "source": source,
                "source_kind": kind,
                "deliveries_count": 20,
                "held_deliveries_count": held,
                "refused_deliveries_count": 0,
                "rows_read_count": read,
                "rows_loaded_count": read - lost - 11,
                "rows_duplicate_count": 11,
                "rows_quarantined_count": lost,
                "rows_out_of_scope_count": 0,
                "unmapped_lines_count": 0,
                "days_with_data_count": scenario.through.day - missing,
                "days_missing_count": missing,
                "first_date": scenario.month.first_day,
                "last_date": scenario.through,
                "last_received_at": f"{scenario.as_of + dt.timedelta(days=1)}T{hour:02d}:10:00Z",
            }
        )
    return _frame(marts.MART_DATA_QUALITY, rows)
