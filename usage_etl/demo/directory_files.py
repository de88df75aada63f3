"""The directory CSV files: who and what belongs where, from when to when, and who may spend how much."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from usage_etl.demo.csv_text import csv_text
from usage_etl.demo.features import FEATURES
from usage_etl.demo.models import MODELS
from usage_etl.demo.organization import DIRECTORY_START, EMAIL_DOMAIN, ORGANIZATION_ID, RUNAWAY_TEAM, TEAMS, Organization, Team
from usage_etl.demo.rates import DISCOUNT_PCT, DISCOUNTED_MODEL, TOKEN_CLASSES, ContractRate, contract_rates
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.truth import Truth, dollars
from usage_etl.periods import Month, days_between

_TEAM_COLUMNS = ("team_id", "team_name", "department_id", "department_name", "cost_center_id", "cost_center_name")
_OUTCOME_FEATURE = "ticket-suggest"
_WEEKEND_WEIGHT = Decimal("0.28")
_STEP = Decimal(50)
_ORGANIZATION_OVER = Decimal("1.06")
_HEADROOM = {
    "team-defend": Decimal("0.92"),
    "team-platform": Decimal("0.80"),
    "team-finance": Decimal("0.97"),
    "team-noc": Decimal("0.86"),
}
"""Expected month over budget, for teams that keep to theirs."""


@dataclass(frozen=True)
class Budget:
    """A monthly budget from one day on."""

    scope_kind: str
    scope_id: str
    monthly_budget: Decimal
    valid_from: dt.date


def directory_files(organization: Organization, budgets: Sequence[Budget]) -> dict[str, str]:
    """File name to text of each directory file."""
    return {
        "users.csv": csv_text(
            ("user_id", "user_name", "user_email", "team_id", "valid_from", "valid_to"),
            ((p.user_id, p.name, p.email, team, start, end) for p in organization.people for team, start, end in p.teams),
        ),
        "teams.csv": csv_text((*_TEAM_COLUMNS, "owner_email", "valid_from", "valid_to"), map(_team_row, TEAMS)),
        "api_keys.csv": csv_text(
            ("api_key_id", "api_key_name", "team_id", "split_pct", "valid_from", "valid_to"),
            (
                (key.key_id, key.alias, team, split_pct, key.valid_from, key.valid_to)
                for key in organization.keys
                for team, split_pct in key.owners
            ),
        ),
        "features.csv": csv_text(
            ("feature_id", "feature_name", "product_id", "product_name", "valid_from", "valid_to"),
            ((f.feature_id, f.name, f.product_id, f.product_name, DIRECTORY_START, None) for f in FEATURES),
        ),
        "budgets.csv": csv_text(
            ("scope_kind", "scope_id", "monthly_budget", "currency", "valid_from", "valid_to"),
            ((b.scope_kind, b.scope_id, b.monthly_budget, "USD", b.valid_from, None) for b in budgets),
        ),
    }


def outcomes_file(scenario: Scenario) -> str:
    """Tickets that the ticket suggestions closed, with what one is worth; the running month is not counted yet."""
    months = sorted({Month.of(day) for day in days_between(scenario.first_day, scenario.end)} - {scenario.current_month})
    return csv_text(
        ("feature_id", "month", "outcome_name", "outcomes_count", "value_per_outcome", "currency"),
        (
            (_OUTCOME_FEATURE, month, "tickets closed by a suggestion", 1180 + 85 * number, "1.40", "USD")
            for number, month in enumerate(months)
        ),
    )


def _team_row(team: Team) -> tuple[object, ...]:
    owner_email = f"{team.team_id.removeprefix('team-')}-lead@{EMAIL_DOMAIN}"
    place = (team.department_id, team.department_name, team.cost_center_id, team.cost_center_name)
    return team.team_id, team.name, *place, owner_email, DIRECTORY_START, None


def contract_file(scenario: Scenario) -> str:
    """The negotiated prices as the contract price file."""
    columns = [f"{name}_per_mtok" for name in TOKEN_CLASSES]
    note = f"Enterprise agreement NW-{scenario.contract_start:%Y-%m}: {DISCOUNT_PCT} % below list"
    return csv_text(
        ("provider", "model_id", "processing", "context_min_tokens", "valid_from", "valid_to", *columns, "currency", "note"),
        (
            (rate.provider, rate.model_id, rate.processing, 0, rate.valid_from, None, *_dollars_per_mtok(rate), "USD", note)
            for rate in contract_rates(scenario, MODELS[DISCOUNTED_MODEL])
        ),
    )


def _dollars_per_mtok(rate: ContractRate) -> Iterator[str]:
    return (f"{Decimal(micro) / 1_000_000:f}" for micro in rate.micro_usd_per_mtok)


def planned_budgets(scenario: Scenario, truth: Truth) -> list[Budget]:
    """Budgets that make a story: the organisation will end about 6 % over, one team is over already, others keep to theirs."""
    month = str(scenario.current_month)
    spent = {team: dollars(pico) for (team, of), pico in truth.teams.items() if of == month}
    runaway = dollars(truth.runaway)
    usual = sum(spent.values(), Decimal(0)) - runaway
    budgets = [_budget("organization", ORGANIZATION_ID, (_month_end(scenario, usual) + runaway) / _ORGANIZATION_OVER)]
    own = max(spent.get(RUNAWAY_TEAM, Decimal(0)) - runaway, Decimal(0))
    budgets.append(_budget("team", RUNAWAY_TEAM, (own + _month_end(scenario, own)) / 2 + runaway / 4))
    for team, share in _HEADROOM.items():
        budgets.append(_budget("team", team, _month_end(scenario, spent.get(team, Decimal(0))) / share))
    return budgets


def _budget(scope_kind: str, scope_id: str, amount: Decimal) -> Budget:
    rounded = max(_STEP, (amount / _STEP).quantize(Decimal(1), ROUND_HALF_UP) * _STEP)
    return Budget(scope_kind, scope_id, rounded, DIRECTORY_START)


def _month_end(scenario: Scenario, spent: Decimal) -> Decimal:
    """What the month will cost if it goes on like this."""
    month = scenario.current_month
    start = max(month.first_day, scenario.first_day)
    return spent * _weight(days_between(month.first_day, month.end)) / _weight(days_between(start, scenario.end))


def _weight(days: Iterable[dt.date]) -> Decimal:
    return sum((_WEEKEND_WEIGHT if day.weekday() >= 5 else Decimal(1) for day in days), Decimal(0))
